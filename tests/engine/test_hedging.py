"""A second deployment asked beside a silent one: who answers, and what the loser leaves. In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    ChatChunk,
    ChatResponse,
    CircuitBreaker,
    Limits,
    Price,
    Router,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment
from tests.engine.hedging import CALLS, SOON, idle, quick, seconds, slow, streamed
from tests.virtual_time import anyio_backend  # noqa: F401


class TestWhoAnswers:
    @CALLS
    async def test_the_second_where_the_first_stays_silent(self, call):
        async with Router([deployment("a", slow()), deployment("b", quick())], hedge=SOON) as router:
            reply, took = await seconds(call(router))

            assert (reply.text, reply.deployment, took) == ("quick", "b", 1.0)
            assert idle(router)
        assert asked(reply) == ["a", "b"]
        first, second = reply.trace.attempts
        assert (first.kind, second.kind) == ("first", "hedge")
        assert (first.abandoned, second.abandoned) == (True, False)
        assert (second.started, second.latency) == (pytest.approx(first.started + 1), 0.0)

    @CALLS
    async def test_the_first_where_it_is_faster_after_all(self, call):
        async with Router(
            [deployment("a", slow(latency=1.5)), deployment("b", slow("never", 9.0))], hedge=SOON
        ) as router:
            reply, took = await seconds(call(router))

            assert (reply.text, reply.deployment, took) == ("slow", "a", 1.5)
            assert idle(router)
        assert asked(reply) == ["b", "a"]
        assert [attempt.abandoned for attempt in reply.trace.attempts] == [True, False]

    @CALLS
    async def test_the_first_alone_where_it_is_quick(self, call):
        second = quick()
        async with Router(
            [deployment("a", slow(latency=0.9)), deployment("b", second)], hedge=SOON
        ) as router:
            reply = await call(router)

        assert (asked(reply), second.calls) == (["a"], [])

    async def test_an_embedding_is_hedged_too(self):
        same = {"space": "s"}
        async with Router(
            [deployment("a", slow(), **same), deployment("b", quick(), **same)], hedge=SOON
        ) as router:
            reply, took = await seconds(router.embed("hi"))

            assert (reply.deployment, took) == ("b", 1.0)
            assert idle(router)
        assert asked(reply) == ["a", "b"]

    async def test_vectors_of_another_space_never_stand_in(self):
        second = quick()
        async with Router(
            [deployment("a", slow(), space="s"), deployment("b", second, space="t")], hedge=SOON
        ) as router:
            assert (await router.embed("hi")).deployment == "a"
        assert not second.calls

    async def test_a_stream_by_its_first_token_though_its_end_comes_later(self):
        first = FakeProvider(["one two three"], ttft=3, latency=4)
        second = FakeProvider(["uno dos tres"], ttft=1.5, latency=9)
        async with Router([deployment("a", first), deployment("b", second)], hedge=SOON) as router:
            reply, took = await seconds(streamed(router))

        assert (reply.text, took) == ("uno dos tres", 10.0)
        assert reply.trace.attempts[1].ttft == 1.5

    async def test_a_stream_whose_first_token_has_come_is_not_silent_though_it_is_held(self):
        second = quick()
        first = FakeProvider(["one two three four"], ttft=0.5, latency=30)
        async with Router([deployment("a", first), deployment("b", second)], hedge=SOON) as router:
            assert (await streamed(router, hold=4)).text == "one two three four"
        assert not second.calls

    @pytest.mark.parametrize("time", range(10))
    @CALLS
    async def test_one_of_them_where_both_answer_at_once(self, call, time):
        # Who is woken first is a matter of chance, on trio deliberately so.
        async with Router(
            [deployment("a", slow("a", 2.0)), deployment("b", slow("b", 1.0))], hedge=SOON
        ) as router:
            reply = await call(router)

            assert reply.text == reply.deployment == asked(reply)[-1]
            assert sorted(asked(reply)) == ["a", "b"]
            assert not reply.trace.attempts[-1].abandoned
            assert idle(router)


class TestWhatTheLoserLeaves:
    @CALLS
    @pytest.mark.parametrize(("first", "second"), [(10.0, 0.0), (3.0, 9.0)], ids=["first loses", "second"])
    async def test_its_cost_as_an_estimate_and_nothing_held_against_it(self, call, first, second):
        price = Price(input=1, output=2)
        here = [
            deployment("a", slow("one", first, usage=Usage(100, 10)), price=price),
            deployment("b", slow("one", second, usage=Usage(100, 10)), price=price),
        ]
        async with Router(here, hedge=SOON, breaker=CircuitBreaker(failures=1)) as router:
            reply = await call(router)

            loser, winner = reply.trace.attempts
            assert (loser.abandoned, loser.usage.estimated, winner.usage.estimated) == (True, True, False)
            assert loser.usage.input_tokens > 0
            assert reply.cost == loser.cost + winner.cost > winner.cost
            assert reply.cost_estimated
            for name in "ab":
                vitals = router.fleet[name]
                assert (vitals.breaker, vitals.error_rate, vitals.in_flight) == ("closed", 0.0, 0)

    @CALLS
    async def test_no_cost_where_a_price_is_unknown(self, call):
        here = [deployment("a", slow()), deployment("b", quick(), price=Price(1, 1))]
        async with Router(here, hedge=SOON) as router:
            assert (await call(router)).cost is None

    @pytest.mark.parametrize("loses", ["first", "second"])
    async def test_its_generator_is_closed_before_the_reply_is_there(self, loses):
        ends = []

        class Endless:
            name = "endless"

            async def chat(self, call):
                raise NotImplementedError

            async def stream(self, call):
                try:
                    await anyio.sleep(1_000)
                    yield ChatChunk(text="never")
                finally:
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(0.5)
                    ends.append(call.deployment.id)

        other = FakeProvider(["told"], latency=2 if loses == "second" else 0)
        here = [deployment("loser", Endless()), deployment("winner", other)]
        async with Router(here if loses == "first" else here[::-1], hedge=SOON) as router:
            async with router.stream("hi"):
                assert ends == ["loser"]
                assert router.fleet["loser"].in_flight == 0
            assert idle(router, ["loser", "winner"])

    async def test_its_room_is_given_back(self):
        limits = Limits(concurrency=1)
        here = [deployment("a", slow(), limits=limits), deployment("b", quick())]
        async with Router(here, hedge=SOON) as router:
            for _ in range(3):
                assert (await router.chat("hi")).text == "quick"
            async with router.stream("hi") as stream:
                assert router.fleet["a"].in_flight == 0
                await stream.response()

    async def test_how_long_the_first_was_silent_is_remembered_of_it_and_nothing_of_a_second_cut_short(self):
        async with Router(
            [deployment("a", slow(latency=1.5)), deployment("b", slow(latency=9))], hedge=SOON
        ) as router:
            for _ in range(20):
                await router.chat("hi")
            states = router._core.fleet.states
            assert states["a"].answers.percentile(0.5) == 1.5
            assert states["b"].answers is None

    @CALLS
    async def test_how_long_a_first_was_silent_that_lost_is_remembered_of_it(self, call):
        async with Router([deployment("a", slow()), deployment("b", quick())], hedge=SOON) as router:
            for _ in range(20):
                await call(router)
            state = router._core.fleet.states["a"]
            samples = state.answers or state.first_tokens
            assert samples.percentile(0.5) == 1.0


async def test_a_reply_is_whole_whoever_gave_it():
    reply = ChatResponse("x", reasoning="hm", id="r", model="m")
    async with Router(
        [deployment("a", slow()), deployment("b", FakeProvider([reply]))], hedge=SOON
    ) as router:
        whole = await router.chat("hi")
        told = await streamed(router)

    for field in ("text", "reasoning", "id", "model", "usage", "deployment", "message"):
        assert getattr(whole, field) == getattr(told, field), field
