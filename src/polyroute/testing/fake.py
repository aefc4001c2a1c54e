"""A provider that answers from a script, without a network and without a key."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from math import hypot
from random import Random
from typing import Any, Literal, TypeAlias

import anyio

from polyroute.deployments import Call, EmbedCall
from polyroute.errors import ConfigurationError
from polyroute.replies import ChatChunk, ChatResponse, EmbedResponse
from polyroute.streams import told_in_chunks
from polyroute.types import Usage

__all__ = ["FakeProvider"]

Answer: TypeAlias = str | ChatResponse[Any]
Made: TypeAlias = Callable[[Call], Answer | Awaitable[Answer]]
Step: TypeAlias = Answer | BaseException | tuple[str, BaseException] | Made
Seconds: TypeAlias = float | Callable[[], float]

_DIMENSIONS = 8


class FakeProvider:
    """Answers calls from *script*, one step a call, of which the last repeats; or from *replies*, in turn.

    A step is a text, a `ChatResponse`, an exception, a pair of a text and an exception (a stream
    that breaks there), or a callable, plain or async, that gets the `Call` and gives a text or a
    `ChatResponse`, or raises. A reply takes *latency* seconds, a stream *ttft* to its first chunk
    (left out: *latency*) and *latency* to its end; both may be callables, asked for each call.
    *usage* is what each reply says it used; left out, the router estimates it.

    `calls` holds each `Call` that it got. Time is the event loop's, so a virtual clock works.
    """

    space = "fake"  # an embedding is made from the text alone, whatever the model

    def __init__(
        self,
        replies: Sequence[Answer | Made] = ("ok",),
        *,
        latency: Seconds = 0.0,
        ttft: Seconds | None = None,
        script: Sequence[Step] | None = None,
        usage: Usage | None = None,
        name: str = "fake",
    ) -> None:
        if isinstance(replies, str) or isinstance(script, str):
            raise ConfigurationError('FakeProvider: replies and script are lists, such as ["hello"]')
        if not replies or (script is not None and not script):
            raise ConfigurationError("FakeProvider: replies and script must not be empty")
        self.name = name
        self.calls: list[Call | EmbedCall] = []
        self._steps: tuple[Step, ...] = tuple(replies if script is None else script)
        self._repeats = script is not None
        self._latency = latency
        self._ttft = ttft
        self._usage = usage

    def prefill(self, model: str) -> Literal["exact"]:
        return "exact"  # It takes everything.

    async def chat(self, call: Call, /) -> ChatResponse[Any]:
        step = self._next(call)
        await _wait(_seconds(self._latency))
        return self._filled(await _whole(step, call))

    async def stream(self, call: Call, /) -> AsyncGenerator[ChatChunk, None]:
        step = self._next(call)
        latency = _seconds(self._latency)
        ttft = latency if self._ttft is None else _seconds(self._ttft)
        await _wait(ttft)
        text, broken = step if isinstance(step, tuple) else (None, None)
        reply: ChatResponse[Any] = ChatResponse(text) if text is not None else await _whole(step, call)
        chunks = _in_words(self._filled(reply))
        if broken is not None:
            chunks = [chunk for chunk in chunks if chunk.has_token]
        pause = max(latency - ttft, 0.0) / max(len(chunks) - 1, 1)
        for place, chunk in enumerate(chunks):
            if place:
                await _wait(pause)
            yield replace(chunk, deployment=call.deployment.id)
        if broken is not None:
            raise _fresh(broken)

    async def embed(self, call: EmbedCall, /) -> EmbedResponse:
        step = self._next(call)
        await _wait(_seconds(self._latency))
        error = step[1] if isinstance(step, tuple) else step
        if isinstance(error, BaseException):
            raise _fresh(error)
        dimensions = call.request.dimensions or _DIMENSIONS
        vectors = tuple(_unit_vector(text, dimensions) for text in call.request.input)
        return EmbedResponse(vectors, usage=self._usage or Usage(), model=call.model)

    def _next(self, call: Call | EmbedCall) -> Step:
        place = len(self.calls)
        self.calls.append(call)
        last = len(self._steps) - 1
        return self._steps[min(place, last) if self._repeats else place % (last + 1)]

    def _filled(self, reply: ChatResponse[Any]) -> ChatResponse[Any]:
        if self._usage is not None and reply.usage == Usage():
            return replace(reply, usage=self._usage)
        return reply

    def __repr__(self) -> str:
        return f"FakeProvider({len(self.calls)} calls)"


async def _whole(step: Step, call: Call) -> ChatResponse[Any]:
    """The reply that a step comes to."""
    if isinstance(step, tuple):
        step = step[1]
    if isinstance(step, BaseException):
        raise _fresh(step)
    if isinstance(step, str | ChatResponse):
        answer = step
    else:
        made = step(call)
        answer = await made if inspect.isawaitable(made) else made
    return ChatResponse(answer) if isinstance(answer, str) else answer


def _in_words(reply: ChatResponse[Any]) -> list[ChatChunk]:
    """A reply's chunks, its texts a word a chunk."""
    chunks: list[ChatChunk] = []
    for chunk in told_in_chunks(reply):
        words = re.findall(r"\s*\S+|\s+$", chunk.text)
        chunks += [replace(chunk, text=word) for word in words] or [chunk]
    return chunks


def _fresh(error: BaseException) -> BaseException:
    """A copy of a scripted exception, so that no two calls share a traceback."""
    try:
        return copy.copy(error)
    except TypeError:
        return error  # One that cannot be made again from its arguments.


def _seconds(given: Seconds) -> float:
    return given() if callable(given) else given


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await anyio.sleep(seconds)


def _unit_vector(text: str, dimensions: int) -> list[float]:
    """A direction that depends on nothing but *text*."""
    rng = Random(text)  # noqa: S311 - it is to be the same each time
    vector = [rng.gauss(0, 1) for _ in range(dimensions)]
    length = hypot(*vector)
    return [value / length for value in vector]
