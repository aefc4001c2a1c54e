"""The default transport: httpx's own connections, which are httpcore's, without the pool around them.

A connection of its own has nothing to scan, to queue for or to share, which is what httpx's pool
spends most of its time on; it is known whether it was used before; and where a cancellation would
leave httpcore's pool broken for ever (encode/httpcore#1093), the connection is thrown away.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio

from polyroute.errors import ConfigurationError, ConnectError, ReadError
from polyroute.transports.body import FRAMING, Body
from polyroute.transports.certificates import trusted
from polyroute.transports.corked import CorkedNetwork
from polyroute.transports.faults import WentStaleError, translated, translated_body
from polyroute.transports.gate import Gate
from polyroute.transports.home import Home
from polyroute.transports.libraries import Library
from polyroute.transports.lines import Line, RawStream, close
from polyroute.transports.proxies import Proxies
from polyroute.transports.received import Received
from polyroute.transports.until import Until
from polyroute.wire import HTTPRequest

if TYPE_CHECKING:
    import httpcore

    from polyroute.transports.lines import Opener

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

    __slots__ = ("gate", "idle", "origin", "proxy", "secure")

    def __init__(self, origin: httpcore.Origin, proxy: str | None) -> None:
        self.origin = origin
        self.secure = origin.scheme == b"https"
        self.proxy = proxy
        self.idle: deque[Line] = deque()
        self.gate = Gate()


class _Stock:
    """What there is in one event loop: the connections in use, and the idle ones by their place."""

    __slots__ = ("addresses", "busy", "places")

    def __init__(self) -> None:
        self.addresses: dict[str, _Address] = {}
        self.places: dict[tuple[bytes, bytes, int | None], _Place] = {}
        self.busy: set[Line] = set()

    def idle(self) -> Iterator[Line]:
        return (line for place in self.places.values() for line in place.idle)

    def is_busy(self) -> bool:
        return bool(self.busy)

    async def aclose(self) -> None:
        lines = tuple(self.idle())
        for place in self.places.values():
            place.idle.clear()
        await close(*lines)

    def hang_up(self) -> None:
        for line in (*self.busy, *self.idle()):
            line.hang_up()


class PooledTransport:
    """Sends requests over connections of its own, on one event loop at a time.

    They are made by *library*: httpx, or httpx2, its successor. One that nobody uses is kept for
    *keepalive* seconds, on the wall's side of any virtual clock, and at most *most_idle* of them of
    one host.

    Raises:
        ConfigurationError: The library is not installed.
    """

    keeps_deadlines = True

    def __init__(
        self,
        library: Literal["httpx", "httpx2"] = "httpx",
        *,
        keepalive: float = 60.0,
        most_idle: int = 1_000,
    ) -> None:
        self._library = Library.named(library)
        self._keepalive = keepalive
        self._most_idle = most_idle
        self._home = Home(_Stock)
        self._proxies = Proxies()
        self._tls: ssl.SSLContext | None = None

    async def send(self, request: HTTPRequest, /) -> Received:
        stock = self._home.here() or await self._home.move()
        address = stock.addresses.get(request.url) or self._read(request.url, stock)
        line = await self._idle_line(address.place)
        if line is not None:
            try:
                return await self._over(line, stock, address, request)
            except WentStaleError:
                pass  # Once more, on one that was not used before.
        passage = await address.place.gate.enter(request.connect, request.deadline)
        try:
            line = self._new_line(address.place, passage.connected)
            return await self._over(line, stock, address, request)
        finally:
            passage.leave()

    async def aclose(self) -> None:
        await self._home.aclose()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections there are: in use, and idle."""
        stock = self._home.stock
        return (len(stock.busy), sum(1 for _ in stock.idle())) if stock is not None else (0, 0)

    # --- one request ----------------------------------------------------------------------------

    async def _over(self, line: Line, stock: _Stock, address: _Address, request: HTTPRequest) -> Received:
        """The response to *request* over *line*; where none comes the line is closed."""
        deadline, used, body = request.deadline, line.used, Body(request.body)
        reading, writing = Until.of(deadline), Until.of(deadline)
        extensions: dict[str, Any] = {"timeout": {"read": reading, "write": writing, "pool": None}}
        if not used:
            extensions["timeout"]["connect"] = _connecting(request, body, reading, writing)
        raw = _Request(request.method.encode(), address.url, _headers(address, request), body, extensions)
        stock.busy.add(line)
        try:
            answer = await line.ask(raw)
            if answer.status == 407 and address.place.proxy:  # Only a proxy says so.
                raise ConnectError("its proxy refused (407)", transient=False)
            return Received(
                answer.status,
                answer.headers,
                aiter(answer.stream),
                close=partial(self._give_back, line, stock, address.place, answer.stream),
                translate=partial(translated_body, deadline),
            )
        except BaseException as exc:
            await _discard(line, stock)
            if not isinstance(exc, Exception):
                raise
            failure: Exception | None = translated(exc, sent=body.sent, deadline=deadline)
            if failure is None:
                raise
            if used and reading.asked == 1 and isinstance(failure, ConnectError | ReadError):
                failure = WentStaleError()
            elif address.place.proxy and not line.connected and isinstance(failure, ConnectError):
                failure = ConnectError(f"its proxy cannot be reached: {failure}", transient=False)
        # Raised out here, so that it does not carry the library's own error and the key in its frames.
        raise failure

    async def _give_back(
        self, line: Line, stock: _Stock, place: _Place, stream: RawStream, whole: bool
    ) -> None:
        """Keep the connection for the next call, if its reply was read to the end; else close it."""
        if whole and not self._home.closed:
            try:
                await stream.aclose()
            except BaseException as exc:
                await _discard(line, stock)
                if isinstance(exc, Exception):
                    return  # The reply is whole, whatever became of its connection.
                raise
            # Meanwhile the transport may have been closed, or have moved to another event loop.
            if stock is self._home.stock and not self._home.closed and line.can_serve_again():
                stock.busy.discard(line)
                line.since = time.monotonic()
                place.idle.append(line)
                if place.idle[0].since < line.since - self._keepalive or len(place.idle) > self._most_idle:
                    await close(place.idle.popleft())
                return
        await _discard(line, stock)

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

    def _new_line(self, place: _Place, connected: Callable[[], None]) -> Line:
        library = self._library
        if (place.secure or place.proxy) and self._tls is None:
            self._tls = trusted(library.client.create_ssl_context)
        network = CorkedNetwork(library.core, connected)
        try:
            opener = _opener(library, place, self._tls, network)
        except (RuntimeError, ValueError, library.client.InvalidURL) as exc:
            why = f"the proxy that the environment names cannot be used: {exc}"
        else:
            return Line(opener, network, forwarded=place.proxy is not None and not place.secure)
        raise ConfigurationError(why)

    def _read(self, text: str, stock: _Stock) -> _Address:
        try:
            parsed = self._library.client.URL(text)
        except self._library.client.InvalidURL as exc:
            raise ConfigurationError(f"an address that cannot be read: {exc}") from None
        scheme, host, port = parsed.raw_scheme, parsed.raw_host, parsed.port
        url: httpcore.URL = self._library.core.URL(
            scheme=scheme, host=host, port=port, target=parsed.raw_path
        )
        key = (scheme, host, port)
        if key not in stock.places:
            stock.places[key] = _Place(url.origin, self._proxies.of(parsed.scheme, parsed.host, parsed.port))
        if len(stock.addresses) >= _MOST_ADDRESSES:
            stock.addresses.clear()
        address = _Address(url, (b"host", parsed.netloc), stock.places[key])
        stock.addresses[text] = address
        return address


def _opener(library: Library, place: _Place, tls: ssl.SSLContext | None, network: CorkedNetwork) -> Opener:
    """What opens one connection to *place* and asks it: a connection, or its proxy's pool of one."""
    core = library.core
    opener: Opener
    if place.proxy is None:
        opener = core.AsyncHTTPConnection(place.origin, ssl_context=tls, network_backend=network)
        return opener
    proxy = library.client.Proxy(place.proxy)
    url = proxy.url
    address = core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    common: dict[str, Any] = {
        "proxy_auth": proxy.raw_auth, "ssl_context": tls, "max_connections": 1, "network_backend": network
    }  # fmt: skip
    if url.scheme in ("socks5", "socks5h"):
        opener = core.AsyncSOCKSProxy(address, **common)
    else:
        opener = core.AsyncHTTPProxy(
            address, proxy_headers=proxy.headers.raw, proxy_ssl_context=proxy.ssl_context, **common
        )
    return opener


async def _discard(line: Line, stock: _Stock) -> None:
    stock.busy.discard(line)
    await close(line)


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
