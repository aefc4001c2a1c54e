"""Limits by phase, one deadline over everything, and who is to blame for silence. In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    ConfigurationError,
    DeadlineExceededError,
    Deployment,
    ExponentialBackoff,
    Middleware,
    RateLimitError,
    Route,
    Router,
    ServerError,
    Strategy,
    StreamInterruptedError,
    Timeout,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down
from tests.virtual_time import anyio_backend  # noqa: F401


def hung(name: str = "hung") -> Deployment:
    return deployment(name, FakeProvider(latency=1_000_000))


async def seconds(work):
    started = anyio.current_time()
    try:
        result = await work
    except Exception as exc:
        result = exc
    return result, anyio.current_time() - started


async def test_a_hung_deployment_is_left_after_its_attempts_limit_while_another_is_left():
    async with Router([hung(), deployment("b")]) as router:
        reply, took = await seconds(router.chat("hi"))

    assert asked(reply) == ["hung", "b"]
    assert took == pytest.approx(120)
    error = reply.trace.attempts[0].error
    assert isinstance(error, AttemptTimeoutError)
    assert (error.phase, error.deployment) == ("attempt", "hung")


async def test_fallbacks_count_as_somebody_left():
    async with Router(
        [hung(), deployment("b")], routes={"default": Route(["hung"], fallbacks=["b"])}
    ) as router:
        _, took = await seconds(router.chat("hi"))

    assert took == pytest.approx(120)


async def test_with_nobody_else_left_it_may_use_the_calls_whole_time():
    async with Router([hung(), deployment("b", tags=["x"])]) as router:
        error, took = await seconds(router.chat("hi", tags=["!x"]))

    assert isinstance(error, DeadlineExceededError)
    assert took == pytest.approx(600)
    assert [type(attempt.error) for attempt in error.attempts] == [AttemptTimeoutError]


async def test_who_stayed_silent_is_not_asked_again_in_that_call():
    silent = FakeProvider(latency=1_000_000)
    async with Router(
        [deployment("a", silent), deployment("b", down())], timeout=Timeout(attempt=1)
    ) as router:
        error, _ = await seconds(router.chat("hi"))

    assert asked(error) == ["a", "b", "b", "b"]


async def test_a_number_on_a_call_means_the_total_and_elsewhere_the_attempt():
    async with Router([hung(), deployment("b")], timeout=7) as router:
        _, took = await seconds(router.chat("hi"))
        assert took == pytest.approx(7)
        error, took = await seconds(router.chat("hi", timeout=3))
        assert isinstance(error, DeadlineExceededError)
        assert took == pytest.approx(3)


async def test_timeouts_merge_field_by_field_and_the_nearer_level_wins():
    deployments = [
        deployment("a", FakeProvider(latency=1_000_000), timeout=Timeout(attempt=30, connect=1)),
        deployment("b"),
    ]
    routes = {
        "default": Route(["a", "b"]),
        "quick": Route(["a", "b"], timeout=Timeout(attempt=20, total=500)),
    }
    async with Router(deployments, routes=routes, timeout=Timeout(attempt=40, total=400)) as router:
        for arguments, expected in [
            ({}, 30),
            ({"model": "quick"}, 20),
            ({"model": "quick", "timeout": Timeout(attempt=10)}, 10),
            ({"timeout": Timeout(total=5)}, 5),
        ]:
            _, took = await seconds(router.chat("hi", **arguments))
            assert took == pytest.approx(expected), arguments


async def test_the_total_is_fixed_at_the_door_from_call_asked_route_and_router():
    deployments = [deployment("a", FakeProvider(latency=1_000_000), timeout=Timeout(total=1, attempt=None))]
    routes = {"slow": Route(["a"], timeout=Timeout(total=50)), "other": Route(["a"], fallbacks=["slow"])}
    async with Router(deployments, routes=routes, timeout=Timeout(total=20)) as router:
        for model, expected in [("a", 20), ("slow", 50), ("other", 20)]:
            error, took = await seconds(router.chat("hi", model=model))
            assert isinstance(error, DeadlineExceededError)
            assert took == pytest.approx(expected), model


async def test_none_lifts_every_limit():
    slow = deployment("slow", FakeProvider(["at last"], latency=5_000))
    for router in (Router([slow, deployment("b")], timeout=None), Router([slow, deployment("b")])):
        async with router:
            reply, took = await seconds(router.chat("hi", timeout=None))
            assert reply.text == "at last"
            assert took == pytest.approx(5_000)


async def test_one_deadline_covers_retries_waits_and_fallbacks():
    slow_failure = FakeProvider(script=[ServerError("down")], latency=4)
    deployments = [deployment("a", slow_failure), deployment("b", slow_failure)]
    policy = ExponentialBackoff(max_retries=1_000)
    async with Router(deployments, retry=policy) as router:
        error, took = await seconds(router.chat("hi", timeout=30))

    assert took <= 30
    assert isinstance(error, DeadlineExceededError | AllAttemptsFailedError)
    assert len(error.attempts) >= 5


async def test_no_attempt_begins_after_the_deadline():
    last = FakeProvider()
    async with Router(
        [deployment("a", FakeProvider(script=[ServerError("x")], latency=5)), deployment("b", last)]
    ) as router:
        error, took = await seconds(router.chat("hi", timeout=5))

    assert isinstance(error, DeadlineExceededError)
    assert took == pytest.approx(5)
    assert not last.calls


async def test_a_failure_that_comes_after_the_deadline_is_not_followed_by_another_attempt():
    class Late:
        name = "late"
        keeps_deadlines = True  # and does not

        async def chat(self, call):
            await anyio.sleep(6)
            raise ServerError("too late")

        async def stream(self, call):
            raise NotImplementedError
            yield

    last = FakeProvider()
    async with Router([deployment("a", Late()), deployment("b", last)]) as router:
        error, _ = await seconds(router.chat("hi", timeout=5))

    assert isinstance(error, DeadlineExceededError)
    assert isinstance(error.__cause__, ServerError)
    assert not last.calls


async def test_a_policys_wait_is_cut_by_the_deadline():
    class Patient:
        def decide(self, history, *, remaining, others):
            from polyroute import Retry

            return Retry(1_000.0)

    async with Router([deployment("a", down())], retry=Patient()) as router:
        error, took = await seconds(router.chat("hi", timeout=9))

    assert isinstance(error, DeadlineExceededError)
    assert took == pytest.approx(9)


async def test_the_deadline_bounds_middleware_and_strategies_too():
    class Dawdles(Middleware):
        async def chat(self, request, call_next):
            await anyio.sleep(1_000_000)
            return await call_next(request)

    class Ponders(Strategy):
        async def choose(self, request, candidates, history, fleet):
            await anyio.sleep(1_000_000)
            return candidates[0]

    for options in ({"middleware": [Dawdles()]}, {"strategy": Ponders()}):
        async with Router([deployment("a")], **options) as router:
            error, took = await seconds(router.chat("hi", timeout=3))
            assert isinstance(error, DeadlineExceededError)
            assert took == pytest.approx(3)


async def test_a_deadline_that_the_caller_set_counts_against_nobody():
    async with Router([hung()]) as router:
        await seconds(router.chat("hi", timeout=3))
        vitals = router._core.fleet["hung"]
        assert (vitals.in_flight, vitals.error_rate, vitals.latency) == (0, 0.0, None)


async def test_a_limit_of_the_deployments_own_does_count():
    async with Router([hung(), deployment("b")], timeout=Timeout(attempt=3)) as router:
        await router.chat("hi")
        vitals = router._core.fleet["hung"]
        assert vitals.error_rate > 0
        assert vitals.latency == pytest.approx(5)  # what a failure counts for


@pytest.mark.parametrize("wrong", [-1, "5", float("nan"), True])
async def test_a_timeout_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        Timeout(attempt=wrong)
    with pytest.raises(ConfigurationError):
        Deployment("p/m", provider=FakeProvider(), timeout=wrong if wrong != -1 else "x")


class TestAStream:
    async def test_that_is_silent_before_its_first_token_falls_back_unseen(self):
        deployments = [deployment("a", FakeProvider(["late"], ttft=1_000, latency=1_001)), deployment("b")]
        async with Router(deployments) as router:
            started = anyio.current_time()
            async with router.stream("hi") as stream:
                reply = await stream.response()
            assert anyio.current_time() - started == pytest.approx(30)

        assert asked(reply) == ["a", "b"]
        assert reply.trace.attempts[0].error.phase == "first_token"

    async def test_that_stalls_between_two_tokens_breaks(self):
        stalls = FakeProvider(["one two three"], ttft=0, latency=100)
        async with Router([deployment("a", stalls)]) as router:
            async with router.stream("hi") as stream:
                with pytest.raises(StreamInterruptedError) as caught:
                    async for _ in stream:
                        pass

        assert caught.value.partial == "one"
        assert isinstance(caught.value.__cause__, AttemptTimeoutError)
        assert caught.value.__cause__.phase == "between_tokens"

    async def test_whose_consumer_is_slow_is_not_to_blame(self):
        async with Router([deployment("a", FakeProvider(["one two three"]))]) as router:
            async with router.stream("hi") as stream:
                texts = []
                async for chunk in stream:
                    texts.append(chunk.text)
                    await anyio.sleep(100)  # far longer than the limit between tokens

        assert "".join(texts) == "one two three"

    async def test_is_not_bound_by_the_attempts_limit_once_it_has_begun(self):
        long = FakeProvider([" ".join(["word"] * 50)], ttft=1, latency=500)
        async with Router([deployment("a", long), deployment("b")]) as router:
            async with router.stream("hi") as stream:
                reply = await stream.response()

        assert reply.deployment == "a"

    async def test_ends_with_the_calls_deadline(self):
        long = FakeProvider([" ".join(["word"] * 50)], ttft=1, latency=500)
        async with Router([deployment("a", long)]) as router:
            async with router.stream("hi", timeout=60) as stream:
                with pytest.raises(StreamInterruptedError) as caught:
                    await stream.response()

            assert isinstance(caught.value.__cause__, DeadlineExceededError)
            assert caught.value.partial.startswith("word word")
            assert [type(attempt.error) for attempt in caught.value.__cause__.attempts] == [
                AttemptTimeoutError
            ]
            assert router._core.fleet["a"].in_flight == 0
            assert router._core.fleet["a"].error_rate == 0.0

    async def test_first_token_bounds_a_plain_reply_only_where_it_was_said(self):
        deployments = [deployment("a", FakeProvider(["a"], latency=40)), deployment("b")]
        async with Router(deployments) as router:
            assert (await router.chat("hi")).text == "a"
            reply, took = await seconds(router.chat("hi", timeout=Timeout(first_token=10)))
            assert asked(reply) == ["a", "b"]
            assert took == pytest.approx(10)
            assert reply.trace.attempts[0].error.phase == "first_token"

    async def test_that_was_made_early_counts_its_time_from_then_and_its_attempt_from_being_entered(self):
        async with Router([deployment("a", FakeProvider(["hi"], latency=2))]) as router:
            stream = router.stream("hi")
            await anyio.sleep(5)
            async with stream:
                reply = await stream.response()

        assert reply.trace.attempts[0].latency == pytest.approx(2)


async def test_a_429_without_a_hint_waits_by_backoff():
    fake = FakeProvider(script=[RateLimitError("busy"), "ok"])
    async with Router([deployment("a", fake)]) as router:
        reply, took = await seconds(router.chat("hi"))

    assert reply.text == "ok"
    assert took <= 0.5
