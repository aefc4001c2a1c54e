"""One try of one deployment: opened, bounded in time, and closed exactly once."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from functools import partial
from math import inf
from typing import Generic, TypeVar

import anyio

from polyroute._engine.adapt import adapt
from polyroute._engine.conclude import abandoned_usage
from polyroute._engine.lessons import hurried, judge_end, sample
from polyroute._engine.plan import Leg
from polyroute._engine.run import Run
from polyroute.deadlines import Deadline
from polyroute.deployments import Deployment
from polyroute.errors import (
    AttemptError,
    AttemptTimeoutError,
    BadRequestError,
    ConnectError,
    PolyrouteError,
    ProviderError,
    RequestError,
)
from polyroute.events import AttemptEnded, AttemptStarted
from polyroute.fleet import State, learn
from polyroute.gathered import Gathered
from polyroute.health import Breaker
from polyroute.pricing import dollars, nanodollars
from polyroute.protocols import Lease, Strategy
from polyroute.replies import Attempt, AttemptKind
from polyroute.types import ChatRequest, EmbedRequest, Request, Usage

__all__ = ["OpenAttempt"]

T = TypeVar("T")
R = TypeVar("R", ChatRequest, EmbedRequest)

_NOTHING = Decimal(0)
_UNUSED = Usage()
_NEVER = Deadline()
_SILENCE = Gathered()

_SLACK = 4.0  # times the 95th percentile of a deployment's own times to first token
_LEAST, _MOST = 5.0, 120.0  # seconds between which that may move the limit


class OpenAttempt(Generic[R]):
    """An attempt that is not over. It holds its place in flight, its *lease* and its breaker's probe
    until `close` or `release`.

    *usage* is what it is known to have used; *gathered* what a stream has said so far, and *whole* the
    same with what it carries on; *prefilled* that it was given the beginning of its answer; *outrun*
    that another one was faster, and its answer is no longer wanted.
    """

    __slots__ = (
        "_kind", "_lease", "_open", "_probe", "_reason", "adapted", "deadline", "dropped",
        "gathered", "leg", "outrun", "prefilled", "request", "run", "seat", "started", "state",
        "timeout", "ttft", "usage", "whole",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        leg: Leg,
        request: R,
        deployment: Deployment,
        *,
        reason: str,
        lease: Lease | None = None,
        kind: AttemptKind | None = None,
    ) -> None:
        self.run = run
        self.leg = leg
        self.request: R = request
        self.seat = leg.seats[deployment.id or ""]
        self.usage: Usage | None = None
        self.ttft: float | None = None
        self.gathered: Gathered | None = None
        self.whole = _SILENCE
        self.prefilled = False
        self.outrun = False
        self.timeout = self.seat.timeout.merged(request.timeout)
        self.deadline = _NEVER
        self._reason = reason
        self._kind: AttemptKind = kind or _kind(run, deployment)
        self.started = run.moment()
        state = self.state = run.fleet.state(self.seat.id)
        self._lease = lease
        if self.seat.limited and state.room is None and (learner := run.plan.learner) is not None:
            state.room = partial(learner.headroom, deployment)
            state.heed = partial(learner.learn, deployment)
        state.in_flight += 1
        state.started = self.started
        self._open = True
        self._probe: Breaker | None = None
        if state.held or state.breaker is None or state.breaker.settings is not self.seat.breaker:
            self._pass_breaker(state)
        if run.history and _asked_before(run, self.seat.id) and self.seat.id not in run.failing:
            state.retries -= 1
        self.adapted: R
        try:
            self.adapted, self.dropped = adapt(request, self.seat, run.plan, run.fleet.lacks)
        except BaseException:
            self._give_back(None)
            raise
        if run.fleet.listeners.any:
            self._tell_started()

    def _pass_breaker(self, state: State) -> None:
        state.guarded_by(self.seat.breaker)
        breaker = state.breaker
        if breaker is None or not state.held:
            return
        if breaker.until is not None:
            self._probe = breaker
            breaker.probes += 1
        elif not state.paused and state.unwell_until is None and breaker.is_idle(self.started):
            state.held = False

    def limit(self, *, others_left: bool) -> None:
        """Set its limits: that of a whole attempt holds where there are *others_left* to ask."""
        timeout = self.timeout
        attempt = first_token = inf
        if timeout.attempt is not None and others_left:
            attempt = self.started + timeout.attempt
        if timeout.first_token is not None and (self.run.streams or timeout.says("first_token")):
            first_token = self.started + self._patience(timeout.first_token)
        self.deadline = Deadline(
            inf if self.run.deadline is None else self.run.deadline,
            attempt=attempt,
            first_token=first_token,
            between_tokens=timeout.between_tokens,
            min_rate=timeout.min_rate,
        )

    def _patience(self, first_token: float) -> float:
        """How long its first token may take: as its own history says, where nobody else has."""
        samples = self.state.first_tokens
        if samples is None or self.timeout.says("first_token"):
            return first_token
        usual = samples.percentile(0.95)
        return first_token if usual is None else min(max(_SLACK * usual, _LEAST), _MOST)

    def usual_wait(self, percentile: float) -> float | None:
        """The share *percentile* of its deployment's waits for an answer to begin is shorter than this;
        None while too little is known."""
        samples = self.state.first_tokens if self.run.streams else self.state.answers
        return None if samples is None else samples.percentile(percentile)

    @property
    def is_open(self) -> bool:
        """Whether it is not over, and so not in the call's record yet."""
        return self._open

    @property
    def deployment(self) -> Deployment:
        return self.seat.deployment

    @property
    def user(self) -> str | None:
        """The user's name, where the router was told that hosts may know it."""
        return self.request.user if self.run.plan.send_user else None

    async def bounded(self, work: Awaitable[T]) -> T:
        """Await *work* for no longer than the attempt's limits and the call's."""
        deadline = self.deadline
        if self.seat.keeps_deadlines or deadline.at == inf:
            return await work
        with anyio.CancelScope(deadline=deadline.at) as deadline.scope:
            return await work
        raise self.silent()

    def silent(self) -> AttemptTimeoutError:
        """The error of an attempt that stayed silent to the limit that holds now."""
        phase = self.deadline.phase
        return AttemptTimeoutError(
            f"{self.deployment.id}: silent to its limit ({phase})", deployment=self.deployment.id, phase=phase
        )

    def close(self, error: PolyrouteError | None = None, *, flaw: float = 0.0) -> Attempt:
        """End it: give its place back, work out its cost, and let everybody learn from it. *flaw* is how
        bad an answer is in itself, from 0.0 to 1.0."""
        self.outrun = False  # It has come to its end by itself, be it in the same moment as the other.
        record = self._record(error)
        self._give_back(error, record)
        run, state = self.run, self.state
        run.history.append(record)
        rehearsed = self.seat.id in run.failing  # Nothing of a rehearsal is true.
        slight = error is not None and hurried(error, self.request.timeout, self.seat.timeout)
        counted = not rehearsed and not slight
        if counted:
            learn(state, record)
            if run.streams or self.leg.hedge is not None or error is not None:
                sample(record, state, streamed=run.streams)
            if error is not None or flaw or self._probe is not None or state.held:
                judge_end(record, self.seat, state, run, flaw=flaw, probe=self._probe)
            elif state.breaker is not None:
                state.breaker.succeed(record.ended)
        if run.fleet.listeners.any:
            self._tell_ended(record, counted=counted)
        if run.plan.observers and not rehearsed:
            _observe(run.plan.observers, self.request, record)
        return record

    def release(self, error: PolyrouteError | None = None) -> None:
        """Give its place back without counting it: cancelled, outrun, a bug, or the caller's own mistake.

        One that the call's deadline cut short, or that another one outran, stays in the call's record.
        """
        if not self._open:
            return
        record = self._record(error if error is not None or self.outrun else self._cut())
        self._give_back(error, record)
        if self.outrun and self._kind != "hedge":  # How long the second would have taken, it has not shown.
            sample(record, self.state, streamed=self.run.streams)
        if self.outrun or self.run.is_over():
            self.run.history.append(record)
        if self.run.fleet.listeners.any:
            self._tell_ended(record, counted=False)

    def _cut(self) -> AttemptTimeoutError:
        return AttemptTimeoutError(
            "the call ended before it did", deployment=self.deployment.id, phase="attempt"
        )

    def _give_back(self, error: PolyrouteError | None, record: Attempt | None = None) -> None:
        self._open = False
        self.state.in_flight -= 1
        if self._probe is not None:
            self._probe.probes -= 1
        if self._lease is not None:
            self._lease.settle(_used(error, record))
            if self.run.plan.limits_are_foreign:  # Who knows whose room that was.
                self.run.fleet.call_everybody()
            else:
                self.run.fleet.call_next(self.seat.queue)

    def _record(self, error: PolyrouteError | None) -> Attempt:
        usage = self.usage
        if usage is None and (self.outrun or (isinstance(error, AttemptError) and error.may_have_run)):
            usage = abandoned_usage(self.adapted, self.gathered)
        return Attempt(
            deployment=self.seat.id,
            started=self.started,
            ended=self.run.fleet.now,
            error=error,
            ttft=self.ttft,
            usage=usage,
            cost=self._cost(usage),
            reason=self._reason,
            kind=self._kind,
            dropped=self.dropped,
            abandoned=self.outrun,
        )

    def _cost(self, usage: Usage | None) -> Decimal | None:
        if usage is None:
            return _NOTHING
        price = self.deployment.price
        return None if price is None else dollars(nanodollars(price, usage))

    def _tell_started(self) -> None:
        self.run.fleet.listeners.tell(
            AttemptStarted(
                at=self.started,
                deployment=self.seat.id,
                kind=self._kind,
                route=self.leg.route,
                reason=self._reason,
            )
        )

    def _tell_ended(self, record: Attempt, *, counted: bool) -> None:
        self.run.fleet.listeners.tell(
            AttemptEnded(
                at=record.ended,
                deployment=self.seat.id,
                route=self.leg.route,
                attempt=record,
                counted=counted,
            )
        )

    def explain(self, error: PolyrouteError) -> None:
        """Fill in what an error does not say of itself: whose it is."""
        if isinstance(error, AttemptError | BadRequestError) and error.deployment is None:
            error.deployment = self.deployment.id
        if isinstance(error, ProviderError | BadRequestError) and error.provider is None:
            error.provider = self.seat.provider.name


def _used(error: PolyrouteError | None, record: Attempt | None) -> Usage | None:
    """What an attempt has used of its lease; None where its host never saw it."""
    unseen = isinstance(error, RequestError) and getattr(error, "status", None) is None
    if record is None or unseen or isinstance(error, ConnectError):
        return None
    return record.usage or _UNUSED


def _kind(run: Run, deployment: Deployment) -> AttemptKind:
    if run.goes_on is not None:
        return run.goes_on
    if not run.history:
        return "first"
    return "retry" if _asked_before(run, deployment.id) else "fallback"


def _asked_before(run: Run, id: str | None) -> bool:
    return any(past.deployment == id for past in run.history)


def _observe(observers: Sequence[Strategy], request: Request, record: Attempt) -> None:
    """Tell every strategy, also where one of them fails; the first failure comes out."""
    failure: Exception | None = None
    for observer in observers:
        try:
            observer.observe(request, record)
        except Exception as exc:  # noqa: BLE001 - kept and raised below
            failure = failure or exc
    if failure is not None:
        raise failure
