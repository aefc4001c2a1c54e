"""What follows a failed attempt: elsewhere at once, again after a wait, or the end of the route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from polyroute.errors import AttemptError, ConfigurationError
from polyroute.meanings import MEANINGS, Meaning, MeaningRow, check_meanings, meaning_of
from polyroute.protocols import Fallback, GiveUp, Retry, Verdict
from polyroute.replies import Attempt

__all__ = ["ExponentialBackoff"]

_FALLBACK = Fallback()
_FALLBACKS: Mapping[Meaning, Fallback] = {
    "next key": Fallback("key"),
    "other host": Fallback("host"),
    "other model": Fallback("model"),
}


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """A sibling that was not tried first; then a wait with full jitter, and again.

    The wait before the n-th second try (n from 0) is `uniform(0, min(cap, base * 2**n))` seconds
    (AWS Architecture Blog, "Exponential Backoff And Jitter"), or as long as the host asked for,
    where that is longer. *max_retries* bounds the second tries of a call, on all deployments
    together. A host that asks for more than *patience* seconds is left; only where nobody else
    is, fallbacks included, is it worth the wait. *meanings* says what each error means, the first row
    that fits; put rows of your own before the usual ones: `((ServerError, "other host"), *MEANINGS)`.
    """

    max_retries: int = 2
    base: float = 0.5
    cap: float = 8.0
    patience: float = field(default=20.0, kw_only=True)
    meanings: Sequence[MeaningRow] = field(default=MEANINGS, kw_only=True, repr=False)
    rng: Random | None = field(default=None, kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ConfigurationError(
                f"ExponentialBackoff: max_retries is 0 or more, not {self.max_retries!r}"
            )
        for name in ("base", "cap", "patience"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"ExponentialBackoff: {name} is seconds, 0 or more")
        object.__setattr__(self, "meanings", check_meanings("ExponentialBackoff", self.meanings))

    def decide(self, history: Sequence[Attempt], *, remaining: float | None, others: int) -> Verdict:
        if others:
            return _FALLBACKS.get(meaning_of(history[-1].error, self.meanings), _FALLBACK)
        newest = {attempt.deployment: attempt for attempt in history}
        second_tries = len(history) - len(newest)
        if second_tries >= self.max_retries:
            return GiveUp()
        now = history[-1].ended
        waits = [
            _asked(attempt, now)
            for attempt in newest.values()
            if meaning_of(attempt.error, self.meanings) == "again"
        ]
        if not waits:
            return _FALLBACK
        ceiling = min(self.cap, self.base * 2 ** min(second_tries, 64))
        asked = min(waits)
        # The hint is exact, so no jitter; the newest one of each host counts.
        delay = max(asked, (self.rng or Random()).uniform(0, ceiling))  # noqa: S311 - jitter is no secret
        if remaining is not None and delay >= remaining:
            return GiveUp()
        return Retry(delay, last_resort=asked > self.patience)


def _asked(attempt: Attempt, now: float) -> float:
    """How long from *now* the host still wants to be left alone."""
    error = attempt.error
    if not isinstance(error, AttemptError) or error.retry_after is None:
        return 0.0
    return max(attempt.ended + error.retry_after - now, 0.0)
