"""What comes in unusual ways is yet a reply."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable

import pytest

from tests.transports.faulty_server import (
    CHAT,
    LAST,
    SSE,
    STREAMING,
    TEXT,
    WORDS,
    Asked,
    Do,
    FaultyServer,
    Step,
    by_the_byte,
    chunk,
    either,
    head,
    raw_deflate,
    sized,
    streamed,
)
from tests.transports.kinds import OVER_AIOHTTP, in_time, on_each_transport, routing


def _both(chat: bytes, stream: bytes) -> Callable[[Asked], Iterable[Step]]:
    return either((chat,), (stream,))


def _packed(coding: str, pack: Callable[[bytes], bytes]) -> Callable[[Asked], Iterable[Step]]:
    return _both(
        sized(pack(CHAT), content_encoding=coding), sized(pack(b"".join(SSE)), content_encoding=coding)
    )


def _trickled(act: Callable[[Asked], Iterable[Step]]) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: (byte for data in act(asked) for byte in by_the_byte(data))


_PLAIN = _both(sized(CHAT), streamed())
_EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"

_UNUSUAL = {
    "at once": _PLAIN,
    "byte by byte": _trickled(_PLAIN),
    "after 1xx": _both(_EARLY + sized(CHAT), _EARLY + streamed()),
    "packed with gzip": _packed("gzip", gzip.compress),
    "packed with gzip, byte by byte": _trickled(_packed("gzip", gzip.compress)),
    "packed by another name": _packed("X-GZip", gzip.compress),
    "packed with deflate": _packed("deflate", zlib.compress),
    "packed with deflate without a head": _packed("deflate", raw_deflate),
    "packed with deflate without a head, byte by byte": _trickled(_packed("deflate", raw_deflate)),
    "not packed, and saying so": _packed("identity", bytes),
    "the last of its connection": _both(
        sized(CHAT, connection="close"),
        STREAMING.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + streamed()[len(STREAMING) :],
    ),
    "ended by closing": either(
        (head(connection="close"), CHAT, Do.FIN),
        (head(connection="close"), *SSE, Do.FIN),
    ),
    "of HTTP/1.0": either(
        (head().replace(b"1.1", b"1.0"), CHAT, Do.FIN),
        (head().replace(b"1.1", b"1.0"), *SSE, Do.FIN),
    ),
    "without a reason phrase": _both(sized(CHAT, "200"), streamed().replace(b"200 OK", b"200", 1)),
    "with chunk extensions and trailers": _both(
        STREAMING + chunk(CHAT).replace(b"\r\n", b";x=y\r\n", 1) + b"0\r\nx-after: all\r\n\r\n",
        STREAMING + b"".join(map(chunk, SSE)) + b"0\r\nx-after: all\r\n\r\n",
    ),
    "with the same length twice": _both(
        head(content_length=f"{len(CHAT)}\r\ncontent-length: {len(CHAT)}") + CHAT, streamed()
    ),
    "in chunks of one byte": _both(
        STREAMING + b"".join(chunk(CHAT[place : place + 1]) for place in range(len(CHAT))) + LAST,
        streamed([bytes([byte]) for byte in b"".join(SSE)]),
    ),
}


@on_each_transport
@pytest.mark.parametrize("act", _UNUSUAL.values(), ids=_UNUSUAL.keys())
async def test_a_reply_may_come_in_unusual_ways(kind, act):
    if kind in OVER_AIOHTTP and act is _UNUSUAL["with the same length twice"]:
        pytest.skip("its parser takes no second length, though it is the same")
    with FaultyServer(act) as server:
        async with routing(kind, server) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT
                async with router.stream("hi") as stream:
                    assert [chunk.text async for chunk in stream if chunk.text] == list(WORDS)

    assert len(server.asked) == 4
