"""Who is asked, in which order: the route, then patience, then fallbacks, then the router's own."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    Attempt,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    ExponentialBackoff,
    Fallback,
    FleetError,
    GiveUp,
    NoDeploymentAvailableError,
    NotFoundError,
    QuotaExhaustedError,
    RateLimitError,
    Retry,
    Route,
    Router,
    ServerError,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, busy, dead, deployment, down
from tests.virtual_time import anyio_backend  # noqa: F401 - waiting is virtual here


async def test_the_first_answers_while_it_can():
    async with Router([deployment("a"), deployment("b")]) as router:
        reply = await router.chat("hi")

    assert reply.text == "a"
    assert asked(reply) == ["a"]


async def test_a_failure_in_passing_goes_on_at_once_to_one_that_was_not_tried():
    async with Router([deployment("a", down()), deployment("b")]) as router:
        reply = await router.chat("hi")

    assert asked(reply) == ["a", "b"]
    first, second = reply.trace.attempts
    assert (first.kind, second.kind) == ("first", "fallback")
    assert second.started == first.ended  # nobody slept in between


async def test_when_each_has_failed_the_policy_waits_and_tries_again():
    flaky = FakeProvider(script=[ServerError("down"), "back"])
    async with Router([deployment("a", flaky), deployment("b", down())]) as router:
        reply = await router.chat("hi")

    assert asked(reply) == ["a", "b", "a"]
    assert reply.trace.attempts[-1].kind == "retry"


async def test_max_retries_bounds_the_second_tries_of_a_call_on_all_deployments_together():
    async with Router([deployment("a", down()), deployment("b", down())]) as router:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

    assert asked(caught.value) == ["a", "b", "a", "a"]


async def test_retry_none_makes_no_second_try_and_leaves_fallbacks():
    deployments = [deployment("a", down()), deployment("b")]
    routes = {"default": Route(["a"], fallbacks=["b"])}
    async with Router(deployments, routes=routes, retry=None) as router:
        assert asked(await router.chat("hi")) == ["a", "b"]


async def test_patience_comes_before_a_routes_fallbacks_and_these_before_the_routers():
    deployments = [deployment(name, down()) for name in "abc"] + [deployment("d")]
    routes = {"main": Route(["a"], fallbacks=["b"]), "spare": Route(["c"])}
    async with Router(deployments, routes=routes, fallbacks=["spare", "d"]) as router:
        reply = await router.chat("hi", model="main")

    assert asked(reply) == ["a", "a", "a", "b", "c", "d"]


async def test_fallbacks_that_are_deployments_are_asked_in_order_each_before_any_twice():
    deployments = [deployment("a", dead()), deployment("b", down()), deployment("c")]
    routes = {"default": Route(["a"], fallbacks=["b", "c"])}
    async with Router(deployments, routes=routes) as router:
        assert asked(await router.chat("hi")) == ["a", "b", "c"]


async def test_the_fallbacks_of_a_fallback_follow_it():
    deployments = [deployment(name, dead()) for name in "ab"] + [deployment("c")]
    routes = {"x": Route(["a"], fallbacks=["y"]), "y": Route(["b"], fallbacks=["c"])}
    async with Router(deployments, routes=routes) as router:
        reply = await router.chat("hi", model="x")

    assert asked(reply) == ["a", "b", "c"]


async def test_fallbacks_false_forbids_them_and_leaves_the_routes_own_siblings():
    deployments = [deployment("a", dead()), deployment("b", dead()), deployment("c")]
    routes = {"default": Route(["a", "b"], fallbacks=["c"])}
    async with Router(deployments, routes=routes, fallbacks=["c"]) as router:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi", fallbacks=False)

    assert asked(caught.value) == ["a", "b"]


@pytest.mark.parametrize(
    "refusal", [NotFoundError("?"), QuotaExhaustedError("broke"), ServerError("no", transient=False)]
)
async def test_who_refused_for_good_is_not_asked_again_in_that_call(refusal):
    fake = FakeProvider(script=[refusal])
    deployments = [deployment("a", fake), deployment("b", down())]
    routes = {"default": Route(["a", "b"], fallbacks=["again"]), "again": Route(["a", "b"])}
    async with Router(deployments, routes=routes) as router:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

    assert len(fake.calls) == 1
    assert asked(caught.value) == ["a", "b", "b", "b"]


async def test_a_deployment_that_was_tried_is_not_asked_again_only_for_standing_in_a_fallback_too():
    deployments = [deployment("a", down()), deployment("b")]
    routes = {"default": Route(["a"], fallbacks=["more"]), "more": Route(["a", "b"])}
    async with Router(deployments, routes=routes, retry=None) as router:
        assert asked(await router.chat("hi")) == ["a", "b"]


async def test_what_is_about_the_fleet_comes_out_as_a_fleet_error_with_one_deployment_too():
    async with Router([deployment("a", dead())]) as router:
        with pytest.raises(FleetError) as caught:
            await router.chat("hi")

    assert isinstance(caught.value, AllAttemptsFailedError)
    assert type(caught.value.__cause__).__name__ == "AuthenticationError"


async def test_the_error_reads_as_a_short_report():
    async with Router([deployment("eu", dead()), deployment("us", busy())], retry=None) as router:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

    assert str(caught.value) == (
        "2 attempts failed: eu: AuthenticationError 401 after 0.00 s; us: RateLimitError 429 after 0.00 s"
        " (the last one said: busy)"
    )
    assert [type(attempt) for attempt in caught.value.attempts] == [Attempt, Attempt]


async def test_a_callers_own_mistake_comes_out_as_itself_at_once():
    async with Router(
        [deployment("a", FakeProvider(script=[BadRequestError("bad")])), deployment("b")]
    ) as router:
        with pytest.raises(BadRequestError) as caught:
            await router.chat("hi")

    assert caught.value.deployment == "a"


async def test_a_bug_passes_untouched():
    bug = ZeroDivisionError("mine")
    async with Router([deployment("a", FakeProvider(script=[bug])), deployment("b")]) as router:
        with pytest.raises(ZeroDivisionError, match="mine"):
            await router.chat("hi")


class TestAWindowThatIsTooSmall:
    too_long = ContextWindowExceededError("too long", status=400)

    async def test_moves_on_to_a_larger_one_only(self):
        small = FakeProvider(script=[self.too_long])
        deployments = [
            deployment("small", small, context_window=8_000),
            deployment("smaller", context_window=4_000),
            deployment("large", context_window=200_000),
        ]
        async with Router(deployments) as router:
            assert asked(await router.chat("hi")) == ["small", "large"]

    async def test_an_unknown_window_counts_as_larger_on_either_side(self):
        for first, second in [(8_000, None), (None, 8_000), (None, None)]:
            deployments = [
                deployment("a", FakeProvider(script=[self.too_long]), context_window=first),
                deployment("b", context_window=second),
            ]
            async with Router(deployments) as router:
                assert asked(await router.chat("hi")) == ["a", "b"]

    async def test_comes_out_as_itself_where_nobody_has_a_larger_one(self):
        deployments = [
            deployment("a", FakeProvider(script=[self.too_long]), context_window=8_000),
            deployment("b", context_window=8_000),
        ]
        async with Router(deployments, fallbacks=["b"]) as router:
            with pytest.raises(ContextWindowExceededError) as caught:
                await router.chat("hi")

        assert caught.value.deployment == "a"

    async def test_after_a_mixture_the_last_attempt_decides(self):
        long = FakeProvider(script=[self.too_long])
        async with Router([deployment("a", dead()), deployment("b", long)]) as router:
            with pytest.raises(ContextWindowExceededError):
                await router.chat("hi")
        async with Router([deployment("b", long), deployment("a", dead())]) as router:
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi")


class TestAContentFilter:
    refused = ContentFilterError("flagged", status=400)

    async def test_is_an_answer_about_safety_and_comes_out_as_itself(self):
        deployments = [deployment("a", FakeProvider(script=[self.refused])), deployment("b")]
        async with Router(deployments) as router:
            with pytest.raises(ContentFilterError):
                await router.chat("hi")

    async def test_moves_on_to_another_provider_where_the_route_says_so(self):
        strict = FakeProvider(script=[self.refused])
        deployments = [deployment("a", strict), deployment("b", strict), deployment("c")]
        routes = {"default": Route(["a", "b", "c"], after_content_filter="fallback")}
        async with Router(deployments, routes=routes) as router:
            assert asked(await router.chat("hi")) == ["a", "c"]

    async def test_comes_out_as_itself_where_every_provider_refused(self):
        deployments = [deployment(name, FakeProvider(script=[self.refused])) for name in "ab"]
        routes = {"default": Route(["a", "b"], after_content_filter="fallback")}
        async with Router(deployments, routes=routes) as router:
            with pytest.raises(ContentFilterError):
                await router.chat("hi")


class TestRetryAfter:
    async def test_is_waited_out_where_it_is_longer_than_the_backoff(self):
        fake = FakeProvider(script=[RateLimitError("busy", retry_after=7), "now"])
        async with Router([deployment("a", fake)]) as router:
            reply = await router.chat("hi")

        first, second = reply.trace.attempts
        assert second.started - first.ended == pytest.approx(7, abs=1e-6)

    async def test_beyond_patience_the_call_leaves_for_its_fallbacks(self):
        deployments = [deployment("a", busy(retry_after=60)), deployment("b")]
        async with Router(deployments, routes={"default": Route(["a"], fallbacks=["b"])}) as router:
            reply = await router.chat("hi")

        assert asked(reply) == ["a", "b"]
        assert reply.trace.attempts[1].started == reply.trace.attempts[0].ended

    async def test_beyond_patience_it_is_waited_out_only_where_nobody_else_is_left(self):
        fake = FakeProvider(script=[RateLimitError("busy", retry_after=60), "at last"])
        deployments = [deployment("a", fake), deployment("b", dead())]
        async with Router(deployments, routes={"default": Route(["a"], fallbacks=["b"])}) as router:
            reply = await router.chat("hi")

        assert asked(reply) == ["a", "b", "a"]
        assert reply.trace.attempts[2].started - reply.trace.attempts[0].ended == pytest.approx(60, abs=1e-6)

    async def test_beyond_the_deadline_it_is_not_waited_out(self):
        async with Router([deployment("a", busy(retry_after=60))]) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi", timeout=30)

        assert asked(caught.value) == ["a"]

    async def test_who_asked_to_be_left_alone_is_passed_over_while_another_can_be_asked(self):
        waiting = FakeProvider(script=[RateLimitError("busy", retry_after=15), "a"])
        flaky = FakeProvider(script=[ServerError("down"), "b"])
        async with Router([deployment("a", waiting), deployment("b", flaky)]) as router:
            assert asked(await router.chat("hi")) == ["a", "b", "b"]


class TestTheVerdictsOfAPolicy:
    class Scripted:
        def __init__(self, *verdicts):
            self.verdicts = list(verdicts)
            self.seen = []

        def decide(self, history, *, remaining, others):
            self.seen.append((len(history), remaining, others))
            return self.verdicts.pop(0)

    async def test_retry_makes_every_candidate_one_again(self):
        policy = self.Scripted(Retry(2.0), GiveUp())
        async with Router([deployment("a", down()), deployment("b")], retry=policy) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")

        first, second = caught.value.attempts
        assert (first.deployment, second.deployment) == ("a", "a")
        assert second.started - first.ended == pytest.approx(2.0)

    async def test_a_last_resort_after_the_deadline_is_none(self):
        policy = self.Scripted(Retry(40.0, last_resort=True))
        async with Router([deployment("a", down())], retry=policy) as router:
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi", timeout=30)
            assert anyio.current_time() < 30

    async def test_last_resorts_are_taken_in_the_order_in_which_they_come_due(self):
        policy = self.Scripted(
            Retry(9.0, last_resort=True), Retry(4.0, last_resort=True), GiveUp(), Retry(1.0), GiveUp()
        )
        deployments = [deployment("a", down()), deployment("b", down())]
        routes = {"default": Route(["a"], fallbacks=["b"])}
        async with Router(deployments, routes=routes, retry=policy) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")

        attempts = caught.value.attempts
        assert asked(caught.value) == ["a", "b", "b", "a", "a"]
        assert [each.started - attempts[0].ended for each in attempts] == pytest.approx([0, 0, 4, 9, 10])

    async def test_give_up_ends_the_route_and_its_fallbacks_follow(self):
        deployments = [deployment("a", down()), deployment("b"), deployment("c")]
        routes = {"default": Route(["a", "b"], fallbacks=["c"], retry=self.Scripted(GiveUp()))}
        async with Router(deployments, routes=routes) as router:
            assert asked(await router.chat("hi")) == ["a", "c"]

    async def test_it_is_told_how_many_of_the_route_were_not_tried_and_how_much_time_is_left(self):
        policy = self.Scripted(Fallback(), Fallback(), GiveUp())
        async with Router([deployment(name, down()) for name in "abc"], retry=policy) as router:
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi", timeout=None)

        assert policy.seen == [(1, None, 2), (2, None, 1), (3, None, 0)]

    async def test_it_is_not_asked_about_a_request_error(self):
        policy = self.Scripted()
        long = FakeProvider(script=[ContextWindowExceededError("too long")])
        async with Router([deployment("a", long), deployment("b")], retry=policy) as router:
            assert asked(await router.chat("hi")) == ["a", "b"]

    @pytest.mark.parametrize(
        ("beyond", "next_one"), [("deployment", "b"), ("key", "c"), ("host", "d"), ("model", "c")]
    )
    async def test_fallback_beyond_leaves_out_the_kin_too(self, beyond, next_one):
        shared = down()
        deployments = [
            deployment("a", shared, api_key="k1", base_url="https://one.example"),
            deployment("b", shared, api_key="k1", base_url="https://one.example"),
            deployment("c", shared, api_key="k2", base_url="https://one.example"),
            deployment("d", shared, api_key="k1", base_url="https://two.example"),
        ]
        if beyond == "model":
            deployments[1] = deployment("a", shared).__class__("fake/a", id="b", provider=shared)
        policy = self.Scripted(Fallback(beyond), GiveUp())
        async with Router(deployments, retry=policy) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")

        assert asked(caught.value) == ["a", next_one]

    async def test_one_callable_is_one_key(self):
        def one():
            return "k"

        def other():
            return "k"

        keys = {"a": one, "b": one, "c": other}
        shared = down()
        deployments = [deployment(name, shared, api_key=key) for name, key in keys.items()]
        async with Router(deployments, retry=self.Scripted(Fallback("key"), GiveUp())) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")

        assert asked(caught.value) == ["a", "c"]

    async def test_the_calls_own_policy_beats_the_routes_and_this_the_routers(self):
        async with Router(
            [deployment("a", down())],
            routes={"default": Route(["a"], retry=ExponentialBackoff(max_retries=1))},
            retry=ExponentialBackoff(max_retries=5),
        ) as router:
            for retry, attempts in [
                ({}, 2),
                ({"retry": ExponentialBackoff(max_retries=3)}, 4),
                ({"retry": None}, 1),
            ]:
                with pytest.raises(AllAttemptsFailedError) as caught:
                    await router.chat("hi", **retry)
                assert len(caught.value.attempts) == attempts


async def test_a_strategy_that_picks_nobody_ends_the_route():
    from polyroute import Ordered

    deployments = [deployment("a"), deployment("b")]
    routes = {"default": Route(["a"], strategy=Ordered("nobody"), fallbacks=["b"])}
    async with Router(deployments, routes=routes) as router:
        assert asked(await router.chat("hi")) == ["b"]
    async with Router([deployment("a")], strategy=Ordered("nobody")) as router:
        with pytest.raises(NoDeploymentAvailableError, match="chose none"):
            await router.chat("hi")
