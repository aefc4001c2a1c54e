"""Simulated hosts: providers in this process that take their time, have limits, and fail as hosts do."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

import anyio

from polyroute.deployments import Call
from polyroute.errors import (
    AttemptError,
    ConfigurationError,
    ConnectError,
    OverloadedError,
    RateLimitError,
    ReadError,
    ServerError,
)
from polyroute.replies import ChatChunk, ChatResponse
from polyroute.testing.simulation.chance import Draw, LogNormal, drawn
from polyroute.testing.simulation.faults import Conditions, Fault, check_numbers
from polyroute.tokens import estimate_prompt
from polyroute.types import Usage

__all__ = ["DEADLINES", "RunningHost", "SimulatedHost", "Window"]

_MINUTE = 60.0
_CHUNKS = 4  # of a stream, or as many as leave no more than this gap between them
_GAP = 5.0  # seconds
_LATENCY = LogNormal(0.8, p95=3.0)
_LENGTH = LogNormal(150, p95=600)

DEADLINES: ContextVar[list[float]] = ContextVar("deadlines")
"""The deadlines that hosts are told in one simulated call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHost:
    """How a host fares on a good day, and the *faults* that befall it.

    A reply takes *latency* seconds and has *output_tokens*; a stream's first chunk takes *ttft* of
    these seconds (left out: all of them). Each is a number or is drawn: `LogNormal(0.8, p95=3.0)`, or
    any callable that gets a `random.Random`. More than *capacity* requests at once are answered with
    503, more than *rpm* requests or *tpm* tokens in any 60 s with 429, which says when to come back
    unless *retry_after* is false.
    """

    latency: Draw = _LATENCY
    ttft: Draw | None = None
    output_tokens: Draw = _LENGTH
    capacity: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    retry_after: bool = True
    faults: Sequence[Fault] = ()
    _good: Conditions = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_numbers(self)
        object.__setattr__(self, "faults", tuple(self.faults))
        good = Conditions(capacity=self.capacity, rpm=self.rpm, tpm=self.tpm, retry_after=self.retry_after)
        object.__setattr__(self, "_good", good)
        for fault in self.faults:
            if not isinstance(fault, Fault):
                raise ConfigurationError(
                    f"SimulatedHost: faults are such as Outage(at=60, lasting=30), not {fault!r}"
                )

    def conditions(self, now: float) -> Conditions:
        """How it fares at the moment *now*."""
        conditions = self._good
        for fault in self.faults:
            if fault.at <= now < fault.until:
                conditions = fault.worsen(conditions, now)
        return conditions

    def broken_at(self, begin: float, end: float) -> float | None:
        """The first moment after *begin* and up to *end* at which what is under way is lost."""
        breaks = (fault.at for fault in self.faults if fault.breaks and begin < fault.at <= end)
        return min(breaks, default=None)

    def is_well(self, begin: float, end: float) -> bool:
        """Whether no fault holds at any moment from *begin* to *end*."""
        return all(end < fault.at or fault.until <= begin for fault in self.faults)


