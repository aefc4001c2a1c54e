"""One try of one deployment: opened, bounded in time, and closed exactly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any, Generic, TypeVar

import anyio

from polyroute._engine.adapt import adapt
from polyroute._engine.choosing import akin
from polyroute._engine.conclude import (
    abandoned_usage,
    flaw_of,
    with_parsed,
    with_prompt_usage,
    with_usage,
)
from polyroute._engine.continuing import continued
from polyroute._engine.plan import Leg
from polyroute._engine.run import Run
from polyroute.deployments import Call, Deadline, Deployment, EmbedCall
from polyroute.errors import (
    AttemptError,
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ConnectError,
    PolyrouteError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    RejectedError,
    RequestError,
    ServerError,
)
from polyroute.events import AttemptEnded, AttemptStarted
from polyroute.fleet import State, learn, refused_for_good, weight_of
from polyroute.health import Samples
from polyroute.pricing import dollars, nanodollars
from polyroute.protocols import Lease, Strategy
from polyroute.replies import Attempt, AttemptKind, ChatResponse, EmbedResponse, RateLimits
from polyroute.streams import Gathered
from polyroute.types import ChatRequest, EmbedRequest, Request, Usage, amended

__all__ = ["OpenAttempt", "answer_chat", "answer_embed", "call_of", "failed_finish", "judge", "stamped"]

T = TypeVar("T")
R = TypeVar("R", ChatRequest, EmbedRequest)
Whole = TypeVar("Whole", ChatResponse[Any], EmbedResponse)

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
    same with what it carries on; *prefilled* that it was given the beginning of its answer, without
    what was *trimmed*; *outrun* that another one was faster, and its answer is no longer wanted.
    """

    __slots__ = (
        "_kind", "_lease", "_open", "_probe", "_reason", "_state", "adapted", "deadline", "dropped",
        "gathered", "leg", "outrun", "prefilled", "request", "run", "seat", "started", "timeout", "trimmed",
        "ttft", "usage", "whole",
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
        self.trimmed = ""
        self.outrun = False
        self.timeout = self.seat.timeout.merged(request.timeout)
        self.deadline = _NEVER
        self._reason = reason
        self._kind: AttemptKind = kind or _kind(run, deployment)
        self.started = run.began if run.began is not None and not run.history else anyio.current_time()
        state = self._state = run.fleet.state(self.seat.id)
        self._lease = lease
        if self.seat.limited and state.room is None and (learner := run.plan.learner) is not None:
            state.room = partial(learner.headroom, deployment)
        state.in_flight += 1
        self._open = True
        self._probe = False
        if self.seat.breaker is not None or state.breaker is not None:
            self._pass_breaker(state)
        if run.history and any(past.deployment == deployment.id for past in run.history):
            state.retries -= 1
        try:
            self.adapted, self.dropped = adapt(request, self.seat, run.plan, run.fleet.lacks)
            if run.before is not None:
                self._carry_on(run.before.text)
        except BaseException:
            self._give_back(None)
            raise
        if run.fleet.listeners.any:
            self._tell_started()

    def _carry_on(self, partial: str) -> None:
        """Ask for the rest of *partial*, in the way that this deployment understands."""
        lacks = self.run.fleet.lacks.get(self.seat.id, frozenset()) | self.seat.lacks
        prefill = None if "prefill" in lacks else self.seat.prefill
        if prefill == "trimmed" and self.adapted.reasoning_effort not in (None, "none"):
            prefill = None  # Claude begins with its thoughts then, and not in the middle of a sentence.
        self.prefilled = prefill is not None
        if prefill == "trimmed":
            self.trimmed = partial[len(partial.rstrip()) :]
        self.adapted = continued(
            self.adapted, partial, prefills=self.prefilled, trims=prefill == "trimmed"
        )

    def _pass_breaker(self, state: State) -> None:
        state.guarded_by(self.seat.breaker)
        breaker = state.breaker
        if breaker is None or not state.held:
            return
        if breaker.until is not None:
            self._probe = breaker.probing = True
        elif not state.paused and breaker.is_idle(self.started):
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
        samples = self._state.first_tokens
        if samples is None or self.timeout.says("first_token"):
            return first_token
        usual = samples.percentile(0.95)
        return first_token if usual is None else min(max(_SLACK * usual, _LEAST), _MOST)

    def usual_wait(self, percentile: float) -> float | None:
        """The share *percentile* of its deployment's waits for an answer to begin is shorter than this;
        None while too little is known."""
        samples = self._state.first_tokens if self.run.streams else self._state.answers
        return None if samples is None else samples.percentile(percentile)

    @property
    def can_be_carried_on(self) -> bool:
        """Whether another model can go on where this stream broke: it is one text, and calls no tool."""
        begun = self.whole
        return bool(begun.text) and not begun.branches and (self.request.n or 1) == 1

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
        record = self._record(error)
        self._give_back(error, record)
        run = self.run
        run.history.append(record)
        if self.deployment.id in run.failing:
            return record  # Nothing of a rehearsal is true.
        learn(self._state, record)
        if run.streams or self.leg.hedge is not None or error is not None:
            self._sample(record)
        self._judge(error, flaw, record.ended)
        if run.plan.observers:
            _observe(run.plan.observers, self.request, record)
        if run.fleet.listeners.any:
            self._tell_ended(record)
        return record

    def release(self, error: PolyrouteError | None = None) -> None:
        """Give its place back without counting it: cancelled, outrun, a bug, or the caller's own mistake.

        One that the call's deadline cut short, or that another one outran, stays in the call's record.
        """
        if not self._open:
            return
        record = self._record(error if error is not None or self.outrun else self._cut())
        self._give_back(error, record)
        if self._probe and self._state.breaker is not None:
            self._state.breaker.probing = False
        if self.outrun:
            self._sample(record)
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
        self._state.in_flight -= 1
        if self._lease is not None:
            self._lease.settle(_used(error, record))
            self.run.fleet.call_next(self.seat.queue, everybody=self.run.plan.limits_are_foreign)

    def _record(self, error: PolyrouteError | None) -> Attempt:
        usage = self.usage
        if usage is None and (self.outrun or (isinstance(error, AttemptError) and error.may_have_run)):
            usage = abandoned_usage(self.request, self.gathered)
        return Attempt(
            deployment=self.seat.id,
            started=self.started,
            ended=anyio.current_time(),
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

    def _sample(self, record: Attempt) -> None:
        """Keep how long it took, or had taken when it was given up: percentiles are made of that."""
        state = self._state
        silent = isinstance(record.error, AttemptTimeoutError) and record.error.phase == "first_token"
        if record.error is not None and not silent:
            return
        if self.run.streams:
            if state.first_tokens is None:
                state.first_tokens = Samples()
            state.first_tokens.add(record.latency if record.ttft is None else record.ttft)
        else:
            if state.answers is None:
                state.answers = Samples()
            state.answers.add(record.latency)

    def _judge(self, error: PolyrouteError | None, flaw: float, now: float) -> None:
        """Let the breaker and the bars know how it ended."""
        run, state = self.run, self._state
        if isinstance(error, RateLimitError) and error.transient:
            for each in akin(self.deployment, run.plan.deployments):
                run.fleet.bar(each, now, error.retry_after)
            if self.seat.limited and (learner := run.plan.learner) is not None:
                learner.rate_limited(self.deployment, started=self.started, retry_after=error.retry_after)
        if state.breaker is None:
            return
        if refused_for_good(error) and not callable(self.deployment.api_key):
            keys = isinstance(error, AuthenticationError | QuotaExhaustedError)
            out = akin(self.deployment, run.plan.deployments, any_model=True) if keys else [self.seat.id]
            for each in out:
                run.fleet.trip(each, now, f"it refused for good: {type(error).__name__}")
            return
        weight = flaw if error is None else weight_of(error)
        if weight is None or (isinstance(error, AttemptTimeoutError) and self._hurried(error.phase)):
            if self._probe:
                state.breaker.probing = False
            return
        run.fleet.count(self.seat.id, weight, now, probe=self._probe)

    def _hurried(self, phase: str | None) -> bool:
        """Whether the caller gave it less time than it has by its own settings."""
        given = self.request.timeout
        if given is None or phase is None or not given.says(phase):
            return False
        own, asked = getattr(self.seat.timeout, phase), getattr(given, phase)
        return asked is not None and (own is None or asked < own)

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

    def _tell_ended(self, record: Attempt, *, counted: bool = True) -> None:
        self.run.fleet.listeners.tell(
            AttemptEnded(
                at=record.ended,
                deployment=self.seat.id,
                route=self.leg.route,
                attempt=record,
                counted=counted,
            )
        )

    def hear(self, read: Callable[[], RateLimits | None]) -> None:
        """Take what a host tells of its limits with a reply's head: read at once where it is to be heeded,
        else when somebody asks."""
        now = anyio.current_time()
        self._state.told = (read, now)
        learner = self.run.plan.learner
        if self.seat.limited and learner is not None and (told := read()) is not None:
            learner.learn(self.deployment, told)

    def explain(self, error: PolyrouteError) -> None:
        """Fill in what an error does not say of itself: whose it is."""
        if isinstance(error, AttemptError | BadRequestError) and error.deployment is None:
            error.deployment = self.deployment.id
        if isinstance(error, ProviderError | BadRequestError) and error.provider is None:
            error.provider = self.seat.provider.name


async def answer_chat(attempt: OpenAttempt[ChatRequest]) -> ChatResponse[Any]:
    """Ask for a whole reply; the attempt is closed where it is good."""
    response = await attempt.bounded(attempt.seat.provider.chat(call_of(attempt)))
    response = await judge(attempt, response)
    attempt.close(flaw=flaw_of(attempt.adapted, response))
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
        hear=attempt.hear,
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
        hear=attempt.hear,
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


def _used(error: PolyrouteError | None, record: Attempt | None) -> Usage | None:
    """What an attempt has used of its lease; None where its host never saw it."""
    unseen = isinstance(error, RequestError) and getattr(error, "status", None) is None
    if record is None or unseen or isinstance(error, ConnectError):
        return None
    return record.usage or _UNUSED


def failed_finish(id: str, reason: str) -> ServerError:
    """The error of a reply whose finish reason was named as a failure of its host."""
    return ServerError(f"{id}: its reply ended with {reason!r}, which counts as its failure", deployment=id)


def _kind(run: Run, deployment: Deployment) -> AttemptKind:
    if run.goes_on is not None:
        return run.goes_on
    if not run.history:
        return "first"
    return "retry" if any(past.deployment == deployment.id for past in run.history) else "fallback"


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
