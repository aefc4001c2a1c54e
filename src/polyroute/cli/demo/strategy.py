"""Who is asked: the cheapest deployment that is healthy. A strategy as an application would write one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polyroute import (
    Attempt,
    AttemptError,
    Choice,
    Deployment,
    FleetView,
    Request,
    Strategy,
)

__all__ = ["CheapestHealthy", "Watched"]


@dataclass(slots=True)
class _Health:
    """Of one deployment: how often it failed in a row, and from when to when it is left alone."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0


class CheapestHealthy(Strategy):
    """The cheapest candidate that is not resting; the busier one is, the dearer it counts.

    A deployment that asked to be left alone rests for as long as it said. One that failed twice in a
    row (once may be chance) rests for *rest* seconds, and twice as long after each further failure
    up to *longest*; then the next call finds out how it fares. Where all rest, the one that failed
    least is asked. *crowd* is how many calls in flight make a deployment count for twice its price.
    """

    suspends = False

    def __init__(self, *, rest: float = 0.5, longest: float = 2.0, crowd: int = 8) -> None:
        self._rest = rest
        self._longest = longest
        self._crowd = crowd
        self._health: dict[str, _Health] = {}

    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Choice:
        awake = [each for each in candidates if self._of(each).until <= fleet.now]
        if not awake:
            least = min(candidates, key=lambda each: (self._of(each).failures, self._of(each).until))
            return Choice(least, "all rest, and it failed least")
        scores = {each.id or "": self._score(request, each, fleet) for each in awake}
        chosen = min(awake, key=lambda each: scores[each.id or ""])
        return Choice(chosen, "the cheapest that is healthy", scores)

    def _score(self, request: Request, candidate: Deployment, fleet: FleetView) -> float:
        cost = float(fleet.estimate(request, candidate) or 0)
        return cost * (1 + fleet[candidate].in_flight / self._crowd)

    def observe(self, request: Request, attempt: Attempt, /) -> None:
        health = self._health.setdefault(attempt.deployment, _Health())
        if not isinstance(attempt.error, AttemptError):
            if attempt.started >= health.since:  # One from before the failure says nothing of now.
                health.failures = 0
            return
        if attempt.started >= health.since:  # What was under way when it failed is the same failure.
            health.failures += 1
        health.since = attempt.ended
        health.until = max(health.until, attempt.ended + self._rest_after(attempt.error, health.failures))

    def _rest_after(self, error: AttemptError, failures: int) -> float:
        if error.retry_after is not None:
            return error.retry_after
        return min(self._rest * 2 ** (failures - 2), self._longest) if failures > 1 else 0.0

    def _of(self, deployment: Deployment) -> _Health:
        return self._health.get(deployment.id or "", _Health())


class Watched(Strategy):
    """Asks *inner*, and tells a watcher what the router tells a strategy."""

    suspends = False

    def __init__(
        self, inner: Strategy, *, fleet: Callable[[FleetView], None], attempt: Callable[[Attempt], None]
    ) -> None:
        self._inner = inner
        self._tell_fleet = fleet
        self._tell_attempt = attempt

    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Deployment | Choice | None:
        self._tell_fleet(fleet)
        return await self._inner.choose(request, candidates, history, fleet)

    def observe(self, request: Request, attempt: Attempt, /) -> None:
        self._tell_attempt(attempt)
        self._inner.observe(request, attempt)
