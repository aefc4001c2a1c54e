"""When little is left: one whose breaker is open asked all the same, and second tries while there are any in hand.
In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    CircuitBreaker,
    Limits,
    NoDeploymentAvailableError,
    Route,
    Router,
    ServerError,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, broken_then_well, busy, deployment, down, outcome, times
from tests.virtual_time import anyio_backend  # noqa: F401


class TestInNeed:
    async def test_where_all_are_open_the_one_that_comes_back_first_is_asked_all_the_same(self):
        first, second = down(), broken_then_well(5)
        async with Router([deployment("a", first), deployment("b", second)], retry=None) as router:
            await times(5, router, model="b")
            await anyio.sleep(1)
            await times(5, router, model="a")
            reply = await router.chat("hi")
            assert asked(reply) == ["b"]
            assert reply.trace.attempts[0].reason == "nobody else is left, and of the bad it is the least"
            assert "circuit breaker is open" in str(reply.trace.decision)
            assert router.fleet["b"].breaker == "closed"

    async def test_a_lone_deployment_is_asked_all_the_same(self):
        flaky = broken_then_well(5)
        async with Router([deployment("a", flaky)], retry=None) as router:
            errors = await times(5, router)
            assert {type(error) for error in errors} == {AllAttemptsFailedError}
            assert router.fleet["a"].breaker == "open"
            assert (await router.chat("hi")).text == "well"

    async def test_a_lone_deployment_with_fallbacks_is_opened_like_any_other(self):
        broken = down()
        routes = {"default": Route(["a"], fallbacks=["b"])}
        async with Router([deployment("a", broken), deployment("b")], routes=routes, retry=None) as router:
            assert [reply.deployment for reply in await times(20, router)] == ["b"] * 20
            assert len(broken.calls) == 5

    async def test_an_open_one_is_asked_last_where_those_that_were_asked_have_failed(self):
        flaky = broken_then_well(5)
        async with Router(
            [deployment("a", flaky), deployment("b", FakeProvider(script=["b"] * 5 + [ServerError("down")]))],
            retry=None,
        ) as router:
            await times(5, router)
            reply = await router.chat("hi")
            assert asked(reply) == ["b", "a"]
            assert reply.text == "well"

    async def test_one_that_this_call_has_asked_is_not_asked_again_for_need(self):
        broken = down()
        async with Router([deployment("a", broken, breaker=CircuitBreaker(1))], retry=None) as router:
            assert asked((await times(1, router))[0]) == ["a"]

    async def test_a_retry_may_go_to_an_open_one_where_nobody_else_is_left(self):
        flaky = broken_then_well(2)
        async with Router([deployment("a", flaky, breaker=CircuitBreaker(1))]) as router:
            reply = await router.chat("hi")
            assert asked(reply) == ["a"] * 3

    async def test_what_the_call_may_not_use_is_not_asked_for_any_need(self):
        broken = down()
        async with Router(
            [deployment("a", broken, tags=["x"]), deployment("b", down())], retry=None
        ) as router:
            await times(5, router, model="a")
            error = await outcome(router.chat("hi", tags=["!x"]))
            assert asked(error) == ["b"]
            router.pause("a")
            assert isinstance(await outcome(router.chat("hi", model="a")), NoDeploymentAvailableError)

    async def test_one_without_room_stands_in_nobodys_way(self):
        full = {"limits": Limits(rpm=5), "breaker": CircuitBreaker(5, cooldown=3)}
        deployments = [
            deployment("full", limits=Limits(rpm=1)),
            deployment("a", down(), **full),
            deployment("b", broken_then_well(5)),
        ]
        async with Router(deployments, retry=None) as router:
            for model, count in (("full", 1), ("b", 5), ("a", 5)):
                await times(count, router, model=model)
            assert asked(await router.chat("hi", timeout=30)) == ["b"]

    async def test_need_knows_no_limits_but_those_of_the_host(self):
        """An open one without room is not asked, and the error says when it comes back."""
        limited = deployment("a", down(), limits=Limits(rpm=5))
        async with Router([limited], retry=None) as router:
            await times(5, router)
            await anyio.sleep(1)
            error = await outcome(router.chat("hi"))
            assert isinstance(error, NoDeploymentAvailableError)
            assert error.retry_after == pytest.approx(4.0)


class TestARetryBudget:
    @pytest.mark.parametrize("breaker", [CircuitBreaker(), None])
    async def test_with_every_backend_down_each_gets_little_more_than_what_is_offered(self, breaker):
        backends = [down() for _ in range(3)]
        deployments = [deployment(f"d{n}", each) for n, each in enumerate(backends)]
        async with Router(deployments, breaker=breaker) as router:
            for _ in range(500):
                await outcome(router.chat("hi"))
        assert max(len(each.calls) for each in backends) <= 550

    async def test_also_where_they_ask_for_long_waits(self):
        backend = busy(retry_after=25)
        async with Router([deployment("a", backend)], breaker=None) as router:
            for _ in range(200):
                error = await outcome(router.chat("hi"))
            # Where there is no second try in hand, no wait for one is worth it either.
            assert anyio.current_time() == error.attempts[-1].ended
        assert len(backend.calls) <= 220

    async def test_answers_fill_it_again(self):
        def ok_unless_told(call):
            if failing:
                raise ServerError("down")
            return "ok"

        failing = True
        backend = FakeProvider(script=[ok_unless_told])
        async with Router([deployment("a", backend)], breaker=None) as router:
            await times(50, router)
            before = len(backend.calls)
            await times(1, router)
            assert len(backend.calls) == before + 1
            failing = False
            await times(20, router)
            failing = True
            before = len(backend.calls)
            await times(1, router)
            assert len(backend.calls) == before + 3
