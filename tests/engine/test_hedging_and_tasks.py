"""A stream that the second attempt won is read under any limit and closed by anybody, on both event loops."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import httpx
import openai
import pytest

from polyroute import (
    ChatChunk,
    Hedge,
    ReadError,
    Route,
    Router,
)
from tests.doubles import deployment
from tests.engine.hedging import Silent, Steps, tasks_now

SOON = Hedge(after=0.01, max_extra=1)


class Woven:
    """A provider whose stream holds a task group and a cancel scope open across its yields."""

    name = "woven"
    keeps_deadlines = (
        True  # The scope of a limit would be left before those that the stream has opened in it.
    )

    def __init__(self, text="one two three", *, breaks=False):
        self.words = text.split(" ")
        self.breaks = breaks
        self.tasks = []  # for each stream, those in which it ran
        self.closed = 0

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        tasks = []
        self.tasks.append(tasks)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                with anyio.CancelScope():
                    for word in self.words:
                        tasks.append(anyio.get_current_task())
                        yield ChatChunk(text=f"{word} ")
                        await anyio.lowlevel.checkpoint()
                    if self.breaks:
                        raise ReadError("cut")
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            tasks.append(anyio.get_current_task())
            self.closed += 1

    def kept_to_one_task(self, streams=1):
        return self.closed == len(self.tasks) == streams and all(
            task == tasks[0] for tasks in self.tasks for task in tasks
        )


@asynccontextmanager
async def won(kind=Woven):
    """A router whose streams are won by a second attempt; afterwards, nothing may be left of one of them."""
    tasks = tasks_now()
    provider = kind()
    async with Router([deployment("a", Silent()), deployment("b", provider)], hedge=SOON) as router:
        yield router
        assert [router.fleet[name].in_flight for name in "ab"] == [0, 0]
    assert provider.kept_to_one_task()
    assert tasks_now() == tasks


class TestAStreamThatTheSecondWon:
    async def test_is_driven_from_its_start_to_its_close_by_one_task(self):
        async with won() as router, router.stream("hi") as stream:
            assert (await stream.response()).text == "one two three "

    async def test_also_where_it_is_left_early(self):
        async with won() as router, router.stream("hi") as stream:
            async for chunk in stream:
                assert chunk.text == "one "
                break

    async def test_also_where_it_is_cancelled_while_it_is_read(self):
        async with won() as router:
            with anyio.CancelScope() as scope:
                async with router.stream("hi") as stream:
                    async for _ in stream:
                        scope.cancel()
            assert scope.cancelled_caught

    async def test_may_be_entered_under_one_limit_and_read_under_others(self):
        async with won() as router:
            stream = router.stream("hi")
            with anyio.fail_after(5):
                await stream.__aenter__()
            texts = []
            while True:
                with anyio.fail_after(5):
                    try:
                        texts.append((await anext(stream)).text)
                    except StopAsyncIteration:
                        break
            with anyio.fail_after(5):
                await stream.aclose()
        assert texts == ["one ", "two ", "three "]

    async def test_may_be_entered_read_and_closed_by_three_tasks(self):
        async with won() as router:
            stream = router.stream("hi")

            async def read():
                assert (await anext(stream)).text == "one "

            for step in (stream.__aenter__, read, stream.aclose):
                async with anyio.create_task_group() as group:
                    group.start_soon(step)

    async def test_is_closed_where_the_body_raises(self):
        async with won() as router:
            with pytest.raises(KeyError):
                async with router.stream("hi") as stream:
                    await anext(stream)
                    raise KeyError

    async def test_sees_the_context_of_the_call(self):
        user: ContextVar[str] = ContextVar("user")
        seen = []

        class Asks(Woven):
            async def stream(self, call):
                seen.append(user.get(None))
                async for chunk in super().stream(call):
                    yield chunk

        async with won(Asks) as router:
            user.set("ann")
            async with router.stream("hi") as stream:
                await stream.response()
        assert seen == ["ann"]


@pytest.mark.parametrize(("on_break", "text"), [("restart", "four five "), ("resume", "one two four five ")])
async def test_streams_that_a_second_won_go_on_where_they_break_under_whatever_limits_they_are_read(
    on_break, text
):
    breaks, ends = Woven("one two", breaks=True), Woven("four five")
    here = [
        deployment("a", Silent()),
        deployment("b", breaks),
        deployment("c", Silent()),
        deployment("d", ends),
    ]
    tasks = tasks_now()
    async with Router(here, hedge=SOON) as router:
        async with router.stream("hi", on_break=on_break) as stream:
            texts = []
            while True:
                with anyio.fail_after(5):
                    try:
                        chunk = await anext(stream)
                    except StopAsyncIteration:
                        break
                texts = [chunk.text] if chunk.restarted else [*texts, chunk.text]
            reply = await stream.response()
        assert [router.fleet[name].in_flight for name in "abcd"] == [0, 0, 0, 0]
    assert reply.text == "".join(texts) == text
    assert [each.kind for each in reply.trace.attempts] == ["first", "hedge", on_break, "hedge"]
    assert breaks.kept_to_one_task()
    assert ends.kept_to_one_task()
    assert tasks_now() == tasks


def test_a_hedged_stream_is_read_without_await():
    provider = Woven()
    router = Router([deployment("a", Silent()), deployment("b", provider)], hedge=SOON)
    with router.sync() as client:
        with client.stream("hi") as stream:
            assert [chunk.text for chunk in stream] == ["one ", "two ", "three "]
            assert stream.response().deployment == "b"
        with client.stream("hi") as stream:
            assert next(stream).text == "one "
    assert provider.kept_to_one_task(2)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # On trio the SDK itself leaves its generators open.
async def test_a_hedged_stream_is_read_through_openais_sdk():
    provider = Woven()
    here = [deployment("a", Silent()), deployment("b", provider)]
    async with Router(here, routes={"fast": Route(["a", "b"])}, hedge=SOON) as router:
        client = openai.AsyncOpenAI(
            http_client=httpx.AsyncClient(transport=router.openai_transport()),
            base_url="http://polyroute.invalid/v1",
            api_key="-",
        )
        with anyio.fail_after(5):
            stream = await client.chat.completions.create(
                model="fast", messages=[{"role": "user", "content": "hi"}], stream=True
            )
        told = [chunk.choices[0].delta.content or "" async for chunk in stream]
        await client.close()
    assert "".join(told) == "one two three "
    assert provider.kept_to_one_task()


def test_a_stream_that_is_dropped_with_its_generator_is_closed_by_the_event_loop():
    """A web server that loses its reader drops the generator, and asyncio closes that in a task of its own."""
    provider = Woven()

    async def main():
        router = Router([deployment("a", Silent()), deployment("b", provider)], hedge=SOON)

        async def told():
            async with router.stream("hi") as stream:
                async for chunk in stream:
                    yield chunk.text

        async def serve():
            async for _ in told():
                return

        await asyncio.create_task(serve())
        gc.collect()
        await anyio.wait_all_tasks_blocked()
        assert router.fleet["b"].in_flight == 0
        await router.aclose()

    asyncio.run(asyncio.wait_for(main(), 5))
    assert provider.kept_to_one_task()


async def test_a_stream_that_is_left_early_has_time_to_close():
    ends = []

    class Closes(Steps):
        async def stream(self, call):
            try:
                yield ChatChunk(text="x")
                yield ChatChunk(text="y")
            finally:
                await anyio.sleep(0.01)
                ends.append("closed")

    async with Router([deployment("a", Silent()), deployment("b", Closes("b", 0))], hedge=SOON) as router:
        async with router.stream("hi") as stream:
            await anext(stream)
        assert ends == ["closed"]


async def test_of_a_stream_that_is_left_early_no_more_is_read():
    told = []

    class Endless(Steps):
        async def stream(self, call):
            while True:
                told.append("x")
                yield ChatChunk(text="x")

    async with Router([deployment("a", Silent()), deployment("b", Endless("b", 0))], hedge=SOON) as router:
        async with router.stream("hi") as stream:
            await anext(stream)
    assert len(told) <= 2


async def test_a_stream_that_is_left_while_it_is_silent_is_closed_at_once():
    class Falters(Steps):
        async def stream(self, call):
            yield ChatChunk(text="x")
            await anyio.sleep_forever()

    async with Router([deployment("a", Silent()), deployment("b", Falters("b", 0))], hedge=SOON) as router:
        started = anyio.current_time()
        async with router.stream("hi") as stream:
            await anext(stream)
            await anyio.wait_all_tasks_blocked()
        assert anyio.current_time() - started < 2
        assert router.fleet["b"].in_flight == 0


async def test_a_stream_that_breaks_after_it_was_left_raises_nothing():
    provider = Steps("b", 0, breaks=True)
    async with Router([deployment("a", Silent()), deployment("b", provider)], hedge=SOON) as router:
        async with router.stream("hi") as stream:
            for _ in range(3):
                await anext(stream)
            await anyio.wait_all_tasks_blocked()
    assert provider.open == 0
