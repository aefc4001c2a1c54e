"""Until answered: who may serve, who is asked, and what follows when it fails.

One loop serves every kind of call. A call's way is a row of legs: the route that was asked, its
fallbacks, the router's. On each leg a strategy picks among the candidates; a failure in passing
goes on to one that was not tried; when each has failed, the retry policy may wait and try again;
then the next leg follows.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, assert_never

import anyio

from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.choosing import candidates_of, choose, kin, rested, untried
from polyroute._engine.failed import failed
from polyroute._engine.plan import Leg
from polyroute._engine.run import Run
from polyroute.deployments import Deployment
from polyroute.errors import (
    AttemptError,
    AttemptTimeoutError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    PolyrouteError,
    RequestError,
)
from polyroute.protocols import Fallback, GiveUp, Retry
from polyroute.replies import Attempt, told
from polyroute.types import ChatRequest, EmbedRequest, Request

__all__ = ["failover"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")

log = logging.getLogger("polyroute")


async def failover(request: R, run: Run, answer: Callable[[OpenAttempt[R]], Awaitable[Reply]]) -> Reply:
    """The reply of the first deployment that gives one. *answer* makes one attempt of it.

    Raises:
        RequestError: The request itself is at fault.
        FleetError: No deployment could serve it.
        DeadlineExceededError: The call's own time ran out.
    """
    legs = run.plan.target(request.model, fallbacks=request.fallbacks).legs
    bars: list[tuple[float, Leg]] = []
    for position, leg in enumerate(legs):
        candidates = untried(candidates_of(request, leg, run), run)
        reply = await _along(leg, candidates, legs[position + 1 :], request, run, answer, bars)
        if reply is not None:
            return reply
    # Nobody else is left, fallbacks included: sit out the bars that end before the deadline does.
    while bars:
        ends, leg = bars.pop(bars.index(min(bars, key=lambda bar: bar[0])))
        if run.deadline is not None and run.deadline <= ends:
            continue
        await run.sleep(ends - anyio.current_time())
        candidates = rested(candidates_of(request, leg, run), run)
        reply = await _along(leg, candidates, (), request, run, answer, bars)
        if reply is not None:
            return reply
    raise failed(run)


async def _along(
    leg: Leg,
    candidates: Sequence[Deployment],
    later: Sequence[Leg],
    request: R,
    run: Run,
    answer: Callable[[OpenAttempt[R]], Awaitable[Reply]],
    bars: list[tuple[float, Leg]],
) -> Reply | None:
    """Ask one leg's candidates until one answers; None where none did."""
    while candidates:
        choice = await choose(leg, request, candidates, run, leg.strategy)
        if choice is None:
            return None
        attempt = OpenAttempt(
            run,
            leg,
            request,
            choice.deployment,
            reason=choice.reason,
            others_left=_anyone_left(candidates, later, request, run),
        )
        try:
            return await answer(attempt)
        except PolyrouteError as error:
            attempt.explain(error)
            if not _moves_on(error, leg):
                attempt.release()
                raise
            if isinstance(error, AttemptTimeoutError) and run.is_over():
                attempt.release()  # Not its limit but the call's own: that counts for nobody.
                raise run.deadline_exceeded() from error
            past = attempt.close(error)
        except BaseException:
            attempt.release()  # Cancelled or a bug: given back, and not counted.
            raise
        log.warning("%s", _Told(past))
        if run.is_over():
            raise run.deadline_exceeded() from past.error
        candidates = await _after(past, leg, candidates, request, run, bars)
    return None


def _anyone_left(candidates: Sequence[Deployment], later: Sequence[Leg], request: Request, run: Run) -> bool:
    """Whether somebody is there who was not asked in this call, fallbacks included."""
    if untried(candidates, run):
        return True
    return any(untried(candidates_of(request, leg, run), run) for leg in later)


class _Told:
    """An attempt in words, put together where a log wants them."""

    def __init__(self, past: Attempt) -> None:
        self._past = past

    def __str__(self) -> str:
        return told(self._past)


def _moves_on(error: PolyrouteError, leg: Leg) -> bool:
    """Whether the call goes on after *error*; if not, it is about the request and comes out as itself."""
    if isinstance(error, ContentFilterError):
        return leg.filter_moves_on
    if isinstance(error, BadRequestError) and error.lacks is not None:
        return True
    return isinstance(error, AttemptError | ContextWindowExceededError)


async def _after(
    past: Attempt,
    leg: Leg,
    candidates: Sequence[Deployment],
    request: R,
    run: Run,
    bars: list[tuple[float, Leg]],
) -> Sequence[Deployment]:
    """The candidates for the next attempt on this leg after *past* failed; none ends the leg."""
    failed_one = run.asked[past.deployment]
    error = past.error
    if isinstance(error, BadRequestError) and error.lacks is not None:
        run.fleet.learn_lack(past.deployment, error.lacks)
        if error.lacks in failed_one.may_drop and error.lacks not in past.dropped:
            return [failed_one]  # Once more, without it.
        return untried(candidates_of(request, leg, run), run)
    spared = candidates_of(request, leg, run)  # as the failure has left them
    left = [each for each in candidates if each is not failed_one and each in spared]
    if isinstance(error, RequestError):
        return left
    policy = request.retry or leg.retry
    others = untried(left, run)
    verdict = policy.decide(tuple(run.history), remaining=run.remaining(), others=len(others))
    match verdict:
        case Fallback(beyond):
            return [each for each in left if not kin(each, failed_one, beyond)]
        case Retry(delay, last_resort):
            if last_resort:
                bars.append((anyio.current_time() + delay, leg))
                return ()
            if not spared:
                return ()
            log.info("%s: trying again in %.2f s", past.deployment, delay)
            await run.sleep(delay)
            return rested(candidates_of(request, leg, run), run)
        case GiveUp():
            return ()
        case _:
            assert_never(verdict)
