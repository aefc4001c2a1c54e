"""What happens inside of a router, as typed records, for whoever listens from now on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

import anyio

from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.replies import Attempt, AttemptKind

__all__ = [
    "AttemptEnded",
    "AttemptStarted",
    "BreakerClosed",
    "BreakerOpened",
    "CallDequeued",
    "CallQueued",
    "DeploymentBarred",
    "DeploymentPaused",
    "DeploymentResumed",
    "DeploymentsReplaced",
    "Event",
    "EventStream",
    "EventsLost",
    "LimitLearned",
    "Listeners",
    "PartFailed",
    "ProbeEnded",
    "ReplyDegraded",
    "StreamBroke",
]

_KEPT = 4_096  # events that wait for one listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened: *at* is when, on the event loop's clock."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A deployment is asked. *reason* is why it was chosen, in words."""

    deployment: str
    kind: AttemptKind
    route: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Event):
    """A deployment has answered or failed. *counted* is False where that says nothing of it:
    the call was cancelled, or out of time, or at fault itself."""

    deployment: str
    route: str | None
    attempt: Attempt
    counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOpened(Event):
    """A deployment is left alone for *lasting* seconds. *reason* says why, in words."""

    deployment: str
    lasting: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerClosed(Event):
    """A deployment has answered its probe, and comes back step by step."""

    deployment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentBarred(Event):
    """A host asked that a deployment be left alone for *lasting* seconds (429)."""

    deployment: str
    lasting: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLearned(Event):
    """What a host allows was seen to be other than was thought. *limit* names which limit, *share* is
    the part of what was configured that is used from now on."""

    deployment: str
    limit: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQueued(Event):
    """A call waits for room at a deployment, behind *ahead* others. *reason* says what for."""

    deployment: str
    ahead: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDequeued(Event):
    """A call has left a queue after *waited* seconds; *admitted*: because there was room."""

    deployment: str
    waited: float
    admitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBroke(Event):
    """A stream broke after its first token. *then* is what follows."""

    deployment: str
    error: PolyrouteError
    then: Literal["restart", "resume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDegraded(Event):
    """Nobody answered, and rung *rung* of the ladder (from 0) took the reply's place."""

    rung: int
    error: PolyrouteError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPaused(Event):
    """A deployment was told to rest."""

    deployment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentResumed(Event):
    """A deployment that rested may be asked again."""

    deployment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentsReplaced(Event):
    """The router has other deployments, named here by their ids."""

    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeEnded(Event):
    """A deployment was probed. *error* is None where it answered."""

    deployment: str
    error: PolyrouteError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFailed(Event):
    """A part that the call could do without has failed: *part* names it, *error* says how."""

    part: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost(Event):
    """The listener was too slow, and *count* events before the next one are gone."""

    count: int


@dataclass(slots=True, eq=False)
class Listeners:
    """Who listens to a router. Whoever has news asks `if listeners.any:` first, so that they cost
    nothing where nobody does."""

    any: list[Callable[[Event], None]] = field(default_factory=list[Callable[[Event], None]])

    def tell(self, event: Event) -> None:
        for listener in self.any:
            listener(event)


class EventStream:
    """The events of a router from the moment it is entered: `async with` it, and `async for` over it.

    It keeps the newest 4,096 that were not read; an `EventsLost` stands where older ones are gone. Once
    it is left, what it has kept can still be read, and then it ends.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._news: anyio.Event | None = None
        self._entered = False
        self._left = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ConfigurationError("an event stream is entered once; ask for a new one")
        self._entered = True
        self._listeners.any.append(self._hear)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left = True
        self._listeners.any.remove(self._hear)
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not self._entered:
            raise ConfigurationError(
                "enter the events before reading them: async with router.events() as events"
            )
        while not self._waiting:
            if self._left:
                raise StopAsyncIteration
            news = self._news = self._news or anyio.Event()
            await news.wait()
        event = self._waiting.popleft()
        if self._lost:
            lost, self._lost = self._lost, 0
            self._waiting.appendleft(event)
            return EventsLost(at=event.at, count=lost)
        return event

    def _hear(self, event: Event) -> None:
        if len(self._waiting) == _KEPT:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None
