"""An application's own `aiohttp.ClientSession`, used through its public methods."""

from __future__ import annotations

import asyncio
from weakref import WeakSet

import aiohttp
import yarl
from aiohttp.abc import AbstractStreamWriter

from polyroute.errors import ConfigurationError
from polyroute.transports.asking import (
    Question,
    address_of,
    answer,
    connecting,
    headers_of,
    only_on_asyncio,
)
from polyroute.transports.faults import WentStaleError
from polyroute.transports.received import Received
from polyroute.transports.watch import Watch
from polyroute.wire import HTTPRequest

__all__ = ["BorrowedSession"]


class BorrowedSession:
    """Sends requests with *session*, which stays its owner's to close.

    Its connector, proxies, headers, cookies, traces and middlewares hold; its redirects, its timeout
    and `raise_for_status` do not, and no reply is decompressed by it.
    """

    keeps_deadlines = True

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._seen: WeakSet[asyncio.WriteTransport] = WeakSet()
        self._watch: Watch | None = None

    async def send(self, request: HTTPRequest, /) -> Received:
        only_on_asyncio()
        if self._watch is None:
            self._watch = Watch()  # A session, too, is of one event loop.
        url = address_of(request.url)
        while True:
            question = _Question(request.body, self._seen)
            try:
                return await answer(
                    self._asked(url, request, question), question, request.deadline, self._watch
                )
            except WentStaleError:
                pass  # Each try takes a connection that was closed out of the session's pool, so there is an end.

    async def _asked(self, url: yarl.URL, request: HTTPRequest, question: Question) -> aiohttp.ClientResponse:
        if self._session.closed:
            raise ConfigurationError("the session that the router was given is closed")
        return await self._session.request(
            request.method,
            url,
            data=question,
            # Only `Received` unpacks a reply, in steps.
            headers={"accept-encoding": "identity"} | dict(headers_of(request)),
            timeout=connecting(request.connect),
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
        )

    async def aclose(self) -> None:
        """Only what is ours: the session is its owner's."""
        if self._watch is not None:
            self._watch.close()


class _Question(Question):
    """One that knows its connection again by what carries it, which is all that aiohttp tells."""

    def __init__(self, content: bytes, seen: WeakSet[asyncio.WriteTransport]) -> None:
        super().__init__(content)
        self._seen = seen
        self._again = False

    async def write(self, writer: AbstractStreamWriter) -> None:
        if writer.transport is not None:
            self._again = writer.transport in self._seen
            self._seen.add(writer.transport)
        await super().write(writer)

    def went_stale(self, exc: Exception) -> bool:
        if isinstance(exc, aiohttp.ServerDisconnectedError):
            return self._again and isinstance(exc.message, str)  # else it is the part of a head that came
        return self._again and isinstance(exc, aiohttp.ClientOSError)
