"""What happens in a router, as it is told to whoever listens. In virtual time."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import anyio
import pytest

from polyroute import (
    AttemptEnded,
    AttemptStarted,
    BadRequestError,
    BreakerClosed,
    BreakerOpened,
    CallDequeued,
    CallQueued,
    CircuitBreaker,
    ConfigurationError,
    DeploymentBarred,
    DeploymentPaused,
    DeploymentResumed,
    DeploymentsReplaced,
    EventsLost,
    LimitLearned,
    Limits,
    RateLimitError,
    Route,
    Router,
    ServerError,
    Strategy,
    Timeout,
)
from polyroute.testing import FakeProvider
from tests.doubles import busy, deployment, down, outcome
from tests.virtual_time import anyio_backend  # noqa: F401


async def heard(router, *works, kinds=object):
    """What is told while these are awaited, one after the other."""
    async with router.events() as events:
        for work in works:
            await outcome(work)
    return [event async for event in events if isinstance(event, kinds)]


class TestAttempts:
    async def test_begin_and_end_with_what_came_of_them(self):
        flaky = FakeProvider(script=[ServerError("down"), "ok"], latency=2)
        deployments = [deployment("a", flaky, breaker=None), deployment("b", down(), breaker=None)]
        routes = {"fast": Route(["a", "b"])}
        async with Router(deployments, routes=routes) as router:
            began = anyio.current_time()
            told = await heard(router, router.chat("hi", model="fast"), kinds=AttemptStarted | AttemptEnded)
        kinds = [(type(each).__name__, each.deployment) for each in told]
        assert kinds == [
            ("AttemptStarted", "a"), ("AttemptEnded", "a"), ("AttemptStarted", "b"), ("AttemptEnded", "b"),
            ("AttemptStarted", "a"), ("AttemptEnded", "a"),
        ]  # fmt: skip
        first, ended, *_ = told
        assert (first.at, first.kind, first.route, first.reason) == (
            began,
            "first",
            "fast",
            "the first in order",
        )
        assert ended.at == pytest.approx(began + 2)
        assert isinstance(ended.attempt.error, ServerError)
        assert ended.counted
        assert [each.kind for each in told if isinstance(each, AttemptStarted)] == [
            "first",
            "fallback",
            "retry",
        ]
        assert told[-1].attempt.error is None

    async def test_that_say_nothing_of_their_deployment_are_marked(self):
        slow = FakeProvider(latency=10)
        async with Router([deployment("a", slow), deployment("b", slow)], retry=None) as router:
            async with router.events() as events:
                with anyio.move_on_after(1):
                    await router.chat("hi")
                await outcome(router.chat("hi", timeout=1))
                await outcome(router.chat("hi", timeout=Timeout(attempt=1)))
                await outcome(router.rehearse(fail=["a", "b"]))
            told = [event async for event in events]
        begun = [event.deployment for event in told if isinstance(event, AttemptStarted)]
        ended = [(event.deployment, event.counted) for event in told if isinstance(event, AttemptEnded)]
        assert begun == [id for id, _ in ended]
        # With nobody left b may use the whole time, and it answers.
        assert ended == [("a", False)] * 3 + [("b", True), ("a", False), ("b", False)]

    async def test_of_callers_mistakes_and_bugs_end_too(self):
        for error in (BadRequestError("what?", status=400), KeyError("bug")):
            async with Router([deployment("a", FakeProvider(script=[error]))]) as router:
                told = await heard(router, router.chat("hi"), kinds=AttemptEnded)
            assert [each.counted for each in told] == [False]

    async def test_end_also_where_a_strategy_breaks_that_learns_from_them(self):
        class Breaks(Strategy):
            def observe(self, request, attempt):
                raise KeyError("bug")

        async with Router([deployment("a")], strategy=Breaks()) as router:
            told = await heard(router, router.chat("hi"), kinds=AttemptStarted | AttemptEnded)
        assert [type(each) for each in told] == [AttemptStarted, AttemptEnded]


class TestBreakers:
    async def test_open_and_close(self):
        flaky = FakeProvider(script=[ServerError("down"), ServerError("down"), "ok"])
        guarded = deployment("a", flaky, breaker=CircuitBreaker(1, cooldown=7))
        async with Router([guarded, deployment("b")]) as router:
            told = await heard(
                router, router.chat("hi"), anyio.sleep(8), router.chat("hi"), anyio.sleep(16), router.chat("hi"),
                kinds=BreakerOpened | BreakerClosed,
            )  # fmt: skip
        opened, again, closed = told
        assert (opened.deployment, opened.lasting, opened.reason) == ("a", 7, "1 failure in a row")
        assert 14 <= again.lasting <= 15.4
        assert isinstance(closed, BreakerClosed)
        assert closed.deployment == "a"

    async def test_bars_are_told_with_how_long_they_last_and_once_for_each_that_is_longer(self):
        async with Router([deployment("a", busy(9))], retry=None) as router:
            told = await heard(router, router.chat("hi"), kinds=DeploymentBarred)
            assert [(each.deployment, each.lasting) for each in told] == [("a", 9)]

    async def test_what_a_429_teaches_of_a_limit_is_told(self):
        host = FakeProvider(script=["ok", "ok", RateLimitError("slower", status=429), "ok"])
        limited = [deployment("a", host, limits=Limits(rpm=10)), deployment("b")]
        async with Router(limited) as router:
            works = [router.chat("hi") for _ in range(3)]
            (learnt,) = await heard(router, *works, kinds=LimitLearned)
        assert (learnt.deployment, learnt.limit) == ("a", "rpm")
        assert 0 < learnt.share < 0.5


async def test_queues_are_told_of_with_how_many_were_ahead_and_how_long_it_took():
    host = FakeProvider(latency=5)
    async with Router([deployment("a", host, limits=Limits(concurrency=1))]) as router:
        async with router.events() as events, anyio.create_task_group() as tasks:
            for patience in (100, 100, 3):
                tasks.start_soon(lambda p=patience: outcome(router.chat("hi", timeout=p)))
                await anyio.sleep(0.5)
        told = [event async for event in events if isinstance(event, CallQueued | CallDequeued)]
    queued, behind, gave_up, admitted = told
    assert [(each.deployment, each.ahead) for each in (queued, behind)] == [("a", 0), ("a", 1)]
    assert queued.reason == "concurrency 1 is used up until a call ends"
    assert behind.reason == "another call waits for it"
    assert (gave_up.admitted, gave_up.waited) == (False, pytest.approx(3))
    assert (admitted.admitted, admitted.waited) == (True, pytest.approx(4.5))


async def test_the_operators_hand_is_told_of():
    async with Router([deployment("a"), deployment("b")]) as router:
        async with router.events() as events:
            router.pause("a")
            router.pause("a")
            router.resume("a")
            router.resume("b")
            router.replace([deployment("c")])
        told = [event async for event in events]
    assert [type(each) for each in told] == [DeploymentPaused, DeploymentResumed, DeploymentsReplaced]
    assert (told[0].deployment, told[1].deployment, told[2].deployments) == ("a", "a", ("c",))


class TestAStreamOfEvents:
    async def test_is_from_now_on_and_each_listener_has_its_own(self):
        async with Router([deployment("a")]) as router:
            await router.chat("before")
            async with router.events() as first:
                await router.chat("between")
                async with router.events() as second:
                    await router.chat("both")
                await router.chat("after")
            assert len([event async for event in first]) == 6
            assert len([event async for event in second]) == 2

    async def test_waits_for_what_comes(self):
        async with Router([deployment("a", FakeProvider(latency=3))]) as router:
            async with router.events() as events, anyio.create_task_group() as tasks:
                tasks.start_soon(router.chat, "hi")
                began = anyio.current_time()
                assert isinstance(await anext(events), AttemptStarted)
                assert isinstance(await anext(events), AttemptEnded)
                assert anyio.current_time() - began == pytest.approx(3)

    async def test_may_be_read_by_several_who_share_what_comes(self):
        got = []

        async def read(events):
            got.extend([event async for event in events])

        async with Router([deployment("a")]) as router:
            async with anyio.create_task_group() as tasks:
                async with router.events() as events:
                    for _ in range(3):
                        tasks.start_soon(read, events)
                    await anyio.sleep(1)
                    await router.chat("hi")
                    await anyio.sleep(1)
        assert [type(event) for event in got] == [AttemptStarted, AttemptEnded]

    async def test_that_is_left_ends_and_costs_nothing_any_more(self):
        async with Router([deployment("a")]) as router:
            async with router.events() as events:
                pass
            assert router._core.fleet.listeners.any == []
            await router.chat("hi")
            assert [event async for event in events] == []

    async def test_that_nobody_reads_keeps_the_newest_and_says_how_many_are_gone(self):
        async with Router([deployment("a")]) as router:
            async with router.events() as events:
                for _ in range(2_100):
                    await router.chat("hi")
            told = [event async for event in events]
        assert len(told) == 4_097
        lost, first, *_ = told
        assert isinstance(lost, EventsLost)
        assert lost.count == 4_200 - 4_096
        assert lost.at == first.at
        assert not [event for event in told[1:] if isinstance(event, EventsLost)]

    async def test_is_entered_before_it_is_read_and_once(self):
        async with Router([deployment("a")]) as router:
            events = router.events()
            with pytest.raises(ConfigurationError, match="enter the events"):
                await anext(events)
            async with events:
                pass
            with pytest.raises(ConfigurationError, match="entered once"):
                async with events:
                    pass

    async def test_holds_frozen_records(self):
        async with Router([deployment("a")]) as router:
            (event, *_) = await heard(router, router.chat("hi"))
        with pytest.raises(FrozenInstanceError):
            event.deployment = "b"
        assert "AttemptStarted(at=" in repr(event)


async def test_nobody_makes_an_event_that_nobody_hears(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("an event was made")

    for module in ("_engine.attempt", "_engine.admission", "_engine.lessons", "_engine.degraded", "fleet"):
        for kind in (
            "AttemptStarted", "AttemptEnded", "CallQueued", "CallDequeued", "LimitLearned", "PartFailed", "ReplyDegraded",
            "BreakerOpened", "BreakerClosed", "DeploymentBarred", "DeploymentPaused", "DeploymentResumed",
            "DeploymentsReplaced",
        ):  # fmt: skip
            monkeypatch.setattr(f"polyroute.{module}.{kind}", refuse, raising=False)
    host = FakeProvider(script=[RateLimitError("busy", retry_after=3), ServerError("down"), "ok"])
    guarded = deployment("a", host, limits=Limits(rpm=4), breaker=CircuitBreaker(1))
    async with Router([guarded], retry=None, degrade=[lambda *_: 1 / 0, "later"]) as router:
        for _ in range(6):
            await router.chat("hi")
            await anyio.sleep(6)
        router.pause("a")
        router.resume("a")
        router.replace([deployment("b")])
