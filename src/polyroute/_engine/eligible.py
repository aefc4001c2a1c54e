"""Who may serve at all: a pure function, with a reason for each deployment that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from polyroute._engine.plan import Leg, Seat
from polyroute.capabilities import wanted
from polyroute.deployments import Deployment
from polyroute.errors import (
    AttemptError,
    AttemptTimeoutError,
    ContentFilterError,
    ContextWindowExceededError,
)
from polyroute.fleet import State
from polyroute.protocols import Provider
from polyroute.replies import Attempt, Exclusion
from polyroute.types import Request

__all__ = ["body_of", "eligible", "lacks_of", "tag_against"]

_NOTHING: Mapping[str, frozenset[str]] = {}
_NOBODY: Mapping[str, State] = {}


def eligible(
    request: Request,
    leg: Leg,
    history: Sequence[Attempt] = (),
    *,
    learnt: Mapping[str, frozenset[str]] = _NOTHING,
    asked: Mapping[str, Deployment] | None = None,
    format: str | None = None,
    space: str | None = None,
    states: Mapping[str, State] = _NOBODY,
    now: float = 0.0,
    chance: Callable[[], float] = float,
    despite: bool = False,
) -> tuple[list[Deployment], list[Exclusion]]:
    """The deployments of *leg* that may serve *request*, in order, and why the others may not.

    *history* are the call's attempts so far, *asked* who was asked in them, by id. *format* is the
    wire format that the call's `extra` speaks, *space* the vector space that it has settled on;
    None where there is none. *learnt* holds what hosts have said that their models have not, by id.
    *states* are the deployments' *now*, by id, and *chance* gives this call's number between 0 and 1;
    *despite* what their breakers say.
    """
    candidates: list[Deployment] = []
    excluded: list[Exclusion] = []
    tags = (*leg.tags, *request.tags) if request.tags else leg.tags
    provider: Provider | None = None
    honours_not: Collection[str] = ()
    for seat in leg.seats.values():
        if seat.provider is not provider:  # Neighbours often have the same one, which says the same.
            provider = seat.provider
            honours_not = seat.cannot(request) if seat.cannot is not None else ()
        missing = honours_not
        if seat.lacks or learnt:
            missing = [*honours_not, *wanted(request, lacks_of(seat, learnt))]
        exclusion = _fixed(request, seat, tags, missing, format, space)
        if exclusion is None and history:
            exclusion = _learnt(seat.deployment, history, asked or {})
        state = states.get(seat.id)
        if exclusion is None and state is not None and state.held:
            exclusion = _held(seat.id, state, now, chance, despite=despite)
        if exclusion is None:
            candidates.append(seat.deployment)
        else:
            excluded.append(exclusion)
    return candidates, excluded


def lacks_of(seat: Seat, learnt: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """What the model is known not to have: from its family, its configuration and its host's own words."""
    return seat.lacks | learnt.get(seat.deployment.id or "", frozenset()) if learnt else seat.lacks


def body_of(extra: Mapping[str, Any], prefixes: frozenset[str]) -> dict[str, Any]:
    """The part of a call's `extra` that speaks a wire format: all but what is keyed by a prefix."""
    return {
        name: value
        for name, value in extra.items()
        if not (name in prefixes and isinstance(value, Mapping))
    }  # fmt: skip


def tag_against(tags: Iterable[str], borne: frozenset[str]) -> str | None:
    """The first of the demanded *tags* that a deployment bearing *borne* does not meet."""
    for tag in tags:
        met = tag[1:] not in borne if tag.startswith("!") else tag in borne
        if not met:
            return tag
    return None


def _fixed(
    request: Request,
    seat: Seat,
    tags: Sequence[str],
    missing: Collection[str],
    format: str | None,
    space: str | None,
) -> Exclusion | None:
    """What holds for the whole call, whatever happens in it. *missing*: what its provider cannot honour."""
    if (exclusion := seat.out.get(request.kind)) is not None:
        return exclusion
    id = seat.deployment.id or ""
    if tags and (tag := tag_against(tags, seat.tags)):
        reason = f"it bears the tag {tag[1:]!r}" if tag.startswith("!") else f"it lacks the tag {tag!r}"
        return Exclusion(id, reason, "tags")
    for name in missing:
        if name not in seat.deployment.may_drop:
            return Exclusion(id, f"it cannot honour {name}", "argument", name)
    if format is not None and seat.format and seat.format != format:
        return Exclusion(id, f"extra= speaks {format}, and it speaks {seat.format}", "argument", "extra")
    if request.extra and seat.barred is not None and (why := seat.barred(request, seat.deployment)):
        return Exclusion(id, why, "argument", "extra")
    if space is not None and seat.space != space:
        return Exclusion(id, f"its vectors are of the space {seat.space!r}, not {space!r}", "attempts")
    return None


def _learnt(
    deployment: Deployment, history: Sequence[Attempt], asked: Mapping[str, Deployment]
) -> Exclusion | None:
    """What this call's own attempts have shown."""
    id = deployment.id or ""
    for attempt in history:
        error = attempt.error
        other = asked.get(attempt.deployment, deployment)
        if isinstance(error, ContextWindowExceededError) and not _larger(deployment, other):
            return Exclusion(id, "its context window is no larger than one that was too small", "attempts")
        if isinstance(error, ContentFilterError) and other.provider is deployment.provider:
            return Exclusion(id, "its provider's content filter refused in this call", "attempts")
        if attempt.deployment != id:
            continue
        if isinstance(error, AttemptTimeoutError):
            return Exclusion(id, "it stayed silent to its limit in this call", "attempts")
        if isinstance(error, AttemptError) and not error.transient:
            return Exclusion(id, f"it refused for good in this call: {type(error).__name__}", "attempts")
    return None


def _held(
    id: str, state: State, now: float, chance: Callable[[], float], *, despite: bool
) -> Exclusion | None:
    """What keeps every call from it: a pause, or its circuit breaker."""
    if state.paused:
        return Exclusion(id, "it is paused", "paused")
    if state.unwell_until is not None and now < state.unwell_until and not despite:
        return Exclusion(id, "it failed its last probe", "probe")
    breaker = state.breaker
    if breaker is None or despite:
        return None
    share = breaker.share(now)
    if share == 1.0 or (share and chance() < share):
        return None
    if breaker.until is None:
        reason = f"it is on its way back, with {share:.0%} of its calls"
    elif breaker.probes:
        reason = "its circuit breaker is half-open, and a probe is under way"
    else:
        reason = f"its circuit breaker is open for {breaker.until - now:.1f} s more: {breaker.reason}"
    return Exclusion(id, reason, "breaker")


def _larger(deployment: Deployment, than: Deployment) -> bool:
    """Whether its context window is, or may be, the larger one: an unknown one counts as larger."""
    if deployment is than or deployment.id == than.id:
        return False
    one, other = deployment.context_window, than.context_window
    return one is None or other is None or one > other
