"""Slow and quick providers, and the calls that are made of them."""

from __future__ import annotations

import anyio
import pytest

from polyroute import Hedge
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
