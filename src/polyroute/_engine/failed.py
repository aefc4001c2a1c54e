"""What a call comes out as when nobody answered: about the request itself, or about the fleet."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute._engine.run import Run
from polyroute.errors import (
    AllAttemptsFailedError,
    BadRequestError,
    NoDeploymentAvailableError,
    PolyrouteError,
    RequestError,
    UnsupportedParameterError,
)
from polyroute.replies import Exclusion, reasons_of, told

__all__ = ["failed"]


def failed(run: Run) -> PolyrouteError:
    """The error of a call for which every leg has ended."""
    if not run.history:
        return run.late or _nobody(list(run.excluded.values()), run)
    last = run.history[-1].error
    if isinstance(last, BadRequestError) and last.lacks is not None:
        return _lacking(last.lacks, last, run)
    if isinstance(last, RequestError):
        return last
    count = len(run.history)
    report = "; ".join(map(told, run.history))
    said = f" (the last one said: {last})" if last is not None and str(last) else ""
    error = AllAttemptsFailedError(
        f"{count} attempt{'s' if count > 1 else ''} failed: {report}{said}", attempts=tuple(run.history)
    )
    error.__cause__ = last
    return error


def _lacking(name: str, last: BadRequestError, run: Run) -> UnsupportedParameterError:
    """The error of a call for which the last host that was asked said that its model has no *name*."""
    reasons = reasons_of(list(run.excluded.values()))
    error = UnsupportedParameterError(
        f"no deployment can honour {name}: {last}", parameter=name, reasons=reasons
    )
    error.__cause__ = last
    return error


def _nobody(excluded: Sequence[Exclusion], run: Run) -> PolyrouteError:
    """The error of a call that nobody could be asked."""
    serving = [exclusion for exclusion in excluded if exclusion.cause != "kind"]
    reasons = reasons_of(excluded)
    told_reasons = "; ".join(f"{id}: {reason}" for id, reason in reasons.items())
    arguments = [exclusion.argument for exclusion in serving if exclusion.cause == "argument"]
    if serving and len(arguments) == len(serving):
        return UnsupportedParameterError(
            f"no deployment can honour {arguments[0]}: {told_reasons}",
            parameter=arguments[0],
            reasons=reasons,
        )
    return NoDeploymentAvailableError(
        f"no deployment could be asked: {told_reasons or 'the strategy chose none'}",
        reasons=reasons,
        retry_after=_soonest(excluded, run),
    )


def _soonest(excluded: Sequence[Exclusion], run: Run) -> float | None:
    """Seconds until the first of those comes back whom a breaker or a host keeps away."""
    states, now = run.fleet.states, run.fleet.now
    waits: list[float] = []
    for exclusion in excluded:
        state = states.get(exclusion.deployment)
        if state is None or exclusion.cause not in ("breaker", "limits"):
            continue
        if state.breaker is not None and state.breaker.until is not None:
            waits.append(max(state.breaker.until - now, 0.0))
        elif barred := state.barred_for(now):
            waits.append(barred)
    return min(waits, default=None)
