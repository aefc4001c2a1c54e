"""What a deployment is asked and what comes of it: a reply that was judged, counted and stamped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.conclude import flaw_of, with_parsed, with_prompt_usage, with_usage
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import RejectedError, ServerError
from polyroute.replies import Attempt, ChatResponse, EmbedResponse
from polyroute.types import ChatRequest, EmbedRequest, amended

__all__ = ["answer_chat", "answer_embed", "call_of", "failed_finish", "judge", "stamped", "total"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Whole = TypeVar("Whole", ChatResponse[Any], EmbedResponse)

_NOTHING = Decimal(0)


async def answer_chat(attempt: OpenAttempt[ChatRequest]) -> ChatResponse[Any]:
    """Ask for a whole reply; the attempt is closed where it is good."""
    response = await attempt.bounded(attempt.seat.provider.chat(call_of(attempt)))
    response = await judge(attempt, response)
    whole = response.finish_reason == "stop" and response.text
    attempt.close(flaw=0.0 if whole else flaw_of(attempt.adapted, response))
    return stamped(attempt, response)


async def answer_embed(attempt: OpenAttempt[EmbedRequest]) -> EmbedResponse:
    """Ask for vectors; the attempt is closed where they came."""
    call = EmbedCall(
        request=attempt.adapted,
        deployment=attempt.deployment,
        model=attempt.deployment.name,
        timeout=attempt.timeout,
        deadline=attempt.deadline,
        user=attempt.user,
        hear=attempt.state.hear,
    )
    embed: Callable[[EmbedCall], Awaitable[EmbedResponse]] = getattr(attempt.seat.provider, "embed")  # noqa: B009
    response = with_prompt_usage(attempt.adapted, await attempt.bounded(embed(call)))
    attempt.usage = response.usage
    attempt.close()
    return stamped(attempt, response)


def call_of(attempt: OpenAttempt[ChatRequest]) -> Call:
    """What the attempt's provider gets to answer."""
    return Call(
        request=attempt.adapted,
        deployment=attempt.deployment,
        model=attempt.deployment.name,
        timeout=attempt.timeout,
        deadline=attempt.deadline,
        user=attempt.user,
        hear=attempt.state.hear,
    )


async def judge(attempt: OpenAttempt[ChatRequest], response: ChatResponse[Any]) -> ChatResponse[Any]:
    """The reply with its usage and its parsed form, if it is one that counts.

    Raises:
        OutputValidationError: It is not of the schema that was asked for.
        RejectedError: The strategy's `accept` said no.
    """
    response = with_usage(attempt.adapted, response)
    attempt.usage = response.usage
    if attempt.seat.breaker is not None and response.finish_reason in attempt.seat.breaker.failed_finishes:
        raise failed_finish(attempt.seat.id, response.finish_reason)
    response = with_parsed(attempt.adapted, response)
    if attempt.leg.judges and not await attempt.leg.strategy.accept(attempt.request, response):
        raise RejectedError(
            f"{attempt.deployment.id}: the strategy did not accept its reply",
            deployment=attempt.deployment.id,
            response=response,
        )
    return response


def stamped(attempt: OpenAttempt[R], response: Whole) -> Whole:
    """The reply with what the engine knows of it, after the attempt was closed."""
    cost, estimated = total(attempt.run.history)
    return amended(
        response,
        cost=cost,
        cost_estimated=estimated,
        deployment=attempt.deployment.id,
        provider=attempt.seat.provider.name,
        route=attempt.leg.route,
        trace=attempt.run.trace(),
    )


def total(history: Sequence[Attempt]) -> tuple[Decimal | None, bool]:
    """What the attempts cost together, and whether an estimate is in it; None where a price is unknown."""
    cost: Decimal | None = _NOTHING
    estimated = False
    for attempt in history:
        if attempt.cost is None or cost is None:
            cost = None
        else:
            cost += attempt.cost
        estimated = estimated or (attempt.usage is not None and attempt.usage.estimated)
    return cost, estimated and cost is not None


def failed_finish(id: str, reason: str) -> ServerError:
    """The error of a reply whose finish reason was named as a failure of its host."""
    return ServerError(
        f"{id}: its reply ended with {reason!r}, which counts as its failure",
        deployment=id,
        may_have_run=True,
    )
