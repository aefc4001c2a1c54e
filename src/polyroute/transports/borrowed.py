"""An application's own `httpx.AsyncClient` or `httpx2.AsyncClient`, used through its public methods."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, cast

import anyio

from polyroute.errors import AttemptTimeoutError, ConfigurationError, ConnectError, ReadError
from polyroute.transports.body import FRAMING, Body
from polyroute.transports.faults import translated, translated_body
from polyroute.transports.received import Received
from polyroute.transports.until import Until
from polyroute.wire import HTTPRequest

if TYPE_CHECKING:
    import httpx

__all__ = ["BorrowedClient"]

# The client's own timeouts come a little before the engine's, which cancels: httpx's pool takes a
# timeout better than a cancellation.
_MARGIN = 0.02


class BorrowedClient:
    """Sends requests with *client*, which stays its owner's to close.

    Its limits, proxies, event hooks and transport hold; its redirects do not, and no reply is
    decompressed by it.
    """

    # Its successor's clients are used alike.
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, request: HTTPRequest, /) -> Received:
        while (received := await self._sent(request)) is None:
            pass  # Each try takes a connection that was closed out of the client's pool, so there is an end.
        return received

    async def aclose(self) -> None:
        """Nothing: the client is its owner's."""

    async def _sent(self, request: HTTPRequest) -> Received | None:
        """The response; None where a connection that was used before had been closed by the server."""
        deadline = request.deadline
        until, reading = Until.of(deadline, margin=_MARGIN), Until.of(deadline, margin=_MARGIN)
        connect = Until.of(deadline, margin=_MARGIN)
        if request.connect is not None:
            connect = Until.of(deadline, seconds=request.connect, ends=None, margin=_MARGIN)
        built = self._client.build_request(
            request.method,
            request.url,
            headers=_headers(request),
            content=request.body,
            extensions={"timeout": {"connect": connect, "read": reading, "write": until, "pool": until}},
        )
        body = _kind(cast("type", type(built.stream)))(request.body)
        built.stream = cast("httpx.AsyncByteStream", body)
        try:
            response = await self._client.send(built, stream=True, follow_redirects=False)
        except Exception as exc:
            failure: Exception | None = translated(exc, sent=body.sent, deadline=deadline, early=_MARGIN)
            if failure is None and self._client.is_closed:
                failure = ConfigurationError("the client that the router was given is closed")
            if failure is None:
                raise
        else:
            # Reading a body takes a cancellation as well as a timeout.
            reading.margin = 0.0
            return await _received(response, request)
        # It waited once for the reply and never for a connection: one that was used before.
        if isinstance(failure, ConnectError | ReadError) and reading.asked == 1 and not connect.asked:
            return None
        if isinstance(failure, AttemptTimeoutError) and deadline.end <= anyio.current_time() + 2 * _MARGIN:
            # The call's own time, which counts for nobody, has run out only by then.
            await anyio.sleep_until(deadline.end)
        raise failure


@cache
def _kind(stream: type) -> type[Body]:
    """A `Body` that is a *stream* as well: a client takes only one of its own library's."""
    return type("_Body", (Body, stream), {})


def _headers(request: HTTPRequest) -> list[tuple[bytes, bytes]]:
    """What the request says of itself; the rest that a client sends is left as its owner set it."""
    headers = {b"accept-encoding": b"identity"} | dict(request.headers)
    return [header for header in headers.items() if header[0].lower() not in FRAMING]


async def _received(response: httpx.Response, request: HTTPRequest) -> Received:
    async def close(_whole: bool) -> None:
        await response.aclose()

    try:
        return Received(
            response.status_code,
            response.headers.raw,
            aiter(response.aiter_raw()),
            close=close,
            translate=partial(translated_body, request.deadline),
        )
    except BaseException:
        await response.aclose()
        raise
