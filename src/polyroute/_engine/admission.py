"""Is there room? Elsewhere first, and only then in a queue.

Nothing here costs anything for a deployment without limits whose host does not want to be left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeVar

import anyio

from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.choosing import candidates_of, choice_of
from polyroute._engine.plan import Leg, Seat
from polyroute._engine.run import Run
from polyroute.deployments import Deployment
from polyroute.errors import LimitTimeoutError
from polyroute.events import CallDequeued, CallQueued
from polyroute.protocols import Choice, Lease, Refusal
from polyroute.queues import Queue
from polyroute.replies import AttemptKind, Exclusion
from polyroute.types import ChatRequest, EmbedRequest, Request, Usage

__all__ = ["Wait", "admit", "admit_in_turn"]

R = TypeVar("R", ChatRequest, EmbedRequest)

_FULL = 65_536  # calls in one queue; a longer one is a fault that waiting does not mend
_MOMENT = 1e-3  # seconds; no wait is shorter, whatever adding and subtracting moments may lose


@dataclass(frozen=True, slots=True)
class Wait:
    """A deployment that had no room at the moment *at*, and why."""

    leg: Leg
    deployment: Deployment
    refusal: Refusal
    at: float

    @property
    def seat(self) -> Seat:
        return self.leg.seats[self.deployment.id or ""]

    @property
    def opens(self) -> float | None:
        """The moment at which time alone may make room, as far as the call knows; None: never."""
        return None if self.refusal.retry_after is None else self.at + self.refusal.retry_after


async def admit(
    leg: Leg,
    candidates: Sequence[Deployment],
    request: R,
    run: Run,
    waits: dict[str, Wait],
    *,
    chosen: Choice | None = None,
    kind: AttemptKind | None = None,
) -> OpenAttempt[R] | None:
    """An attempt at the one of *candidates* that the strategy picks among those with room, or at the only
    one, which is *chosen*.

    None where it picks none or none has room; who had none is added to *waits*, by id. *kind* is what
    the attempt is called, where that is not plain from what was tried before.
    """
    roomy = candidates
    while roomy:
        choice = chosen
        if choice is None:
            picked = await leg.strategy.choose(request, roomy, tuple(run.history), run.fleet)
            choice = choice_of(picked, roomy, leg.strategy)
        if choice is None:
            return None
        seat = leg.seats[choice.deployment.id or ""]
        room = await _room(seat, request, run) if _is_tight(seat, run) else None
        if not isinstance(room, Refusal):
            if waits:
                waits.pop(seat.id, None)
            run.take(leg, choice, candidates, request.kind)
            return OpenAttempt(
                run, leg, request, choice.deployment, reason=choice.reason, lease=room, kind=kind
            )
        waits[seat.id] = Wait(leg, choice.deployment, room, anyio.current_time())
        _exclude(seat, room, run)
        roomy = [each for each in roomy if each is not choice.deployment]
    return None


async def admit_in_turn(waits: dict[str, Wait], request: R, run: Run) -> tuple[Leg, OpenAttempt[R]] | None:
    """The leg and the attempt of a call that has waited for its turn. It waits where the queue is
    shortest, and *waits* keeps the other places.

    None where no place will have room before the call's deadline; *run* keeps the error that tells so.

    Raises:
        LimitTimeoutError: The call's time ran out in the queue.
    """
    while waits:
        wait = min(waits.values(), key=lambda each: _outlook(each, run))
        del waits[wait.seat.id]
        if wait.opens is None:
            continue  # It will never fit.
        if _is_late(wait.refusal, wait.opens, run):
            run.late = run.late or _timed_out(wait, wait.refusal, run)
            continue
        began = anyio.current_time()
        room = await _in_turn(wait, request, run)
        if isinstance(room, Refusal):
            if room.retry_after is None:
                continue  # It was closed to the call.
            late = _timed_out(wait, room, run, anyio.current_time() - began)
            if run.is_over():
                raise late
            run.late = run.late or late
            continue
        choice = Choice(wait.deployment, "there is room, after a wait")
        run.take(wait.leg, choice, [wait.deployment], request.kind)
        attempt = OpenAttempt(run, wait.leg, request, wait.deployment, reason=choice.reason, lease=room)
        return wait.leg, attempt
    return None


def _outlook(wait: Wait, run: Run) -> tuple[int, float]:
    """How bad a place is to wait at: by the calls before it, then by the time until there may be room."""
    queue = run.fleet.queues.get(wait.seat.queue)
    return (0 if queue is None else len(queue), inf if wait.opens is None else wait.opens)


def _is_late(refusal: Refusal, opens: float, run: Run) -> bool:
    """Whether the call's time is over by then; where a call that ends may make room, nobody knows."""
    return run.deadline is not None and run.deadline <= opens < inf and not refusal.early


