"""When a second deployment is asked beside a silent one, and how often. In virtual time."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    CircuitBreaker,
    Hedge,
    Limits,
    RateLimitError,
    Route,
    Router,
    ServerError,
    Strategy,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.engine.hedging import SOON, idle, quick, seconds, slow, streamed
from tests.virtual_time import anyio_backend  # noqa: F401


class TestHowLongTheFirstHas:
    async def test_a_percentile_is_of_its_own_twenty_first_tokens_or_more(self):
        times = iter([*[float(n) for n in range(1, 21)], 100.0, 100.0])
        second = quick("hedged")
        first = FakeProvider(["first"], ttft=lambda: next(times), latency=0)
        async with Router(
            [deployment("a", first), deployment("b", second)], hedge=Hedge(after="p50", max_extra=1)
        ) as router:
            for n in range(20):
                assert (await streamed(router)).deployment == "a", n
            assert not second.calls
            reply, took = await seconds(streamed(router))

        assert (reply.text, took) == ("hedged", 11.0)

    async def test_that_of_whole_replies_is_of_its_answers(self):
        times = iter([*[float(n) for n in range(1, 21)], 100.0])
        first = FakeProvider(["first"], latency=lambda: next(times))
        here = [deployment("a", first), deployment("b", quick("hedged"))]
        async with Router(here, hedge=Hedge(after="p90", max_extra=1)) as router:
            for _ in range(20):
                assert (await router.chat("hi")).deployment == "a"
            reply, took = await seconds(router.chat("hi"))

        assert (reply.text, took) == ("hedged", 19.0)

    async def test_none_at_all_where_that_is_asked_for(self):
        async with Router(
            [deployment("a", slow()), deployment("b", quick())], hedge=Hedge(after=0, max_extra=1)
        ) as router:
            assert (await seconds(router.chat("hi")))[1] == 0.0

    async def test_a_route_says_so_for_itself(self):
        async with Router(
            [deployment("a", slow()), deployment("b", quick())],
            routes={"off": Route(["a", "b"], hedge=None), "later": Route(["a", "b"], hedge=Hedge(after=3))},
            hedge=SOON,
        ) as router:
            assert (await seconds(router.chat("hi", model="off")))[1] == 10.0
            assert (await seconds(router.chat("hi", model="later")))[1] == 3.0
            assert (await seconds(router.chat("hi", model=["a", "b"])))[1] == 1.0


class TestTheBudget:
    async def test_is_one_call_at_first_and_then_a_share_of_all(self):
        second = quick()
        async with Router(
            [deployment("a", slow(latency=2)), deployment("b", second)], hedge=Hedge(after=1, max_extra=0.05)
        ) as router:
            taken = []
            for n in range(1_000):
                await router.chat("hi")
                taken.append(len(second.calls))
                assert len(second.calls) <= 1 + 0.05 * (n + 1)

        assert taken[0] == 1
        assert taken[-1] >= 50

    async def test_holds_where_many_ask_at_once_and_the_strategy_takes_its_time(self):
        class Ponders(Strategy):
            async def choose(self, request, candidates, history, fleet):
                await anyio.sleep(0.01)
                return candidates[0]

        second = quick()
        async with Router(
            [deployment("a", slow(latency=5)), deployment("b", second)],
            hedge=Hedge(after=1, max_extra=0.05),
            strategy=Ponders(),
        ) as router:
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(router.chat, "hi")
            assert 1 <= len(second.calls) <= 6
            assert idle(router)

    async def test_saves_up_ten_calls_at_most(self):
        second = quick()
        times = iter([*[0.0] * 900, *[2.0] * 100])
        async with Router(
            [deployment("a", FakeProvider(latency=lambda: next(times))), deployment("b", second)],
            hedge=Hedge(after=1, max_extra=0.05),
        ) as router:
            for _ in range(1_000):
                await router.chat("hi")

        assert len(second.calls) == 10 + 4

    async def test_is_not_earned_twice_by_a_call_that_fails_on(self):
        second = quick()

        def answer(call):
            raise ServerError("down")

        here = [
            deployment("a", FakeProvider([answer])),
            deployment("b", slow(latency=2)),
            deployment("c", second),
        ]
        async with Router(here, hedge=Hedge(after=1, max_extra=0.1), breaker=None) as router:
            for _ in range(100):
                await router.chat("hi")

        assert len(second.calls) <= 11

    async def test_is_not_spent_where_nobody_has_room(self):
        second = quick()
        limits = Limits(concurrency=1)
        async with Router(
            [deployment("a", slow(latency=2)), deployment("b", second, limits=limits)],
            hedge=Hedge(after=1, max_extra=0.001),
        ) as router:
            async with router.stream("hi", model="b"):
                assert (await router.chat("hi")).deployment == "a"
            assert (await router.chat("hi")).deployment == "b"


class TestOffWhereThereIsTooMuchToDo:
    async def test_while_a_breaker_is_open(self):
        bad = FakeProvider(script=[ServerError("down"), "up"])
        third = quick()
        here = [deployment("a", slow()), deployment("b", third), deployment("c", bad)]
        async with Router(here, hedge=SOON, retry=None, breaker=CircuitBreaker(1, cooldown=30)) as router:
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi", model="c")
            assert (await router.chat("hi")).deployment == "a"
            assert not third.calls

            await anyio.sleep(30)  # Half-open, it says nothing any more.
            assert (await router.chat("hi")).deployment == "b"

    async def test_while_a_host_wants_to_be_left_alone(self):
        busy = FakeProvider(script=[RateLimitError("busy", status=429, retry_after=30), "up"])
        here = [deployment("a", slow()), deployment("b", quick()), deployment("c", busy)]
        async with Router(here, hedge=SOON, retry=None) as router:
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi", model="c")
            assert (await router.chat("hi")).deployment == "a"
            await anyio.sleep(30)
            assert (await router.chat("hi")).deployment == "b"

    async def test_while_calls_wait_for_room(self):
        here = [
            deployment("a", slow(), limits=Limits(concurrency=1)),
            deployment("b", quick()),
        ]
        async with Router(here, hedge=SOON) as router, anyio.create_task_group() as group:
            replies = []

            async def ask(model):
                replies.append(await router.chat("hi", model=model))

            group.start_soon(ask, None)
            await anyio.sleep(0.5)
            group.start_soon(ask, "a")  # It waits for the place that the first call has.
        assert [reply.deployment for reply in replies] == ["a", "a"]

    async def test_where_the_sibling_is_paused_or_does_not_bear_the_tag(self):
        other = quick()
        here = [deployment("a", slow(), tags=["eu"]), deployment("b", other)]
        async with Router(here, hedge=SOON) as router:
            assert (await router.chat("hi", tags=["eu"])).deployment == "a"
            router.pause("b")
            assert (await router.chat("hi")).deployment == "a"
            router.resume("b")
            assert (await router.chat("hi")).deployment == "b"
        assert len(other.calls) == 1


async def test_a_fleet_with_a_heavy_tail_is_cut_by_two_fifths_at_its_99th_percentile_for_five_per_cent_more():
    calls = 5_000

    async def p99(hedge):
        rng = Random(20260101)

        def latency():
            # Most answers take about a second; one of fifty takes ten times as long.
            return rng.lognormvariate(0, 0.3) * (10 if rng.random() < 0.02 else 1)

        providers = [FakeProvider(["ok"], latency=latency) for _ in range(2)]
        here = [deployment(f"d{n}", each) for n, each in enumerate(providers)]
        took = []
        async with Router(here, hedge=hedge) as router:
            for _ in range(calls):
                took.append((await seconds(router.chat("hi")))[1])
        took.sort()
        return took[int(0.99 * calls)], sum(len(each.calls) for each in providers) - calls

    plain, none = await p99(None)
    hedged, extra = await p99(Hedge())
    print(f"p99 {plain:.2f} s -> {hedged:.2f} s for {extra / calls:.1%} more calls")  # noqa: T201

    assert none == 0
    assert hedged <= 0.6 * plain
    assert extra <= 0.05 * calls + 1
