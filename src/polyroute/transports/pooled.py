"""The default transport: httpx's own, driven directly, one connection a pool.

A pool of one has nothing to scan, to queue for or to share, which is what httpx's pool spends most
of its time on; it is known whether its connection was used before; and where a cancellation would
leave httpcore's pool broken for ever (encode/httpcore#1093), the whole pool is thrown away.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import anyio
import httpx

from polyroute.deployments import Deadline
from polyroute.errors import ConfigurationError, ReadError
from polyroute.protocols import HTTPRequest
from polyroute.transports.faults import translated
from polyroute.transports.proxies import Proxies
from polyroute.transports.received import Received

__all__ = ["PooledTransport", "Until"]

_KEEPALIVE = 60.0  # seconds that an unused connection is kept, on the wall's side of any virtual clock
_MOST_IDLE = 1_000  # of one origin
_MOST_ADDRESSES = 1_024
_LONGEST = 1e9  # seconds; as good as for ever, and finite, which trio wants of a timeout
_CLOSING = 5.0  # seconds that closing a connection may take before it is abandoned


class Until(float):
    """A timeout that is asked anew at each wait.

    httpcore computes `now + timeout` before each wait for the socket; what this adds up to is the
    moment that the deadline names then, or *most* seconds from then where that is sooner. Anything
    else sees a plain number of seconds, *most*.
    """

    __slots__ = ("deadline", "margin")

    deadline: Deadline
    margin: float

    @classmethod
    def of(cls, deadline: Deadline, *, most: float = _LONGEST, margin: float = 0.0) -> Until:
        until = cls(most)
        until.deadline = deadline
        until.margin = margin
        return until

    def __radd__(self, now: float) -> float:
        return min(self.deadline.by(now), now + float(self)) - self.margin


@dataclass(slots=True)
class _Address:
    """A URL as httpx's transport reads it, worked out once. It stands in for an `httpx.URL`."""

    raw_scheme: bytes
    raw_host: bytes
    port: int | None
    raw_path: bytes
    host_header: tuple[bytes, bytes]
    origin: _Origin


@dataclass(slots=True)
class _Request:
    """What httpx's transport reads of an `httpx.Request`, and nothing else of it."""

    method: str
    url: _Address
    headers: _Headers
    stream: _Body
    extensions: dict[str, Any]


@dataclass(slots=True)
class _Headers:
    raw: Sequence[tuple[bytes, bytes]] = field(repr=False)


class _Body(httpx.AsyncByteStream):
    """The request's body. That somebody began to read it tells whether the prompt may have left."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.sent = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.sent = True
        yield self._content


class _Origin:
    """One scheme, host and port, with the connections to it that nobody uses: the last used last."""

    __slots__ = ("idle", "proxy", "secure")

    def __init__(self, *, secure: bool, proxy: str | None) -> None:
        self.secure = secure
        self.proxy = proxy
        self.idle: deque[_Line] = deque()


class _Line:
    """One connection, which is one pool of httpcore's."""

    __slots__ = ("_readable", "connection", "pool", "since", "stream")

    def __init__(self, pool: httpx.AsyncHTTPTransport) -> None:
        self.pool = pool
        self.stream: Any = None  # httpcore's network stream, once there is one
        self.connection: Any = None
        self.since = 0.0
        self._readable: Callable[[], object] | None = None

    @property
    def used(self) -> bool:
        return self.stream is not None

    def opened(self, stream: Any) -> None:
        self.stream = stream
        self._readable = _watched(stream)
        # Private to httpx and httpcore; without it a connection is used once, which is slow and right.
        connections = getattr(getattr(self.pool, "_pool", None), "connections", None)
        self.connection = connections[0] if connections else None

    def is_dead(self) -> bool:
        """Whether its socket can be read though nobody asked anything: closed, or talking out of turn."""
        return self._readable is None or bool(self._readable())

    def surplus(self) -> bytes | None:
        """The bytes that came and belong to no reply; None where that cannot be known.

        They would answer the next call, which may be somebody else's.
        """
        inner = self.connection
        while inner is not None and not hasattr(inner, "_h11_state"):
            inner = getattr(inner, "_connection", None)
        if inner is None:
            return None
        return cast("bytes", inner._h11_state.trailing_data[0])  # noqa: SLF001 - there is no public way

    def can_serve_again(self) -> bool:
        return self.connection is not None and self.connection.is_idle() and self.surplus() == b""

    def hang_up(self) -> None:
        """End the connection without its event loop, which is gone; the socket goes with its owner."""
        sock = self.stream.get_extra_info("socket") if self.stream is not None else None
        if sock is not None:
            with suppress(OSError):  # It may be closed already.
                sock.shutdown(socket.SHUT_RDWR)


