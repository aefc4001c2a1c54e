"""A transport for clients of httpx, and of libraries that are like it, behind which a router stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from polyroute.errors import ConfigurationError, DeadlineExceededError, PolyrouteError
from polyroute.interop.blocking import Blocking
from polyroute.interop.chunks import Telling
from polyroute.interop.desk import Answer, Asked, Desk
from polyroute.interop.models import Named
from polyroute.interop.requests import EmbedCall
from polyroute.interop.response_events import ResponseTelling
from polyroute.replies import ChatResponse, EmbedResponse

if TYPE_CHECKING:
    import httpx

    from polyroute.streams import ChatStream
    from polyroute.sync import SyncStream

__all__ = ["AsyncCalls", "OpenAITransport", "make_transport"]

_NEEDED = (
    "AsyncBaseTransport",
    "BaseTransport",
    "AsyncByteStream",
    "SyncByteStream",
    "Response",
    "ReadTimeout",
)


class AsyncCalls(Protocol):
    """What is seen here of a router."""

    @property
    def chat(self) -> Callable[..., Awaitable[ChatResponse[Any]]]: ...
    @property
    def stream(self) -> Callable[..., ChatStream[Any]]: ...
    @property
    def embed(self) -> Callable[..., Awaitable[EmbedResponse]]: ...


class OpenAITransport:
    """Answers OpenAI's requests in this process: chat completions, responses, embeddings and the list of models.

    Closing it, or its client, leaves the router open.
    """

    def __init__(
        self, calls: AsyncCalls, plan: Callable[[], Named], blocking: Blocking, library: Any
    ) -> None:
        self._calls = calls
        self._desk = Desk(plan)
        self._blocking = blocking
        self._library = library
        self._events = type("Events", (Events, library.AsyncByteStream), {})
        self._blocking_events = type("BlockingEvents", (BlockingEvents, library.SyncByteStream), {})

    async def handle_async_request(self, request: Any) -> Any:
        body: bytes = await request.aread()
        try:
            asked = self._read(request, body)
            if isinstance(asked, Answer):
                return self._response(asked)
            arguments = asked.call.arguments
            if isinstance(asked.call, EmbedCall):
                return self._response(self._desk.embedded(asked, await self._calls.embed(**arguments)))
            if not asked.call.streams:
                return self._response(self._desk.completed(asked, await self._calls.chat(**arguments)))
            stream = self._calls.stream(**arguments)
            await stream.__aenter__()
        except PolyrouteError as error:
            return self._failed(error, request)
        events = self._events(stream, self._desk.telling(asked))
        return self._library.Response(200, headers=self._desk.begun(stream.asked), stream=events)

    def handle_request(self, request: Any) -> Any:
        body: bytes = request.read()
        try:
            asked = self._read(request, body)
            if isinstance(asked, Answer):
                return self._response(asked)
            arguments, calls = asked.call.arguments, self._blocking.calls(self)
            if isinstance(asked.call, EmbedCall):
                return self._response(self._desk.embedded(asked, calls.embed(**arguments)))
            if not asked.call.streams:
                return self._response(self._desk.completed(asked, calls.chat(**arguments)))
            stream = calls.stream(**arguments)
            stream.__enter__()
        except PolyrouteError as error:
            return self._failed(error, request)
        events = self._blocking_events(stream, self._desk.telling(asked))
        return self._library.Response(200, headers=self._desk.begun(stream.asked), stream=events)

    async def aclose(self) -> None:
        """Nothing: the router is its owner's to close."""

    def close(self) -> None:
        """End the event loop on which blocking calls ran, if this was the last to use it."""
        self._blocking.leave(self)

    def _read(self, request: Any, body: bytes) -> Asked | Answer:
        return self._desk.read(request.method, request.url.path, body, request.extensions.get("timeout"))

    def _response(self, answer: Answer) -> Any:
        return self._library.Response(answer.status, headers=answer.headers, content=answer.body)

    def _failed(self, error: PolyrouteError, request: Any) -> Any:
        """The response that says so; wiring that is wrong is a bug and passes."""
        if isinstance(error, ConfigurationError):
            raise error
        if isinstance(error, DeadlineExceededError):
            raise self._library.ReadTimeout(str(error), request=request) from error
        return self._response(self._desk.failed(error))


if TYPE_CHECKING:

    class HTTPXTransport(OpenAITransport, httpx.AsyncBaseTransport, httpx.BaseTransport):
        """What `make_transport` gives for httpx."""


class Events:
    """The body of a streamed answer."""

    def __init__(self, stream: ChatStream[Any], telling: Telling | ResponseTelling) -> None:
        self._stream = stream
        self._telling = telling
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        events = b""
        while not events:
            if self._over:
                raise StopAsyncIteration
            try:
                events = self._telling.chunk(await self._stream.__anext__())
            except StopAsyncIteration:
                self._over = True
                events = self._telling.end(await self._stream.response())
            except PolyrouteError as error:
                self._over = True
                events = self._telling.broken(error)
        return events

    async def aclose(self) -> None:
        self._over = True
        await self._stream.aclose()


class BlockingEvents:
    """The body of a streamed answer, for clients that block."""

    def __init__(self, stream: SyncStream[Any], telling: Telling | ResponseTelling) -> None:
        self._stream = stream
        self._telling = telling
        self._over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        events = b""
        while not events:
            if self._over:
                raise StopIteration
            try:
                events = self._telling.chunk(next(self._stream))
            except StopIteration:
                self._over = True
                events = self._telling.end(self._stream.response())
            except PolyrouteError as error:
                self._over = True
                events = self._telling.broken(error)
        return events

    def close(self) -> None:
        self._over = True
        self._stream.close()


def make_transport(
    calls: AsyncCalls, plan: Callable[[], Named], blocking: Blocking, library: ModuleType
) -> HTTPXTransport:
    """A transport whose responses are of *library*'s own classes, as its clients demand.

    Raises:
        ConfigurationError: *library* is not like httpx.
    """
    for name in _NEEDED:
        if not hasattr(library, name):
            raise ConfigurationError(
                f"openai_transport takes a module that is like httpx, such as httpx2; {library!r} has no {name}"
            )
    bases = (OpenAITransport, *(getattr(library, name) for name in _NEEDED[:2]))
    made: Any = type("OpenAITransport", bases, {})
    return cast("HTTPXTransport", made(calls, plan, blocking, library))
