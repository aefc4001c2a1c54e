"""What befalls a simulated host: each fault worsens its conditions, from one moment to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from random import Random
from typing import TYPE_CHECKING, ClassVar

from polyroute.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "BlackHole",
    "BrownOut",
    "Conditions",
    "CutStreams",
    "Fault",
    "Outage",
    "RateLimited",
    "SlowSpell",
    "SlowStart",
    "check_numbers",
    "random_faults",
]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a host fares at one moment.

    *down*: it refuses connections. *silent*: it takes requests and says nothing. *failing* is the
    share of requests that it answers with *status*. *slowness* is what its times are multiplied by.
    *capacity* is how many requests it takes at once, *rpm* and *tpm* how many requests and tokens in
    any 60 s; it says when to come back where *retry_after* is true. *cut* is the share of streams that
    break, after *cut_after* chunks.
    """

    down: bool = False
    silent: bool = False
    failing: float = 0.0
    status: int = 500
    slowness: float = 1.0
    capacity: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    retry_after: bool = True
    cut: float = 0.0
    cut_after: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(ABC):
    """Something that befalls a host *at* so many seconds from the start, and is *lasting* so many.

    Subclass it for one of your own. `breaks` says whether it also ends what is under way when it begins.
    """

    breaks: ClassVar[bool] = False

    at: float
    lasting: float

    def __post_init__(self) -> None:
        check_numbers(self)

    @property
    def until(self) -> float:
        """The moment at which it is over."""
        return self.at + self.lasting

    @abstractmethod
    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        """What it makes of *conditions* at the moment *now*, at which it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage(Fault):
    """Connections are refused, and those that are open are reset when it begins."""

    breaks = True

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        return replace(conditions, down=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackHole(Fault):
    """Requests are taken and never answered, those among them that are under way when it begins."""

    breaks = True

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        return replace(conditions, silent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrownOut(Fault):
    """A *share* of requests is answered with *status*, a 5xx."""

    share: float
    status: int = 500

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        return replace(conditions, failing=max(self.share, conditions.failing), status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowSpell(Fault):
    """Everything takes *factor* times as long, where it is asked for in this time."""

    factor: float

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        return replace(conditions, slowness=conditions.slowness * self.factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(Fault):
    """Fewer requests, *rpm*, or tokens, *tpm*, are let in in any 60 s; 429 beyond."""

    rpm: int | None = None
    tpm: int | None = None
    retry_after: bool = True

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if self.rpm is None and self.tpm is None:
            raise ConfigurationError("RateLimited: say how many requests, rpm, or tokens, tpm, a minute")

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        return replace(
            conditions,
            rpm=_less(self.rpm, conditions.rpm),
            tpm=_less(self.tpm, conditions.tpm),
            retry_after=self.retry_after,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart(Fault):
    """A host that comes back: it takes a few requests at once and ever more, up to *capacity*; 503 beyond."""

    capacity: int

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        ready = 1 + int((self.capacity - 1) * (now - self.at) / self.lasting)
        return replace(conditions, capacity=_less(ready, conditions.capacity))


@dataclass(frozen=True, slots=True, kw_only=True)
class CutStreams(Fault):
    """A *share* of streams breaks *after* so many chunks, or before the last one."""

    share: float = 1.0
    after: int = 2

    def worsen(self, conditions: Conditions, now: float, /) -> Conditions:
        return replace(conditions, cut=max(self.share, conditions.cut), cut_after=self.after)


def random_faults(rng: Random, *, lasting: float, every: float = 600.0) -> tuple[Fault, ...]:
    """A host's bad luck in *lasting* seconds: faults of all kinds, one after another, that last from
    10 s to 5 min, with *every* seconds between them on average."""
    faults: list[Fault] = []
    at = rng.expovariate(1 / every)
    while at < lasting:
        fault = rng.choice(_KINDS)(rng, at, rng.uniform(10, 300))
        faults.append(fault)
        if isinstance(fault, Outage):
            # What everybody asks again at once seldom comes back at once.
            fault = SlowStart(at=fault.until, lasting=rng.uniform(10, 60), capacity=50)
            faults.append(fault)
        at = fault.until + rng.expovariate(1 / every)
    return tuple(faults)


_KINDS: tuple[Callable[[Random, float, float], Fault], ...] = (
    lambda _, at, lasting: Outage(at=at, lasting=lasting),
    lambda _, at, lasting: BlackHole(at=at, lasting=lasting),
    lambda rng, at, lasting: BrownOut(
        at=at, lasting=lasting, share=rng.uniform(0.1, 0.9), status=rng.choice((500, 503))
    ),
    lambda rng, at, lasting: SlowSpell(at=at, lasting=lasting, factor=rng.uniform(2, 8)),
    lambda rng, at, lasting: RateLimited(
        at=at, lasting=lasting, rpm=rng.randint(30, 600), retry_after=rng.random() < 0.5
    ),
    lambda rng, at, lasting: CutStreams(at=at, lasting=lasting, share=rng.uniform(0.1, 0.9)),
)


def check_numbers(settings: DataclassInstance) -> None:
    """Refuse numbers that make no sense: none is below 0, and a share is at most 1."""
    owner = type(settings).__name__
    for name in (each.name for each in fields(settings) if each.init):
        value = getattr(settings, name)
        if isinstance(value, int | float) and not value >= 0:
            raise ConfigurationError(f"{owner}: {name} is 0 or more, not {value!r}")
        if name == "share" and value > 1:
            raise ConfigurationError(f"{owner}: share is between 0 and 1, not {value!r}")


def _less(one: int | None, other: int | None) -> int | None:
    """The smaller of two limits, of which None is none."""
    return min((each for each in (one, other) if each is not None), default=None)
