"""Replies that are too much to hold."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cache
from itertools import chain

from polyroute.transports.received import MAX_BODY
from tests.transports.faulty_server import CHAT, STREAMING, Do, Pause, Step, chunk, for_ever, head, sized

__all__ = ["TOO_MUCH"]

_MIB = 1024 * 1024


@cache
def bomb() -> bytes:
    """200 MB of spaces, packed."""
    packing = zlib.compressobj(wbits=31)
    return b"".join([packing.compress(b" " * _MIB) for _ in range(200)]) + packing.flush()


def _in_two_parts(packed: bytes) -> Iterable[Step]:
    """The first part unpacks to a little less than is allowed, the second to as much again."""
    yield head(content_length=len(packed), content_encoding="gzip")
    yield packed[:60_000]
    yield Pause(0.1)
    yield packed[60_000:]


TOO_MUCH = {
    "chunks without an end": lambda _: chain((STREAMING,), for_ever(chunk(b" " * 60_000))),
    "a body without a length or an end": lambda _: chain((head(),), for_ever(b" " * 60_000)),
    "a body of one byte more": lambda _: (
        head(connection="close"),
        b" " * (MAX_BODY + 1 - len(CHAT)),
        CHAT,
        Do.FIN,
    ),
    "a length of one byte more": (head(content_length=MAX_BODY + 1), b" "),
    "a bomb": lambda _: (sized(bomb(), content_encoding="gzip"),),
    "a bomb in two parts": lambda _: _in_two_parts(bomb()),
}
