"""Streams that break, and what a consumer sees of them."""

from __future__ import annotations

import anyio

from polyroute import ChatChunk, ReadError
from polyroute.testing import FakeProvider


class Chunks:
    """A provider that streams these chunks, and then breaks or ends; without a way to begin its answers."""

    def __init__(self, *chunks, error=None, name="chunks"):
        self.name = name
        self.chunks = chunks
        self.error = error
        self.calls = []

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        self.calls.append(call)
        for chunk in self.chunks:
            yield ChatChunk(text=chunk) if isinstance(chunk, str) else chunk
            await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error


def breaks(*texts, error=None):
    """It breaks after each of *texts*, one a call."""
    return FakeProvider(script=[(text, error or ReadError("cut")) for text in texts])


async def read(router, question="hi", **arguments):
    async with router.stream(question, **arguments) as stream:
        chunks = [chunk async for chunk in stream]
        return chunks, await stream.response()


def seen(chunks):
    """What a consumer has before him in the end who heeds `restarted`."""
    text = ""
    for chunk in chunks:
        text = chunk.text if chunk.restarted else text + chunk.text
    return text


def kinds(reply):
    return [(attempt.deployment, attempt.kind) for attempt in reply.trace.attempts]


def idle(router):
    return all(router.fleet[each.id].in_flight == 0 for each in router._core.plan.deployments)
