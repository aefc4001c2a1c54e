"""What a simulation came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Self

from polyroute.testing.simulation.hosts import RunningHost

__all__ = ["HostReport", "Percentiles", "SimulationReport", "ranked"]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long things took, in seconds: half of them no longer than *p50*, 95 of 100 no longer than
    *p95*, and so on."""

    p50: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, samples: Iterable[float]) -> Self | None:
        """Those of *samples* (nearest rank); None where there are none."""
        rising = sorted(samples)
        if not rising:
            return None
        return cls(*(rising[ceil(len(rising) * share) - 1] for share in (0.50, 0.95, 0.99, 1.0)))

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.2f} s, p95 {self.p95:.2f} s, p99 {self.p99:.2f} s, longest {self.longest:.2f} s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """What one host saw.

    *attempts* are the requests that reached it, by the minute in *per_minute*; *answered* those that it
    answered whole, *failures* what became of the others, by error. What is in neither was let go of by
    the router before it had ended. *peak_rpm* is the most requests that came in any 60 s, *peak_tpm* the
    most tokens that it worked on in any 60 s, *peak_in_flight* the most requests at once.
    """

    attempts: int
    answered: int
    failures: Mapping[str, int]
    per_minute: tuple[int, ...]
    peak_rpm: int
    peak_tpm: int
    peak_in_flight: int

    @classmethod
    def of(cls, host: RunningHost) -> Self:
        """What *host* has seen so far."""
        return cls(
            attempts=host.attempts,
            answered=host.answered,
            failures=ranked(host.failures),
            per_minute=tuple(host.minutes[minute] for minute in range(max(host.minutes, default=-1) + 1)),
            peak_rpm=host.came.most_requests,
            peak_tpm=host.let_in.most_tokens,
            peak_in_flight=host.most_in_flight,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """What a simulation came to, from the callers' side and from the hosts'.

    Of *calls* that arrived in *lasting* seconds, *answered* got a whole reply; *errors* says what the
    others got, by error, and *unfinished* had not ended an hour after the last arrival. *avoidable* of
    the errors came although some host was well, and had room, for as long as the call took. *late*
    calls ended after their deadline: there should be none. *latency* and *ttft* (streams' first token)
    are those of answered calls, waits and failed attempts included; None where there were none.
    *cost* is in US dollars, failed attempts included; None where a price is unknown.
    *deployments* says who answered, *hosts* what each saw, and *left* what was not given back when all
    was over, in words: nothing, if all is well.
    """

    seed: int
    lasting: float
    calls: int
    answered: int
    errors: Mapping[str, int]
    avoidable: int
    unfinished: int
    late: int
    latency: Percentiles | None
    ttft: Percentiles | None
    cost: Decimal | None
    deployments: Mapping[str, int]
    hosts: Mapping[str, HostReport]
    left: tuple[str, ...]

    @property
    def success(self) -> float:
        """The share of calls that were answered; 1.0 where there were none."""
        return self.answered / self.calls if self.calls else 1.0

    @property
    def availability(self) -> float:
        """The same, without the calls that nobody could have answered."""
        return self.answered / (self.answered + self.avoidable) if self.answered + self.avoidable else 1.0

    @property
    def attempts_per_call(self) -> float:
        """How many requests reached the hosts for each call that was made."""
        return sum(host.attempts for host in self.hosts.values()) / self.calls if self.calls else 0.0

    def __str__(self) -> str:
        return "\n".join(line.rstrip() for line in (*self._of_the_calls(), "", *self._of_the_hosts()))

    def _of_the_calls(self) -> Iterable[str]:
        yield f"{self.calls:,} calls in {self.lasting:,.0f} s (seed {self.seed})"
        yield f"answered    {self.answered:,} ({self.success:.3%}), {self.attempts_per_call:.2f} attempts a call"
        if self.errors:
            yield f"failed      {_listed(self.errors)}; {self.avoidable:,} of them avoidable"
        if self.latency is not None:
            yield f"latency     {self.latency}"
        if self.ttft is not None:
            yield f"ttft        {self.ttft}"
        if self.cost is not None:
            yield f"cost        ${self.cost:,.2f}"
        for number, what in ((self.late, "ended after their deadline"), (self.unfinished, "did not end")):
            if number:
                yield f"{number:,} calls {what}"
        if self.left:
            yield f"left behind: {'; '.join(self.left)}"

    def _of_the_hosts(self) -> Iterable[str]:
        width = max([len("host"), *map(len, self.hosts)])
        yield f"{'host':{width}}  {'attempts':>10}  {'answered':>10}  {'peak rpm':>9}  {'at once':>8}  failures"
        for name, host in self.hosts.items():
            yield (
                f"{name:{width}}  {host.attempts:>10,}  {host.answered:>10,}  {host.peak_rpm:>9,}"
                f"  {host.peak_in_flight:>8,}  {_listed(host.failures)}"
            )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def ranked(counts: Counter[str]) -> dict[str, int]:
    """The commonest first, and equals by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
