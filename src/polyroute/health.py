"""How deployments fare, as functions and machines of samples and times: no clock, no I/O."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable
from math import exp
from typing import Literal

from polyroute.errors import (
    AttemptError,
    AuthenticationError,
    NotFoundError,
    OutputValidationError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    RejectedError,
)
from polyroute.replies import RateLimits, RateWindow
from polyroute.settings import CircuitBreaker

__all__ = [
    "Breaker",
    "Samples",
    "failure_sample",
    "headroom_of",
    "peak_ewma",
    "refused_for_good",
    "share",
    "slowness",
    "weight_of",
]

_DECAY = 10.0  # seconds; Finagle's and tower's default
_FAILURE = 5.0  # seconds a failure counts for; linkerd's load-biaser
_LONGEST = 300.0
_WEIGHT = 0.1  # of the newest outcome in a rate: about the last ten count
_OUTLIER = 3.0  # times the median past which a latency costs weight
_FEWEST = 3  # latencies that make a median
_KEPT = 128
_ENOUGH = 20
_SLOTS = 10  # pieces of a breaker's window
_RAMP = (0.01, 0.1, 0.5)  # shares on the way back, one a cooldown
_JITTER = 0.1
_MINUTE = 60.0  # what most limits count, where the host does not say
_FOR_GOOD = (AuthenticationError, PermissionDeniedError, NotFoundError, QuotaExhaustedError)


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


def weight_of(error: PolyrouteError | None) -> float | None:
    """How much an outcome counts against its deployment, from 0.0 to 1.0; None where it says nothing of it."""
    match error:
        case None:
            return 0.0
        case RateLimitError() | RejectedError():
            return None  # Busy is not broken, and a judge's taste is not the host's fault.
        case OutputValidationError():
            return 0.5
        case AttemptError():
            return 1.0
        case _:
            return None


def refused_for_good(error: PolyrouteError | None) -> bool:
    """Whether *error* will not pass by itself: a bad key, no right, no such model, no money."""
    return isinstance(error, _FOR_GOOD)


def headroom_of(told: RateLimits, age: float) -> float:
    """The share that is left of the scarcest limit, *age* seconds after the host told; 1.0 where it
    said of none how much that is, or all of them have been reset since."""
    return min((_left(window, age) for window in told.windows), default=1.0)


def _left(window: RateWindow, age: float) -> float:
    reset = (window.span or _MINUTE) if window.reset is None else window.reset
    if window.remaining is None or age >= reset:
        return 1.0
    if window.limit is None:
        return 1.0 if window.remaining else 0.0
    return min(window.remaining / window.limit, 1.0)


def slowness(latency: float | None, others: Iterable[float | None]) -> float:
    """The part of its weight that a deployment keeps for how slow it is among *others*: all of it up
    to three times their median latency, and past that less in proportion, with no cliff."""
    known = sorted(each for each in others if each is not None)
    if latency is None or len(known) < _FEWEST:
        return 1.0
    limit = _OUTLIER * known[len(known) // 2]
    return 1.0 if latency <= limit else limit / latency


class Samples:
    """The newest 128 samples of a time, and their percentiles."""

    __slots__ = ("_newest", "_sorted")

    def __init__(self) -> None:
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, sample: float) -> None:
        if len(self._newest) == _KEPT:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]
        self._newest.append(sample)
        insort(self._sorted, sample)

    def percentile(self, of: float) -> float | None:
        """The sample below which the share *of* lies (nearest rank); None before there are 20."""
        count = len(self._sorted)
        return None if count < _ENOUGH else self._sorted[min(int(of * count), count - 1)]


class Breaker:
    """Whether one deployment may be asked: closed, open, or half-open with one probe under way.

    Moments are passed in; one before it opened is of another event loop's clock, and there nothing is
    held against anybody. *until* is when an open one lets a probe through, None where it is closed;
    *reason* why it opened, in words; *probes* how many attempts are under way although it is not closed.
    """

    __slots__ = (
        "_attempts", "_closed", "_counts", "_failures", "_in_a_row", "_opened", "_pace", "_slot", "_trips",
        "probes", "reason", "settings", "until",
    )  # fmt: skip

    def __init__(self, settings: CircuitBreaker) -> None:
        self.settings: CircuitBreaker = settings
        self.until: float | None = None
        self.reason: str = ""
        self.probes: int = 0
        self._pace = _SLOTS / settings.window
        self._trips = 0
        self._opened = 0.0
        self._closed: float | None = None  # when it closed again, while it comes back
        self._clear()

    def _clear(self) -> None:
        self._in_a_row = 0.0
        # Attempts and failures in each piece of the window, and apart from these in the newest one.
        self._slot = self._attempts = 0
        self._failures = 0.0
        self._counts = [(0, 0.0)] * _SLOTS

    def state(self, now: float) -> Literal["closed", "open", "half_open"]:
        if self.until is None:
            return "closed"
        return "open" if self._opened <= now < self.until else "half_open"

    def is_idle(self, now: float) -> bool:
        """Whether it holds nothing back: closed, and back with all of its share."""
        return self.until is None and self.share(now) == 1.0

    def share(self, now: float) -> float:
        """The part of its calls that it gets now, between 0 and 1."""
        if self.until is not None:
            return 0.0 if self._opened <= now < self.until or self.probes else 1.0
        if self._closed is None:
            return 1.0
        step = int((now - self._closed) // self.settings.cooldown)
        if 0 <= step < len(_RAMP):
            return _RAMP[step]
        self._closed, self._trips = None, 0
        return 1.0

    def count(self, weight: float, now: float, jitter: Callable[[], float], *, probe: bool = False) -> bool:
        """Take the outcome of an attempt that ended *now*: *weight* 0.0 for a good answer, 1.0 for a failure.

        *jitter* gives a number between 0 and 1, and *probe* says that the attempt was made although
        the breaker was not closed. True where it opened or closed by it.
        """
        if self.until is not None:
            if not probe:
                return False  # It began before the breaker opened, and says nothing new.
            if weight < 1:
                self._close(now)
            else:
                self._open(now, self.reason, jitter)
            return True
        in_a_row = self._in_a_row
        self.succeed(now)
        if not weight:
            return False
        self._failures += weight
        self._in_a_row = in_a_row + weight
        if why := self._too_bad(now):
            self._open(now, why, jitter)
            return True
        return False

    def trip(self, now: float, reason: str) -> None:
        """Open for as long as it ever does: what has happened does not pass by itself."""
        self._opened, self.until = now, now + self.settings.longest
        self.reason = reason
        self._trips += 1

    def succeed(self, now: float) -> None:
        """Count a good answer while it is closed; the same as `count` with 0.0, and quicker."""
        slot = int(now * self._pace)
        if slot != self._slot:
            self._turn(slot)
        self._attempts += 1
        self._in_a_row = 0.0

    def _turn(self, slot: int) -> None:
        """Begin another piece of the window."""
        if not 0 < slot - self._slot < _SLOTS:  # Long ago, or on the clock of another event loop.
            self._counts = [(0, 0.0)] * _SLOTS
        else:
            self._counts[self._slot % _SLOTS] = (self._attempts, self._failures)
            for passed in range(self._slot + 1, slot + 1):
                self._counts[passed % _SLOTS] = (0, 0.0)
        self._slot, self._attempts, self._failures = slot, 0, 0.0

    def _too_bad(self, now: float) -> str:
        """Why it is to open; "" where it is not. One that is coming back has half the credit."""
        settings = self.settings
        back = self.share(now) < 1
        if self._in_a_row >= (settings.failures / 2 if back else settings.failures):
            return f"{self._in_a_row:g} failure{'' if self._in_a_row == 1 else 's'} in a row"
        attempts = self._attempts + sum(attempts for attempts, _ in self._counts)
        failures = self._failures + sum(failures for _, failures in self._counts)
        if attempts >= settings.calls and failures >= settings.rate * attempts:
            return f"{failures:g} of {attempts} attempts failed within {settings.window:g} s"
        return ""

    def _open(self, now: float, reason: str, jitter: Callable[[], float]) -> None:
        settings = self.settings
        pause = min(settings.cooldown * 2.0 ** min(self._trips, 32), settings.longest)
        if self._trips:
            pause *= 1 + _JITTER * jitter()  # Many processes that opened together do not probe together.
        self._trips += 1
        self._opened, self.until = now, now + pause
        self.reason = reason

    def _close(self, now: float) -> None:
        self.until, self.reason, self._closed = None, "", now
        self._clear()
