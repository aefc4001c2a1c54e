"""A fleet in the hands of its operator: pause, resume, replace, rehearse. In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    CircuitBreaker,
    ConfigurationError,
    ConnectError,
    Deployment,
    Limits,
    NoDeploymentAvailableError,
    Route,
    Router,
    ServerError,
    Strategy,
    UnknownModelError,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down, outcome
from tests.virtual_time import anyio_backend  # noqa: F401


class TestPausing:
    async def test_a_deployment_is_asked_no_more_until_it_is_resumed(self):
        async with Router([deployment("a"), deployment("b")]) as router:
            router.pause("a")
            assert router.fleet["a"].paused
            assert (await router.chat("hi")).deployment == "b"
            assert "a: it is paused" in str(await router.explain("hi"))
            router.resume("a")
            assert not router.fleet["a"].paused
            assert (await router.chat("hi")).deployment == "a"

    async def test_a_call_in_flight_finishes_and_its_second_try_goes_elsewhere(self):
        flaky = FakeProvider(script=["well", ServerError("down")], latency=5)
        async with Router([deployment("a", flaky)]) as router:
            for expected in (str, AllAttemptsFailedError):
                results = []
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda got=results: self._kept(router, got))
                    await anyio.sleep(1)
                    router.pause("a")
                assert isinstance(results[0], expected)
                router.resume("a")
            assert len(flaky.calls) == 2

    @staticmethod
    async def _kept(router, results):
        result = await outcome(router.chat("hi"))
        results.append(getattr(result, "text", result))

    async def test_no_need_is_great_enough_to_ask_one_that_is_paused(self):
        async with Router([deployment("a")]) as router:
            router.pause("a")
            error = await outcome(router.chat("hi"))
            assert isinstance(error, NoDeploymentAvailableError)
            assert error.reasons == {"a": "it is paused"}

    async def test_a_models_name_pauses_all_of_its_deployments(self):
        provider = FakeProvider()
        models = [Deployment("fake/m", provider=provider), Deployment("fake/m", provider=provider), "fake/n"]
        models[2] = Deployment("fake/n", provider=provider)
        async with Router(models) as router:
            router.pause("fake/m")
            assert (await router.chat("hi")).deployment == "fake/n"
            router.resume("fake/m#2")
            assert (await router.chat("hi")).deployment == "fake/m#2"

    async def test_a_name_that_is_not_here_is_refused_and_a_pattern_says_what_to_name(self):
        provider = FakeProvider()
        async with Router([Deployment("fake/*", provider=provider), deployment("a")]) as router:
            with pytest.raises(UnknownModelError, match="'b'"):
                router.pause("b")
            with pytest.raises(ConfigurationError, match="name one of its models, such as fake/"):
                router.pause("fake/*")
            router.pause("fake/m")
            assert isinstance(await outcome(router.chat("hi", model="fake/m")), NoDeploymentAvailableError)
            assert (await router.chat("hi", model="fake/n")).deployment == "fake/n"

    async def test_a_pause_outlives_thousands_of_names(self):
        async with Router(
            [Deployment("fake/*", provider=FakeProvider()), deployment("a")], breaker=None
        ) as router:
            router.pause("a")
            for number in range(4_200):
                await router.chat("hi", model=f"fake/m{number}")
            assert router.fleet["a"].paused

    async def test_pausing_twice_is_pausing_once_and_a_breaker_keeps_its_own_mind(self):
        async with Router([deployment("a", down()), deployment("b")]) as router:
            for _ in range(5):
                await router.chat("hi")
            router.pause("a")
            router.pause("a")
            router.resume("a")
            assert router.fleet["a"].breaker == "open"
            assert asked(await router.chat("hi")) == ["b"]

    def test_needs_no_event_loop(self):
        router = Router([deployment("a")])
        router.pause("a")
        assert router.fleet["a"].paused


class TestReplacing:
    async def test_calls_that_begin_from_now_on_go_to_the_new_ones(self):
        async with Router([deployment("a")], routes={"fast": Route(["a"])}) as router:
            router.replace([deployment("b"), deployment("c")], routes={"fast": Route(["c"])})
            assert (await router.chat("hi")).deployment == "b"
            assert (await router.chat("hi", model="fast")).deployment == "c"
            with pytest.raises(UnknownModelError):
                await router.chat("hi", model="a")
            assert repr(router).startswith("Router(['b', 'c'], routes=['fast']")

    async def test_what_is_bound_to_it_goes_along(self):
        async with Router([deployment("a")]) as router:
            bound = router.bind(user="ann")
            router.replace([deployment("b")])
            assert (await bound.chat("hi")).deployment == "b"

    async def test_calls_in_flight_finish_as_they_began(self):
        gone = FakeProvider(script=[ServerError("down"), "late"], latency=5)
        results = []

        async def call():
            results.append(await router.chat("hi"))

        async with Router([deployment("a", gone)]) as router:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await anyio.sleep(1)
                router.replace([deployment("b")])
            assert asked(results[0]) == ["a", "a"]
            assert results[0].text == "late"

    async def test_what_is_known_of_one_that_stays_is_kept_and_of_one_that_changed_is_not(self):
        providers = FakeProvider(latency=3), FakeProvider(latency=3), FakeProvider(latency=3)
        a, b, c = (deployment(name, each) for name, each in zip("abc", providers, strict=True))
        async with Router([a, b, c]) as router:
            for each in "abc":
                await router.chat("hi", model=each)
            router.pause("a")
            same = Deployment("fake/a", id="a", provider=providers[0], weight=9, tags=["new"])
            moved = Deployment("fake/b", id="b", provider=providers[1], base_url="https://elsewhere.example")
            router.replace([same, moved])
            assert (router.fleet["a"].latency, router.fleet["a"].paused) == (pytest.approx(3), True)
            assert router.fleet["b"].latency is None
            assert router.fleet["c"].latency is None

    @pytest.mark.parametrize(
        "changed",
        [{"model": "fake/other"}, {"base_url": "https://x.example"}, {"region": "eu"}, {"api_key": "sk-new"}],
    )
    async def test_another_model_host_region_or_key_is_another_deployment(self, changed):
        host = FakeProvider()
        old = {"model": "fake/m", "id": "a", "provider": host, "api_key": "sk-old"}
        async with Router([Deployment(**old), deployment("b")]) as router:
            router.pause("a")
            router.replace([Deployment(**old), deployment("b")])
            assert router.fleet["a"].paused
            router.replace([Deployment(**(old | changed)), deployment("b")])
            assert not router.fleet["a"].paused

    async def test_what_the_old_one_still_comes_to_is_not_held_against_the_new_one(self):
        """A key is replaced while a call is under way with the one that has run out."""
        errors = [AuthenticationError("no", status=401), ServerError("down"), ServerError("down")]
        for error in errors:
            host = FakeProvider(script=[error, "ok"], latency=2)
            old, new = (Deployment("fake/m", id="a", provider=host, api_key=key) for key in ("sk-1", "sk-2"))
            async with Router([old], breaker=CircuitBreaker(1), retry=None) as router:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(outcome, router.chat("hi"))
                    await anyio.sleep(1)
                    router.replace([new])
                    assert router.fleet["a"].in_flight == 0
                assert router.fleet["a"].breaker == "closed"
                assert (await router.chat("hi")).text == "ok"

    async def test_a_breaker_of_other_settings_begins_anew_and_one_of_equal_ones_does_not(self):
        host = down()
        async with Router([deployment("a", host, breaker=CircuitBreaker(1)), deployment("b")]) as router:
            await router.chat("hi")
            router.replace([deployment("a", host, breaker=CircuitBreaker(1)), deployment("b")])
            assert asked(await router.chat("hi")) == ["b"]
            router.replace([deployment("a", host, breaker=CircuitBreaker(2)), deployment("b")])
            assert asked(await router.chat("hi")) == ["a", "b"]
            router.replace([deployment("a", host, breaker=None), deployment("b")])
            for _ in range(4):
                assert asked(await router.chat("hi")) == ["a", "b"]

    async def test_other_limits_hold_from_now_on_and_the_same_ones_go_on(self):
        limits, host = Limits(rpm=2), FakeProvider()
        async with Router([deployment("a", host, limits=limits)]) as router:
            await router.chat_many(["hi"] * 2)
            router.replace([deployment("a", host, limits=limits)])
            began = anyio.current_time()
            await router.chat("hi")
            assert anyio.current_time() - began == pytest.approx(60)
            router.replace([deployment("a", host, limits=Limits(rpm=10))])
            await router.chat_many(["hi"] * 5)
            assert anyio.current_time() - began == pytest.approx(60)
            assert router.fleet["a"].headroom == pytest.approx(0.5)
            router.replace([deployment("a", host)])
            await router.chat("hi")
            assert router.fleet["a"].headroom == 1.0

    async def test_what_makes_no_router_changes_nothing(self):
        async with Router([deployment("a")]) as router:
            for deployments, routes in [
                ([], None),
                ([deployment("b"), deployment("b")], None),
                ([deployment("b")], {"r": Route(["c"])}),
                (["nonsense"], None),
            ]:
                with pytest.raises(ConfigurationError):
                    router.replace(deployments, routes=routes)
            assert (await router.chat("hi")).deployment == "a"


class TestRehearsing:
    async def test_proves_who_stands_in_without_asking_those_that_fail(self):
        first = FakeProvider()
        async with Router([deployment("a", first), deployment("b")]) as router:
            reply = await router.rehearse(fail=["a"])
            assert asked(reply) == ["a", "b"]
            assert isinstance(reply.trace.attempts[0].error, ConnectError)
            assert "it fails in this rehearsal" in str(reply.trace.attempts[0].error)
            assert not first.calls

    async def test_the_others_are_asked_in_truth_and_as_the_call_says(self):
        second = FakeProvider(["really"])
        async with Router([deployment("a"), deployment("b", second)]) as router:
            reply = await router.rehearse("Are you there?", fail=["a"], model=["a", "b"], max_tokens=7)
            assert reply.text == "really"
            assert second.calls[0].request.max_tokens == 7
            assert second.calls[0].request.messages[0].text == "Are you there?"
            await router.rehearse(fail=["a"])
            assert second.calls[1].request.messages[0].text == "Reply with OK."

    async def test_nothing_is_held_against_those_that_fail(self):
        async with Router([deployment("a"), deployment("b")]) as router:
            for _ in range(20):
                await router.rehearse(fail=["a"])
            assert router.fleet["a"] == type(router.fleet["a"])()
            assert asked(await router.chat("hi")) == ["a"]

    async def test_nor_does_a_strategy_learn_from_them(self):
        class Notes(Strategy):
            def __init__(self):
                self.seen = []

            def observe(self, request, attempt):
                self.seen.append(attempt.deployment)

        notes = Notes()
        async with Router([deployment("a"), deployment("b")], strategy=notes) as router:
            await router.rehearse(fail=["a"])
        assert notes.seen == ["b"]

    async def test_nor_does_it_cost_them_their_second_tries(self):
        flaky = FakeProvider(script=[ServerError("down"), ServerError("down"), "ok"])
        async with Router([deployment("a", flaky)]) as router:
            for _ in range(10):
                await outcome(router.rehearse(fail=["a"]))
            assert asked(await router.chat("hi")) == ["a"] * 3

    async def test_where_nobody_stands_in_it_fails_as_a_call_would(self):
        async with Router([deployment("a")], retry=None) as router:
            error = await outcome(router.rehearse(fail=["a"]))
            assert isinstance(error, AllAttemptsFailedError)
            assert isinstance(error.__cause__, ConnectError)

    async def test_a_models_name_fails_all_of_its_deployments(self):
        provider = FakeProvider()
        models = [Deployment(model, provider=provider) for model in ("fake/m", "fake/m", "fake/n")]
        async with Router(models) as router:
            assert asked(await router.rehearse(fail=["fake/m"])) == ["fake/m", "fake/m#2", "fake/n"]

    @pytest.mark.parametrize("fail", [["b"], "a", [1]])
    async def test_a_name_that_is_none_of_here_is_refused(self, fail):
        async with Router([deployment("a")]) as router:
            with pytest.raises((UnknownModelError, ConfigurationError)):
                await router.rehearse(fail=fail)

    async def test_it_takes_no_room_from_those_that_fail(self):
        async with Router([deployment("a", limits=Limits(rpm=1)), deployment("b")]) as router:
            await router.rehearse(fail=["a"])
            assert asked(await router.chat("hi")) == ["a"]
