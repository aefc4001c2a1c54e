"""A stream that goes on where it breaks keeps the call's deadline, and leaves nothing wherever it is cancelled."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyroute import (
    ChatChunk,
    DeadlineExceededError,
    ExponentialBackoff,
    PolyrouteError,
    RateLimitError,
    ReadError,
    Router,
    StreamInterruptedError,
    Timeout,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.engine.breaking import breaks, idle, read
from tests.virtual_time import anyio_backend  # noqa: F401


class Steps:
    """A provider that waits at every step it can, breaks after two words, and knows how many are open."""

    name = "steps"

    def __init__(self, *, breaks=True):
        self.breaks = breaks
        self.open = 0

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        self.open += 1
        try:
            for word in ("one ", "two "):
                await anyio.lowlevel.checkpoint()
                yield ChatChunk(text=word)
            await anyio.lowlevel.checkpoint()
            if self.breaks:
                raise ReadError("cut")
        finally:
            self.open -= 1


@settings(max_examples=100, deadline=None)
@given(
    steps=st.integers(0, 30),
    on_break=st.sampled_from(["raise", "restart", "resume"]),
    hold=st.integers(0, 3),
    backend=st.sampled_from(["asyncio", "trio"]),
)
def test_cancelled_at_any_step_a_stream_of_several_parts_leaves_nothing(steps, on_break, hold, backend):
    async def main():
        providers = [Steps(), Steps(), Steps(breaks=False)]
        here = [deployment(name, each) for name, each in zip("abc", providers, strict=True)]
        async with Router(here, retry=None) as router:

            async def one():
                with suppress(PolyrouteError):
                    await read(router, on_break=on_break, hold=hold)

            async with anyio.create_task_group() as group:
                group.start_soon(one)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert idle(router)
            assert [each.open for each in providers] == [0, 0, 0]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("on_break", ["restart", "resume"])
@pytest.mark.parametrize("where", ["broken", "waiting", "second"])
async def test_all_parts_and_the_waits_between_them_share_the_calls_deadline(on_break, where):
    slow = FakeProvider(["late"], latency=100)
    here = {
        "broken": [deployment("a", FakeProvider(["one two"], ttft=0, latency=100))],
        "waiting": [deployment("a", breaks("one", error=RateLimitError("busy", retry_after=15)))],
        "second": [deployment("a", breaks("one")), deployment("b", slow)],
    }[where]
    async with Router(here, timeout=Timeout(total=10, between_tokens=None, first_token=None)) as router:
        started = anyio.current_time()
        with pytest.raises(StreamInterruptedError) as caught:
            await read(router, on_break=on_break)
        assert idle(router)
        assert anyio.current_time() - started <= 10
    assert caught.value.partial == "one"
    if where != "waiting":
        assert isinstance(caught.value.__cause__, DeadlineExceededError)


async def test_a_stream_that_falls_silent_is_carried_on_by_another():
    here = [
        deployment("a", FakeProvider(["one two"], ttft=0, latency=1_000)),
        deployment("b", FakeProvider([" two"])),
    ]
    async with Router(here) as router:
        started = anyio.current_time()
        _, reply = await read(router, on_break="resume")
        assert (reply.text, anyio.current_time() - started) == ("one two", 20)


async def test_a_lone_deployment_is_asked_for_the_rest_after_the_pause_of_a_retry():
    fake = FakeProvider(script=[("one", ReadError("cut")), " two"])
    async with Router([deployment("a", fake)], retry=ExponentialBackoff(base=4, cap=4)) as router:
        started = anyio.current_time()
        _, reply = await read(router, on_break="resume")
        assert reply.text == "one two"
        assert 0 < anyio.current_time() - started <= 4


@pytest.mark.parametrize("on_break", ["restart", "resume"])
async def test_a_stream_that_is_left_between_its_parts_is_closed(on_break):
    here = [deployment("a", breaks("one")), deployment("b", FakeProvider([" two"], latency=50))]
    async with Router(here) as router:
        async with router.stream("hi", on_break=on_break) as stream:
            assert (await anext(stream)).text == "one"
            with anyio.move_on_after(1) as scope:
                await anext(stream)
            assert scope.cancelled_caught
        assert idle(router)


async def test_a_model_that_tells_all_of_it_again_is_not_taken_for_a_silent_one():
    text = " ".join(f"word{n}" for n in range(40))
    here = [
        deployment("a", breaks(text)),
        deployment("b", FakeProvider([f"{text} and the end"], ttft=1, latency=200)),
    ]
    async with Router(here) as router:
        _, reply = await read(router, on_break="resume")
    assert reply.text == f"{text} and the end"
    assert reply.trace.attempts[1].ttft == 1
