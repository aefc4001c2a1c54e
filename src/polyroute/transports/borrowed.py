"""An application's own `httpx.AsyncClient`, used through its public methods."""

from __future__ import annotations

from functools import partial

import httpx

from polyroute.deployments import Deadline
from polyroute.protocols import HTTPRequest
from polyroute.transports.faults import translated
from polyroute.transports.pooled import Until
from polyroute.transports.received import Received

__all__ = ["BorrowedClient"]

# The client's own timeouts come a little before the engine's, which cancels: httpx's pool takes a
# timeout better than a cancellation.
_MARGIN = 0.02


class BorrowedClient:
    """Sends requests with *client*, which stays its owner's to close.

    Its limits, proxies, event hooks and transport hold; its redirects do not, and no reply is
    decompressed by it.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, request: HTTPRequest, /) -> Received:
        until = Until.of(request.deadline, margin=_MARGIN)
        connect = until if request.connect is None else Until.of(request.deadline, most=request.connect)
        built = self._client.build_request(
            request.method,
            request.url,
            # The rest of what a client sends of itself is left as its owner set it.
            headers=[*request.headers, (b"accept-encoding", b"identity")],
            content=request.body,
            extensions={"timeout": {"connect": connect, "read": until, "write": until, "pool": until}},
        )
        try:
            response = await self._client.send(built, stream=True, follow_redirects=False)
        except Exception as exc:
            failure = translated(exc, sent=True, deadline=request.deadline)
            if failure is None:
                raise
        else:
            return await _received(response, request.deadline)
        raise failure

    async def aclose(self) -> None:
        """Nothing: the client is its owner's."""


async def _received(response: httpx.Response, deadline: Deadline) -> Received:
    async def close(_whole: bool) -> None:
        await response.aclose()

    try:
        return Received(
            response.status_code,
            response.headers.raw,
            aiter(response.aiter_raw()),
            close=close,
            translate=partial(_translate_body, deadline),
        )
    except BaseException:
        await response.aclose()
        raise


def _translate_body(deadline: Deadline, exc: Exception) -> Exception:
    return translated(exc, sent=True, deadline=deadline) or exc
