"""Scenarios 7, 25, 49, 51, 53 to 55 and 58: what the router itself meets, in virtual time.

50, 56 and 57 are of caches and of a shared store, and stand with them.
"""

from __future__ import annotations

import time
from random import Random

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    CircuitBreaker,
    ConfigurationError,
    DeadlineExceededError,
    Deployment,
    ExponentialBackoff,
    Hedge,
    Limits,
    LimitTimeoutError,
    Price,
    RateLimitError,
    Router,
    ServerError,
    Timeout,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, busy, deployment, down
from tests.virtual_time import anyio_backend  # noqa: F401


def left(router):
    """What calls still hold of a router; None where that is nothing."""
    return router._core.holds


async def test_07_where_every_place_is_taken_a_call_queues_until_its_deadline_and_no_breaker_counts_it():
    slow = FakeProvider(["done"], latency=10)
    one = deployment("a", slow, limits=Limits(concurrency=1))
    async with Router([one], breaker=CircuitBreaker(failures=1)) as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.chat, "first")
            await anyio.sleep(1)
            began = anyio.current_time()
            with pytest.raises(LimitTimeoutError):
                await router.chat("second", timeout=5)
            assert anyio.current_time() - began == pytest.approx(5)
            assert (await router.chat("third", timeout=60)).text == "done"

        assert router.fleet["a"].breaker == "closed"
        assert left(router) is None


async def test_25_a_429_without_a_hint_is_waited_out_with_jitter_and_lowers_what_is_asked_of_the_host():
    waits = set()
    for seed in range(8):
        host = FakeProvider(script=[RateLimitError("slow down", status=429), "ok"])
        limits = Limits(rpm=600)
        async with Router([deployment("a", host, limits=limits)], rng=Random(seed)) as router:
            for _ in range(20):  # what was used tells how much is too much
                host.calls.clear()
                host._steps = ("ok",)
                await router.chat("hi")
            host._steps = (RateLimitError("slow down", status=429), "ok")
            host.calls.clear()
            events = router.events()
            async with events:
                reply = await router.chat("hi")
                told = [event async for event in _there(events)]
        waits.add(round(reply.trace.attempts[1].started - reply.trace.attempts[0].ended, 6))
        learnt = [event for event in told if type(event).__name__ == "LimitLearned"]
        assert [(event.deployment, event.limit) for event in learnt] == [("a", "rpm")]
        assert learnt[0].share < 1
    assert len(waits) > 4
    assert max(waits) <= 0.5


async def _there(events):
    """The events that have come."""
    while events._waiting:
        yield await anext(events)


class Suspended:
    """A provider that waits in the phase that is named."""

    name = "suspended"

    def __init__(self, phase):
        self.phase = phase

    async def chat(self, call):
        await anyio.sleep(100)

    async def stream(self, call):
        from polyroute import ChatChunk

        if self.phase == "first token":
            await anyio.sleep(100)
        yield ChatChunk(text="a")
        await anyio.sleep(100)
        yield ChatChunk(text="b")


async def _streamed(router):
    async with router.stream("hi") as stream:
        await stream.response()


@pytest.mark.parametrize("phase", ["queue", "body", "first token", "stream", "backoff", "bar", "hedge"])
async def test_49_a_cancel_gives_back_whatever_was_held_in_each_phase(phase):
    deployments = {
        "queue": [deployment("a", Suspended(phase), limits=Limits(concurrency=1, rpm=5, tpm=100_000))],
        "backoff": [deployment("a", down(), limits=Limits(rpm=5))],
        "bar": [deployment("a", busy(retry_after=50), limits=Limits(rpm=5))],
        "hedge": [
            deployment(name, Suspended(phase), limits=Limits(rpm=5, tpm=100_000)) for name in ("a", "b")
        ],
    }.get(phase, [deployment("a", Suspended(phase), limits=Limits(rpm=5, tpm=100_000))])
    retry = ExponentialBackoff(base=60, cap=60)
    router = Router(deployments, hedge=Hedge(after=1), retry=retry, rng=Random(3))
    async with router:
        streams = phase in ("first token", "stream")
        async with anyio.create_task_group() as tasks:
            if phase == "queue":
                tasks.start_soon(router.chat, "the one in front")
                await anyio.sleep(0.1)
            with anyio.move_on_after(7):
                await (_streamed(router) if streams else router.chat("hi"))
            if phase == "queue":
                assert router.fleet["a"].waiting == 0
            tasks.cancel_scope.cancel()
        assert left(router) is None
        assert all(router.fleet[each].breaker == "closed" for each in ("a", "b"))
        before = sum(len(getattr(each.provider, "calls", ())) for each in deployments)
        await anyio.sleep(500)
        assert sum(len(getattr(each.provider, "calls", ())) for each in deployments) == before


