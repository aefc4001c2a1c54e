"""One try of one deployment: opened, bounded in time, and closed exactly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from math import inf
from typing import Any, Generic, TypeVar

import anyio

from polyroute._engine.adapt import adapt
from polyroute._engine.conclude import abandoned_usage, with_parsed, with_prompt_usage, with_usage
from polyroute._engine.plan import Leg
from polyroute._engine.run import Run
from polyroute.deployments import Call, Deadline, Deployment, EmbedCall
from polyroute.errors import (
    AttemptError,
    AttemptTimeoutError,
    BadRequestError,
    PolyrouteError,
    ProviderError,
    RejectedError,
)
from polyroute.fleet import learn
from polyroute.pricing import dollars, nanodollars
from polyroute.protocols import Strategy
from polyroute.replies import Attempt, AttemptKind, ChatResponse, EmbedResponse
from polyroute.streams import Gathered
from polyroute.types import ChatRequest, EmbedRequest, Request, Usage, amended

__all__ = ["OpenAttempt", "answer_chat", "answer_embed", "call_of", "judge", "stamped"]

T = TypeVar("T")
R = TypeVar("R", ChatRequest, EmbedRequest)
Whole = TypeVar("Whole", ChatResponse[Any], EmbedResponse)

_NOTHING = Decimal(0)


class OpenAttempt(Generic[R]):
    """An attempt that is not over. It holds its place in flight until `close` or `release`.

    *usage* is what it is known to have used; *gathered* what a stream has said so far.
    """

    __slots__ = (
        "_kind", "_open", "_reason", "_state", "adapted", "deadline", "dropped", "gathered",
        "leg", "request", "run", "seat", "started", "timeout", "ttft", "usage",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        leg: Leg,
        request: R,
        deployment: Deployment,
        *,
        reason: str,
        others_left: bool,
    ) -> None:
        self.run = run
        self.leg = leg
        self.request: R = request
        self.seat = leg.seats[deployment.id or ""]
        adapted, self.dropped = adapt(request, self.seat, run.plan, run.fleet.lacks)
        self.adapted: R = adapted
        self.timeout = self.seat.timeout.merged(request.timeout)
        self.usage: Usage | None = None
        self.ttft: float | None = None
        self.gathered: Gathered | None = None
        self._kind: AttemptKind = _kind(run, deployment)
        self._reason = reason
        self.started = run.began if run.began is not None and not run.history else anyio.current_time()
        self.deadline = self._limits(others_left=others_left)
        self._state = run.fleet.state(deployment.id or "")
        self._state.in_flight += 1
        self._open = True

    def _limits(self, *, others_left: bool) -> Deadline:
        timeout = self.timeout
        attempt = first_token = inf
        if timeout.attempt is not None and others_left:
            attempt = self.started + timeout.attempt
        if timeout.first_token is not None and (self.run.streams or timeout.says("first_token")):
            first_token = self.started + timeout.first_token
        return Deadline(
            inf if self.run.deadline is None else self.run.deadline,
            attempt=attempt,
            first_token=first_token,
            between_tokens=timeout.between_tokens,
        )

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

    def close(self, error: PolyrouteError | None = None) -> Attempt:
        """End it: give its place back, work out its cost, and let everybody learn from it."""
        self._give_back()
        record = self._record(error)
        self.run.history.append(record)
        learn(self._state, record)
        _observe(self.run.plan.observers, self.request, record)
        return record

    def release(self) -> None:
        """Give its place back without counting it: cancelled, a bug, or the caller's own mistake.

        One that the call's deadline cut short stays in the call's own record.
        """
        if not self._open:
            return
        self._give_back()
        if self.run.is_over():
            cut = AttemptTimeoutError(
                "the call's deadline came first", deployment=self.deployment.id, phase="attempt"
            )
            self.run.history.append(self._record(cut))

    def _give_back(self) -> None:
        self._open = False
        self._state.in_flight -= 1

    def _record(self, error: PolyrouteError | None) -> Attempt:
        usage = self.usage
        if usage is None and isinstance(error, AttemptError) and error.may_have_run:
            usage = abandoned_usage(self.request, self.gathered)
        return Attempt(
            deployment=self.deployment.id or "",
            started=self.started,
            ended=anyio.current_time(),
            error=error,
            ttft=self.ttft,
            usage=usage,
            cost=self._cost(usage),
            reason=self._reason,
            kind=self._kind,
            dropped=self.dropped,
        )

    def _cost(self, usage: Usage | None) -> Decimal | None:
        if usage is None:
            return _NOTHING
        price = self.deployment.price
        return None if price is None else dollars(nanodollars(price, usage))

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
    attempt.close()
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
    )


async def judge(attempt: OpenAttempt[ChatRequest], response: ChatResponse[Any]) -> ChatResponse[Any]:
    """The reply with its usage and its parsed form, if it is one that counts.

    Raises:
        OutputValidationError: It is not of the schema that was asked for.
        RejectedError: The strategy's `accept` said no.
    """
    response = with_usage(attempt.adapted, response)
    attempt.usage = response.usage
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


def _kind(run: Run, deployment: Deployment) -> AttemptKind:
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
