"""One connection of the default transport: asked, watched while it lies idle, and closed for sure."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import anyio
import httpx

__all__ = ["Answer", "Line", "RawStream", "close"]

_CLOSING = 5.0  # seconds that closing a connection may take before it is abandoned

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]


class RawStream(Protocol):
    """The body of a response, as httpx's transport and httpcore's connection both give it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Answer:
    """A response of which the head has come. Its `repr` tells nothing of it: a host may echo a key."""

    __slots__ = ("headers", "status", "stream")

    def __init__(self, status: int, headers: RawHeaders, stream: RawStream) -> None:
        self.status = status
        self.headers = headers
        self.stream = stream


class Line:
    """One connection, which is one pool of httpcore's.

    httpx's transport opens it and brings its first response. From then on the connection within is
    asked itself, where it can be had: what the transport and the pool do around it is a third of
    the work of a call, and nothing that one connection needs. *forwarded*: it goes through a proxy
    that wants each request rewritten, which httpcore's own wrapping does.
    """

    __slots__ = ("_connection", "_forwarded", "_readable", "_secured", "_stream", "pool", "since", "used")

    def __init__(self, pool: httpx.AsyncHTTPTransport, *, forwarded: bool) -> None:
        self.pool = pool
        self.used = False
        self.since = 0.0
        self._forwarded = forwarded
        self._stream: Any = None  # httpcore's network stream, once there is one
        self._connection: Any = None  # and its HTTP/1.1 connection
        self._secured: ssl.SSLObject | None = None
        self._readable: Callable[[], object] | None = None

    @property
    def connected(self) -> bool:
        return self._stream is not None

    async def ask(self, request: Any) -> Answer:
        """The response to *request*."""
        if self._connection is not None and not self._forwarded:
            direct = await self._connection.handle_async_request(request)
            return Answer(direct.status, direct.headers, direct.stream)
        response = await self.pool.handle_async_request(request)
        if not self.used:
            self._opened(response.extensions.get("network_stream"))
        return Answer(response.status_code, response.headers.raw, cast("RawStream", response.stream))

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take hold of the socket as soon as there is one: httpcore loses it where a handshake is cancelled."""
        if event.endswith("connect_tcp.complete"):
            self._stream = info["return_value"]

    def _opened(self, stream: Any) -> None:
        self.used = True
        self._stream = stream
        # Private to httpx and httpcore; without it a connection is used once, which is slow and right.
        connections = getattr(getattr(self.pool, "_pool", None), "connections", None)
        inner = connections[0] if connections else None
        while inner is not None and not hasattr(inner, "_h11_state"):
            inner = getattr(inner, "_connection", None)
        self._connection = inner
        if stream is not None:
            self._readable = _watched(stream)
            self._secured = stream.get_extra_info("ssl_object")

    def is_dead(self) -> bool:
        """Whether its socket can be read though nobody asked anything: closed, or talking out of turn."""
        return self._readable is None or bool(self._readable())

    def can_serve_again(self) -> bool:
        """Whether its reply has ended and nothing came after it. What did come would answer the next
        call, which may be somebody else's."""
        inner = self._connection
        return inner is not None and inner.is_idle() and not self._surplus()

    def _surplus(self) -> bool:
        # There is no public way to what came with the end of the reply in one read.
        if self._connection._h11_state.trailing_data[0]:  # noqa: SLF001
            return True
        return self._secured is not None and _can_be_read(self._secured)

    async def aclose(self) -> None:
        await self.pool.aclose()
        if not self.used and self._stream is not None:
            await self._stream.aclose()

    def hang_up(self) -> None:
        """End the connection here and now; the socket itself goes with its owner."""
        sock = self._stream.get_extra_info("socket") if self._stream is not None else None
        if sock is not None:
            with suppress(OSError):  # It may be closed already.
                sock.shutdown(socket.SHUT_RDWR)


async def close(*lines: Line) -> None:
    """Close each of *lines*, also where one of them fails or the task is cancelled."""
    cancelled: BaseException | None = None
    for line in lines:
        try:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSING) as scope:
                await line.aclose()
            if scope.cancelled_caught:
                line.hang_up()
        except Exception:  # noqa: BLE001 - whatever it says, the connection is of no more use
            line.hang_up()
        except BaseException as exc:  # noqa: BLE001 - raised below
            # A native cancellation goes through a shield; the others are closed all the same.
            line.hang_up()
            cancelled = exc
    if cancelled is not None:
        raise cancelled


def _watched(stream: Any) -> Callable[[], object]:
    """What tells whether the stream's socket can be read; httpcore's own way takes twenty times as long."""
    sock = stream.get_extra_info("socket")
    if sock is None or not hasattr(select, "poll"):
        return partial(stream.get_extra_info, "is_readable")
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return partial(poll.poll, 0)


def _can_be_read(secured: ssl.SSLObject) -> bool:
    """Whether there is more in what came over TLS already: a record after the reply's last, or the end."""
    try:
        secured.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass
    return True
