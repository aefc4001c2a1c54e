"""The seams between a provider and the network: what travels as bytes, who moves it, and who reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from polyroute.errors import PolyrouteError
from polyroute.replies import ChatChunk, ChatResponse, EmbedResponse

if TYPE_CHECKING:
    from polyroute.deadlines import Deadline
    from polyroute.deployments import Call, EmbedCall

__all__ = [
    "EmbedFormat",
    "HTTPRequest",
    "HTTPResponse",
    "StreamDecoder",
    "Transport",
    "WireFormat",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequest:
    """One request as bytes. *connect* is the limit for making a connection, in seconds; *deadline*
    bounds each wait after that."""

    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)
    deadline: Deadline = field(repr=False)
    connect: float | None = None


class HTTPResponse(Protocol):
    """A response whose head has come. Header names are in lower case.

    Read it whole or piece by piece, then close it, whatever happened. `drain` reads what is left
    of a body whose meaning is over, for a moment, so that its connection may serve again.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    async def read(self) -> bytes:
        """The whole body, decompressed."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it comes, decompressed."""
        ...

    async def drain(self) -> None: ...
    async def aclose(self) -> None: ...


class Transport(Protocol):
    """Moves bytes: the only seam that touches the network. It follows no redirect.

    Raises:
        ConnectError, ReadError, AttemptTimeoutError, ResponseDecodeError: See each.

    Optional: `keeps_deadlines = True`, where every wait ends at `request.deadline.by(now)`.
    """

    async def send(self, request: HTTPRequest, /) -> HTTPResponse: ...
    async def aclose(self) -> None: ...


class StreamDecoder(Protocol):
    """Turns the bytes of one stream into chunks, however they are cut.

    What is good in a piece is given out before what is broken in it: `error` holds that, and the
    one who drives the decoder raises it after handing on what `feed` gave. `done`: the format's
    terminal event has come, and nothing after it counts.
    """

    done: bool
    error: PolyrouteError | None

    def feed(self, data: bytes, /) -> Sequence[ChatChunk]: ...
    def finish(self) -> Sequence[ChatChunk]:
        """What a clean end of the bytes completes; sets `error` where they ended too early."""
        ...


@runtime_checkable
class EmbedFormat(Protocol):
    """What a `WireFormat` also has where its API can embed."""

    def embed_path(self, call: EmbedCall, /) -> str: ...
    def encode_embed(self, call: EmbedCall, /) -> bytes: ...
    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse: ...


class WireFormat(Protocol):
    """How one API writes requests and replies: pure functions of bytes.

    Optional: `cannot`, `understands` and `prefill`, as a `Provider` has them; the methods of `EmbedFormat`,
    and with them `most_texts(call: EmbedCall) -> int`: how many texts one request may hold. Where a host
    keeps replies for later calls to go on from, `keeps(request: Request) -> bool`: whether it keeps this
    one, and `goes_on_from(request: Request) -> str | None`: the id of the one that is gone on from.
    """

    @property
    def name(self) -> str: ...

    def path(self, call: Call, /, *, stream: bool) -> str:
        """The operation's own path, after the base URL."""
        ...

    def encode(self, call: Call, /, *, stream: bool) -> bytes: ...
    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]: ...
    def stream_decoder(self, call: Call, /) -> StreamDecoder: ...
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError: ...