class RunningHost:
    """A host at work: the provider that its deployments share, and what it has seen.

    *came* holds all requests of the last minute, *let_in* those that it worked on. *minutes* counts
    what came by the minute, *failures* what it answered with instead, by the error's name.
    """

    def __init__(self, name: str, host: SimulatedHost, rng: Random) -> None:
        self.name: str = name
        self.host: SimulatedHost = host
        self.attempts: int = 0
        self.answered: int = 0
        self.failures: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()
        self.in_flight: int = 0
        self.most_in_flight: int = 0
        self.came: Window = Window()
        self.let_in: Window = Window()
        self._rng = rng
        self._full_at = -1.0

    async def chat(self, call: Call, /) -> ChatResponse[Any]:
        with self._request(call):
            usage, conditions = await self._admit(call)
            await self._work(drawn(self.host.latency, self._rng) * conditions.slowness)
        return ChatResponse("ok", usage=usage, model=call.model)

    async def stream(self, call: Call, /) -> AsyncGenerator[ChatChunk, None]:
        with self._request(call):
            usage, conditions = await self._admit(call)
            host, rng = self.host, self._rng
            latency = drawn(host.latency, rng)
            first = latency if host.ttft is None else min(drawn(host.ttft, rng), latency)
            first, rest = first * conditions.slowness, (latency - first) * conditions.slowness
            chunks = max(_CHUNKS, ceil(rest / _GAP) + 1)
            cut = min(conditions.cut_after, chunks - 1) if rng.random() < conditions.cut else None
            for place in range(chunks):
                await self._work(rest / (chunks - 1) if place else first)
                if place == cut:
                    raise ReadError(f"{self.name}: the stream was cut")
                yield ChatChunk(text="ok ", model=call.model)
            yield ChatChunk(finish_reason="stop", usage=usage)

    def has_been_well(self, begin: float, now: float) -> bool:
        """Whether it was without a fault and refused nobody for want of room from *begin* until *now*."""
        return self._full_at < begin and self.host.is_well(begin, now)

    @contextmanager
    def _request(self, call: Call) -> Generator[None, None, None]:
        """Count a request in, and how it ended."""
        now = anyio.current_time()
        self.attempts += 1
        self.minutes[int(now // _MINUTE)] += 1
        self.came.add(now)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if (deadlines := DEADLINES.get(None)) is not None:
            deadlines.append(call.deadline.end)
        try:
            yield
            self.answered += 1
        except AttemptError as error:
            self.failures[type(error).__name__] += 1
            raise
        finally:
            self.in_flight -= 1

    async def _admit(self, call: Call) -> tuple[Usage, Conditions]:
        """What the request will use, and the conditions under which it is worked on; or its refusal."""
        now = anyio.current_time()
        conditions = self.host.conditions(now)
        if conditions.down:
            raise ConnectError(f"{self.name}: connection refused")
        if conditions.silent:
            await anyio.sleep_forever()
        if self._rng.random() < conditions.failing:
            error = OverloadedError if conditions.status in (503, 529) else ServerError
            raise error(f"{self.name}: something went wrong", status=conditions.status)
        length = max(round(drawn(self.host.output_tokens, self._rng)), 1)
        usage = Usage(estimate_prompt(call.request), min(length, call.request.max_tokens or length))
        self._find_room(conditions, now, usage.input_tokens + usage.output_tokens)
        return usage, conditions

    def _find_room(self, conditions: Conditions, now: float, tokens: int) -> None:
        capacity, rpm, tpm = conditions.capacity, conditions.rpm, conditions.tpm
        if capacity is not None and self.in_flight > capacity:
            self._full_at = now
            raise OverloadedError(f"{self.name}: at capacity", status=503)
        window = self.let_in
        window.slide(now)
        if (rpm is not None and window.requests >= rpm) or (tpm is not None and window.tokens + tokens > tpm):
            self._full_at = now
            retry_after = window.frees_in(now) if conditions.retry_after else None
            raise RateLimitError(f"{self.name}: too many requests", status=429, retry_after=retry_after)
        window.add(now, tokens)

    async def _work(self, seconds: float) -> None:
        """Take *seconds*, unless a fault begins in them that ends what is under way."""
        now = anyio.current_time()
        broken_at = self.host.broken_at(now, now + seconds)
        if broken_at is None:
            await anyio.sleep(seconds)
            return
        await anyio.sleep(broken_at - now)
        if self.host.conditions(broken_at).silent:
            await anyio.sleep_forever()
        raise ReadError(f"{self.name}: connection reset")


class Window:
    """What came in the last 60 s, and the most that ever did in any 60 s."""

    __slots__ = ("_events", "most_requests", "most_tokens", "tokens")

    def __init__(self) -> None:
        self._events: deque[tuple[float, int]] = deque()
        self.tokens: int = 0
        self.most_requests: int = 0
        self.most_tokens: int = 0

    @property
    def requests(self) -> int:
        return len(self._events)

    def frees_in(self, now: float) -> float | None:
        """Seconds until the oldest leaves it; None where it is empty."""
        return self._events[0][0] + _MINUTE - now if self._events else None

    def slide(self, now: float) -> None:
        """Let go of what is as old as the window is long."""
        events = self._events
        while events and events[0][0] + _MINUTE <= now:
            self.tokens -= events.popleft()[1]

    def add(self, now: float, tokens: int = 0) -> None:
        self.slide(now)
        self._events.append((now, tokens))
        self.tokens += tokens
        self.most_requests = max(self.most_requests, len(self._events))
        self.most_tokens = max(self.most_tokens, self.tokens)
