"""What is said where nobody answers: the rungs of a ladder, from the first that holds.

It stands outside of the deadline, since that may be what has run out, and never takes the place of an
error that is about the request itself.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Any

import anyio

from polyroute._engine.answers import total
from polyroute._engine.conclude import with_parsed
from polyroute._engine.run import Run
from polyroute.deployments import Rung
from polyroute.errors import OutputValidationError, PolyrouteError
from polyroute.events import PartFailed, ReplyDegraded
from polyroute.replies import ChatResponse
from polyroute.types import ChatRequest, amended

__all__ = ["degraded"]

_PATIENCE = 10.0  # seconds for one rung; the call's own time may be over


async def degraded(request: ChatRequest, run: Run, error: PolyrouteError) -> ChatResponse[Any]:
    """The reply of the first rung that gives one, marked as what it is.

    Raises:
        PolyrouteError: None does, and this is *error* itself.
    """
    listeners = run.fleet.listeners
    for place, rung in enumerate(run.degrade):
        try:
            answer = await _said(rung, request, error)
        except Exception as failure:  # noqa: BLE001 - a rung that breaks is an event, and the next one holds
            if listeners.any:
                listeners.tell(PartFailed(at=anyio.current_time(), part=f"degrade[{place}]", error=failure))
            continue
        if answer is None:
            continue
        if listeners.any:
            listeners.tell(ReplyDegraded(at=anyio.current_time(), rung=place, error=error))
        reply = ChatResponse(answer) if isinstance(answer, str) else answer
        with suppress(OutputValidationError):  # Better words that are not of the schema than none.
            reply = with_parsed(request, reply)
        cost, estimated = total(run.history)
        return amended(reply, degraded=True, cost=cost, cost_estimated=estimated, trace=run.trace())
    raise error


async def _said(rung: Rung, request: ChatRequest, error: PolyrouteError) -> str | ChatResponse[Any] | None:
    if isinstance(rung, str | ChatResponse):
        return rung
    with anyio.fail_after(_PATIENCE):
        given = rung(request, error)
        answer = await given if inspect.isawaitable(given) else given
    if not isinstance(answer, str | ChatResponse | None):
        raise TypeError(f"a rung gives a str, a ChatResponse or None, not {answer!r}")
    return answer
