"""A stream that goes on where it breaks: begun anew elsewhere, or carried on from what there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import anyio

from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.committed import answer_stream
from polyroute._engine.failover import Walk
from polyroute._engine.run import Run
from polyroute._engine.verdict import moves_on
from polyroute.errors import PolyrouteError, StreamInterruptedError
from polyroute.events import StreamBroke
from polyroute.replies import ChatChunk, ChatResponse
from polyroute.streams import Source
from polyroute.types import ChatRequest, Usage, amended

__all__ = ["mended_stream"]


class _Begun(Source, Protocol):
    """A stream of one attempt, begun."""

    @property
    def attempt(self) -> OpenAttempt[ChatRequest]: ...


_Walk: TypeAlias = Walk[ChatRequest, _Begun]


async def mended_stream(request: ChatRequest, run: Run) -> Source:
    """The stream of a call that says what follows where it breaks."""
    walk: _Walk = Walk(request, run, answer_stream)
    return _Mended(request, run, walk, await walk.from_leg(0))


class _Mended:
    """The chunks of one attempt after the other. The consumer sees where they are void, or one text."""

    def __init__(self, request: ChatRequest, run: Run, walk: _Walk, begun: _Begun) -> None:
        self._request = request
        self._run = run
        self._walk = walk
        self._begun = begun
        self._parts: list[Usage] = []  # what the parts took that the reply is made of, but for the last
        self._voids = False

    def asked(self) -> tuple[str, ...]:
        return self._begun.asked()

    async def next(self) -> ChatChunk | None:
        while True:
            try:
                chunk = await self._begun.next()
            except StreamInterruptedError as error:
                await self._go_on(error)
                continue
            if not self._voids:
                return chunk
            self._voids = False
            return replace(chunk or ChatChunk(deployment=self._begun.attempt.seat.id), restarted=True)

    async def _go_on(self, error: StreamInterruptedError) -> None:
        """Have another attempt begin, or carry on; raises *error* where none does."""
        run, broken = self._run, self._begun.attempt
        cause = error.__cause__
        if error.usage is not None:
            self._parts.append(error.usage)
            error.usage = _sum(self._parts)
        if not isinstance(cause, PolyrouteError) or not moves_on(cause, broken.leg):
            raise error
        resumes = self._request.on_break == "resume" and _can_be_carried_on(broken)
        run.goes_on = "resume" if resumes else "restart"
        if run.fleet.listeners.any:
            run.fleet.listeners.tell(
                StreamBroke(at=anyio.current_time(), deployment=broken.seat.id, error=cause, then=run.goes_on)
            )
        run.before = broken.whole if resumes else None
        if not resumes:
            self._parts.clear()
        await self._begun.aclose()
        past = next(each for each in reversed(run.history) if each.deployment == broken.seat.id)
        try:
            self._begun = await self._walk.go_on(past, broken.leg)
        except PolyrouteError as failure:
            raise StreamInterruptedError(
                f"{error}; and no other deployment could go on: {failure}",
                partial=error.partial,
                usage=error.usage,
                deployment=error.deployment,
            ) from failure
        self._voids = not resumes

    async def finish(self) -> ChatResponse[Any]:
        response = await self._begun.finish()
        if not self._parts:
            return response
        return amended(response, usage=_sum([*self._parts, response.usage]))

    async def aclose(self) -> None:
        await self._begun.aclose()


def _can_be_carried_on(broken: OpenAttempt[ChatRequest]) -> bool:
    """Whether another model can go on where this stream broke: it is one text, and calls no tool."""
    begun = broken.whole
    return bool(begun.text.strip()) and not begun.branches and (broken.request.n or 1) == 1


def _sum(parts: list[Usage]) -> Usage:
    """What the parts of one answer took together; what none of them told stays untold."""
    told: dict[str, int | None] = {}
    for name in ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens"):
        known = [count for each in parts if (count := getattr(each, name)) is not None]
        told[name] = sum(known) if known else None
    return Usage(
        sum(each.input_tokens for each in parts),
        sum(each.output_tokens for each in parts),
        **told,
        estimated=any(each.estimated for each in parts),
    )
