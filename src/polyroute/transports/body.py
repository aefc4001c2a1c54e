"""A request's body, which tells when it was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from math import inf

from polyroute.transports.until import Until

__all__ = ["FRAMING", "Body"]

# How a body is framed is the transport's business: nobody else can say it right.
FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Body:
    """One piece of bytes. *sent*: somebody began to read it, so the connection stands, and the prompt
    may have left. *connecting* holds the timeouts that end with the limit for making a connection
    until then."""

    def __init__(self, content: bytes) -> None:
        self.sent: bool = False
        self.connecting: Sequence[Until] = ()
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.sent = True
        for until in self.connecting:
            until.ends = inf
        return _Piece(self._content)


class _Piece(AsyncIterator[bytes]):
    """An object and not a generator: one that is left where writing fails would be finished by the
    event loop, in a task that nobody owns."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    async def __anext__(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            raise StopAsyncIteration
        return content
