"""Slow and quick providers, and the calls that are made of them."""

from __future__ import annotations

import asyncio

import anyio
import pytest
import trio

from polyroute import ChatChunk, ChatResponse, Hedge, ReadError, ServerError
from polyroute.testing import FakeProvider

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


CALLS = pytest.mark.parametrize("call", [lambda router: router.chat("hi"), streamed], ids=["chat", "stream"])


def idle(router, names="ab"):
    return all(router._core.fleet[name].in_flight == 0 for name in names)


class Steps:
    """A provider that waits at every step it can, for so many steps, and knows how many streams are open."""

    def __init__(self, name, steps, *, fails=False, breaks=False):
        self.name = name
        self.steps = steps
        self.fails = fails
        self.breaks = breaks
        self.open = 0

    async def _wait(self):
        self.open += 1
        try:
            for _ in range(self.steps):
                await anyio.lowlevel.checkpoint()
            if self.fails:
                raise ServerError("down")
        except BaseException:
            self.open -= 1
            raise

    async def chat(self, call):
        await self._wait()
        self.open -= 1
        return ChatResponse("ok")

    async def stream(self, call):
        await self._wait()
        try:
            for _ in range(3):
                yield ChatChunk(text="x")
                await anyio.lowlevel.checkpoint()
            if self.breaks:
                raise ReadError("cut")
        finally:
            self.open -= 1


class Silent:
    """A provider that never answers."""

    name = "silent"

    async def chat(self, call):
        await anyio.sleep_forever()

    async def stream(self, call):
        await anyio.sleep_forever()
        yield ChatChunk()


def tasks_now():
    """How many tasks there are here, but for the event loop's own."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living
