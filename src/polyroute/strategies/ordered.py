"""The first in order: a primary, and those that stand in for it."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute.deployments import Deployment
from polyroute.errors import ConfigurationError
from polyroute.protocols import Choice, FleetView, Strategy
from polyroute.replies import Attempt
from polyroute.types import Request

__all__ = ["Ordered"]


class Ordered(Strategy):
    """Those with the *ids* alone, in this order; without ids all, as the route names them."""

    suspends = False

    def __init__(self, *ids: str) -> None:
        if not all(isinstance(id, str) and id for id in ids):
            raise ConfigurationError(f'Ordered takes ids, such as Ordered("mini", "llama"), not {ids!r}')
        self._ids = ids

    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Choice | None:
        if not self._ids:
            return Choice(candidates[0], "the first in order")
        for id in self._ids:
            for candidate in candidates:
                if id in (candidate.id, candidate.model):
                    return Choice(candidate, "the first in order")
        return None

    def __repr__(self) -> str:
        return f"Ordered({', '.join(map(repr, self._ids))})"
