"""An HTTP server on loopback that misbehaves as it is told.

What it does with a request is an *act*: bytes that it says, and what it does besides.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeAlias

from tests.transports.loopback import Loopback

_FOR_EVER = 30.0  # seconds; longer than any test
_RESETTING = struct.pack("ii", 1, 0)  # SO_LINGER for no time makes closing a reset


@dataclass(frozen=True)
class Asked:
    """One request as it came: on the which connection, and with which headers, in lower case; *raw*
    is all of it."""

    connection: int
    line: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes = field(repr=False)

    @property
    def streams(self) -> bool:
        return b'"stream":true' in self.body


class Do(Enum):
    """What a server may do in place of saying something."""

    RESET = auto()
    FIN = auto()
    STALL = auto()  # until the client goes


@dataclass(frozen=True)
class Pause:
    seconds: float


Step: TypeAlias = bytes | Do | Pause
Act: TypeAlias = Iterable[Step] | Callable[[Asked], Iterable[Step]]


class FaultyServer(Loopback):
    """Plays the nth of *acts* for the nth request, and the last one from then on.

    *greeting* is played on each connection before anything is read; `asked` holds the requests.
    """

    def __init__(
        self,
        *acts: Act,
        greeting: Iterable[Step] = (),
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        listening: bool = True,
    ) -> None:
        super().__init__(host, listening=listening)
        self.asked: list[Asked] = []
        self.stalling = threading.Event()  # it says nothing more, and waits for the client to go
        self._acts: Sequence[Act] = acts or (fine,)
        self._greeting = greeting
        self._tls = tls

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self.authority}/v1"

    def mend(self, act: Act | None = None) -> None:
        """Be a good server from now on, or one that plays *act*."""
        self._acts, self._greeting = (act or fine,), ()
        if not self._listening:
            self.listen()

    def serve(self, connection: socket.socket, number: int) -> None:
        with suppress(ValueError, _GoneError):
            if self._tls is None:
                self._answer(connection, number)
                return
            secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            with self.opened(secured):
                secured.do_handshake()
                self._answer(secured, number)

    def _answer(self, connection: socket.socket, number: int) -> None:
        self._play(connection, self._greeting)
        received = b""
        while (read := _read(connection, received, number)) is not None:
            asked, received = read
            with self._changed:
                act = self._acts[min(len(self.asked), len(self._acts) - 1)]
                self.asked.append(asked)
            self._play(connection, act(asked) if callable(act) else act)

    def _play(self, connection: socket.socket, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case bytes():
                    connection.sendall(step)
                case Pause(seconds):
                    self.stopping.wait(seconds)
                case Do.STALL:
                    self.stalling.set()
                    connection.settimeout(_FOR_EVER)
                    while connection.recv(65536):
                        pass
                    raise _GoneError
                case Do.RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETTING)
                    raise _GoneError
                case Do.FIN:
                    raise _GoneError
            if self.stopping.is_set():
                raise _GoneError


class _GoneError(Exception):
    """One of the two has hung up."""


def _read(connection: socket.socket, received: bytes, number: int) -> tuple[Asked, bytes] | None:
    """The next request and what came after it; None where the client has gone."""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return None
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    length = int(headers.get("content-length", 0))
    pieces, missing = [body], length - len(body)
    while missing > 0:
        more = connection.recv(65536)
        if not more:
            return None
        pieces.append(more)
        missing -= len(more)
    body, more = (whole := b"".join(pieces))[:length], whole[length:]
    return Asked(number, line, headers, body, head + b"\r\n\r\n" + body), more


# --- what a good server says --------------------------------------------------------------------

TEXT = "Because of Rayleigh scattering."
WORDS = ("Because ", "of ", "Rayleigh ", "scattering.")
CHAT = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6},
    }
).encode()
VECTORS = json.dumps(
    {"data": [{"index": 0, "embedding": [0.6, 0.8]}], "model": "m-1", "usage": {"prompt_tokens": 2}}
).encode()
DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> bytes:
    return event(
        {
            "id": "c",
            "model": "m-1",
            "choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}],
        }
    )


ROLE = delta(role="assistant", content="")
TOKENS = tuple(delta(content=word) for word in WORDS)
STOP = delta("stop")
SSE = (ROLE, *TOKENS, STOP, DONE)


def head(status: str = "200 OK", **headers: object) -> bytes:
    """A status line and headers; an underscore in a name stands for a hyphen."""
    fields = {"content_type": "application/json"} | headers
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode("latin-1")


def sized(body: bytes, status: str = "200 OK", **headers: object) -> bytes:
    """A whole reply with its length."""
    return head(status, content_length=len(body), **headers) + body


def raw_deflate(data: bytes) -> bytes:
    """*data* packed with deflate, without its head."""
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAMING = head(content_type="text/event-stream", transfer_encoding="chunked")
LAST = b"0\r\n\r\n"


def streamed(pieces: Sequence[bytes] = SSE) -> bytes:
    """A whole streamed reply, in one piece on the wire."""
    return STREAMING + b"".join(map(chunk, pieces)) + LAST


def fine(asked: Asked) -> Iterable[Step]:
    """What a good server answers, as it was asked."""
    if "/embeddings" in asked.line:
        return (sized(VECTORS),)
    return (streamed(),) if asked.streams else (sized(CHAT),)


def either(chat: Iterable[Step], stream: Iterable[Step]) -> Callable[[Asked], Iterable[Step]]:
    """*stream* where that is asked for, and else *chat*."""
    return lambda asked: stream if asked.streams else chat


def slowly(seconds: float) -> Callable[[Asked], Iterable[Step]]:
    """As `fine`, with a pause before the head and one before each piece."""

    def act(asked: Asked) -> Iterable[Step]:
        if asked.streams:
            yield Pause(seconds)
            yield STREAMING
            for piece in SSE:
                yield Pause(seconds)
                yield chunk(piece)
            yield LAST
        else:
            half = len(CHAT) // 2
            yield Pause(seconds)
            yield head(content_length=len(CHAT))
            yield CHAT[:half]
            yield Pause(seconds)
            yield CHAT[half:]

    return act


def by_the_byte(data: bytes, seconds: float = 0.0) -> Iterable[Step]:
    for place in range(len(data)):
        yield data[place : place + 1]
        if seconds:
            yield Pause(seconds)


def for_ever(*pieces: Step, seconds: float = 0.0) -> Iterable[Step]:
    """*pieces* again and again, until the client hangs up."""
    began = time.monotonic()
    while time.monotonic() - began < _FOR_EVER:
        yield from pieces
        if seconds:
            yield Pause(seconds)