def _exclude(seat: Seat, refusal: Refusal, run: Run) -> None:
    run.excluded[seat.id] = Exclusion(seat.id, refusal.reason or "its limits have no room", "limits")


def _is_tight(seat: Seat, run: Run) -> bool:
    """Whether anything may stand in the way of an attempt there."""
    if seat.limited:
        return True
    state = run.fleet.states.get(seat.id)
    return state is not None and state.barred is not None


async def _room(seat: Seat, request: Request, run: Run) -> Lease | Refusal | None:
    """The room for one attempt, if nobody waits for it already; None where none needs to be kept."""
    now = anyio.current_time()
    queue = run.fleet.queues.get(seat.queue)
    if queue is None or not len(queue) or queue.passes(request.priority, now):
        return await _reserve(seat, request, run, now)
    if len(queue) >= _FULL:
        return Refusal(None, f"{len(queue)} calls wait for it already")
    if not run.plan.limits_are_foreign:
        room = await _reserve(seat, request, run, now)
        if isinstance(room, Refusal) and room.retry_after is None:
            return room  # It will never fit, and need not wait to be told so.
        if room is not None and not isinstance(room, Refusal):
            room.settle(None)
    waiting = "another call waits" if len(queue) == 1 else f"{len(queue)} calls wait"
    # Its turn comes after the first one's.
    return Refusal(max(queue.opens - now, 0.0), f"{waiting} for it")


async def _reserve(seat: Seat, request: Request, run: Run, now: float) -> Lease | Refusal | None:
    # What this call has learnt by itself, the retry policy has weighed already.
    if seat.id not in run.asked:
        barred = run.fleet.state(seat.id).barred_for(now)
        if barred > _MOMENT:
            return Refusal(barred, f"its host asked to be left alone for {barred:.1f} s more")
    limiter = run.plan.limiter
    if limiter is None or not seat.limited:
        return None
    return await limiter.reserve(request, seat.deployment, _most(seat, request, run))


def _most(seat: Seat, request: Request, run: Run) -> Usage:
    """What the attempt may use: its prompt, and for the reply all it may have, or as much as such have had."""
    usage = run.fleet.expected(request, seat.deployment)
    most = getattr(request, "max_tokens", None) or seat.defaults.get("max_tokens")
    if most is None or request.kind != "chat":
        return usage
    return Usage(usage.input_tokens, most * (getattr(request, "n", None) or 1), estimated=True)


async def _in_turn(wait: Wait, request: Request, run: Run) -> Lease | Refusal | None:
    """The room at one place, once it is this call's turn; a refusal where the call's time does not last
    until then, or where the deployment may not be asked any more."""
    seat, fleet = wait.seat, run.fleet
    queue = fleet.queues.setdefault(seat.queue, Queue())
    state = fleet.state(seat.id)
    began = anyio.current_time()
    until = inf if run.deadline is None else run.deadline
    if fleet.listeners.any:
        fleet.listeners.tell(
            CallQueued(at=began, deployment=seat.id, ahead=len(queue), reason=wait.refusal.reason)
        )
    room: Lease | Refusal | None = wait.refusal
    ticket = queue.enter(request.priority, began)
    state.waiting += 1
    run.began = None  # From here on moments are looked up.
    try:
        while (now := anyio.current_time()) < until:
            if not queue.is_first(ticket):
                await ticket.called(until)
                continue
            run.excluded.pop(seat.id, None)
            if wait.deployment not in candidates_of(request, wait.leg, run):
                return Refusal(None, "it was closed to the call while it waited")
            room = await _reserve(seat, request, run, now)
            if not isinstance(room, Refusal):
                return room
            _exclude(seat, room, run)
            if room.retry_after is None:
                return room
            opens = now + max(room.retry_after, _MOMENT)
            queue.opens = -inf if room.early else opens
            if _is_late(room, opens, run):
                return room
            await ticket.called(min(until, opens))
        return room
    finally:
        state.waiting -= 1
        queue.leave(ticket)
        if not len(queue) and fleet.queues.get(seat.queue) is queue:
            del fleet.queues[seat.queue]
        if fleet.listeners.any:
            ended = anyio.current_time()
            admitted = not isinstance(room, Refusal)
            fleet.listeners.tell(
                CallDequeued(at=ended, deployment=seat.id, waited=ended - began, admitted=admitted)
            )


def _timed_out(wait: Wait, refusal: Refusal, run: Run, waited: float = 0.0) -> LimitTimeoutError:
    queued = f", after {waited:.2f} s in its queue" if waited else ""
    return LimitTimeoutError(
        f"{wait.deployment.id}: no room before the call's deadline{queued}: "
        f"{refusal.reason or 'its limits are used up'}",
        attempts=tuple(run.history),
    )
