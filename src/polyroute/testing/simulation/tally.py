"""The calls of a simulation, counted as they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import anyio

from polyroute.errors import PolyrouteError
from polyroute.replies import ChatResponse
from polyroute.testing.simulation.hosts import RunningHost
from polyroute.testing.simulation.report import HostReport, Percentiles, SimulationReport, ranked

__all__ = ["Tally"]

_ROUNDING = 1e-6  # seconds


class Tally:
    """What the callers saw. *hosts* are those that could have answered, by name."""

    def __init__(self, hosts: Mapping[str, RunningHost]) -> None:
        self._hosts = hosts
        self._calls = 0
        self._ended = 0
        self._avoidable = 0
        self._late = 0
        self._errors: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._ttfts: list[float] = []
        self._cost: Decimal | None = Decimal(0)

    def arrived(self) -> None:
        """Count a call in."""
        self._calls += 1

    def answered(self, reply: ChatResponse[Any], began: float, ttft: float | None) -> None:
        """Count a call that got its reply just now, a stream's first token *ttft* seconds after it *began*."""
        self._answered[reply.deployment or ""] += 1
        self._latencies.append(anyio.current_time() - began)
        if ttft is not None:
            self._ttfts.append(ttft)
        self._spent(reply.cost)

    def failed(self, error: PolyrouteError, began: float) -> None:
        """Count a call that *began* then and got *error* just now."""
        self._errors[type(error).__name__] += 1
        now = anyio.current_time()
        self._avoidable += any(host.has_been_well(began, now) for host in self._hosts.values())
        for attempt in getattr(error, "attempts", ()):
            self._spent(attempt.cost)

    def ended(self, deadline: float) -> None:
        """Count a call that ended, in whatever way, and was to end by *deadline*."""
        self._ended += 1
        self._late += anyio.current_time() > deadline + _ROUNDING

    def _spent(self, cost: Decimal | None) -> None:
        self._cost = None if self._cost is None or cost is None else self._cost + cost

    def report(self, *, seed: int, lasting: float, left: tuple[str, ...]) -> SimulationReport:
        """What the run came to, where *left* was not given back."""
        return SimulationReport(
            seed=seed,
            lasting=lasting,
            calls=self._calls,
            answered=self._answered.total(),
            errors=ranked(self._errors),
            avoidable=self._avoidable,
            unfinished=self._calls - self._ended,
            late=self._late,
            latency=Percentiles.of(self._latencies),
            ttft=Percentiles.of(self._ttfts),
            cost=self._cost,
            deployments=ranked(self._answered),
            hosts={name: HostReport.of(host) for name, host in self._hosts.items()},
            left=left,
        )
