"""How much may be used: a limit as it was set, and for a time lower, as hosts teach it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from operator import itemgetter

from polyroute.limits.log import KINDS, Log
from polyroute.replies import RateLimits

__all__ = ["Bound"]

_MINUTE = 60.0

# A 429 shows that a limit was set too high: additive increase, multiplicative decrease, as in Netflix's
# `AIMDLimit`. As in AWS's adaptive retry mode it is what was used that is cut, not what might have been, and
# to 0.7 of it. Simulated against hosts that allow a tenth to all of what was set, 85 to 90 % of what they
# allow is used, with 0.03 to 3 % of calls refused; halving, as TCP does, uses a tenth less.
_CUT = 0.7
_STEP = 0.05  # of what was set, a minute


class Bound:
    """One limit, and for a time what makes it lower: what a 429 taught bounds what is used, and what
    the host said is left bounds what is added from then on."""

    __slots__ = ("_learnt", "_told", "kind", "limit", "log", "name")

    def __init__(self, name: str, kind: int, limit: int, log: Log) -> None:
        self.name: str = name
        self.kind: int = kind
        self.limit: int = limit
        self.log: Log = log
        self._learnt: Rising | None = None
        self._told: Rising | None = None

    def has_room(self, amount: int, now: float) -> bool:
        if self._learnt is None and self._told is None and self.log.used[self.kind] + amount <= self.limit:
            return True
        return self.opens(amount, now) <= now

    def opens(self, amount: int, now: float) -> float:
        """The moment from which there is room for *amount*, by time alone; *now* or before, there is."""
        if self._learnt is not None and now >= self._learnt.until:
            self._learnt = None
        if self._told is not None and now >= self._told.until:
            self._told = None
        if not amount:
            return -inf
        used = self.log.used[self.kind]
        moment = self._admits(used, amount)
        for bucket in self.log.buckets:
            leaves = bucket.last + self.log.span
            if moment <= leaves:
                break
            used -= bucket.amounts[self.kind]
            moment = max(leaves, self._admits(used, amount))
        if self._told is None:
            return moment
        return max(moment, self._told.reaches(self.log.added[self.kind] + amount))

    def _admits(self, used: int, amount: int) -> float:
        """The moment from which *amount* may be added, were no more than *used* in use."""
        if used + amount > self.limit:
            return inf
        # Where nothing is in use all that fits the limit may go, or what is larger than a lower bound
        # would wait until that has risen.
        return -inf if self._learnt is None or used <= 0 else self._learnt.reaches(used + amount)

    def share_left(self, now: float) -> float:
        used = self.log.used[self.kind]
        left: float = self.limit - used
        if self._learnt is not None:
            left = min(left, self._learnt.at(now) - used)
        if self._told is not None:
            left = min(left, self._told.at(now) - self.log.added[self.kind])
        return max(left / self.limit, 0.0)

    def hear(self, told: RateLimits, now: float) -> None:
        """Add no more than the host says is left, until it has been reset.

        What is missing comes back steadily (so OpenAI, Anthropic and Cerebras say), all of it by the reset.
        """
        said = [each for each in told.windows if each.of == KINDS[self.kind]]
        left = [(each.remaining, each) for each in said if each.remaining is not None]
        if not left:
            return
        remaining, scarcest = min(left, key=itemgetter(0))
        reset = min(scarcest.span or _MINUTE, _MINUTE) if scarcest.reset is None else scarcest.reset
        self._told = None
        if reset > 0 and remaining < self.limit:
            missing = 0 if scarcest.limit is None else max(scarcest.limit - remaining, 0)
            until = now + min(reset, self.log.span)
            self._told = Rising(self.log.added[self.kind] + remaining, missing / reset, now, until)

    def cut(self, now: float) -> float:
        """Have less than was used until now, and tell the share of the limit that it is; never less than
        one step, or a stray 429 would silence a deployment that is hardly used."""
        step = _STEP * self.limit
        used = min(self.log.used[self.kind], self._learnt.at(now) if self._learnt else inf)
        level = max(_CUT * used, step)
        slope = step / _MINUTE
        self._learnt = Rising(level, slope, now, now + (self.limit - level) / slope)
        return level / self.limit

    def shift(self, by: float) -> None:
        self._learnt = self._learnt and self._learnt.shifted(by)
        self._told = self._told and self._told.shifted(by)

    def reason(self, amount: int, opens: float) -> str:
        """Why there is no room for *amount* before *opens*."""
        if self._told is not None and self._told.reaches(self.log.added[self.kind] + amount) == opens:
            return f"{self.name} {self.limit} is used up, as the host counts,"
        if self._learnt is not None:
            return f"{self.name} {self.limit}, which a 429 showed to be too high, is used up"
        return f"{self.name} {self.limit} is used up"


@dataclass(frozen=True, slots=True)
class Rising:
    """A bound that was *level* at the moment *since* and rises by *slope* a second; none from *until* on."""

    level: float
    slope: float
    since: float
    until: float

    def reaches(self, amount: int) -> float:
        """The moment from which *amount* is within it."""
        if amount <= self.level:
            return -inf
        if not self.slope:
            return self.until
        return min(self.until, self.since + (amount - self.level) / self.slope)

    def at(self, now: float) -> float:
        return inf if now >= self.until else self.level + self.slope * (now - self.since)

    def shifted(self, by: float) -> Rising:
        return replace(self, since=self.since + by, until=self.until + by)
