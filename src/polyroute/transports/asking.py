"""One request over aiohttp, and its reply as it comes."""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Coroutine
from functools import lru_cache
from math import inf
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractStreamWriter

from polyroute.deadlines import Deadline
from polyroute.errors import ConfigurationError, ConnectError
from polyroute.transports.aiohttp_faults import translated
from polyroute.transports.body import FRAMING
from polyroute.transports.faults import WentStaleError
from polyroute.transports.received import Received
from polyroute.transports.watch import Watch
from polyroute.wire import HTTPRequest

__all__ = ["Question", "address_of", "answer", "connecting", "headers_of", "only_on_asyncio"]

_AS_SENT = re.compile("[!-~]+")


class Question(aiohttp.Payload):
    """A request's body. *transport*: what was to carry it when it was asked for; the prompt may have left."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.transport: asyncio.WriteTransport | None = None

    @property
    def size(self) -> int:
        return len(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value.decode(encoding, errors))

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.transport = writer.transport
        await writer.write(self._value)

    def hang_up(self) -> None:
        """End its connection, with what may still wait there to be written."""
        if self.transport is not None:
            self.transport.abort()

    @abstractmethod
    def went_stale(self, exc: Exception) -> bool:
        """Whether *exc* is that of a connection that was used before and was closed without a word."""
        ...


def only_on_asyncio() -> None:
    """Do nothing, on asyncio.

    Raises:
        ConfigurationError: Another event loop runs.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        why = 'aiohttp runs on asyncio only; on trio use transport="httpx" or transport="httpx2"'
    else:
        return
    raise ConfigurationError(why)


def address_of(text: str) -> yarl.URL:
    """The URL that *text* is.

    Raises:
        ConnectError: Its host's name is none.
        ConfigurationError: It is no URL.
    """
    try:
        # What is written as it is to be sent stays so: a signature may be over it.
        url = yarl.URL(text, encoded=_AS_SENT.fullmatch(text) is not None)
        _ = url.port  # It is looked at only where it is asked for.
    except UnicodeError:
        failure: Exception = ConnectError("its name is none that could resolve", transient=False)
    except ValueError as exc:
        failure = ConfigurationError(f"an address that cannot be read: {exc}")
    else:
        return url
    raise failure


async def answer(
    asked: Coroutine[Any, Any, aiohttp.ClientResponse], question: Question, deadline: Deadline, watch: Watch
) -> Received:
    """The response that *asked* gives, which sends a request with the body *question*.

    Raises:
        WentStaleError: Its connection had been closed by the server; it may be asked once more.
    """
    ends = deadline.by(asyncio.get_running_loop().time())
    try:
        with watch.until(ends):
            pieces = _Pieces(await asked, question, deadline, watch)
        return pieces.received()
    except BaseException as exc:
        question.hang_up()
        if not isinstance(exc, Exception):
            raise
        failure: Exception | None
        if question.transport is not None and question.went_stale(exc):
            failure = WentStaleError()
        else:
            failure = translated(exc, sent=question.transport is not None, deadline=deadline)
        if failure is None:
            raise
    # Raised out here, so that it does not carry the library's own error and the key in its frames.
    raise failure


@lru_cache
def connecting(connect: float | None) -> aiohttp.ClientTimeout:
    """The limit for making a connection, and no other: the rest is `answer`'s."""
    # Limits of five seconds and more are rounded up unless it is said otherwise.
    return aiohttp.ClientTimeout(total=None, connect=connect, ceil_threshold=inf)


def headers_of(request: HTTPRequest) -> list[tuple[str, str]]:
    """What the request says of itself; how its body is framed is aiohttp's business."""
    return [(name.decode(), value.decode()) for name, value in request.headers if name.lower() not in FRAMING]


class _Pieces(AsyncIterator[bytes]):
    """The body as it comes, all of what is there in one piece."""

    __slots__ = ("_content", "_deadline", "_lost", "_question", "_response", "_watch", "_watched")

    def __init__(
        self, response: aiohttp.ClientResponse, question: Question, deadline: Deadline, watch: Watch
    ) -> None:
        self._response = response
        self._content = response.content
        self._question = question
        self._deadline = deadline
        self._watch = watch
        self._watched = False
        self._lost: asyncio.Future[None] | None = None

    def received(self) -> Received:
        # The response goes by no name here: its `repr`, in a traceback, tells what a host may echo.
        try:
            return Received(
                self._response.status,
                self._response.raw_headers,
                self,
                close=self._close,
                translate=self._translated,
            )
        except BaseException:
            self._response.close()
            raise

    async def __anext__(self) -> bytes:
        content = self._content
        if content.exception() is not None:
            return self._left()
        data = content.read_nowait()
        if not data and not content.at_eof():
            if not self._watched:
                self._look_out()
            ends = self._deadline.by(asyncio.get_running_loop().time())
            with self._watch.until(ends):
                data = await content.readany()
        if not data:
            raise StopAsyncIteration
        return data

    def _left(self) -> bytes:
        """What came before the body broke; then what broke it is raised."""
        held: Any = getattr(self._content, "_buffer", None)  # There is no public way to it.
        if not held:
            raise self._content.exception() or EOFError
        data = b"".join(held)
        held.clear()
        return data

    def _look_out(self) -> None:
        """Look out for the end of the connection: where framing was wrong, aiohttp hangs up and tells
        nobody who waits for the body."""
        self._watched = True
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
        self._lost = protocol.closed if protocol is not None else None
        if self._lost is None:
            self._hung_up()
        else:
            self._lost.add_done_callback(self._hung_up)

    def _hung_up(self, lost: asyncio.Future[None] | None = None) -> None:
        if lost is not None and not lost.cancelled():
            lost.exception()  # It is told of elsewhere; this one is not to be missed.
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError("bad framing"))

    def _translated(self, exc: Exception) -> Exception:
        return translated(exc, sent=True, deadline=self._deadline) or exc

    async def _close(self, whole: bool) -> None:
        if self._lost is not None:
            self._lost.remove_done_callback(self._hung_up)  # The connection may outlive many replies.
        if not whole:
            self._question.hang_up()
            self._response.close()
            await asyncio.sleep(0)  # A round of the event loop, in which the socket is closed.
