"""An HTTP server on loopback that misbehaves as it is told.

It runs on threads, so that it serves whatever event loop the test itself runs on. What it does with
a request is an *act*: bytes that it says, and what it does besides.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Self, TypeAlias

_FOR_EVER = 30.0  # seconds; longer than any test
_RESETTING = struct.pack("ii", 1, 0)  # SO_LINGER for no time makes closing a reset


@dataclass(frozen=True)
class Asked:
    """One request as it came: on the which connection, and with which headers, in lower case."""

    connection: int
    line: str
    headers: Mapping[str, str]
    body: bytes

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


class FaultyServer:
    """Plays the nth of *acts* for the nth request, and the last one from then on.

    *greeting* is played on each connection before anything is read; `asked` holds the requests.
    """

    def __init__(
        self,
        *acts: Act,
        greeting: Iterable[Step] = (),
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.acts: list[Act] = list(acts) or [fine]
        self.asked: list[Asked] = []
        self.accepted = 0
        self.stalling = threading.Event()  # it says nothing more, and waits for the client to go
        self._greeting = greeting
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=512)
        self.host, self.port = self._listener.getsockname()[:2]

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self.authority}/v1"

    def open_connections(self, *, within: float = 3.0) -> int:
        """How many connections the clients have not closed, once all are or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open, within)
            return len(self._open)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        with suppress(OSError), socket.create_connection((self.host, self.port)):
            pass  # It wakes `accept`, which closing the listener would not.
        for each in tuple(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping.is_set():
                connection.close()
                return
            self.accepted += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._open.add(connection)
            self._start(self._serve, connection, self.accepted)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with suppress(OSError, ValueError, _GoneError):
                if self._tls is not None:
                    secured = self._tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                    self._open.add(secured)
                    self._open.discard(connection)
                    connection = secured
                    secured.do_handshake()
                self._play(connection, self._greeting)
                self._answer(connection, number)
        finally:
            connection.close()
            with self._changed:
                self._open.discard(connection)
                self._changed.notify_all()

    def _answer(self, connection: socket.socket, number: int) -> None:
        received = b""
        while (read := _read(connection, received, number)) is not None:
            asked, received = read
            act = self.acts[min(len(self.asked), len(self.acts) - 1)]
            self.asked.append(asked)
            self._play(connection, act(asked) if callable(act) else act)

    def _play(self, connection: socket.socket, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case bytes():
                    connection.sendall(step)
                case Pause(seconds):
                    self._stopping.wait(seconds)
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
            if self._stopping.is_set():
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
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    length = int(headers.get("content-length", 0))
    pieces, missing = [body], length - len(body)
    while missing > 0:
        more = connection.recv(65536)
        if not more:
            return None
        pieces.append(more)
        missing -= len(more)
    body = b"".join(pieces)
    return Asked(number, line, headers, body[:length]), body[length:]


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


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAMING = head(content_type="text/event-stream", transfer_encoding="chunked")
LAST = b"0\r\n\r\n"


def streamed(pieces: Sequence[bytes] = SSE) -> bytes:
    """A whole streamed reply, in one piece on the wire."""
    return STREAMING + b"".join(map(chunk, pieces)) + LAST


def fine(asked: Asked) -> Iterable[Step]:
    """What a good server answers, as it was asked."""
    return (streamed(),) if asked.streams else (sized(CHAT),)


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
