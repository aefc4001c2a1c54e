"""What the end of an attempt teaches: how long it takes there, what there is room for, and who is to be
left alone."""

from __future__ import annotations

from polyroute._engine.choosing import akin
from polyroute._engine.plan import Seat
from polyroute._engine.run import Run
from polyroute.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
)
from polyroute.events import LimitLearned
from polyroute.fleet import State
from polyroute.health import Breaker, Samples, refused_for_good, weight_of
from polyroute.replies import Attempt
from polyroute.settings import Timeout

__all__ = ["hurried", "judge_end", "sample"]


def hurried(error: PolyrouteError | None, given: Timeout | None, own: Timeout) -> bool:
    """Whether the caller gave the deployment less time than it has by its *own* settings, and it was silent
    for no longer than that."""
    if given is None or not isinstance(error, AttemptTimeoutError) or not given.says(error.phase or ""):
        return False
    asked, usual = getattr(given, error.phase or ""), getattr(own, error.phase or "")
    return asked is not None and (usual is None or asked < usual)


def sample(record: Attempt, state: State, *, streamed: bool) -> None:
    """Keep how long it took, or had taken when it was given up: percentiles are made of that."""
    silent = isinstance(record.error, AttemptTimeoutError) and record.error.phase == "first_token"
    if record.error is not None and not silent:
        return
    if streamed:
        if state.first_tokens is None:
            state.first_tokens = Samples()
        state.first_tokens.add(record.latency if record.ttft is None else record.ttft)
    else:
        if state.answers is None:
            state.answers = Samples()
        state.answers.add(record.latency)


def judge_end(
    record: Attempt, seat: Seat, state: State, run: Run, *, flaw: float, probe: Breaker | None
) -> None:
    """Let the breakers and the bars know how it ended. *probe* is the breaker that let it through although
    it was not closed."""
    fleet, error, now = run.fleet, record.error, record.ended
    if fleet.states.get(seat.id) is not state:
        return  # Another deployment goes by its id now.
    if isinstance(error, RateLimitError) and error.transient:
        _bar(record, seat, run, error.retry_after)
    if state.breaker is None:
        return
    if refused_for_good(error) and not callable(seat.deployment.api_key):
        keys = isinstance(error, AuthenticationError | QuotaExhaustedError)
        same = akin(seat.deployment, run.plan.deployments, any_model=True) if keys else [seat.deployment]
        for each in same:
            reason = f"it refused for good: {type(error).__name__}"
            fleet.trip(each.id or "", run.plan.breaker_of(each), now, reason)
        return
    weight = flaw if error is None else weight_of(error)
    if weight is not None:
        fleet.count(seat.id, weight, now, probe=probe is state.breaker)


def _bar(record: Attempt, seat: Seat, run: Run, retry_after: float | None) -> None:
    """Leave alone all that the host takes for the same, and learn that what was allowed was too much."""
    fleet, now = run.fleet, record.ended
    for each in akin(seat.deployment, run.plan.deployments):
        fleet.bar(each.id or "", now, retry_after)
    learner = run.plan.learner
    if learner is None or not seat.limited:
        return
    learnt = learner.rate_limited(seat.deployment, started=record.started, retry_after=retry_after)
    if learnt is not None and fleet.listeners.any:
        limit, share = learnt
        fleet.listeners.tell(LimitLearned(at=now, deployment=seat.id, limit=limit, share=share))
