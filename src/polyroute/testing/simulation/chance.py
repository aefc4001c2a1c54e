"""What chance decides in a simulation: how long things take, and when calls arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import log
from random import Random
from typing import TypeAlias

from polyroute.errors import ConfigurationError

__all__ = ["Arrivals", "Draw", "LogNormal", "Poisson", "drawn"]

Draw: TypeAlias = float | Callable[[Random], float]
"""A number that is always the same, or one that is drawn each time."""

Arrivals: TypeAlias = Callable[[Random], Iterator[float]]
"""The moments at which calls arrive, in rising order: seconds from the start."""

_P95 = 1.6448536269514722  # standard deviations above the mean below which 95 of 100 normal draws lie


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Draws about a median with a long tail, as latencies have: 95 of 100 are below *p95*."""

    median: float
    p95: float
    _mu: float = field(init=False, repr=False, compare=False)
    _sigma: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.median <= self.p95:
            raise ConfigurationError(
                f"LogNormal: 0 < median <= p95, not median {self.median!r} and p95 {self.p95!r}"
            )
        object.__setattr__(self, "_mu", log(self.median))
        object.__setattr__(self, "_sigma", log(self.p95 / self.median) / _P95)

    def __call__(self, rng: Random, /) -> float:
        return rng.lognormvariate(self._mu, self._sigma)


@dataclass(frozen=True, slots=True)
class Poisson:
    """Arrivals that know nothing of each other, *rate* a second on average."""

    rate: float

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ConfigurationError(f"Poisson: rate is calls a second, more than 0, not {self.rate!r}")

    def __call__(self, rng: Random, /) -> Iterator[float]:
        moment = 0.0
        while True:
            moment += rng.expovariate(self.rate)
            yield moment


def drawn(what: Draw, rng: Random) -> float:
    """*what*, drawn where it is left to chance."""
    return what(rng) if callable(what) else what
