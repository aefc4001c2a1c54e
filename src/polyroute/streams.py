"""A streamed reply: chunks as they come, and the whole reply at the end."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

from polyroute.errors import ConfigurationError, StreamInterruptedError
from polyroute.gathered import Gathered
from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta
from polyroute.types import Opaque, Reasoning, Text

__all__ = ["ChatStream", "Outcome", "Replay", "Source", "Through", "told_in_chunks"]

T_co = TypeVar("T_co", covariant=True)

Outcome: TypeAlias = ChatResponse[Any] | BaseException


class Source(Protocol):
    """Where an open stream's chunks come from. One task calls `next` until it gives None or raises,
    `finish` after a None, and `aclose` at any time."""

    def asked(self) -> tuple[str, ...]: ...
    async def next(self) -> ChatChunk | None: ...
    async def finish(self) -> ChatResponse[Any]: ...
    async def aclose(self) -> None: ...


class ChatStream(Generic[T_co]):
    """A reply that is still being written.

    `async with` starts it, up to its first token, and closes it; `async for` gives its chunks.
    Until it is entered nothing is asked of anybody.
    """

    __slots__ = ("_callbacks", "_entered", "_error", "_open", "_response", "_source")

    def __init__(self, open: Callable[[], Awaitable[Source]]) -> None:
        """*open* starts the stream and gives where its chunks come from, or cleans up and raises."""
        self._open = open
        self._entered = False
        self._source: Source | None = None
        self._response: ChatResponse[T_co] | None = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Outcome], object]] | None = None

    @classmethod
    def of(cls, response: ChatResponse[T_co]) -> ChatStream[T_co]:
        """A stream that tells a reply which is already whole."""
        return ChatStream(partial(_replayed, response))

    def map(self, change: Callable[[ChatChunk], ChatChunk | None]) -> ChatStream[T_co]:
        """This stream with each chunk put through *change*; a chunk it answers None for is left out.

        The whole reply is made of the changed chunks. This stream is then driven by the new one.
        """
        return ChatStream(partial(_through, self, change))

    def on_end(self, callback: Callable[[Outcome], Awaitable[None] | None]) -> Self:
        """Call *callback*, a plain function or an async one, once, when the stream has ended.

        It gets the whole reply or, where the stream broke or was left early, the error that says so.
        """
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)
        return self

    @property
    def asked(self) -> tuple[str, ...]:
        """The ids of the deployments that were asked so far, in order: the last one answers."""
        return self._source.asked() if self._source is not None else ()

    async def response(self) -> ChatResponse[T_co]:
        """Read what is left and give the whole reply, as `chat` would have given it.

        Raises:
            StreamInterruptedError: The stream breaks, or broke, after its first token.
            OutputValidationError: The reply is not of the schema that was asked for.
        """
        while self._response is None:
            with suppress(StopAsyncIteration):
                await self.__anext__()
        return self._response

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ConfigurationError("a stream is entered once; ask for a new one")
        self._entered = True
        try:
            self._source = await self._open()
        except BaseException as exc:
            self._error = exc
            await self._tell(exc)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatChunk:
        if self._response is not None:
            raise StopAsyncIteration
        if self._error is not None:
            raise self._error
        if self._source is None:
            raise ConfigurationError(
                "enter the stream before reading it: async with router.stream(...) as stream"
            )
        try:
            chunk = await self._source.next()
            if chunk is not None:
                return chunk
            self._response = await self._source.finish()
        except Exception as exc:
            self._error = exc
            await self._tell(exc)
            raise
        await self._tell(self._response)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the stream; what was not read is never read. May be called twice."""
        if self._source is None:
            return
        try:
            await self._source.aclose()
        finally:
            if self._response is None and self._error is None:
                self._error = StreamInterruptedError("the stream was closed before its end")
                await self._tell(self._error)

    async def _tell(self, outcome: Outcome) -> None:
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            told = callback(outcome)
            if inspect.isawaitable(told):
                await told


class Replay:
    """The source of a stream that tells a whole reply."""

    def __init__(self, response: ChatResponse[Any]) -> None:
        self._response = response
        self._chunks = deque(told_in_chunks(response))

    def asked(self) -> tuple[str, ...]:
        return tuple(attempt.deployment for attempt in self._response.trace.attempts)

    async def next(self) -> ChatChunk | None:
        return self._chunks.popleft() if self._chunks else None

    async def finish(self) -> ChatResponse[Any]:
        return self._response

    async def aclose(self) -> None:
        self._chunks.clear()


async def _replayed(response: ChatResponse[Any]) -> Source:
    return Replay(response)


def told_in_chunks(reply: ChatResponse[Any]) -> list[ChatChunk]:
    """The chunks in which a whole reply is told; the last one has its usage."""
    chunks = [
        replace(chunk, id=reply.id, model=reply.model, deployment=reply.deployment, index=index)
        for index, choice in enumerate(reply.choices or (reply,))
        for chunk in _told(choice)
    ]
    chunks[-1] = replace(chunks[-1], usage=reply.usage)
    return chunks


def _told(choice: ChatResponse[Any]) -> list[ChatChunk]:
    """The chunks of one choice."""
    chunks: list[ChatChunk] = []
    for part in choice.message.parts if not choice.refusal else ():
        match part:
            case Text(text):
                chunks.append(ChatChunk(text=text))
            case Reasoning(text):
                chunks.append(ChatChunk(reasoning=text))
            case Opaque():
                chunks.append(ChatChunk(opaque=part))
            case _:
                pass
    if choice.refusal:
        chunks.append(ChatChunk(text=choice.text, reasoning=choice.reasoning, refusal=choice.refusal))
    for index, call in enumerate(choice.tool_calls):
        delta = ToolCallDelta(index, call.id, call.name, call.raw_arguments)
        chunks.append(ChatChunk(tool_call_delta=delta))
    if chunks and choice.logprobs:
        chunks[-1] = replace(chunks[-1], logprobs=choice.logprobs)
    chunks.append(ChatChunk(finish_reason=choice.finish_reason))
    return chunks


class Through:
    """The source of a stream that is driven by another: an entered one, whose chunks it may change."""

    def __init__(
        self, stream: ChatStream[Any], change: Callable[[ChatChunk], ChatChunk | None] | None = None
    ) -> None:
        self._stream = stream
        self._change = change
        self._gathered = Gathered()
        self._voids = False  # The next chunk that is handed on voids those before it.

    def asked(self) -> tuple[str, ...]:
        return self._stream.asked

    async def next(self) -> ChatChunk | None:
        async for chunk in self._stream:
            if self._change is None:
                return chunk
            self._voids = self._voids or chunk.restarted
            changed = self._change(chunk)
            if changed is not None:
                if self._voids:
                    self._voids, changed = False, replace(changed, restarted=True)
                self._gathered.add(changed)
                return changed
        return None

    async def finish(self) -> ChatResponse[Any]:
        whole = await self._stream.response()
        if self._change is None:
            return whole
        changed = self._gathered.response()
        return replace(
            whole,
            text=changed.text,
            reasoning=changed.reasoning,
            refusal=changed.refusal,
            tool_calls=changed.tool_calls,
            choices=changed.choices,
        )

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _through(stream: ChatStream[Any], change: Callable[[ChatChunk], ChatChunk | None]) -> Source:
    await stream.__aenter__()
    return Through(stream, change)
