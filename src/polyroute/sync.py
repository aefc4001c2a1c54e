"""The same calls without `await`: a router whose event loop runs on a thread of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, Unpack, overload

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from polyroute.arguments import ChatArguments, EmbedArguments, StreamArguments
from polyroute.calls import Calls
from polyroute.door import Core
from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.messages import Messages
from polyroute.replies import ChatChunk, ChatResponse, Decision, EmbedResponse
from polyroute.streams import ChatStream

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from anyio.streams.memory import MemoryObjectSendStream
    from pydantic import BaseModel

__all__ = ["SyncCalls", "SyncRouter", "SyncStream"]

M = TypeVar("M", bound="BaseModel")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SyncCalls:
    """Chats, streams and embeds that block until they are answered; from any thread, many at once."""

    def __init__(self, calls: Calls, portal: Callable[[], BlockingPortal]) -> None:
        self._calls = calls
        self._portal = portal

    @overload
    def chat(
        self, messages: Messages, *, response_format: type[M], **arguments: Unpack[ChatArguments]
    ) -> ChatResponse[M]: ...
    @overload
    def chat(
        self,
        messages: Messages,
        *,
        response_format: Mapping[str, Any] | None = None,
        **arguments: Unpack[ChatArguments],
    ) -> ChatResponse[Any]: ...
    def chat(
        self,
        messages: Messages,
        *,
        response_format: Any = None,
        **arguments: Unpack[ChatArguments],
    ) -> ChatResponse[Any]:
        """See `Router.chat`."""
        return self._run(lambda: self._calls.chat(messages, response_format=response_format, **arguments))

    @overload
    def stream(
        self, messages: Messages, *, response_format: type[M], **arguments: Unpack[StreamArguments]
    ) -> SyncStream[M]: ...
    @overload
    def stream(
        self,
        messages: Messages,
        *,
        response_format: Mapping[str, Any] | None = None,
        **arguments: Unpack[StreamArguments],
    ) -> SyncStream[Any]: ...
    def stream(
        self,
        messages: Messages,
        *,
        response_format: Any = None,
        **arguments: Unpack[StreamArguments],
    ) -> SyncStream[Any]:
        """See `Router.stream`: `with client.stream(…) as stream: for chunk in stream`."""
        return SyncStream(
            self._portal(),
            lambda: self._calls.stream(messages, response_format=response_format, **arguments),
        )

    def embed(self, input: str | Sequence[str], **arguments: Unpack[EmbedArguments]) -> EmbedResponse:
        """See `Router.embed`."""
        return self._run(lambda: self._calls.embed(input, **arguments))

    def chat_many(
        self,
        items: Iterable[Messages],
        *,
        concurrency: int = 32,
        response_format: type[BaseModel] | Mapping[str, Any] | None = None,
        **arguments: Unpack[ChatArguments],
    ) -> list[ChatResponse[Any] | PolyrouteError]:
        """See `Router.chat_many`."""
        return self._run(
            lambda: self._calls.chat_many(
                items, concurrency=concurrency, response_format=response_format, **arguments
            )
        )

    def explain(self, messages: Messages, **arguments: Unpack[ChatArguments]) -> Decision:
        """See `Router.explain`."""
        return self._run(lambda: self._calls.explain(messages, **arguments))

    def bind(self, **arguments: Unpack[ChatArguments]) -> SyncCalls:
        """See `Router.bind`."""
        return SyncCalls(self._calls.bind(**arguments), self._portal)

    def _run(self, call: Callable[[], Awaitable[T]]) -> T:
        return self._portal().call(call)


class SyncRouter(SyncCalls):
    """A router in a `with` block. Leaving it closes the router."""

    def __init__(self, router: Calls, entered: AbstractAsyncContextManager[object], core: Core) -> None:
        """*entered* is the router as a block: entered and left by one task of its loop."""
        super().__init__(router, self._running_portal)
        self._entered = entered
        self._core = core
        self._stack = ExitStack()
        self._running: BlockingPortal | None = None

    def __enter__(self) -> Self:
        self._core.begin_sync()
        try:
            self._running = self._stack.enter_context(start_blocking_portal("asyncio", name="polyroute"))
        except BaseException:
            self._core.end_sync()
            raise
        self._running.call(self._core.claim)
        self._stack.enter_context(self._running.wrap_async_context_manager(self._entered))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        portal, self._running = self._running, None
        if portal is not None:
            try:
                self._stack.close()
            finally:
                self._core.end_sync()

    def _running_portal(self) -> BlockingPortal:
        if self._running is None:
            raise ConfigurationError("enter it first: with router.sync() as client")
        return self._running


class SyncStream(Generic[T_co]):
    """A `ChatStream` that is read by a plain `for`.

    One task on the router's own loop enters, reads and closes the stream, since some of what it
    holds belongs to the task that opened it; each step is handed over to that task.
    """

    def __init__(self, portal: BlockingPortal, open: Callable[[], ChatStream[T_co]]) -> None:
        self._portal = portal
        self._open = open
        self._steps: _Steps | None = None
        self._task: Future[None] | None = None

    def __enter__(self) -> Self:
        if self._task is not None:
            raise ConfigurationError("a stream is entered once; ask for a new one")
        self._task, self._steps = self._portal.start_task(self._drive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[ChatChunk]:
        return self

    def __next__(self) -> ChatChunk:
        chunk = self._step(_next)
        if chunk is None:
            raise StopIteration
        return chunk

    @property
    def asked(self) -> tuple[str, ...]:
        """See `ChatStream.asked`."""
        return self._step(_asked)

    def response(self) -> ChatResponse[T_co]:
        """See `ChatStream.response`."""
        return self._step(lambda stream: stream.response())

    def close(self) -> None:
        """Close the stream. May be called twice."""
        steps, self._steps = self._steps, None
        if steps is not None and self._task is not None:
            self._portal.call(steps.aclose)
            self._task.result()

    def _step(self, step: Callable[[ChatStream[T_co]], Awaitable[T]]) -> T:
        if self._steps is None:
            raise ConfigurationError("enter the stream before reading it: with client.stream(...) as stream")
        done: Future[T] = Future()
        self._portal.call(self._steps.send, (step, done))
        return done.result()

    async def _drive(self, *, task_status: TaskStatus[_Steps]) -> None:
        send, receive = anyio.create_memory_object_stream[_Step](0)
        with send, receive:
            async with self._open() as stream:
                task_status.started(send)
                async for step, done in receive:
                    try:
                        result = await step(stream)
                    except BaseException as exc:
                        done.set_exception(exc)
                        if not isinstance(exc, Exception):
                            raise
                    else:
                        done.set_result(result)


async def _next(stream: ChatStream[Any]) -> ChatChunk | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None


async def _asked(stream: ChatStream[Any]) -> tuple[str, ...]:
    return stream.asked


# What the stream's own task is to do next, and where the outcome goes.
_Step: TypeAlias = tuple[Callable[[ChatStream[Any]], Awaitable[Any]], "Future[Any]"]
_Steps: TypeAlias = "MemoryObjectSendStream[_Step]"
