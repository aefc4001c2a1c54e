"""A cancellation is a normal event: whatever was held is given back, and nobody is blamed."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyroute import ChatChunk, PolyrouteError, RateLimitError, Router, ServerError
from polyroute.testing import FakeProvider
from tests.doubles import deployment


class Steps:
    """A provider that waits at every step it can."""

    name = "steps"

    def __init__(self, fails=False):
        self.fails = fails

    async def chat(self, call):
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        if self.fails:
            raise ServerError("down")
        from polyroute import ChatResponse

        return ChatResponse("ok")

    async def stream(self, call):
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            if self.fails:
                raise ServerError("down")
            yield ChatChunk(text="x")


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(0, 25),
    streams=st.booleans(),
    backend=st.sampled_from(["asyncio", "trio"]),
    fails=st.booleans(),
)
def test_cancelled_at_any_step_a_call_leaves_nothing_in_flight_and_learns_nothing(
    steps, streams, backend, fails
):
    async def main():
        router = Router([deployment("a", Steps(fails)), deployment("b", Steps())])
        finished = False

        async def call():
            nonlocal finished
            if streams:
                async with router.stream("hi") as stream:
                    await stream.response()
            else:
                await router.chat("hi")
            finished = True

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        for name in "ab":
            vitals = router._core.fleet[name]
            assert vitals.in_flight == 0
        if not finished and not fails:
            assert router._core.fleet["a"].error_rate == 0.0
            assert router._core.fleet["a"].latency is None
        assert (await router.chat("hi")).text == "ok"
        await router.aclose()

    anyio.run(main, backend=backend)


async def test_a_wait_between_two_tries_can_be_cancelled():
    fake = FakeProvider(script=[RateLimitError("busy", retry_after=15)])
    async with Router([deployment("a", fake)]) as router:
        with anyio.move_on_after(0.01) as scope:
            await router.chat("hi")
        assert scope.cancelled_caught
        assert router._core.fleet["a"].in_flight == 0


async def test_a_thousand_calls_at_once_all_end_and_none_is_left():
    def answer(call):
        if len(call.request.messages[0].text) % 3 == 0:
            raise ServerError("down")
        return "ok"

    async def call(text):
        try:
            await router.chat(text)
        except PolyrouteError:
            failures.append(text)

    failures = []
    async with Router([deployment("a", FakeProvider([answer])), deployment("b")], retry=None) as router:
        async with anyio.create_task_group() as group:
            for n in range(1_000):
                group.start_soon(call, "x" * (n % 7 + 1))
        assert not failures
        assert router._core.fleet["a"].in_flight == router._core.fleet["b"].in_flight == 0


async def test_an_application_that_cancels_from_within_a_stream_gets_its_own_cancellation():
    class Endless:
        name = "endless"
        closed = False

        async def chat(self, call):
            raise NotImplementedError

        async def stream(self, call):
            try:
                while True:
                    yield ChatChunk(text="x")
                    await anyio.lowlevel.checkpoint()
            finally:
                self.closed = True

    endless = Endless()
    async with Router([deployment("a", endless)]) as router:
        with anyio.CancelScope() as scope:
            async with router.stream("hi") as stream:
                async for _ in stream:
                    scope.cancel()
        assert scope.cancelled_caught
        assert endless.closed
        assert router._core.fleet["a"].in_flight == 0


@pytest.mark.parametrize("what", ["chat", "embed"])
async def test_a_bug_in_a_provider_leaves_nothing_in_flight(what):
    async with Router([deployment("a", FakeProvider(script=[ZeroDivisionError()]))]) as router:
        with pytest.raises(ZeroDivisionError):
            await getattr(router, what)("hi")
        assert router._core.fleet["a"].in_flight == 0