class PooledTransport:
    """Sends requests over connections of its own, on one event loop at a time."""

    keeps_deadlines = True

    def __init__(self) -> None:
        self._addresses: dict[str, _Address] = {}
        self._origins: dict[tuple[bytes, bytes, int | None], _Origin] = {}
        self._busy = 0
        self._home: object = None
        self._process = os.getpid()
        self._closed = False
        self._proxies = Proxies()
        self._tls: ssl.SSLContext | None = None
        self._plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def send(self, request: HTTPRequest, /) -> Received:
        if self._closed:
            raise ConfigurationError("the router is closed")
        self._settle_in()
        address = self._addresses.get(request.url) or self._read(request.url)
        line = await self._idle_line(address.origin)
        if line is not None:
            try:
                return await self._over(line, address, request)
            except ReadError:
                if line.surplus():
                    raise  # A part of a reply had come.
            # The server closed it, which it may do with a connection that lies idle, before it
            # said a byte. Once more, on one that was not used before.
        return await self._over(self._new_line(address.origin), address, request)

    async def aclose(self) -> None:
        self._closed = True
        lines = [line for origin in self._origins.values() for line in origin.idle]
        self._origins.clear()
        self._addresses.clear()
        if self._home in (None, _running()):
            await _close(*lines)
        else:
            self._abandon(lines)

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections there are: in use, and idle."""
        return self._busy, sum(len(origin.idle) for origin in self._origins.values())

    async def _over(self, line: _Line, address: _Address, request: HTTPRequest) -> Received:
        """The response to *request* over *line*; where none comes the line is closed."""
        deadline = request.deadline
        until = Until.of(deadline)
        connect = until if request.connect is None else Until.of(deadline, most=request.connect)
        body = _Body(request.body)
        raw = _Request(
            request.method,
            address,
            _Headers([
                address.host_header, *request.headers, (b"content-length", b"%d" % len(request.body))
            ]),
            body,
            {"timeout": {"connect": connect, "read": until, "write": until, "pool": None}},
        )  # fmt: skip
        self._busy += 1
        try:
            # The transport asks no more of a request than what is here.
            response = await line.pool.handle_async_request(cast("httpx.Request", raw))
        except BaseException as exc:
            await self._discard(line)
            failure = (
                translated(exc, sent=body.sent, deadline=deadline) if isinstance(exc, Exception) else None
            )
            if failure is None:
                raise
        else:
            if line.connection is None:
                line.opened(response.extensions.get("network_stream"))
            return await self._received(line, address.origin, response, deadline)
        raise failure

    async def _received(
        self, line: _Line, origin: _Origin, response: httpx.Response, deadline: Deadline
    ) -> Received:
        stream = cast("httpx.AsyncByteStream", response.stream)
        try:
            return Received(
                response.status_code,
                response.headers.raw,
                aiter(stream),
                close=partial(self._give_back, line, origin, stream),
                translate=partial(_translate_body, deadline),
            )
        except BaseException:
            await self._discard(line)
            raise

    async def _give_back(
        self, line: _Line, origin: _Origin, stream: httpx.AsyncByteStream, whole: bool
    ) -> None:
        """Keep the connection for the next call, if its reply was read to the end; else close it."""
        if whole and not self._closed:
            try:
                await stream.aclose()
            except BaseException:
                await self._discard(line)
                raise
            if line.can_serve_again():
                self._busy -= 1
                line.since = time.monotonic()
                origin.idle.append(line)
                oldest = origin.idle[0]
                if oldest.since < line.since - _KEEPALIVE or len(origin.idle) > _MOST_IDLE:
                    await _close(origin.idle.popleft())
                return
        await self._discard(line)

    async def _discard(self, line: _Line) -> None:
        self._busy -= 1
        await _close(line)

    async def _idle_line(self, origin: _Origin) -> _Line | None:
        """The connection that was used last, if it still stands."""
        idle = origin.idle
        while idle:
            line = idle.pop()
            if line.since < time.monotonic() - _KEEPALIVE:
                stale = [line, *idle]  # Those below were used before it.
                idle.clear()
                await _close(*stale)
            elif line.is_dead():
                await _close(line)
            else:
                return line
        return None

    def _new_line(self, origin: _Origin) -> _Line:
        if (origin.secure or origin.proxy) and self._tls is None:
            self._tls = httpx.create_ssl_context()
        return _Line(
            httpx.AsyncHTTPTransport(
                verify=self._tls if origin.secure and self._tls else self._plain,
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None),
                proxy=origin.proxy,
            )
        )

    def _read(self, url: str) -> _Address:
        parsed = httpx.URL(url)
        key = (parsed.raw_scheme, parsed.raw_host, parsed.port)
        origin = self._origins.get(key)
        if origin is None:
            proxy = self._proxies.of(parsed.scheme, parsed.host, parsed.port)
            origin = self._origins[key] = _Origin(secure=parsed.scheme == "https", proxy=proxy)
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        address = _Address(
            parsed.raw_scheme,
            parsed.raw_host,
            parsed.port,
            parsed.raw_path,
            (b"host", parsed.netloc),
            origin,
        )
        self._addresses[url] = address
        return address

    def _settle_in(self) -> None:
        """Make the running event loop home; another loop's connections are of no use to it."""
        home = _running()
        if home is self._home or home == self._home:
            return
        if self._busy and getattr(self._home, "is_running", bool)():
            raise ConfigurationError(
                "this router has calls under way on another event loop; use one loop at a time, or a router for each"
            )
        lines = [line for origin in self._origins.values() for line in origin.idle]
        for origin in self._origins.values():
            origin.idle.clear()
        self._abandon(lines)
        self._home, self._process, self._busy = home, os.getpid(), 0

    def _abandon(self, lines: Sequence[_Line]) -> None:
        if self._process == os.getpid():  # After a fork they are the parent's, and in use.
            for line in lines:
                line.hang_up()


def _watched(stream: Any) -> Callable[[], object]:
    """What tells whether the stream's socket can be read; httpcore's own way takes twenty times as long."""
    sock = stream.get_extra_info("socket")
    if sock is None or not hasattr(select, "poll"):
        return partial(stream.get_extra_info, "is_readable")
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return partial(poll.poll, 0)


def _running() -> object:
    """The event loop that runs, as something that can be compared."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token()


def _translate_body(deadline: Deadline, exc: Exception) -> Exception:
    return translated(exc, sent=True, deadline=deadline) or exc


async def _close(*lines: _Line) -> None:
    """Close each of *lines*, also where one of them fails or the task is cancelled."""
    left = list(lines)
    while left:
        line = left.pop()
        try:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSING):
                await line.pool.aclose()
        except BaseException as exc:
            # A native cancellation goes through a shield; the others are closed all the same.
            await _close(*left)
            if not isinstance(exc, Exception):
                raise
            return
