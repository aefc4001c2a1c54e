"""Frozen settings: what is decided before a call and never changes during one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from math import inf, isnan
from types import EllipsisType
from typing import Literal, NoReturn, Protocol, TypeAlias

from polyroute.errors import ConfigurationError
from polyroute.types import FINISH_REASONS

__all__ = [
    "CircuitBreaker",
    "Hedge",
    "Limits",
    "Money",
    "Price",
    "Probes",
    "Secret",
    "SupportsSecret",
    "Timeout",
    "unbuilt",
]

Money: TypeAlias = int | float | str | Decimal


class Timeout:
    """How long to wait, in seconds, by phase; None means without a limit.

    *total* bounds the whole call: retries, fallbacks and queues included. *attempt* bounds one
    attempt while somebody untried is left, fallbacks included, so that a hung deployment never
    eats the call's time. *connect* bounds making a connection, *first_token* the wait for a
    stream's first token (and for a plain reply's head, where it is set in so many words), and
    *between_tokens* the wait for each later one. *min_rate* is the floor of a stream in tokens a
    second, by default none: one that has kept its reader waiting longer than
    `1.5 * between_tokens + tokens / min_rate` in all is broken, though no single wait was too long
    (`30 + tokens / min_rate` where *between_tokens* is None).

    Where *first_token* is left at its default, a deployment's own history moves it: to four times
    its 95th percentile, between 5 and 120 seconds, once it has streamed 20 replies.

    Settings merge field by field: a `Timeout` only speaks about the fields that it was given.
    """

    __slots__ = ("_said", "attempt", "between_tokens", "connect", "first_token", "min_rate", "total")

    total: float | None
    attempt: float | None
    connect: float | None
    first_token: float | None
    between_tokens: float | None
    min_rate: float | None

    def __init__(
        self,
        total: float | EllipsisType | None = ...,
        attempt: float | EllipsisType | None = ...,
        connect: float | EllipsisType | None = ...,
        first_token: float | EllipsisType | None = ...,
        between_tokens: float | EllipsisType | None = ...,
        min_rate: float | EllipsisType | None = ...,
    ) -> None:
        said: dict[str, float | None] = {}
        for name, value in (
            ("total", total),
            ("attempt", attempt),
            ("connect", connect),
            ("first_token", first_token),
            ("between_tokens", between_tokens),
            ("min_rate", min_rate),
        ):
            if isinstance(value, EllipsisType):
                object.__setattr__(self, name, _TIMEOUT_DEFAULTS[name])
                continue
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or isnan(value) or value < 0
            ):
                unit = "tokens a second" if name == "min_rate" else "seconds"
                raise ConfigurationError(
                    f"Timeout: {name} is a number of {unit}, 0 or more, or None for no limit; got {value!r}"
                )
            said[name] = value
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_said", said)

    def says(self, name: str) -> bool:
        """Whether the field called *name* was set in so many words."""
        return name in self._said

    def merged(self, over: Timeout | None) -> Timeout:
        """This timeout with the fields that *over* was given in place of its own."""
        if over is None or not over._said:  # noqa: SLF001 - of its own class
            return self
        return Timeout(**(self._said | over._said))  # noqa: SLF001

    _said: dict[str, float | None]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Timeout is frozen; make a new one to change {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self._said == other._said

    def __hash__(self) -> int:
        return hash(frozenset(self._said.items()))

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={value!r}' for name, value in self._said.items())})"

    def __reduce__(self) -> tuple[object, ...]:
        return (Timeout, tuple(self._said.get(name, ...) for name in _TIMEOUT_DEFAULTS))


_TIMEOUT_DEFAULTS: dict[str, float | None] = {
    "total": 600,
    "attempt": 120,
    "connect": 5,
    "first_token": 30,
    "between_tokens": 20,
    "min_rate": None,
}


@dataclass(frozen=True, slots=True)
class Price:
    """What a deployment costs, in US dollars per million tokens.

    *cached_input* is for the part of the prompt that the host read from its cache, *cache_write*
    for the part it wrote there; left out, they cost what *input* costs.
    """

    input: Money
    output: Money
    cached_input: Money | None = None
    cache_write: Money | None = None
    rates: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)
    """The same in whole pico-dollars a token: input, output, cached input, cache write."""

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached_input", "cache_write"):
            value = getattr(self, name)
            if value is not None or name in ("input", "output"):
                object.__setattr__(self, name, _dollars(name, value))
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        # A dollar per million tokens is a millionth of a dollar, a million pico-dollars, a token.
        rates = tuple(round(Decimal(rate) * 1_000_000) for rate in (self.input, self.output, cached, write))
        object.__setattr__(self, "rates", rates)


def _dollars(name: str, value: object) -> Decimal:
    try:
        # By way of str, a float means the digits it shows: 0.15, not 0.1499999….
        amount = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ConfigurationError(f"Price: {name} is US dollars per million tokens, 0 or more; got {value!r}")
    return amount


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """When a deployment is left alone, and for how long.

    It opens after *failures* in a row, or where a share of *rate* of at least *calls* attempts has
    failed within *window* seconds. It stays open for *cooldown* seconds, and each time that it opens
    again for twice as long, up to *longest*. Then one attempt is let through; where it is answered
    the deployment comes back by steps of *cooldown* seconds: with 1, 10, 50 and 100 % of its share.

    *failed_finishes* names finish reasons with which a host tells of its own failure, such as
    `"other"`: such a reply counts as one, and the call goes on elsewhere.
    """

    failures: int = 5
    cooldown: float = 5.0
    rate: float = field(default=0.5, kw_only=True)
    calls: int = field(default=20, kw_only=True)
    window: float = field(default=30.0, kw_only=True)
    longest: float = field(default=300.0, kw_only=True)
    failed_finishes: Sequence[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("failures", "calls"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(
                    f"CircuitBreaker: {name} is a whole number, 1 or more, not {value!r}"
                )
        _check_seconds(self, "cooldown", "window", "longest")
        if not _is_number(self.rate) or not 0 < self.rate <= 1:
            raise ConfigurationError(
                f"CircuitBreaker: rate is a share, above 0 and up to 1, not {self.rate!r}"
            )
        reasons = self.failed_finishes
        if isinstance(reasons, str) or not set(reasons) <= set(FINISH_REASONS):
            raise ConfigurationError(
                f"CircuitBreaker: failed_finishes holds some of {', '.join(FINISH_REASONS)}, not {reasons!r}"
            )
        object.__setattr__(self, "failed_finishes", tuple(reasons))


@dataclass(frozen=True, slots=True)
class Hedge:
    """When a second deployment is asked beside the first, and how often that may be.

    *after* is the time without a token after which it is: seconds, or `"p95"` for that percentile of
    the deployment's own times to first token (whole replies: of its times to answer), once it has
    answered 20 calls. *max_extra* is the share of calls that may be asked twice (Dean and Barroso,
    "The Tail at Scale", 2013).
    """

    after: float | str = "p95"
    max_extra: float = 0.05
    percentile: float | None = field(init=False, repr=False, compare=False)
    """The share of times that *after* names, such as 0.95; None where it is seconds."""

    def __post_init__(self) -> None:
        percentile: float | None = None
        if isinstance(self.after, str):
            named = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", self.after)
            percentile = float(named[1]) / 100 if named else 0.0
        if (percentile is None and not (_is_number(self.after) and 0 <= float(self.after) < inf)) or (
            percentile == 0
        ):
            raise ConfigurationError(
                f'Hedge: after is seconds, 0 or more, or a percentile such as "p95"; got {self.after!r}'
            )
        if not _is_number(self.max_extra) or not 0 < self.max_extra <= 1:
            raise ConfigurationError(
                f"Hedge: max_extra is a share of calls, above 0 and up to 1, not {self.max_extra!r}"
            )
        object.__setattr__(self, "percentile", percentile)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """How much may be asked of a host, so that it need not refuse.

    *rpm* is requests a minute, *tpm* tokens a minute, those of prompts and replies together; *itpm* and
    *otpm* count them apart. *rpd* is requests a day, *concurrency* how many calls may be under way at
    once, streams until they are closed. None: no such limit. A minute is any 60 seconds and a day any
    24 hours, whenever they begin.

    One object that is given to several deployments is one limit that they share; two objects are two,
    also where they say the same. A pattern such as `openai/*` has one for all models it serves.
    """

    rpm: int | None = None
    tpm: int | None = None
    itpm: int | None = None
    otpm: int | None = None
    rpd: int | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in said.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(
                    f"Limits: {name} is a whole number, 1 or more, or None for no limit; got {value!r}"
                )
        if all(value is None for value in said.values()):
            raise ConfigurationError(f"Limits: give at least one of {', '.join(said)}")


@dataclass(frozen=True, slots=True)
class Probes:
    """How often deployments are asked how they are, beside what calls show: about *every* so many seconds,
    by listing its `models` or by a short `chat`, with *timeout* seconds for the answer.

    One that fails its probe is left out until a probe finds it well, for no longer than two intervals.
    """

    every: float = 30.0
    by: Literal["models", "chat"] = "models"
    timeout: float = 10.0

    def __post_init__(self) -> None:
        _check_seconds(self, "every", "timeout")
        if self.by not in ("models", "chat"):
            raise ConfigurationError(f'Probes: by is "models" or "chat", not {self.by!r}')


def _check_seconds(settings: CircuitBreaker | Probes, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or not 0 < value < inf:
            raise ConfigurationError(
                f"{type(settings).__name__}: {name} is seconds, more than 0, not {value!r}"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value)


class SupportsSecret(Protocol):
    """What pydantic's `SecretStr` and our own `Secret` have in common."""

    def get_secret_value(self) -> str: ...


class Secret:
    """A str that no repr, log or pickle shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; give the key to the process that needs it")


def unbuilt(owner: str, name: str) -> NoReturn:
    """Refuse an argument whose room is not built yet."""
    raise ConfigurationError(f"{owner}: {name}= is not built yet in this version; leave it out")
