"""What is known of each deployment now: live state, keyed by deployment id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import anyio

from polyroute.deployments import Deployment
from polyroute.errors import AttemptError
from polyroute.events import (
    BreakerClosed,
    BreakerOpened,
    DeploymentBarred,
    DeploymentPaused,
    DeploymentResumed,
    DeploymentsReplaced,
    Listeners,
)
from polyroute.health import Breaker, Samples, failure_sample, headroom_of, peak_ewma, share
from polyroute.pricing import dollars, nanodollars
from polyroute.protocols import Vitals
from polyroute.queues import Queue
from polyroute.replies import Attempt, RateLimits
from polyroute.settings import CircuitBreaker, Hedge
from polyroute.tokens import estimate_prompt
from polyroute.types import ChatRequest, Request, Usage

__all__ = ["Fleet", "State", "learn"]

_REPLY = 256  # tokens that a reply is taken to have while nothing is known of a deployment's
_WEIGHT = 0.1  # of the newest reply's length in the mean
_MOST = 4_096  # states; callers may name what they like of a pattern

_RETRIES = 10.0  # second tries that a deployment has in hand (gRPC A6: maxTokens)
_REFUND = 0.1  # of a second try, for each answer (gRPC A6: tokenRatio)

_BAR, _LONGEST_BAR = 0.5, 8.0  # seconds, doubling, for a 429 that does not say how long


@dataclass(slots=True)
class State:
    """One deployment's vitals, what they are computed from, and what holds calls back from it.

    *held* says that something may: that it is *paused*, or its *breaker* not closed. *retries* are
    the second tries that it has in hand. *barred* is from when until when its host wants to be left
    alone. *answers* and *first_tokens* are samples of its times. *started* is when the newest attempt
    began. *told* reads what its host last told of its limits, and says when that was, or a little
    before; *room* gives what our own count leaves of them, and *heed* takes what the host tells into
    that. *unwell_until* is how long a failed probe holds.
    """

    in_flight: int = 0
    latency: float | None = None
    ttft: float | None = None
    error_rate: float = 0.0
    sampled: float = 0.0
    reply_tokens: float | None = None
    held: bool = False
    paused: bool = False
    breaker: Breaker | None = None
    retries: float = _RETRIES
    barred: tuple[float, float] | None = None
    refusals: int = 0  # 429 in a row
    answers: Samples | None = None
    first_tokens: Samples | None = None
    waiting: int = 0
    started: float = 0.0
    told: tuple[Callable[[], RateLimits | None], float] | None = None
    room: Callable[[], float] | None = None
    heed: Callable[[RateLimits], None] | None = None
    unwell_until: float | None = None

    def guarded_by(self, settings: CircuitBreaker | None) -> None:
        """Have a breaker of these settings, or none."""
        if settings is None:
            self.breaker = None
        elif self.breaker is None or self.breaker.settings != settings:
            self.breaker = Breaker(settings)
        else:
            self.breaker.settings = settings

    def barred_for(self, now: float) -> float:
        """Seconds that the host still wants to be left alone."""
        if self.barred is None:
            return 0.0
        since, until = self.barred
        if since <= now < until:
            return until - now
        self.barred = None
        return 0.0

    def back_at(self) -> float:
        """When it may be asked again, after a failed probe or by its breaker."""
        opens = 0.0 if self.breaker is None else self.breaker.until or 0.0
        return max(opens, self.unwell_until or 0.0)

    def hear(self, read: Callable[[], RateLimits | None]) -> None:
        """Take what the host tells of its limits with a reply's head: read at once where it is to be
        heeded, else when somebody asks."""
        self.told = (read, self.started)
        if self.heed is not None and (told := read()) is not None:
            self.heed(told)

    def _headroom(self, now: float) -> float:
        own = 1.0 if self.room is None else self.room()
        if self.told is None:
            return own
        read, since = self.told
        told = read()
        return own if told is None else min(own, headroom_of(told, now - since))

    def vitals(self, now: float) -> Vitals:
        breaker = self.breaker
        return Vitals(
            in_flight=self.in_flight,
            latency=self.latency,
            ttft=self.ttft,
            error_rate=self.error_rate,
            headroom=self._headroom(now),
            breaker="closed" if breaker is None else breaker.state(now),
            waiting=self.waiting,
            share=1.0 if breaker is None else breaker.share(now),
            paused=self.paused,
            barred=self.barred_for(now),
        )


class Fleet:
    """The state of all deployments, and the `FleetView` that strategies get.

    *lacks* holds the capabilities that hosts have said their models have not, by deployment,
    *listeners* who hears of what changes here, *queues* the calls that wait for room, and *credit*
    the calls that may be asked twice.
    """

    def __init__(
        self,
        rng: Random,
        states: dict[str, State] | None = None,
        lacks: dict[str, frozenset[str]] | None = None,
    ) -> None:
        self.states: dict[str, State] = {} if states is None else states
        self.lacks: dict[str, frozenset[str]] = {} if lacks is None else lacks
        self.listeners: Listeners = Listeners()
        self.queues: dict[object, Queue] = {}
        self.credit: dict[Hedge, float] = {}
        self._rng = rng
        self._loop: asyncio.AbstractEventLoop | None = None

    def __getitem__(self, deployment: Deployment | str, /) -> Vitals:
        id = deployment if isinstance(deployment, str) else deployment.id
        state = self.states.get(id or "")
        if state is None:
            return _UNKNOWN
        try:
            return state.vitals(self.now)
        except RuntimeError:  # No event loop runs here: as things stood when they last changed.
            return state.vitals(state.sampled)

    def state(self, id: str) -> State:
        """The live state of the deployment called *id*, made where there is none yet."""
        state = self.states.get(id)
        if state is None:
            if len(self.states) >= _MOST:
                self._forget_one()
            state = self.states[id] = State()
        return state

    def preview(self) -> Fleet:
        """The same fleet with a chance of its own, for asking what would happen."""
        return Fleet(copy(self._rng), self.states, self.lacks)

    def learn_lack(self, id: str, name: str) -> None:
        """Remember that the model of the deployment called *id* has no *name*."""
        if id in self.lacks or len(self.lacks) < _MOST:
            self.lacks[id] = self.lacks.get(id, frozenset()) | {name}

    def found(self, id: str, *, unwell_until: float | None) -> None:
        """Keep what a probe of the deployment called *id* has shown."""
        state = self.state(id)
        state.unwell_until = unwell_until
        state.held = state.held or unwell_until is not None

    def rest(self, id: str, *, paused: bool) -> None:
        """Let the deployment called *id* rest, or have it asked again."""
        state = self.state(id)
        if state.paused is paused:
            return
        state.paused = paused
        state.held = True
        self.call_everybody()  # Who waits for its room goes elsewhere.
        if self.listeners.any:
            told = DeploymentPaused if paused else DeploymentResumed
            self.listeners.tell(told(at=self.now, deployment=id))

    def replaced(self, gone: Sequence[str], now_there: Mapping[str, CircuitBreaker | None]) -> None:
        """Forget what is known of the deployments called *gone*, which have changed or are no more.
        *now_there* are the breakers of all that there are now, by id."""
        for id in gone:
            self.states.pop(id, None)
            self.lacks.pop(id, None)
        for id, state in self.states.items():
            state.room = state.heed = None  # Those that stay may have other limits, or another breaker.
            if id in now_there:
                state.guarded_by(now_there[id])
        if self.listeners.any:
            self.listeners.tell(DeploymentsReplaced(at=self.now, deployments=tuple(now_there)))

    def _forget_one(self) -> None:
        idle = next(
            (id for id, state in self.states.items() if not state.in_flight and not state.paused), None
        )
        if idle is not None:
            del self.states[idle]

    @property
    def busy(self) -> bool:
        """Whether any attempt is in flight."""
        return any(state.in_flight for state in self.states.values())

    @property
    def now(self) -> float:
        """`anyio.current_time()`, at a tenth of its cost where the loop is the one of the last time."""
        loop = asyncio._get_running_loop()  # noqa: SLF001 - it is documented, and raises nothing
        if loop is None or (loop is not self._loop and asyncio.current_task(loop) is None):
            return anyio.current_time()  # Another library's loop, which may be a guest in asyncio's.
        self._loop = loop
        return loop.time()

    @property
    def rng(self) -> Random:
        return self._rng

    def count(self, id: str, weight: float, now: float, *, probe: bool) -> None:
        """Let the breaker of the deployment called *id* count an outcome; see `Breaker.count`."""
        state = self.states[id]
        breaker = state.breaker
        if breaker is None or not breaker.count(weight, now, self._rng.random, probe=probe):
            return
        state.held = True
        if not self.listeners.any:
            return
        if breaker.until is None:
            self.listeners.tell(BreakerClosed(at=now, deployment=id))
        else:
            self._tell_opened(id, breaker, now)

    def trip(self, id: str, settings: CircuitBreaker | None, now: float, reason: str) -> None:
        """Open the breaker of the deployment called *id*, which is of these *settings*, for as long as it
        ever does."""
        state = self.state(id)
        state.guarded_by(settings)
        if state.breaker is None or (state.breaker.until or 0.0) > now + state.breaker.settings.cooldown:
            return
        state.breaker.trip(now, reason)
        state.held = True
        if self.listeners.any:
            self._tell_opened(id, state.breaker, now)

    def _tell_opened(self, id: str, breaker: Breaker, now: float) -> None:
        lasting = (breaker.until or now) - now
        self.listeners.tell(BreakerOpened(at=now, deployment=id, lasting=lasting, reason=breaker.reason))

    def bar(self, id: str, now: float, retry_after: float | None) -> None:
        """Leave the deployment called *id* alone for as long as its host asked (429), or by backoff."""
        state = self.state(id)
        pause = (
            min(_BAR * 2.0 ** min(state.refusals, 16), _LONGEST_BAR) if retry_after is None else retry_after
        )
        state.refusals += 1
        if pause <= state.barred_for(now):
            return
        state.barred = (now, now + pause)
        if self.listeners.any:
            self.listeners.tell(DeploymentBarred(at=now, deployment=id, lasting=pause))

    def call_next(self, queue: object) -> None:
        """Tell who waits first for what *queue* stands for that there may be room."""
        if (waiting := self.queues.get(queue)) is not None:
            waiting.call()

    def call_everybody(self) -> None:
        """Tell who waits first in each queue that there may be room, or none any more."""
        for each in self.queues.values():
            each.call()

    def estimate(self, request: Request, deployment: Deployment, /) -> Decimal | None:
        if deployment.price is None:
            return None
        return dollars(nanodollars(deployment.price, self.expected(request, deployment)))

    def expected(self, request: Request, deployment: Deployment) -> Usage:
        """The tokens that a call is expected to take there: its prompt's, and for the reply as many as it
        may have, or else as such replies have had."""
        reply = 0.0
        if isinstance(request, ChatRequest):
            state = self.states.get(deployment.id or "")
            known = state.reply_tokens if state else None
            reply = _REPLY if known is None else known
            if request.max_tokens is not None:
                reply = min(reply, request.max_tokens)
            reply *= request.n or 1
        return Usage(estimate_prompt(request, deployment.like or deployment.model), round(reply))


_UNKNOWN = Vitals()


def learn(state: State, attempt: Attempt) -> None:
    """Take a finished attempt into its deployment's state."""
    error = attempt.error
    if error is not None and not isinstance(error, AttemptError):
        return  # The caller's own mistake says nothing of the deployment.
    sample = attempt.latency if error is None else failure_sample(attempt.latency, error)
    elapsed = max(attempt.ended - state.sampled, 0.0)
    state.latency = peak_ewma(state.latency, sample, elapsed)
    if attempt.ttft is not None:
        state.ttft = peak_ewma(state.ttft, attempt.ttft, elapsed)
    state.error_rate = share(state.error_rate, error is not None)
    state.sampled = attempt.ended
    if error is not None:
        return
    state.refusals = 0
    if state.retries < _RETRIES:
        state.retries = min(state.retries + _REFUND, _RETRIES)
    if attempt.usage is not None:
        seen, known = attempt.usage.output_tokens, state.reply_tokens
        state.reply_tokens = seen if known is None else known + _WEIGHT * (seen - known)
