"""Frozen settings: what is decided before a call and never changes during one."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from math import isnan
from types import EllipsisType
from typing import NoReturn, Protocol, TypeAlias

from polyroute.errors import ConfigurationError

__all__ = ["Money", "Price", "Secret", "SupportsSecret", "Timeout", "unbuilt"]

Money: TypeAlias = int | float | str | Decimal


class Timeout:
    """How long to wait, in seconds, by phase; None means without a limit.

    *total* bounds the whole call: retries, fallbacks and queues included. *attempt* bounds one
    attempt while somebody untried is left, fallbacks included, so that a hung deployment never
    eats the call's time. *connect* bounds making a connection, *first_token* the wait for a
    stream's first token (and for a plain reply's head, where it is set in so many words), and
    *between_tokens* the wait for each later one.

    Settings merge field by field: a `Timeout` only speaks about the fields that it was given.
    """

    __slots__ = ("_said", "attempt", "between_tokens", "connect", "first_token", "total")

    total: float | None
    attempt: float | None
    connect: float | None
    first_token: float | None
    between_tokens: float | None

    def __init__(
        self,
        total: float | EllipsisType | None = ...,
        attempt: float | EllipsisType | None = ...,
        connect: float | EllipsisType | None = ...,
        first_token: float | EllipsisType | None = ...,
        between_tokens: float | EllipsisType | None = ...,
    ) -> None:
        said: dict[str, float | None] = {}
        for name, value in (
            ("total", total),
            ("attempt", attempt),
            ("connect", connect),
            ("first_token", first_token),
            ("between_tokens", between_tokens),
        ):
            if isinstance(value, EllipsisType):
                object.__setattr__(self, name, _TIMEOUT_DEFAULTS[name])
                continue
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or isnan(value) or value < 0
            ):
                raise ConfigurationError(
                    f"Timeout: {name} is a number of seconds, 0 or more, or None for no limit; got {value!r}"
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


_TIMEOUT_DEFAULTS = {"total": 600, "attempt": 120, "connect": 5, "first_token": 30, "between_tokens": 20}


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
