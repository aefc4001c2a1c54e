"""An HTTP server on loopback for tests: it answers with given bytes, cut where the test wants them cut.

It runs on threads of its own, so that its client may run on any event loop.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any, Literal, Self, TypeAlias

__all__ = ["Answer", "Asked", "WireServer", "cut_anywhere", "events", "named_events"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: *body* whole or in pieces. *framing* says how its end is told: by its length,
    by chunks (one a piece), or by closing. *cut*: the connection is reset in place of the end."""

    body: bytes | Sequence[bytes] = b""
    _: KW_ONLY
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    framing: Literal["length", "chunked", "close"] = "length"
    cut: bool = False

    @classmethod
    def of(cls, value: object, status: int = 200, **headers: str) -> Answer:
        """*value* as JSON."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(json.dumps(value).encode(), status=status, headers=named)

    @property
    def pieces(self) -> Sequence[bytes]:
        return (self.body,) if isinstance(self.body, bytes) else self.body


Answerer: TypeAlias = Callable[[Asked], Answer]


class WireServer:
    """Answers each request with what *answer* is or makes of it. `asked` holds them all, in order."""

    def __init__(self, answer: Answer | Answerer) -> None:
        self.asked: list[Asked] = []
        self._answer: Answerer = (lambda asked: answer) if isinstance(answer, Answer) else answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    @property
    def url(self) -> str:
        """The address before the operation's own path."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closed = True
        with suppress(OSError), socket.create_connection(self._listener.getsockname()):
            pass  # It wakes `accept`, which closing the listener from here would not.
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
            if self._closed:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as reader:
            while (asked := _read(reader)) is not None:
                self.asked.append(asked)
                answer = self._answer(asked)
                for piece in _on_the_wire(answer):
                    connection.sendall(piece)
                if answer.cut:
                    # To linger for no time makes closing a reset.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                if answer.cut or answer.framing == "close":
                    break
        self._open.discard(connection)


def _read(reader: Any) -> Asked | None:
    """The next request; None where the client has gone."""
    line = reader.readline().decode("latin-1")
    if not line.strip():
        return None
    method, path, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    while line := reader.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Asked(method, path, headers, reader.read(int(headers.get("content-length", 0))))


def _on_the_wire(answer: Answer) -> Iterable[bytes]:
    headers = {"content-type": "application/json"} | {name.lower(): v for name, v in answer.headers.items()}
    if answer.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif answer.framing == "length":
        headers["content-length"] = str(sum(map(len, answer.pieces)) + answer.cut)
    reason = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else "Unheard Of"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    yield f"HTTP/1.1 {answer.status} {reason}\r\n{head}\r\n".encode("latin-1")
    for piece in answer.pieces:
        if answer.framing != "chunked":
            yield piece
        elif piece:
            yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    if answer.framing == "chunked" and not answer.cut:
        yield b"0\r\n\r\n"


def cut_anywhere(data: bytes, rng: Random, *, pieces: int = 24) -> list[bytes]:
    """*data* in about so many *pieces*, cut at random: inside of characters and of events too."""
    cuts = sorted({rng.randrange(len(data) + 1) for _ in range(pieces - 1)})
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def named_events(*values: Mapping[str, Any]) -> bytes:
    """Server-sent events, each named by its type."""
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in values).encode()


def events(*values: object, done: bool = True) -> bytes:
    """Server-sent events, one a value: JSON, or a str as it is; then `[DONE]`."""
    told = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return "".join(f"data: {each}\n\n" for each in (*told, *(["[DONE]"] if done else []))).encode()
