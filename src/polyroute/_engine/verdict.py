"""What an attempt came to: a reply, a failure after which the call goes on, or the end of the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.plan import Leg
from polyroute.errors import AttemptTimeoutError, BadRequestError, ConnectError, PolyrouteError
from polyroute.meanings import meaning_of
from polyroute.replies import Attempt
from polyroute.types import ChatRequest, EmbedRequest

__all__ = ["moves_on", "tried"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")


async def tried(
    attempt: OpenAttempt[R], answer: Callable[[OpenAttempt[R]], Awaitable[Reply]]
) -> tuple[Attempt | None, Reply | None]:
    """The reply of *attempt*, or else the record of its failure. Either way it is over, but for a stream
    that has begun.

    Raises:
        RequestError: It is about the request itself.
        DeadlineExceededError: The call's own time has run out.
    """
    try:
        if attempt.deployment.id in attempt.run.failing:
            raise ConnectError("it fails in this rehearsal")
        return None, await answer(attempt)
    except PolyrouteError as error:
        return _ended(attempt, error), None
    except BaseException:
        attempt.release()  # Cancelled or a bug: given back, and not counted.
        raise


def _ended(attempt: OpenAttempt[R], error: PolyrouteError) -> Attempt:
    """The record of an attempt that failed with *error*, if the call goes on after that."""
    run = attempt.run
    attempt.explain(error)
    if attempt.prefilled and type(error) is BadRequestError:
        error.lacks = error.lacks or "prefill"  # What it was given before is no complaint of the caller's.
    if not moves_on(error, attempt.leg):
        attempt.release(error)
        raise error
    if isinstance(error, AttemptTimeoutError) and run.is_over():
        attempt.release()  # Not its limit but the call's own: that counts for nobody.
        raise run.deadline_exceeded() from error
    return attempt.close(error)


def moves_on(error: PolyrouteError, leg: Leg) -> bool:
    """Whether the call goes on after *error*; if not, it is about the request and comes out as itself."""
    if isinstance(error, BadRequestError) and error.lacks is not None:
        return True
    meaning = meaning_of(error)
    return leg.filter_moves_on if meaning == "other provider" else meaning != "stop"