async def test_49_others_in_the_same_queue_go_on():
    slow = FakeProvider(["done"], latency=10)
    async with Router([deployment("a", slow, limits=Limits(concurrency=1))]) as router:
        done = []

        async def call(name, patience):
            with anyio.move_on_after(patience):
                await router.chat(name)
                done.append(name)

        async with anyio.create_task_group() as tasks:
            for name, patience in [("first", 100), ("cancelled", 3), ("third", 100)]:
                tasks.start_soon(call, name, patience)
                await anyio.sleep(0.1)

        assert done == ["first", "third"]
        assert left(router) is None


async def test_51_where_the_deadline_passes_between_attempts_nothing_more_is_sent():
    host = down()
    retry = ExponentialBackoff(max_retries=9, base=4, cap=4)
    async with Router([deployment("a", host)], retry=retry, breaker=None, rng=Random(5)) as router:
        with pytest.raises((DeadlineExceededError, AllAttemptsFailedError)) as caught:
            await router.chat("hi", timeout=5)
        sent = len(host.calls)
        await anyio.sleep(100)

    assert len(host.calls) == sent == len(caught.value.attempts) > 1


async def test_53_a_wall_clock_that_jumps_changes_nothing(monkeypatch):
    wall = time.time
    host = FakeProvider(script=[ServerError("down", status=500)] * 5 + ["ok"])
    breaker = CircuitBreaker(failures=5, cooldown=5)
    two = [deployment("a", host, limits=Limits(rpm=60)), deployment("b")]
    async with Router(two, breaker=breaker) as router:
        for hours in (0, 1, -1, 24, -24):
            monkeypatch.setattr(time, "time", lambda hours=hours: wall() + hours * 3_600)
            assert (await router.chat("hi", timeout=30)).deployment == "b"
        assert router.fleet["a"].breaker == "open"
        await anyio.sleep(5.1)
        assert (await router.chat("hi")).deployment == "a"


async def test_54_the_loser_of_a_hedge_is_closed_and_its_tokens_are_counted():
    closed = []

    class Slow(Suspended):
        async def stream(self, call):
            from polyroute import ChatChunk

            try:
                await anyio.sleep(100)
                yield ChatChunk(text="late")
            finally:
                closed.append(call.deployment.id)

    price = Price(input=1_000_000, output=1_000_000)
    quick = FakeProvider(["here"], usage=Usage(3, 1))
    two = [deployment("slow", Slow(""), price=price), deployment("quick", quick, price=price)]
    async with Router(two, hedge=Hedge(after=1)) as router:
        async with router.stream("hi") as stream:
            reply = await stream.response()
        assert left(router) is None

    assert closed == ["slow"]
    assert sorted(asked(reply)) == ["quick", "slow"]
    loser = next(attempt for attempt in reply.trace.attempts if attempt.deployment == "slow")
    assert loser.abandoned
    assert loser.usage.estimated
    assert reply.cost == 4 + loser.cost > 4


async def test_55_where_every_breaker_is_open_the_least_bad_is_asked_once_and_the_reasons_are_told():
    hosts = {"a": down(), "b": down()}
    two = [deployment(name, host) for name, host in hosts.items()]
    async with Router(two, breaker=CircuitBreaker(failures=2, cooldown=60), retry=None) as router:
        for _ in range(2):
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi")
        assert {router.fleet[name].breaker for name in hosts} == {"open"}
        for host in hosts.values():
            host.calls.clear()

        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

        assert sum(len(host.calls) for host in hosts.values()) == 1
        assert len(caught.value.attempts) == 1
        decision = await router.explain("hi")
        assert "circuit breaker is open for 60.0 s more: 2 failures in a row" in str(decision)


async def test_58_a_replacement_that_is_wrong_changes_nothing_and_calls_in_flight_finish_as_they_began():
    old = FakeProvider(["old"], latency=10)
    async with Router([deployment("a", old)], timeout=Timeout(total=60)) as router:
        replies = []

        async def call():
            replies.append(await router.chat("hi"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(1)
            for wrong in ([], ["nobody/x"], [deployment("a"), deployment("a")]):
                with pytest.raises(ConfigurationError):
                    router.replace(wrong)
            assert repr(router) == "Router(['a'], transport='httpx')"
            router.replace([deployment("b", FakeProvider(["new"]))])
            assert (await router.chat("hi")).text == "new"

        assert [(reply.text, reply.deployment) for reply in replies] == [("old", "a")]
        assert left(router) is None
        assert isinstance(router._core.plan.deployments[0], Deployment)
