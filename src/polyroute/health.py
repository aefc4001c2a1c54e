"""How deployments fare, as pure functions of samples and times."""

from __future__ import annotations

from math import exp

from polyroute.errors import AttemptError

__all__ = ["failure_sample", "peak_ewma", "share"]

_DECAY = 10.0  # seconds; Finagle's and tower's default
_FAILURE = 5.0  # seconds a failure counts for; linkerd's load-biaser
_LONGEST = 300.0
_WEIGHT = 0.1  # of the newest outcome in a rate: about the last ten count


def peak_ewma(estimate: float | None, sample: float, elapsed: float) -> float:
    """The estimate after one more *sample*, *elapsed* seconds after the one before.

    It jumps up at once and decays by `exp(-elapsed / 10 s)` (Finagle's `PeakEwma`).
    """
    if estimate is None or sample > estimate:
        return sample
    weight = exp(-elapsed / _DECAY)
    return estimate * weight + sample * (1 - weight)


def share(rate: float, happened: bool) -> float:
    """The rate at which something happens, after one more outcome."""
    return rate + _WEIGHT * (happened - rate)


def failure_sample(latency: float, error: AttemptError) -> float:
    """The seconds that a failed attempt counts for, so that a host that fails fast does not look fast."""
    asked = _FAILURE if error.retry_after is None else min(error.retry_after, _LONGEST)
    return max(latency, asked)
