"""A timeout that is asked anew at each wait, so that one object follows a deadline that moves."""

from __future__ import annotations

from math import inf

from polyroute.deadlines import Deadline

__all__ = ["Until"]

_LONGEST = 1e9  # seconds; as good as for ever, and finite, which trio wants of a timeout


class Until(float):
    """Seconds, to anybody who only reads a number; to httpcore a moment.

    Before each wait for the socket httpcore computes `now + timeout`. What this adds up to is the
    moment that the deadline names then, or *ends*, where that is sooner. *ends* is infinite where
    nothing else limits the wait; None sets it at the first wait, so many seconds from then. It is
    sooner by *margin*. *asked* counts the waits.
    """

    __slots__ = ("_deadline", "asked", "ends", "margin")

    _deadline: Deadline
    asked: int
    ends: float | None
    margin: float

    @classmethod
    def of(
        cls,
        deadline: Deadline,
        *,
        seconds: float = _LONGEST,
        ends: float | None = inf,
        margin: float = 0.0,
    ) -> Until:
        until = cls(seconds)
        until._deadline = deadline
        until.margin = margin
        until.asked = 0
        until.ends = ends
        return until

    def __radd__(self, now: float) -> float:
        self.asked += 1
        if self.ends is None:
            self.ends = now + float(self)
        return min(self._deadline.by(now), self.ends) - self.margin
