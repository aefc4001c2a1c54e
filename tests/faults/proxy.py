"""A proxy before a good host: it passes on the request, and spoils the reply on its way back.

It is a `FaultyServer` whose acts ask somebody else: `FaultyServer(passed_on(host, cut(100, Do.FIN)))`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import TypeAlias

from tests.transports.faulty_server import Asked, Do, Pause, Step

__all__ = ["Spoil", "cut", "garbled", "passed_on", "reply_of", "whole"]

Spoil: TypeAlias = Callable[[bytes], Iterable[Step]]


def whole(reply: bytes) -> Iterable[Step]:
    """*reply* as it is."""
    return (reply,)


def passed_on(authority: str, spoil: Spoil = whole) -> Callable[[Asked], Iterable[Step]]:
    """What the host at *authority* says, spoilt."""
    return lambda asked: spoil(reply_of(authority, asked.raw))


def reply_of(authority: str, raw: bytes) -> bytes:
    """All that the host at *authority* says to one request."""
    host, _, port = authority.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as origin:
        origin.sendall(raw)
        origin.shutdown(socket.SHUT_WR)  # It is the last one, so that the host's end is the reply's.
        return b"".join(iter(partial(origin.recv, 65536), b""))


def cut(place: int, end: Do) -> Spoil:
    """The reply up to *place*, and then this end."""
    # A reset may overtake what is unread, so its client has time to read that first.
    time_to_read = (Pause(0.01),) if end is Do.RESET else ()
    return lambda reply: (reply[:place], *time_to_read, end)


def garbled(chance: Random) -> Spoil:
    """The reply with one thing wrong at a place that nobody knows: a byte that is another, that is
    missing or that came from nowhere, or a part that is missing or came twice."""

    def spoil(reply: bytes) -> Iterable[Step]:
        place, length = chance.randrange(len(reply)), chance.randrange(1, 40)
        before, here, after = reply[:place], reply[place : place + 1], reply[place + 1 :]
        another = bytes([here[0] ^ 1 << chance.randrange(8)])
        part = reply[place : place + length]
        return (
            chance.choice(
                (
                    before + another + after,
                    before + after,
                    before + another + here + after,
                    before + reply[place + length :],
                    before + part + part + reply[place + length :],
                )
            ),
        )

    return spoil
