"""One call under way: what it may use, and what has happened to it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import anyio

from polyroute._engine.plan import Leg, Plan
from polyroute.deployments import Deployment, Rung
from polyroute.errors import DeadlineExceededError, LimitTimeoutError
from polyroute.fleet import Fleet
from polyroute.gathered import Gathered
from polyroute.protocols import Choice
from polyroute.replies import Attempt, Decision, Exclusion, Ranked, Trace, told

__all__ = ["Run"]

_UNDECIDED = Decision()
_MOST_DECISIONS = 256  # kept of one leg; a strategy's reasons may differ from call to call


@dataclass(slots=True, eq=False)
class Run:
    """The record of one call. The plan is read once, so that a call ends as it began.

    *began* is the moment at which the first attempt begins, where nothing waits before it.
    *deadline* is the moment by which the call must have ended, *streams* whether its reply is
    streamed. *history* holds the attempts that are over and *asked* who was asked in them, by id.
    The rest is of one walk along the legs: *tried*, who was asked on it; *excluded*, who was left
    out and why; its *decision*. *format* is the wire format that the call's `extra` speaks,
    *space* the vector space of the embeddings it was begun with. *failing* are the ids of those that
    fail in a rehearsal. *goes_on* says how a stream that broke goes on, and *before* what it said,
    where that is carried on. *degrade* is what is said when nobody answers, and *late* the error of a call
    for which there is no room in time.
    """

    plan: Plan
    fleet: Fleet
    began: float | None = None
    deadline: float | None = None
    streams: bool = False
    history: list[Attempt] = field(default_factory=list)
    asked: dict[str, Deployment] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    excluded: dict[str, Exclusion] = field(default_factory=dict)
    decision: Decision = _UNDECIDED
    format: str | None = None
    space: str | None = None
    failing: frozenset[str] = frozenset()
    goes_on: Literal["restart", "resume"] | None = None
    before: Gathered | None = None
    degrade: tuple[Rung, ...] = ()
    late: LimitTimeoutError | None = None
    _chance: float | None = None

    def walk(self) -> Run:
        """The same call on a walk of its own: middleware may ask more than once, or twice at a time."""
        return Run(
            self.plan,
            self.fleet,
            self.began,
            self.deadline,
            self.streams,
            history=self.history,
            asked=self.asked,
            failing=self.failing,
        )

    def moment(self) -> float:
        """When an attempt that is made now begins: for the first, when the call did, if nothing waited."""
        return self.began if self.began is not None and not self.history else self.fleet.now

    def chance(self) -> float:
        """A number between 0 and 1, the same for the whole call."""
        if self._chance is None:
            self._chance = self.fleet.rng.random()
        return self._chance

    def take(self, leg: Leg, choice: Choice, candidates: Sequence[Deployment], kind: str) -> None:
        """Keep that the chosen one is asked, and with the first of them how the call was decided."""
        if not self.tried:
            self.decide(leg, choice, candidates)
        id = choice.deployment.id or ""
        self.tried.add(id)
        self.asked[id] = choice.deployment
        if kind == "embed":
            self.space = leg.seats[id].space  # Vectors of two spaces never stand in for each other.

    def remaining(self) -> float | None:
        """Seconds until the deadline, not below 0; None where there is none."""
        return None if self.deadline is None else max(self.deadline - anyio.current_time(), 0.0)

    def is_over(self) -> bool:
        """Whether the call's own time has run out."""
        return self.deadline is not None and self.deadline <= anyio.current_time()

    def deadline_exceeded(self) -> DeadlineExceededError:
        """The error of a call whose own time has run out."""
        tries = "; ".join(map(told, self.history)) or "no attempt was finished"
        return DeadlineExceededError(f"the call's own time ran out: {tries}", attempts=tuple(self.history))

    async def sleep(self, seconds: float) -> None:
        """Wait, for no longer than the call has time.

        Raises:
            DeadlineExceededError: It has less.
        """
        remaining = self.remaining()
        if remaining is None or seconds < remaining:
            await anyio.sleep(seconds)
        else:
            await anyio.sleep(remaining)
            raise self.deadline_exceeded()

    def trace(self) -> Trace:
        """The record as the caller gets it."""
        return Trace(tuple(self.history), self.decision)

    def decide(self, leg: Leg, choice: Choice, candidates: Sequence[Deployment]) -> None:
        """Keep the call's first choice, with the others in their order, as its decision."""
        plain = choice.scores is None and not self.excluded and len(candidates) == len(leg.seats)
        key = (choice.deployment.id or "", choice.reason)
        if plain and key in leg.decisions:
            self.decision = leg.decisions[key]
            return
        scores = choice.scores or {}
        ranking = [_ranked(choice.deployment, choice.reason, scores, leg)]
        ranking += [_ranked(each, "", scores, leg) for each in candidates if each is not choice.deployment]
        self.decision = Decision(tuple(ranking), tuple(self.excluded.values()))
        if plain and len(leg.decisions) < _MOST_DECISIONS:
            leg.decisions[key] = self.decision


def _ranked(deployment: Deployment, reason: str, scores: Mapping[str, float], leg: Leg) -> Ranked:
    id = deployment.id or ""
    return Ranked(id, reason, scores.get(id), leg.route)
