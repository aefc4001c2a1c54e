"""A second deployment asked beside a silent one: when, how often, and what becomes of the loser. In virtual time."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    BadRequestError,
    ChatChunk,
    ChatResponse,
    CircuitBreaker,
    ConfigurationError,
    DeadlineExceededError,
    Hedge,
    Limits,
    Middleware,
    Price,
    RateLimitError,
    ReadError,
    Route,
    Router,
    ServerError,
    Strategy,
    StreamInterruptedError,
    Timeout,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment
from tests.virtual_time import anyio_backend  # noqa: F401

SOON = Hedge(after=1, max_extra=1)


def slow(reply="slow", latency=10.0, **options):
    return FakeProvider([reply], latency=latency, **options)


def quick(reply="quick", **options):
    return FakeProvider([reply], **options)


async def seconds(work):
    started = anyio.current_time()
    return await work, anyio.current_time() - started


async def streamed(router, **arguments):
    async with router.stream("hi", **arguments) as stream:
        text = "".join([chunk.text async for chunk in stream])
        reply = await stream.response()
    assert text == reply.text
    return reply


CALLS = pytest.mark.parametrize(
    "call", [lambda router: router.chat("hi"), streamed], ids=["chat", "stream"]
)


def idle(router, names="ab"):
    return all(router._core.fleet[name].in_flight == 0 for name in names)


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
        async with Router([deployment("a", slow(latency=0.9)), deployment("b", second)], hedge=SOON) as router:
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

    @pytest.mark.parametrize("seed", range(8))
    @CALLS
    async def test_one_of_them_where_both_answer_at_once(self, call, seed):
        # Who is woken first is a matter of chance, on trio deliberately so.
        async with Router(
            [deployment("a", slow("a", 2.0)), deployment("b", slow("b", 1.0))], hedge=SOON
        ) as router:
            reply = await call(router)

            assert reply.text == reply.deployment == asked(reply)[-1]
            assert sorted(asked(reply)) == ["a", "b"]
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


class TestFailures:
    @CALLS
    async def test_a_first_that_fails_meanwhile_leaves_the_answer_to_the_second(self, call):
        def fails(_):
            raise ServerError("down")

        first = FakeProvider([fails], latency=2)
        async with Router([deployment("a", first), deployment("b", slow("b", 5))], hedge=SOON) as router:
            reply, took = await seconds(call(router))

            assert (reply.text, took, asked(reply)) == ("b", 6.0, ["a", "b"])
            failed, answered = reply.trace.attempts
            assert isinstance(failed.error, ServerError)
            assert not failed.abandoned
            assert answered.kind == "hedge"
            assert idle(router)

    @CALLS
    async def test_a_second_that_fails_leaves_the_answer_to_the_first(self, call):
        async with Router(
            [deployment("a", slow("a", 5)), deployment("b", FakeProvider(script=[ServerError("down")]))],
            hedge=SOON,
        ) as router:
            reply, took = await seconds(call(router))

            assert (reply.text, took, asked(reply)) == ("a", 5.0, ["b", "a"])
            assert isinstance(reply.trace.attempts[0].error, ServerError)
            assert router.fleet["b"].error_rate > 0
            assert idle(router)

    @CALLS
    @pytest.mark.parametrize(("first", "second"), [(2.0, 5.0), (5.0, 2.0)], ids=["first fails first", "last"])
    async def test_where_both_fail_the_call_goes_on_to_one_that_was_not_asked(self, call, first, second):
        here = [
            deployment("a", FakeProvider(script=[ServerError("down")], latency=first)),
            deployment("b", FakeProvider(script=[ServerError("down")], latency=second)),
            deployment("c", quick("third")),
        ]
        async with Router(here, hedge=SOON) as router:
            reply, took = await seconds(call(router))

            assert (reply.text, took) == ("third", max(first, 1 + second))
            assert asked(reply) == (["a", "b", "c"] if first < 1 + second else ["b", "a", "c"])
            assert idle(router, "abc")

    @CALLS
    async def test_where_all_fail_the_error_tells_of_each(self, call):
        here = [
            deployment(name, FakeProvider(script=[ServerError("down")], latency=latency))
            for name, latency in (("a", 5), ("b", 2))
        ]
        async with Router(here, hedge=SOON, retry=None) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await call(router)
            assert asked(caught.value) == ["b", "a"]
            assert idle(router)

    @CALLS
    async def test_a_second_that_refuses_the_request_is_no_reason_to_give_up_on_the_first(self, call):
        async with Router(
            [deployment("a", slow("a", 5)), deployment("b", FakeProvider(script=[BadRequestError("no")]))],
            hedge=SOON,
        ) as router:
            assert (await call(router)).text == "a"
            assert idle(router)

    @CALLS
    async def test_a_second_that_refuses_the_request_is_heard_where_the_first_has_failed(self, call):
        here = [
            deployment("a", FakeProvider(script=[ServerError("down")], latency=2)),
            deployment("b", FakeProvider(script=[BadRequestError("no such thing")], latency=5)),
        ]
        async with Router(here, hedge=SOON) as router:
            with pytest.raises(BadRequestError, match="no such thing"):
                await call(router)
            assert idle(router)

    @CALLS
    async def test_a_first_that_refuses_the_request_ends_the_call_and_the_second(self, call):
        here = [
            deployment("a", FakeProvider(script=[BadRequestError("no")], latency=2)),
            deployment("b", slow()),
        ]
        async with Router(here, hedge=SOON) as router:
            with pytest.raises(BadRequestError):
                await seconds(call(router))
            assert idle(router)

    @CALLS
    async def test_a_bug_comes_out_as_itself_at_once_and_leaves_nothing(self, call):
        here = [deployment("a", slow()), deployment("b", FakeProvider(script=[ZeroDivisionError()]))]
        async with Router(here, hedge=SOON) as router:
            started = anyio.current_time()
            with pytest.raises(ZeroDivisionError):
                await call(router)
            assert anyio.current_time() - started == 1.0
            assert idle(router)

    @CALLS
    async def test_a_strategy_that_picks_nobody_of_its_candidates_is_told_so(self, call):
        class Stubborn(Strategy):
            async def choose(self, request, candidates, history, fleet):
                return here[0]

        here = [deployment("a", slow()), deployment("b", quick()), deployment("c")]
        async with Router(here, hedge=SOON, strategy=Stubborn()) as router:
            with pytest.raises(ConfigurationError, match="none of its candidates"):
                await call(router)
            assert idle(router)

    async def test_a_second_that_hangs_does_not_eat_the_time_that_a_fallback_needs(self):
        here = [
            deployment("a", FakeProvider(script=[ServerError("down")], latency=2)),
            deployment("b", slow(latency=1_000_000)),
            deployment("c", quick("fallback")),
        ]
        async with Router(
            here,
            routes={"default": Route(["a", "b"], fallbacks=["c"])},
            hedge=SOON,
            retry=None,
            timeout=Timeout(attempt=20),
        ) as router:
            reply, took = await seconds(router.chat("hi"))

        assert (reply.text, took) == ("fallback", 21.0)

    @CALLS
    async def test_the_calls_deadline_ends_both(self, call):
        here = [deployment("a", slow(latency=100)), deployment("b", slow(latency=100))]
        async with Router(here, hedge=SOON, timeout=Timeout(total=5)) as router:
            started = anyio.current_time()
            with pytest.raises(DeadlineExceededError):
                await call(router)
            assert anyio.current_time() - started == 5.0
            assert idle(router)


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


class TestAStreamThatTheSecondWon:
    def here(self, second):
        return [deployment("a", slow(latency=1_000)), deployment("b", second)]

    async def test_can_be_left_early(self):
        second = FakeProvider(["one two three"], ttft=1, latency=100)
        async with Router(self.here(second), hedge=SOON) as router:
            async with router.stream("hi") as stream:
                assert stream.asked == ("a", "b")
                async for chunk in stream:
                    assert chunk.text == "one"
                    break
                assert router.fleet["b"].in_flight == 1
            assert idle(router)
            with pytest.raises(StreamInterruptedError, match="closed before its end"):
                await stream.response()

    async def test_can_be_closed_in_its_midst_and_again(self):
        second = FakeProvider(["one two three"], ttft=1, latency=100)
        async with Router(self.here(second), hedge=SOON) as router, router.stream("hi") as stream:
            await anext(stream)
            await stream.aclose()
            assert idle(router)
            await stream.aclose()

    async def test_breaks_as_any_other(self):
        second = FakeProvider(script=[("one two", ReadError("cut"))], usage=Usage(5, 2))
        async with Router(self.here(second), hedge=SOON) as router:
            with pytest.raises(StreamInterruptedError) as caught:
                await streamed(router)
            assert (caught.value.partial, caught.value.deployment) == ("one two", "b")
            assert isinstance(caught.value.__cause__, ReadError)
            assert idle(router)
            assert router.fleet["b"].error_rate > 0

    @pytest.mark.parametrize(("on_break", "text"), [("restart", "anew"), ("resume", "one two anew")])
    async def test_breaks_and_goes_on(self, on_break, text):
        here = [
            *self.here(FakeProvider(script=[("one two", ReadError("cut"))])),
            deployment("c", FakeProvider(["anew" if on_break == "restart" else " anew"])),
        ]
        async with Router(here, hedge=SOON) as router:
            async with router.stream("hi", on_break=on_break) as stream:
                reply = await stream.response()
            assert reply.text == text
            assert [(each.deployment, each.kind) for each in reply.trace.attempts] == [
                ("a", "first"), ("b", "hedge"), ("c", on_break)
            ]  # fmt: skip
            assert idle(router, "abc")

    async def test_that_goes_on_is_hedged_again(self):
        here = [
            deployment("a", FakeProvider(script=[("one", ReadError("cut"))])),
            deployment("b", slow(latency=1_000)),
            deployment("c", FakeProvider([" two"])),
        ]
        async with Router(here, hedge=SOON) as router:
            reply, took = await seconds(streamed(router, on_break="resume"))
            assert (reply.text, took) == ("one two", 1.0)
            assert [each.kind for each in reply.trace.attempts] == ["first", "resume", "hedge"]
            assert idle(router, "abc")

    async def test_with_a_bug_in_it_raises_that_bug(self):
        class Buggy:
            name = "buggy"

            async def chat(self, call):
                raise NotImplementedError

            async def stream(self, call):
                yield ChatChunk(text="x")
                raise ZeroDivisionError

        async with Router(self.here(Buggy()), hedge=SOON) as router:
            with pytest.raises(ZeroDivisionError):
                await streamed(router)
            assert idle(router)

    async def test_is_silent_for_too_long(self):
        second = FakeProvider(["one two"], ttft=0, latency=100)
        async with Router(self.here(second), hedge=SOON) as router:
            started = anyio.current_time()
            with pytest.raises(StreamInterruptedError, match="between_tokens"):
                await streamed(router)
            assert anyio.current_time() - started == 1 + 20
            assert idle(router)

    async def test_waits_for_a_reader_who_takes_his_time(self):
        second = FakeProvider(["one two three"], ttft=0, latency=2)
        async with Router(self.here(second), hedge=SOON) as router:
            async with router.stream("hi") as stream:
                async for _ in stream:
                    await anyio.sleep(60)
                assert (await stream.response()).text == "one two three"

    async def test_is_judged_at_its_end(self):
        class Picky(Strategy):
            async def choose(self, request, candidates, history, fleet):
                return candidates[0]

            async def accept(self, request, response):
                return response.text != "bad"

        here = [deployment("a", slow("good", 5)), deployment("b", quick("bad"))]
        async with Router(here, hedge=SOON, strategy=Picky()) as router:
            reply = await streamed(router)
            assert (reply.text, asked(reply)) == ("good", ["b", "a"])

    async def test_outlives_the_deadline_under_which_middleware_opened_it(self):
        class Passes(Middleware):
            pass

        second = FakeProvider(["one two three"], ttft=1, latency=3)
        async with Router(self.here(second), hedge=SOON, middleware=[Passes()]) as router:
            assert (await streamed(router)).text == "one two three"


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


async def test_a_reply_is_whole_whoever_gave_it():
    reply = ChatResponse("x", reasoning="hm", id="r", model="m")
    async with Router([deployment("a", slow()), deployment("b", FakeProvider([reply]))], hedge=SOON) as router:
        whole = await router.chat("hi")
        told = await streamed(router)

    for field in ("text", "reasoning", "id", "model", "usage", "deployment", "message"):
        assert getattr(whole, field) == getattr(told, field), field
