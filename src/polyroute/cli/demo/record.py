"""What has happened so far, from the router's own records: attempts as they end, replies as they come."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any, Literal

from polyroute import (
    Attempt,
    AttemptError,
    ChatResponse,
    ConnectError,
    FleetView,
    PolyrouteError,
    RateLimitError,
)
from polyroute.cli.words import one_line, seconds

__all__ = ["Event", "Record", "Tally", "percentile"]

Standing = Literal["up", "down", "limited"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line: when it happened on the wall clock, what, and how it is meant."""

    at: datetime
    text: str
    tone: Literal["good", "bad", "warning"]


@dataclass(slots=True)
class Tally:
    """One deployment's share: the latencies of what it served, in rising order, its failures, its cost."""

    latencies: list[float] = field(default_factory=list[float])
    failures: int = 0
    cost: Decimal = Decimal(0)
    priced: bool = True
    """Whether the price of all its attempts is known."""
    standing: Standing = "up"
    failed_in_a_row: int = 0
    out_since: float = 0.0
    last_failure: float = 0.0
    covered: bool = False
    """Whether somebody is known to have answered a call that failed here since it stands as it does."""

    @property
    def served(self) -> int:
        return len(self.latencies)


class Record:
    """What one run has come to. *wall* tells the time of day at its begin."""

    def __init__(self, deployments: Sequence[str], calls: int, *, wall: datetime) -> None:
        self.calls = calls
        self.tallies: dict[str, Tally] = {name: Tally() for name in deployments}
        self.replies: list[ChatResponse[Any]] = []
        self.errors: list[PolyrouteError] = []
        self.events: deque[Event] = deque(maxlen=200)
        self.happened: int = 0
        self.latest: deque[tuple[str, ChatResponse[Any]]] = deque(maxlen=20)
        self.began: float = 0.0
        self.ended: float | None = None
        self._wall = wall
        self._fleet: FleetView | None = None

    def begin(self, now: float) -> None:
        """Count time from *now*, a moment on the event loop's clock."""
        self.began = now

    def finish(self, now: float) -> None:
        self.ended = now

    @property
    def done(self) -> int:
        """How many calls are over."""
        return len(self.replies) + len(self.errors)

    @property
    def cost(self) -> Decimal:
        """What all attempts have cost whose price is known."""
        return sum((tally.cost for tally in self.tallies.values()), Decimal(0))

    def in_flight(self, deployment: str) -> int:
        """How many attempts of it are under way, by the router's count."""
        return self._fleet[deployment].in_flight if self._fleet is not None else 0

    def see(self, fleet: FleetView) -> None:
        """Keep the router's view of its deployments."""
        self._fleet = fleet

    def attempt(self, attempt: Attempt) -> None:
        """Take in an attempt that has ended."""
        tally = self.tallies[attempt.deployment]
        tally.cost += attempt.cost or 0
        tally.priced = tally.priced and attempt.cost is not None
        if isinstance(attempt.error, AttemptError):
            self._fail(tally, attempt, attempt.error)
        elif attempt.error is None:
            insort(tally.latencies, attempt.latency)
            tally.failed_in_a_row = 0
            # One that began before the failure tells nothing of how it stands after it.
            if attempt.started >= tally.last_failure:
                self._recover(tally, attempt)

    def answered(self, prompt: str, reply: ChatResponse[Any]) -> None:
        """Take in the reply to a call."""
        self.replies.append(reply)
        self.latest.append((prompt, reply))
        for attempt in reply.trace.attempts:
            tally = self.tallies[attempt.deployment]
            out = tally.standing != "up" and attempt.error is not None and attempt.ended >= tally.out_since
            if out and not tally.covered:
                tally.covered = True
                ended = reply.trace.attempts[-1].ended
                self._tell(ended, f"{reply.deployment} answers for {attempt.deployment}", "good")

    def failed(self, prompt: str, error: PolyrouteError, now: float) -> None:
        """Take in the end of a call that nobody answered."""
        self.errors.append(error)
        self._tell(now, f"nobody answered “{one_line(prompt, 30)}”: {one_line(str(error), 80)}", "bad")

    def _fail(self, tally: Tally, attempt: Attempt, error: AttemptError) -> None:
        tally.failures += 1
        tally.failed_in_a_row += 1
        tally.last_failure = attempt.ended
        standing = _standing(tally, error)
        if standing == tally.standing:
            return
        tally.standing, tally.out_since, tally.covered = standing, attempt.ended, False
        why = type(error).__name__
        if standing == "limited":
            wait = "" if error.retry_after is None else f", asks for {seconds(error.retry_after)}"
            self._tell(attempt.ended, f"{attempt.deployment} limits its callers ({why}{wait})", "warning")
        else:
            self._tell(attempt.ended, f"{attempt.deployment} is down ({why})", "bad")

    def _recover(self, tally: Tally, attempt: Attempt) -> None:
        if tally.standing != "up":
            out = attempt.ended - tally.out_since
            tally.standing = "up"
            self._tell(attempt.ended, f"{attempt.deployment} is back after {seconds(out)}", "good")

    def _tell(self, at: float, text: str, tone: Literal["good", "bad", "warning"]) -> None:
        moment = self._wall + timedelta(seconds=at - self.began)
        self.events.append(Event(moment, text, tone))
        self.happened += 1


def _standing(tally: Tally, error: AttemptError) -> Standing:
    """How a deployment stands after *error*: a failure or two that may be chance leave it as it was."""
    if isinstance(error, RateLimitError):
        return "limited"
    if isinstance(error, ConnectError) or tally.failed_in_a_row > 2:
        return "down"
    return tally.standing


def percentile(rising: Sequence[float], share: float) -> float | None:
    """The value that *share* of the values do not exceed (nearest rank); None where there are none."""
    return rising[max(ceil(share * len(rising)) - 1, 0)] if rising else None
