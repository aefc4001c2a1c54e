"""One call from the outside in: what is said at the worst, its deadline, then the application's
middleware, then the loop.

Each layer is here only where it is configured. What is said at the worst stands outermost, since it is
for a call whose time is over too. The deadline bounds what middleware and strategies do; middleware
stands outside the loop, so that it sees a call once, however many attempts that takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, TypeVar

import anyio

from polyroute._engine.answers import answer_chat, answer_embed
from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.committed import answer_stream
from polyroute._engine.degraded import degraded
from polyroute._engine.failover import failover
from polyroute._engine.mended import mended_stream
from polyroute._engine.run import Run
from polyroute.errors import DeadlineExceededError, FleetError
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.streams import ChatStream, Replay, Source, Through
from polyroute.types import ChatRequest, EmbedRequest

__all__ = ["chat", "embed", "stream"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")
Req = TypeVar("Req")
Rep = TypeVar("Rep")
Handler: TypeAlias = Callable[[Req], Coroutine[Any, Any, Rep]]
Layer: TypeAlias = Callable[[Req, Handler[Req, Rep]], Coroutine[Any, Any, Rep]]


def chat(request: ChatRequest, run: Run) -> Coroutine[Any, Any, ChatResponse[Any]]:
    """A whole reply."""
    return _chat_or_degraded(request, run) if run.degrade else _chat(request, run)


async def _chat_or_degraded(request: ChatRequest, run: Run) -> ChatResponse[Any]:
    try:
        return await _chat(request, run)
    except (FleetError, DeadlineExceededError) as error:
        return await degraded(request, run, error)


def _chat(request: ChatRequest, run: Run) -> Coroutine[Any, Any, ChatResponse[Any]]:
    if not run.plan.suspends:
        return failover(request, run, answer_chat)
    handler: Handler[ChatRequest, ChatResponse[Any]] = partial(_walk, run=run, answer=answer_chat)
    for middleware in reversed(run.plan.middleware):
        handler = _around(middleware.chat, handler)
    return _in_time(run, handler(request))


def embed(request: EmbedRequest, run: Run) -> Coroutine[Any, Any, EmbedResponse]:
    """Vectors."""
    if not run.plan.suspends:
        return failover(request, run, answer_embed)
    handler: Handler[EmbedRequest, EmbedResponse] = partial(_walk, run=run, answer=answer_embed)
    for middleware in reversed(run.plan.middleware):
        handler = _around(middleware.embed, handler)
    return _in_time(run, handler(request))


def stream(request: ChatRequest, run: Run) -> ChatStream[Any]:
    """A streamed reply, of which nothing is asked before it is entered."""
    if run.degrade:
        return ChatStream(partial(_stream_or_degraded, request, run))
    return ChatStream(partial(_stream, request, run))


async def _stream_or_degraded(request: ChatRequest, run: Run) -> Source:
    try:
        return await _stream(request, run)
    except (FleetError, DeadlineExceededError) as error:
        return Replay(await degraded(request, run, error))


async def _stream(request: ChatRequest, run: Run) -> Source:
    if run.plan.suspends:
        return await _in_time(run, _opened(request, run))
    return await _begun(request, run)


async def _begun(request: ChatRequest, run: Run) -> Source:
    """The stream up to its first token, which goes on where it breaks if the call says so."""
    if request.on_break != "raise":
        return await mended_stream(request, run)
    return await failover(request, run, answer_stream)


async def _opened(request: ChatRequest, run: Run) -> Source:
    handler: Handler[ChatRequest, ChatStream[Any]] = partial(_unstarted, run=run)
    for middleware in reversed(run.plan.middleware):
        handler = _around(middleware.stream, handler)
    stream = await handler(request)
    await stream.__aenter__()
    return Through(stream)


async def _unstarted(request: ChatRequest, *, run: Run) -> ChatStream[Any]:
    return ChatStream(lambda: _begun(request, run.walk()))


async def _walk(request: R, *, run: Run, answer: Callable[[OpenAttempt[R]], Awaitable[Reply]]) -> Reply:
    """One way along the legs of many that middleware may ask for."""
    return await failover(request, run.walk(), answer)


def _around(layer: Layer[Req, Rep], call_next: Handler[Req, Rep]) -> Handler[Req, Rep]:
    return lambda request: layer(request, call_next)


async def _in_time(run: Run, call: Coroutine[Any, Any, Rep]) -> Rep:
    """Await *call* until the deadline of the whole call.

    Attempts and the waits between them keep it by themselves; this is for what may wait elsewhere.
    """
    if run.deadline is None:
        return await call
    with anyio.CancelScope(deadline=run.deadline):
        return await call
    raise run.deadline_exceeded()
