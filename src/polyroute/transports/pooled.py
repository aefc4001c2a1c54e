"""The default transport: httpx's own connections, which are httpcore's, without the pool around them.

A connection of its own has nothing to scan, to queue for or to share, which is what httpx's pool
spends most of its time on; it is known whether it was used before; and where a cancellation would
leave httpcore's pool broken for ever (encode/httpcore#1093), the connection is thrown away.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import anyio
import httpcore
import httpx

from polyroute.errors import ConfigurationError, ConnectError, ReadError
from polyroute.protocols import HTTPRequest
from polyroute.transports.body import FRAMING, Body
from polyroute.transports.corked import CorkedNetwork
from polyroute.transports.faults import translated, translated_body
from polyroute.transports.lines import Line, Opener, RawStream, close
from polyroute.transports.loops import is_running, running_loop, start_there
from polyroute.transports.proxies import Proxies
from polyroute.transports.received import Received
from polyroute.transports.until import Until

__all__ = ["PooledTransport"]

_MOST_ADDRESSES = 1_024


@dataclass(slots=True)
class _Address:
    """A URL, worked out once."""

    url: httpcore.URL
    host_header: tuple[bytes, bytes]
    place: _Place


@dataclass(slots=True)
class _Request:
    """What httpcore reads of a request, and nothing else."""

    method: bytes
    url: httpcore.URL
    headers: _Headers
    stream: Body
    extensions: dict[str, Any]


class _Headers(list[tuple[bytes, bytes]]):
    """A request's headers. A traceback that shows what is in its frames shows no key."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class _Place:
    """One scheme, host and port, with the connections to it that nobody uses: the last used last."""

    __slots__ = ("idle", "origin", "proxy", "secure")

    def __init__(self, origin: httpcore.Origin, proxy: str | None) -> None:
        self.origin = origin
        self.secure = origin.scheme == b"https"
        self.proxy = proxy
        self.idle: deque[Line] = deque()


_Places: TypeAlias = dict[tuple[bytes, bytes, int | None], _Place]


class _WentStaleError(Exception):
    """A connection that was used before was closed by the server before it said a byte."""


