"""Two attempts at once, on both event loops: cancelled at any step, ended in the same turn, or with a bug."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyroute import (
    AttemptEnded,
    ChatChunk,
    ChatResponse,
    Hedge,
    PolyrouteError,
    Router,
)
from tests.doubles import deployment
from tests.engine.hedging import Silent, Steps, tasks_now

AT_ONCE = Hedge(after=0, max_extra=1)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.integers(0, 40),
    call=st.sampled_from(["chat", "raise", "restart", "resume"]),
    first=st.integers(0, 12),
    second=st.integers(0, 12),
    fails=st.sampled_from(["", "a", "b", "ab"]),
    breaks=st.booleans(),
    backend=st.sampled_from(["asyncio", "trio"]),
)
def test_cancelled_at_any_step_nothing_is_left_in_flight_open_or_running(
    steps, call, first, second, fails, breaks, backend
):
    async def main():
        providers = [
            Steps("a", first, fails="a" in fails, breaks=breaks),
            Steps("b", second, fails="b" in fails, breaks=breaks),
            Steps("c", 2),
        ]
        here = [deployment(each.name, each) for each in providers]
        router = Router(here, hedge=AT_ONCE, retry=None)
        tasks = tasks_now()

        async def one():
            try:
                if call == "chat":
                    await router.chat("hi")
                else:
                    async with router.stream("hi", on_break=call) as stream:
                        await stream.response()
            except PolyrouteError:
                pass

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert tasks_now() == tasks
        assert [each.open for each in providers] == [0, 0, 0]
        assert [router.fleet[name].in_flight for name in "abc"] == [0, 0, 0]
        assert (await router.chat("hi", model="c")).text == "ok"
        await router.aclose()

    anyio.run(main, backend=backend)


class Waits(Steps):
    """A provider that answers once it is told to."""

    def __init__(self, name):
        super().__init__(name, 0)
        self.come = anyio.Event()

    async def chat(self, call):
        await self.come.wait()
        return ChatResponse(self.name)

    async def stream(self, call):
        await self.come.wait()
        yield ChatChunk(text=self.name)


async def wake_both(a, b, first_woken):
    """Have two that wait answer in the same turn of the event loop."""
    await anyio.wait_all_tasks_blocked()
    for each in (a, b) if first_woken == "a" else (b, a):
        each.come.set()


@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize("first_woken", ["a", "b"])
async def test_where_both_answer_in_the_same_turn_one_is_the_answer_and_the_other_abandoned(
    call, first_woken
):
    a, b = Waits("a"), Waits("b")
    async with Router([deployment("a", a), deployment("b", b)], hedge=AT_ONCE) as router:
        async with anyio.create_task_group() as group:
            group.start_soon(wake_both, a, b, first_woken)
            if call == "chat":
                reply = await router.chat("hi")
            else:
                async with router.stream("hi") as stream:
                    reply = await stream.response()
        assert [router.fleet[name].in_flight for name in "ab"] == [0, 0]

    attempts = reply.trace.attempts
    assert reply.text == reply.deployment == attempts[-1].deployment
    assert sorted(attempt.deployment for attempt in attempts) == ["a", "b"]
    assert not attempts[-1].abandoned


@pytest.mark.parametrize("first_woken", ["a", "b"])
async def test_a_first_that_answers_in_the_same_turn_and_is_left_early_was_not_outrun(first_woken):
    a, b = Waits("a"), Waits("b")
    async with Router([deployment("a", a), deployment("b", b)], hedge=AT_ONCE) as router:
        async with router.events() as events, anyio.create_task_group() as group:
            group.start_soon(wake_both, a, b, first_woken)
            async with router.stream("hi") as stream:
                text = (await anext(stream)).text
            ended = {}
            async for event in events:
                if isinstance(event, AttemptEnded):
                    ended[event.deployment] = event.attempt.abandoned
                if len(ended) == 2:
                    break
    assert not ended[text]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
@pytest.mark.parametrize("where", ["chat", "opening", "closing"])
async def test_whatever_a_second_attempt_raises_comes_out_in_the_callers_task(error, where):
    class Raises:
        name = "raises"

        async def chat(self, call):
            raise error

        async def stream(self, call):
            if where == "opening":
                raise error
            try:
                yield ChatChunk(text="x")
                await anyio.sleep_forever()
            finally:
                raise error

    tasks = tasks_now()
    async with Router([deployment("a", Silent()), deployment("b", Raises())], hedge=AT_ONCE) as router:
        with pytest.raises(error):
            if where == "chat":
                await router.chat("hi")
            async with router.stream("hi") as stream:
                await anext(stream)
        assert [router.fleet[name].in_flight for name in "ab"] == [0, 0]
    assert tasks_now() == tasks
