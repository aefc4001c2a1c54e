"""Until answered: who may serve, who is asked, and what follows when it fails.

One loop serves every kind of call. A call's way is a row of legs: the route that was asked, its
fallbacks, the router's. On each leg a strategy picks among the candidates that have room; a failure
in passing goes on to one that was not tried; when each has failed, the retry policy may wait and try
again; then the next leg follows. Only when the way is at its end does a call wait for room, for a
host that wants to be left alone, or for a breaker.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, assert_never

import anyio

from polyroute._engine.admission import Wait, admit, admit_in_turn
from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.choosing import candidates_of, kin, rested, untried, unwell
from polyroute._engine.failed import failed
from polyroute._engine.hedged import raced
from polyroute._engine.plan import Leg
from polyroute._engine.run import Run
from polyroute._engine.verdict import tried
from polyroute.deployments import Deployment
from polyroute.errors import BadRequestError, RequestError
from polyroute.protocols import Choice, Fallback, GiveUp, Retry
from polyroute.replies import Attempt, told
from polyroute.types import ChatRequest, EmbedRequest

__all__ = ["Walk", "failover"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")

log = logging.getLogger("polyroute")


def failover(
    request: R, run: Run, answer: Callable[[OpenAttempt[R]], Awaitable[Reply]]
) -> Coroutine[Any, Any, Reply]:
    """The reply of the first deployment that gives one. *answer* makes one attempt of it.

    Raises:
        RequestError: The request itself is at fault.
        FleetError: No deployment could serve it.
        DeadlineExceededError: The call's own time ran out.
    """
    return Walk(request, run, answer).from_leg(0)


class Walk(Generic[R, Reply]):
    """One call's way along its legs.

    *bars* are moments until which hosts want to be left alone so long that the call went on, *waits*
    the deployments that had no room, by id.
    """

    __slots__ = ("_answer", "_bars", "_legs", "_request", "_run", "_waits")

    def __init__(self, request: R, run: Run, answer: Callable[[OpenAttempt[R]], Awaitable[Reply]]) -> None:
        self._request: R = request
        self._run = run
        self._answer: Callable[[OpenAttempt[R]], Awaitable[Reply]] = answer
        self._legs = run.plan.target(request.model, fallbacks=request.fallbacks).legs
        self._bars: list[tuple[float, Leg]] = []
        self._waits: dict[str, Wait] = {}

    async def go_on(self, past: Attempt, leg: Leg) -> Reply:
        """The reply of the next deployment, after the stream of *past*, begun on *leg*, broke."""
        others = untried(candidates_of(self._request, leg, self._run), self._run)
        candidates = await self._after(past, leg, others)
        reply = await self._along(leg, candidates)
        return reply if reply is not None else await self.from_leg(self._legs.index(leg) + 1)

    async def from_leg(self, start: int) -> Reply:
        """The reply of the first deployment, on the way from the leg of that number on, that gives one."""
        request, run = self._request, self._run
        for leg in self._legs[start:]:
            candidates = untried(candidates_of(request, leg, run), run)
            if candidates and (reply := await self._along(leg, candidates)) is not None:
                return reply
        reply = await self._in_turn()
        if reply is None:
            reply = await self._at_last()
        if reply is None:
            reply = await self._in_need()
        if reply is None:
            raise failed(run)
        return reply

    async def _in_turn(self) -> Reply | None:
        """Wait for room, where there will be some before the deadline."""
        request, run = self._request, self._run
        while self._waits:
            admitted = await admit_in_turn(self._waits, request, run)
            if admitted is None:
                return None
            leg, attempt = admitted
            others: Sequence[Deployment] = untried(candidates_of(request, leg, run), run)
            reply = await self._along(leg, [attempt.deployment, *others], attempt)
            if reply is not None:
                return reply
        return None

    async def _at_last(self) -> Reply | None:
        """Nobody else is left, fallbacks included: sit out the bars that end before the deadline does."""
        request, run = self._request, self._run
        while self._bars:
            ends, leg = self._bars.pop(self._bars.index(min(self._bars, key=lambda bar: bar[0])))
            if run.deadline is not None and run.deadline <= ends:
                continue
            if not _in_hand(candidates_of(request, leg, run), run):
                continue
            await run.sleep(ends - anyio.current_time())
            reply = await self._along(leg, _in_hand(rested(candidates_of(request, leg, run), run), run))
            if reply is not None:
                return reply
        return None

    async def _in_need(self) -> Reply | None:
        """Only those are left that are not well: ask the least bad all the same (Envoy's panic routing)."""
        request, run = self._request, self._run
        for leg in self._legs:
            for deployment in unwell(request, leg, run):
                choice = Choice(deployment, "nobody else is left, and of the bad it is the least")
                attempt = await admit(leg, [deployment], request, run, self._waits, chosen=choice)
                if attempt is not None:
                    return await self._along(leg, [deployment], attempt)
        return None

    async def _along(
        self, leg: Leg, candidates: Sequence[Deployment], attempt: OpenAttempt[R] | None = None
    ) -> Reply | None:
        """Ask one leg's candidates until one answers; None where none did. *attempt* is the first, if it
        is open already."""
        run, hedge = self._run, leg.hedge
        past: Attempt | None = None
        while candidates:
            if attempt is None:
                attempt = await admit(leg, candidates, self._request, run, self._waits)
            if attempt is None:
                if past is None or not all(each.id in self._waits for each in candidates):
                    return None
                # The others have no room: one that failed may be asked again before the call queues.
                candidates, past = await self._after(past, leg, ()), None
                continue
            attempt.limit(others_left=self._anyone_left(leg, candidates))
            over = len(run.history)
            if hedge is not None and len(candidates) > 1:
                left = partial(self._anyone_left, leg, candidates)
                past, reply = await raced(attempt, candidates, self._answer, hedge, left)
            else:
                past, reply = await tried(attempt, self._answer)
            if past is None:
                return reply
            log.warning("%s", _Told(past))
            if run.is_over():
                raise run.deadline_exceeded() from past.error
            # Two may have raced and failed, of which *past* is the later one.
            just_failed = {each.deployment for each in run.history[over:]}
            others = [each for each in candidates if each.id not in just_failed]
            candidates = await self._after(past, leg, others)
            attempt = None
        return None

    def _anyone_left(self, leg: Leg, candidates: Sequence[Deployment]) -> bool:
        """Whether somebody is there who was not asked in this call, fallbacks included."""
        run = self._run
        if untried(candidates, run):
            return True
        later = self._legs[self._legs.index(leg) + 1 :]
        return any(untried(candidates_of(self._request, each, run), run) for each in later)

    async def _after(self, past: Attempt, leg: Leg, candidates: Sequence[Deployment]) -> Sequence[Deployment]:
        """The candidates for the next attempt on this leg after *past* failed; none ends the leg."""
        request, run = self._request, self._run
        failed_one: Deployment = run.asked[past.deployment]
        error = past.error
        if isinstance(error, BadRequestError) and error.lacks is not None:
            run.fleet.learn_lack(past.deployment, error.lacks)
            droppable = error.lacks in failed_one.may_drop and error.lacks not in past.dropped
            if droppable or (error.lacks == "prefill" and not _told_before(error.lacks, run.history)):
                # Once more, without it.
                return [failed_one, *[each for each in candidates if each is not failed_one]]
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
                    self._bars.append((anyio.current_time() + delay, leg))
                    return ()
                # Where nobody else is left, an open breaker is no reason to give up.
                despite = not spared and not self._anyone_left(leg, ())
                if not _in_hand(candidates_of(request, leg, run, despite=despite), run):
                    return ()
                log.info("%s: trying again in %.2f s", past.deployment, delay)
                await run.sleep(delay)
                return _in_hand(rested(candidates_of(request, leg, run, despite=despite), run), run)
            case GiveUp():
                return ()
            case _:
                assert_never(verdict)


class _Told:
    """An attempt in words, put together where a log wants them."""

    def __init__(self, past: Attempt) -> None:
        self._past = past

    def __str__(self) -> str:
        return told(self._past)


def _told_before(lacks: str, history: Sequence[Attempt]) -> bool:
    """Whether the deployment of the last attempt had said before, in this call, that it has no *lacks*."""
    *earlier, last = history
    return any(
        past.deployment == last.deployment
        and isinstance(past.error, BadRequestError)
        and past.error.lacks == lacks
        for past in earlier
    )


def _in_hand(candidates: Sequence[Deployment], run: Run) -> Sequence[Deployment]:
    """Those that were not asked yet, or have a second try in hand: the budget that stops a storm."""
    states = run.fleet.states
    return [
        each
        for each in candidates
        if each.id not in run.tried or (state := states.get(each.id or "")) is None or state.retries >= 1
    ]