class PooledTransport:
    """Sends requests over connections of its own, on one event loop at a time.

    A connection that nobody uses is kept for *keepalive* seconds, on the wall's side of any virtual
    clock, and at most *most_idle* of them of one host.
    """

    keeps_deadlines = True

    def __init__(self, *, keepalive: float = 60.0, most_idle: int = 1_000) -> None:
        self._keepalive = keepalive
        self._most_idle = most_idle
        self._addresses: dict[str, _Address] = {}
        self._places: _Places = {}
        self._busy: set[Line] = set()
        self._home: object = None
        self._lease: AsyncGenerator[None, None] | None = None
        self._process = os.getpid()
        self._inherited: object = None
        self._closed = False
        self._proxies = Proxies()
        self._tls: ssl.SSLContext | None = None

    async def send(self, request: HTTPRequest, /) -> Received:
        if self._closed:
            raise ConfigurationError("the router is closed")
        home = running_loop()
        if home is not self._home:
            await self._move_to(home)
        address = self._addresses.get(request.url) or self._read(request.url)
        line = await self._idle_line(address.place)
        if line is not None:
            try:
                return await self._over(line, address, request)
            except _WentStaleError:
                pass  # Once more, on one that was not used before.
        return await self._over(self._new_line(address.place), address, request)

    async def aclose(self) -> None:
        self._closed = True
        if self._home is not running_loop():
            self._leave()
        elif self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.aclose()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections there are: in use, and idle."""
        return len(self._busy), len(_idle(self._places))

    # --- one request ----------------------------------------------------------------------------

    async def _over(self, line: Line, address: _Address, request: HTTPRequest) -> Received:
        """The response to *request* over *line*; where none comes the line is closed."""
        deadline, used, body = request.deadline, line.used, Body(request.body)
        reading, writing = Until.of(deadline), Until.of(deadline)
        extensions: dict[str, Any] = {"timeout": {"read": reading, "write": writing, "pool": None}}
        if not used:
            extensions["timeout"]["connect"] = _connecting(request, body, reading, writing)
        raw = _Request(request.method.encode(), address.url, _headers(address, request), body, extensions)
        self._busy.add(line)
        try:
            answer = await line.ask(raw)
            if answer.status == 407 and address.place.proxy:  # Only a proxy says so.
                raise ConnectError("its proxy refused (407)", transient=False)
            return Received(
                answer.status,
                answer.headers,
                aiter(answer.stream),
                close=partial(self._give_back, line, address.place, answer.stream),
                translate=partial(translated_body, deadline),
            )
        except BaseException as exc:
            await self._discard(line)
            if not isinstance(exc, Exception):
                raise
            failure: Exception | None = translated(exc, sent=body.sent, deadline=deadline)
            if failure is None:
                raise
            if used and reading.asked == 1 and isinstance(failure, ConnectError | ReadError):
                failure = _WentStaleError()
            elif address.place.proxy and not line.connected and isinstance(failure, ConnectError):
                failure = ConnectError(f"its proxy cannot be reached: {failure}", transient=False)
        # Raised out here, so that it does not carry the library's own error and the key in its frames.
        raise failure

    async def _give_back(self, line: Line, place: _Place, stream: RawStream, whole: bool) -> None:
        """Keep the connection for the next call, if its reply was read to the end; else close it."""
        if whole and not self._closed:
            try:
                await stream.aclose()
            except BaseException as exc:
                await self._discard(line)
                if isinstance(exc, Exception):
                    return  # The reply is whole, whatever became of its connection.
                raise
            # Meanwhile the transport may have been closed, or have moved to another event loop.
            if line in self._busy and not self._closed and line.can_serve_again():
                self._busy.discard(line)
                line.since = time.monotonic()
                place.idle.append(line)
                if place.idle[0].since < line.since - self._keepalive or len(place.idle) > self._most_idle:
                    await close(place.idle.popleft())
                return
        await self._discard(line)

    async def _discard(self, line: Line) -> None:
        self._busy.discard(line)
        await close(line)

    # --- where connections come from ------------------------------------------------------------

    async def _idle_line(self, place: _Place) -> Line | None:
        """The connection that was used last, if it still stands."""
        idle = place.idle
        while idle:
            line = idle.pop()
            if line.since < time.monotonic() - self._keepalive:
                stale = [line, *idle]  # Those below were used before it.
                idle.clear()
                await close(*stale)
            elif line.is_dead():
                await close(line)
            else:
                return line
        return None

    def _new_line(self, place: _Place) -> Line:
        try:
            if (place.secure or place.proxy) and self._tls is None:
                self._tls = httpx.create_ssl_context()
            network = CorkedNetwork()
            opener = _opener(place, self._tls, network)
        except OSError as exc:
            why = f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {exc}"
        except (RuntimeError, ValueError, httpx.InvalidURL) as exc:
            why = f"the proxy that the environment names cannot be used: {exc}"
        else:
            return Line(opener, network, forwarded=place.proxy is not None and not place.secure)
        raise ConfigurationError(why)

    def _read(self, text: str) -> _Address:
        try:
            parsed = httpx.URL(text)
        except httpx.InvalidURL as exc:
            raise ConfigurationError(f"an address that cannot be read: {exc}") from None
        scheme, host, port = parsed.raw_scheme, parsed.raw_host, parsed.port
        url = httpcore.URL(scheme=scheme, host=host, port=port, target=parsed.raw_path)
        key = (scheme, host, port)
        if key not in self._places:
            self._places[key] = _Place(url.origin, self._proxies.of(parsed.scheme, parsed.host, port))
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        address = _Address(url, (b"host", parsed.netloc), self._places[key])
        self._addresses[text] = address
        return address

    # --- where they belong ----------------------------------------------------------------------

    async def _move_to(self, home: object) -> None:
        """Make *home*, the event loop that runs, the one; connections of another are of no use to it."""
        if self._busy and self._process == os.getpid() and is_running(self._home):
            raise ConfigurationError(
                "this router has calls under way on another event loop; use one loop at a time, or a router for each"
            )
        self._leave()
        self._addresses, self._places, self._busy = {}, {}, set()
        self._home, self._process = home, os.getpid()
        self._lease = _lease(self._places)
        await anext(self._lease)

    def _leave(self) -> None:
        """Let go of the connections of another event loop, or of the process that forked this one."""
        lease, self._lease = self._lease, None
        if self._process != os.getpid():  # pragma: no cover - tests see a forked process from outside
            # The parent uses them. Held on to, for what is finalised here would reach into its event loop.
            self._inherited = (self._inherited, self._places, self._busy, lease)
        elif lease is not None and is_running(self._home):
            start_there(self._home, partial(_end, lease))
        else:
            for line in (*self._busy, *_idle(self._places)):
                line.hang_up()


def _opener(place: _Place, tls: ssl.SSLContext | None, network: CorkedNetwork) -> Opener:
    """What opens one connection to *place* and asks it: httpcore's connection, or its proxy's pool of one."""
    if place.proxy is None:
        return httpcore.AsyncHTTPConnection(place.origin, ssl_context=tls, network_backend=network)
    proxy = httpx.Proxy(place.proxy)
    url = proxy.url
    address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    common: dict[str, Any] = {
        "proxy_auth": proxy.raw_auth, "ssl_context": tls, "max_connections": 1, "network_backend": network
    }  # fmt: skip
    if url.scheme in ("socks5", "socks5h"):
        return httpcore.AsyncSOCKSProxy(address, **common)
    return httpcore.AsyncHTTPProxy(
        address, proxy_headers=proxy.headers.raw, proxy_ssl_context=proxy.ssl_context, **common
    )


async def _lease(places: _Places) -> AsyncGenerator[None, None]:
    """Stays open for as long as the event loop does. A loop ends the generators that are left before
    it ends itself, and there, in it, the idle connections can still be closed as they should be."""
    try:
        yield
    finally:
        lines = _idle(places)
        for place in places.values():
            place.idle.clear()
        await close(*lines)


def _idle(places: _Places) -> list[Line]:
    return [line for place in places.values() for line in place.idle]


async def _end(lease: AsyncGenerator[None, None]) -> None:
    await lease.aclose()


def _headers(address: _Address, request: HTTPRequest) -> _Headers:
    """The request's headers with those that are the transport's business: the host, unless it was
    given, and how the body is framed."""
    headers = _Headers((address.host_header,))
    for header in request.headers:
        name = header[0].lower()
        if name == b"host":
            headers[0] = header
        elif name not in FRAMING:
            headers.append(header)
    headers.append((b"content-length", b"%d" % len(request.body)))
    return headers


def _connecting(request: HTTPRequest, body: Body, *waits: Until) -> Until:
    """The timeout of making a connection: one moment for all its steps, the name, TCP, TLS and what
    is said to a proxy, of which *waits* are the timeouts until *body* is asked for."""
    if request.connect is None:
        return Until.of(request.deadline)
    ends = anyio.current_time() + request.connect
    body.connecting = waits
    for until in waits:
        until.ends = ends
    return Until.of(request.deadline, seconds=request.connect, ends=ends)
