"""Who is asked next: the candidates of a leg as the call stands, and the strategy's pick among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import anyio

from polyroute._engine.eligible import body_of, eligible
from polyroute._engine.plan import Leg
from polyroute._engine.run import Run
from polyroute.deployments import Deployment
from polyroute.errors import AttemptError, ConfigurationError
from polyroute.protocols import Choice, Strategy
from polyroute.types import Request

__all__ = ["akin", "candidates_of", "choice_of", "key_of", "kin", "rested", "untried", "unwell"]

_EPSILON = 1e-3  # seconds; what adding and subtracting moments may lose


def candidates_of(request: Request, leg: Leg, run: Run, *, despite: bool = False) -> Sequence[Deployment]:
    """The candidates of *leg* as the call stands, *despite* what their breakers say; who is left out is
    kept in the run's record."""
    candidates, excluded = eligible(
        request,
        leg,
        run.history,
        learnt=run.fleet.lacks,
        asked=run.asked,
        format=run.format,
        space=run.space,
        states=run.fleet.states,
        now=run.moment(),
        chance=run.chance,
        despite=despite,
    )
    if request.extra is not None and run.format is None and candidates:
        # `extra` speaks the format of the call's first candidate; those of another one are left out.
        first = leg.seats[candidates[0].id or ""].format
        if first and body_of(request.extra, run.plan.prefixes):
            run.format = first
            return candidates_of(request, leg, run, despite=despite)
    for exclusion in excluded:
        run.excluded.setdefault(exclusion.deployment, exclusion)
    return candidates


def untried(candidates: Sequence[Deployment], run: Run) -> Sequence[Deployment]:
    """Those who were not asked on this walk."""
    if not run.tried:
        return candidates
    return [each for each in candidates if each.id not in run.tried]


def rested(candidates: Sequence[Deployment], run: Run) -> Sequence[Deployment]:
    """Those whose own Retry-After is over, if there are any; else all."""
    now = anyio.current_time() + _EPSILON
    barred: dict[str, bool] = {}
    for past in run.history:
        wait = past.error.retry_after if isinstance(past.error, AttemptError) else None
        barred[past.deployment] = wait is not None and past.ended + wait > now
    return [each for each in candidates if not barred.get(each.id or "")] or candidates


def choice_of(
    picked: Deployment | Choice | None, candidates: Sequence[Deployment], strategy: Strategy
) -> Choice | None:
    """What *strategy* has picked among *candidates*, with its reason; None ends the leg."""
    if picked is None:
        return None
    choice = picked if isinstance(picked, Choice) else Choice(picked, f"{type(strategy).__name__} chose it")
    if choice.deployment not in candidates:
        raise ConfigurationError(
            f"{type(strategy).__name__}.choose gave {choice.deployment!r}, which is none of its candidates"
        )
    return choice


def unwell(request: Request, leg: Leg, run: Run) -> Sequence[Deployment]:
    """Those that were not asked, and that only their circuit breakers or their probes hold back; the one
    that comes back first is the first."""
    states = run.fleet.states
    well = candidates_of(request, leg, run)
    held = [each for each in untried(candidates_of(request, leg, run, despite=True), run) if each not in well]
    return sorted(held, key=lambda each: states[each.id or ""].back_at())


def kin(one: Deployment, failed: Deployment, beyond: Literal["deployment", "key", "host", "model"]) -> bool:
    """Whether *one* shares with *failed* what the verdict goes beyond."""
    match beyond:
        case "deployment":
            return one is failed
        case "model":
            return one.name == failed.name
        case "host":
            return _host(one) == _host(failed)
        case "key":
            return one is failed or (_host(one) == _host(failed) and _same_key(one, failed))


def akin(one: Deployment, deployments: Sequence[Deployment], *, any_model: bool = False) -> list[Deployment]:
    """Those whom a host takes for the same as *one*, itself among them: asked with the same key, and for
    the same model, or for any."""
    same = [
        each
        for each in deployments
        if each.id != one.id and kin(each, one, "key") and (any_model or each.name == one.name)
    ]
    return [one, *same]


def _host(deployment: Deployment) -> tuple[object, str]:
    return (deployment.provider, (deployment.base_url or "").rstrip("/"))


def _same_key(one: Deployment, other: Deployment) -> bool:
    """Whether both are asked with the same key; where neither was given one, that is the environment's,
    if their provider needs any."""
    key = key_of(one)
    return key == key_of(other) and (key is not None or hasattr(one.provider, "needs"))


def key_of(deployment: Deployment) -> object:
    """The key that it was given: a str, a callable, or None for that of the environment."""
    key = deployment.api_key
    return getattr(key, "get_secret_value", lambda: key)()
