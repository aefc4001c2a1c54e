"""What is too much is refused while it arrives, and never held."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import ResponseDecodeError
from polyroute.transports.received import MAX_BODY, Received
from tests.transports.faulty_server import (
    CHAT,
    TEXT,
    FaultyServer,
    head,
    raw_deflate,
)
from tests.transports.floods import TOO_MUCH
from tests.transports.kinds import in_time, on_each_own_transport, on_each_transport, routing

_MIB = 1024 * 1024
_ROOT = Path(__file__).parents[2]


@on_each_transport
@pytest.mark.parametrize("act", TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_a_body_that_is_too_large_is_refused_while_it_arrives_and_another_asked(kind, act):
    with FaultyServer(act) as server, FaultyServer() as sound:
        async with routing(kind, server, sound) as router, in_time(20):
            reply = await router.chat("hi")
            server.mend()
            assert (await router.chat("hi")).deployment == "a"

    assert reply.deployment == "b"
    error = reply.trace.attempts[0].error
    assert type(error) is ResponseDecodeError
    assert error.transient
    assert "larger than" in str(error) or "more than" in str(error)


@on_each_own_transport
async def test_a_body_that_is_as_large_as_is_allowed_is_read(kind):
    def act(_):
        return (head(content_length=MAX_BODY), b" " * (MAX_BODY - len(CHAT)), CHAT)

    with FaultyServer(act) as server:
        async with routing(kind, server) as router, in_time(20):
            assert (await router.chat("hi")).text == TEXT


_MEASURE = """
    import asyncio, re
    from pathlib import Path
    from polyroute import Deployment, Router, PolyrouteError
    from tests.transports.floods import TOO_MUCH
    from tests.transports.faulty_server import FaultyServer

    def most():  # so far, in mebibytes; what `getrusage` tells begins with the parent's
        return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

    async def main():
        act = {act}
        with FaultyServer(act) as server:
            async with Router([Deployment("openai/m", base_url=server.url, api_key="k")], retry=None) as router:
                before = most()
                try:
                    if {streams}:
                        async with router.stream("hi") as stream:
                            await stream.response()
                    else:
                        await router.chat("hi")
                except PolyrouteError as error:
                    assert "than" in str(error), error
                print(most() - before)

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
@pytest.mark.parametrize(
    ("act", "streams", "mebibytes"),
    [
        ("TOO_MUCH['a bomb in two parts']", False, 100),
        ("TOO_MUCH['chunks without an end']", True, 100),
        ("TOO_MUCH['a length of one byte more']", False, 10),
    ],
)
def test_what_is_too_much_takes_little_more_memory_than_what_is_allowed(act, streams, mebibytes):
    script = textwrap.dedent(_MEASURE).format(act=act, streams=streams)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd=_ROOT
    )
    assert float(done.stdout) < mebibytes


class Pieces:
    """A library's stream of raw bytes."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self._pieces)
        except StopIteration:
            raise StopAsyncIteration from None


async def unpacked(pieces, coding: bytes) -> bytes:
    async def close(_whole): ...

    received = Received(
        200, [(b"Content-Encoding", coding)], Pieces(pieces), close=close, translate=lambda exc: exc
    )
    return await received.read()


def run_to_its_end(coroutine):
    """The outcome of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


@given(
    data=st.binary(max_size=300),
    packing=st.sampled_from(
        [(b"gzip", gzip.compress), (b"deflate", zlib.compress), (b"deflate", raw_deflate)]
    ),
    size=st.integers(1, 40),
)
def test_however_a_packed_body_is_cut_the_same_comes_out(data, packing, size):
    coding, pack = packing
    packed = pack(data)
    pieces = [packed[place : place + size] for place in range(0, len(packed), size)]
    assert run_to_its_end(unpacked(pieces, coding)) == data


@pytest.mark.parametrize("length", [_MIB - 1, _MIB, _MIB + 1, 3 * _MIB, 3 * _MIB + 258])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate])
def test_a_body_that_unpacks_in_several_steps_comes_out_whole(length, pack):
    data = b"ab" * (length // 2) + b"c" * (length % 2)
    coding = b"gzip" if pack is gzip.compress else b"deflate"
    assert run_to_its_end(unpacked([pack(data)], coding)) == data


def test_what_was_unpacked_before_the_fault_is_handed_out_first():
    packed = gzip.compress(b"good ")[:-8]  # All of the text, and the end of it missing.

    async def first_and_then():
        async def close(_whole): ...

        received = Received(
            200, [(b"content-encoding", b"gzip")], Pieces([packed]), close=close, translate=lambda exc: exc
        )
        assert await anext(received) == b"good "
        with pytest.raises(ResponseDecodeError, match="too early"):
            await anext(received)

    run_to_its_end(first_and_then())
