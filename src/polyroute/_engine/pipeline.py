"""One call from the outside in: its deadline, then the application's middleware, then the loop.

Each layer is here only where it is configured. The deadline stands outermost, so that it bounds
what middleware and strategies do too; middleware stands outside the loop, so that it sees a call
once, however many attempts that takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, TypeVar

import anyio

from polyroute._engine.attempt import OpenAttempt, answer_chat, answer_embed
from polyroute._engine.committed import answer_stream
from polyroute._engine.failover import failover
from polyroute._engine.run import Run
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.streams import ChatStream, Source, Through
from polyroute.types import ChatRequest, EmbedRequest

__all__ = ["chat", "embed", "stream"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")
Req = TypeVar("Req")
Rep = TypeVar("Rep")
Handler: TypeAlias = Callable[[Req], Coroutine[Any, Any, Rep]]
Layer: TypeAlias = Callable[[Req, Handler[Req, Rep]], Coroutine[Any, Any, Rep]]


async def chat(request: ChatRequest, run: Run) -> ChatResponse[Any]:
    """A whole reply."""
    if not run.plan.suspends:
        return await failover(request, run, answer_chat)
    handler: Handler[ChatRequest, ChatResponse[Any]] = partial(_walk, run=run, answer=answer_chat)
    for middleware in reversed(run.plan.middleware):
        handler = _around(middleware.chat, handler)
    return await _in_time(run, handler(request))


async def embed(request: EmbedRequest, run: Run) -> EmbedResponse:
    """Vectors."""
    if not run.plan.suspends:
        return await failover(request, run, answer_embed)
    handler: Handler[EmbedRequest, EmbedResponse] = partial(_walk, run=run, answer=answer_embed)
    for middleware in reversed(run.plan.middleware):
        handler = _around(middleware.embed, handler)
    return await _in_time(run, handler(request))


def stream(request: ChatRequest, run: Run) -> ChatStream[Any]:
    """A streamed reply, of which nothing is asked before it is entered."""
    if not run.plan.suspends:
        return ChatStream(partial(failover, request, run, answer_stream))
    return ChatStream(lambda: _in_time(run, _opened(request, run)))


async def _opened(request: ChatRequest, run: Run) -> Source:
    handler: Handler[ChatRequest, ChatStream[Any]] = partial(_unstarted, run=run)
    for middleware in reversed(run.plan.middleware):
        handler = _around(middleware.stream, handler)
    stream = await handler(request)
    await stream.__aenter__()
    return Through(stream)


async def _unstarted(request: ChatRequest, *, run: Run) -> ChatStream[Any]:
    return ChatStream(partial(_walk, request, run=run, answer=answer_stream))


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
