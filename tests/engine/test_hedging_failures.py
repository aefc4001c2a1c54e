"""Where two attempts race and something fails. In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    BadRequestError,
    ConfigurationError,
    ContextWindowExceededError,
    DeadlineExceededError,
    Fallback,
    Middleware,
    ReadError,
    RequestError,
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
from tests.engine.breaking import Chunks
from tests.engine.hedging import CALLS, SOON, idle, quick, seconds, slow, streamed
from tests.virtual_time import anyio_backend  # noqa: F401


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
    async def test_where_both_fail_the_later_failure_says_what_follows(self, call):
        class Policy:
            def decide(self, history, *, remaining, others):
                assert not isinstance(history[-1].error, RequestError)
                return Fallback()

        def too_long(_):
            raise ContextWindowExceededError("too long")

        here = [
            deployment("a", FakeProvider([too_long], latency=5), context_window=10),
            deployment("b", FakeProvider(script=[ServerError("down")], latency=2), context_window=10),
            deployment("c", quick("third"), context_window=20),
        ]
        async with Router(here, hedge=SOON, retry=Policy()) as router:
            reply = await call(router)
        assert (reply.text, asked(reply)) == ("third", ["b", "a", "c"])

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

    async def test_that_begins_anew_and_has_nothing_to_say_still_voids_what_came(self):
        here = [
            deployment("a", FakeProvider(script=[("one", ReadError("cut"))])),
            deployment("b", slow(latency=1_000)),
            deployment("c", Chunks()),
        ]
        async with Router(here, hedge=SOON) as router:
            async with router.stream("hi", on_break="restart") as stream:
                chunks = [chunk async for chunk in stream]
                assert (await stream.response()).text == ""
            assert [(chunk.text, chunk.restarted) for chunk in chunks] == [("one", False), ("", True)]
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
        buggy = Chunks("x", error=ZeroDivisionError())
        async with Router(self.here(buggy), hedge=SOON) as router:
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
