"""One connection of the pooled transport: asked, watched while it lies idle, and closed for sure."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import anyio

from polyroute.transports.corked import CorkedNetwork
from polyroute.transports.sockets import hang_up, watched

if TYPE_CHECKING:
    import httpcore

    # httpcore's, or the same of its successor.
    Opener: TypeAlias = httpcore.AsyncHTTPConnection | httpcore.AsyncConnectionPool

__all__ = ["Answer", "Line", "RawStream", "close"]

_CLOSING = 5.0  # seconds that closing a connection may take before it is abandoned

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]


class RawStream(Protocol):
    """The body of a response, as httpcore gives it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Answer:
    """A response of which the head has come. Its `repr` tells nothing of it: a host may echo a key."""

    __slots__ = ("headers", "status", "stream")

    def __init__(self, status: int, headers: RawHeaders, stream: RawStream) -> None:
        self.status: int = status
        self.headers: RawHeaders = headers
        self.stream: RawStream = stream


class Line:
    """One connection of httpcore's.

    *opener* opens it and brings its first response: a connection, or a proxy's pool of one. From
    then on the connection within is asked itself, where it can be had. *network* is what it was
    opened over. *forwarded*: it goes through a proxy that wants each request rewritten, which
    httpcore's own wrapping does.
    """

    __slots__ = ("_connection", "_forwarded", "_network", "_opener", "_readable", "_secured", "since", "used")

    def __init__(self, opener: Opener, network: CorkedNetwork, *, forwarded: bool) -> None:
        self._opener = opener
        self._network = network
        self.used: bool = False
        self.since: float = 0.0  # when it was used last, in seconds of `time.monotonic`
        self._forwarded = forwarded
        self._connection: Any = None  # its HTTP/1.1 connection, once there is one
        self._secured: ssl.SSLObject | None = None
        self._readable: Callable[[], object] | None = None

    @property
    def connected(self) -> bool:
        return self._network.stream is not None

    async def ask(self, request: Any) -> Answer:
        """The response to *request*."""
        if self._connection is not None and not self._forwarded:
            direct = await self._connection.handle_async_request(request)
            return Answer(direct.status, direct.headers, direct.stream)
        response = await self._opener.handle_async_request(request)
        if not self.used:
            self._opened(response.extensions.get("network_stream"))
        return Answer(response.status, response.headers, cast("RawStream", response.stream))

    def _opened(self, stream: Any) -> None:
        self.used = True
        inner: Any = self._opener
        if hasattr(inner, "connections"):  # a proxy's pool of one
            inner = next(iter(inner.connections), None)
        # Private to httpcore; without it a connection is used once, which is slow and right.
        while inner is not None and not hasattr(inner, "_h11_state"):
            inner = getattr(inner, "_connection", None)
        self._connection = inner
        if stream is not None:
            sock = stream.get_extra_info("socket")
            # httpcore's own way takes twenty times as long.
            self._readable = partial(stream.get_extra_info, "is_readable") if sock is None else watched(sock)
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
        await self._opener.aclose()
        # httpcore loses the socket where a handshake is cancelled.
        if not self.used and self._network.stream is not None:
            await self._network.stream.aclose()

    def hang_up(self) -> None:
        """End the connection here and now; the socket itself goes with its owner."""
        stream = self._network.stream
        if stream is not None:
            hang_up(stream.get_extra_info("socket"))


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


def _can_be_read(secured: ssl.SSLObject) -> bool:
    """Whether there is more in what came over TLS already: a record after the reply's last, or the end."""
    try:
        secured.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass
    return True
