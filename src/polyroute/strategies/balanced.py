"""Calls spread over equals: in turn, or by weight."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute.deployments import Deployment
from polyroute.health import slowness
from polyroute.protocols import Choice, FleetView, Strategy
from polyroute.replies import Attempt
from polyroute.types import Request

__all__ = ["RoundRobin", "Weighted"]

_FEW = 2  # of so few none is an outlier


class RoundRobin(Strategy):
    """Each in turn: the candidate that has waited longest since its last turn."""

    suspends = False

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._turn = 0

    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Choice:
        turns = self._turns
        chosen = min(candidates, key=lambda candidate: turns.get(candidate.id or "", 0))
        self._turn += 1
        turns[chosen.id or ""] = self._turn
        return Choice(chosen, "its turn")

    def __copy__(self) -> RoundRobin:
        copied = RoundRobin()
        copied._turns, copied._turn = dict(self._turns), self._turn
        return copied

    def __repr__(self) -> str:
        return "RoundRobin()"


class Weighted(Strategy):
    """At random, each with the probability of its `Deployment.weight` among the candidates'.

    One that is slower than three times the median of them loses weight in proportion, with no cliff.
    Where every weight is 0, each is as likely as the next.
    """

    suspends = False

    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Choice:
        weights = [candidate.weight for candidate in candidates]
        if len(candidates) > _FEW:
            latencies = [fleet[candidate].latency for candidate in candidates]
            weights = [
                weight * slowness(latency, latencies)
                for weight, latency in zip(weights, latencies, strict=True)
            ]
        total = sum(weights)
        if not total:
            weights, total = [1.0] * len(candidates), float(len(candidates))
        (place,) = fleet.rng.choices(range(len(candidates)), weights)
        return Choice(
            candidates[place],
            "drawn by weight",
            scores={
                candidate.id or "": weight / total
                for candidate, weight in zip(candidates, weights, strict=True)
            },
            propensity=weights[place] / total,
        )

    def __repr__(self) -> str:
        return "Weighted()"
