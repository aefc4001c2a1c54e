"""The transport over aiohttp: the one that costs the least, on asyncio only.

It drives aiohttp's connections without the session around them, a sixth of whose cost goes for
cookies, redirects, traces and a second set of limits.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yarl
from multidict import istr

from polyroute.errors import ConfigurationError, ConnectError
from polyroute.transports.asking import address_of, answer, headers_of, only_on_asyncio
from polyroute.transports.certificates import as_httpx, trusted
from polyroute.transports.connector import Connector, DirectQuestion
from polyroute.transports.faults import WentStaleError
from polyroute.transports.home import Home
from polyroute.transports.proxies import Proxies
from polyroute.transports.received import MAX_HEAD, Received
from polyroute.transports.watch import Watch
from polyroute.wire import HTTPRequest

__all__ = ["AiohttpTransport"]

_MOST_ADDRESSES = 1_024


class AiohttpTransport:
    """Sends requests over connections of its own, on one event loop at a time.

    A connection that nobody uses is kept for *keepalive* seconds.
    """

    keeps_deadlines = True

    def __init__(self, *, keepalive: float = 60.0) -> None:
        self._home = Home(lambda: _Stock(keepalive))
        self._addresses: dict[str, _Address] = {}
        self._proxies = Proxies()
        self._tls: ssl.SSLContext | None = None

    async def send(self, request: HTTPRequest, /) -> Received:
        stock = self._home.here()
        if stock is None:
            only_on_asyncio()
            stock = await self._home.move()
        address = self._addresses.get(request.url) or self._read(request.url)
        try:
            received = await _over(stock, address, request, fresh=False)
        except WentStaleError:
            received = await _over(stock, address, request, fresh=True)
        if received.status == 407 and "proxy" in address.options:  # Only a proxy says so.
            await received.aclose()
            raise ConnectError("its proxy refused (407)", transient=False)
        return received

    async def aclose(self) -> None:
        await self._home.aclose()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections there are: in use, and idle."""
        return self._home.stock.connector.connections if self._home.stock is not None else (0, 0)

    def _read(self, text: str) -> _Address:
        url = address_of(text)
        options = _Options()
        port = None if url.is_default_port() else url.port
        proxy = self._proxies.of(url.scheme, url.host or "", port)
        if proxy is not None:
            options["proxy"] = _proxy(proxy)
        if proxy is not None or url.scheme == "https":
            if self._tls is None:
                self._tls = trusted(as_httpx)
            options["ssl"] = self._tls
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        address = self._addresses[text] = _Address(url, str(url.origin()), options)
        return address


@dataclass(slots=True)
class _Address:
    """A URL, worked out once, with its origin, and how it is asked: through which proxy, and with whose
    trust. The headers that were sent there last are mostly those that are sent next."""

    url: yarl.URL
    origin: str
    options: _Options
    _last: tuple[object, list[tuple[str, str]]] = field(default=(None, []), repr=False)

    def headers_of(self, request: HTTPRequest) -> list[tuple[str, str]]:
        """The request's headers as aiohttp wants them."""
        given, headers = self._last
        if given is not request.headers:
            headers = headers_of(request)
            self._last = (request.headers, headers)
        return headers


class _Options(dict[str, Any]):
    """What aiohttp is told besides. A traceback that shows what is in its frames shows no password."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


class _Stock:
    """What there is in one event loop."""

    __slots__ = ("connector", "watch")

    def __init__(self, keepalive: float) -> None:
        self.connector = Connector(keepalive)
        self.watch = Watch()

    def is_busy(self) -> bool:
        return bool(self.connector.busy)

    async def aclose(self) -> None:
        self.watch.close()
        await self.connector.close()

    def hang_up(self) -> None:
        self.connector.hang_up()


class _Request(aiohttp.ClientRequest):
    """One that says nothing of its own."""

    DEFAULT_HEADERS: dict[istr, str] = {}  # noqa: RUF012 - as the library has it


async def _over(stock: _Stock, address: _Address, request: HTTPRequest, *, fresh: bool) -> Received:
    question = DirectQuestion(request.body, fresh=fresh)
    asked = _asked(stock.connector, address, request, question)
    return await answer(asked, question, request.deadline, stock.watch)


async def _asked(
    connector: Connector, address: _Address, request: HTTPRequest, question: DirectQuestion
) -> aiohttp.ClientResponse:
    """What a session does, but for what is of no use here: cookies, redirects, traces."""
    asking = _Request(
        request.method, address.url, headers=address.headers_of(request), data=question, **address.options
    )
    connection = await connector.lend(asking, question, request, connector.place(address.origin))
    try:
        line = connection.protocol
        assert line is not None  # noqa: S101 - it has just been opened
        line.set_response_params(
            read_until_eof=True, auto_decompress=False, max_line_size=MAX_HEAD, max_field_size=MAX_HEAD
        )
        response = await asking.send(connection)
    except BaseException:
        connection.close()
        raise
    try:
        return await response.start(connection)
    except BaseException:
        response.close()
        raise


def _proxy(given: str) -> yarl.URL:
    why: object
    try:
        proxy = yarl.URL(given)
    except ValueError as exc:
        why = exc
    else:
        if proxy.scheme in ("http", "https"):
            return proxy
        why = f'aiohttp speaks http to proxies and no {proxy.scheme}; transport="httpx" may'
    raise ConfigurationError(f"the proxy that the environment names cannot be used: {why}")
