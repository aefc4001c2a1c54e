"""A second deployment asked beside the first, where the first stays silent for too long.

The first answer wins. The other attempt is abandoned: cancelled, counted in the call's cost, and held
against nobody (Dean and Barroso, "The Tail at Scale", 2013). The first attempt runs in the caller's own
task and the second in a task of its own, which drives a stream to its end where that one wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

from polyroute._engine.admission import admit
from polyroute._engine.attempt import OpenAttempt, stamped
from polyroute._engine.choosing import candidates_of
from polyroute._engine.committed import Committed
from polyroute._engine.verdict import tried
from polyroute.deployments import Deployment
from polyroute.replies import Attempt, ChatChunk, ChatResponse, EmbedResponse
from polyroute.settings import Hedge
from polyroute.types import ChatRequest, EmbedRequest

__all__ = ["raced"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")

_MOST_CREDIT = 10.0  # calls that may be asked twice in a row after a long time without


async def raced(
    first: OpenAttempt[R],
    candidates: Sequence[Deployment],
    answer: Callable[[OpenAttempt[R]], Awaitable[Reply]],
    hedge: Hedge,
) -> tuple[Attempt | None, Reply | None]:
    """What came of *first*, or of the second attempt that was made beside it; as `tried` gives it."""
    delay = _delay(first, hedge)
    if delay is None:
        return await tried(first, answer)
    race = _Race(first, candidates, answer, hedge)
    group = anyio.create_task_group()
    await group.__aenter__()
    outcome: tuple[Attempt | None, Reply | None] = (None, None)
    try:
        outcome = await race.run(delay, group)
    finally:
        if not isinstance(outcome[1], _Relayed):  # That one's task lives as long as the stream does.
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)
    past, reply = outcome
    if isinstance(reply, _Relayed):
        reply.group = group
    elif isinstance(reply, ChatResponse | EmbedResponse):
        # What the loser has cost is known only now.
        return past, cast("Reply", stamped(race.winner, cast("ChatResponse[Any]", reply)))
    return past, reply


def _delay(first: OpenAttempt[R], hedge: Hedge) -> float | None:
    """Seconds after which *first* is taken to be slow; None while too little is known of it."""
    credit = first.run.fleet.credit
    credit[hedge] = min(credit.get(hedge, 1.0) + hedge.max_extra, _MOST_CREDIT)
    if hedge.percentile is None:
        return float(hedge.after)
    return first.usual_wait(hedge.percentile)


class _Race(Generic[R, Reply]):
    """Two attempts at once, of which *winner* is the one whose outcome counts."""

    def __init__(
        self,
        first: OpenAttempt[R],
        candidates: Sequence[Deployment],
        answer: Callable[[OpenAttempt[R]], Awaitable[Reply]],
        hedge: Hedge,
    ) -> None:
        self.winner = first
        self._first = first
        self._second: OpenAttempt[R] | None = None
        self._candidates = candidates
        self._answer = answer
        self._hedge = hedge
        self._scope = anyio.CancelScope()  # around the first attempt, as long as it lasts
        self._decided = anyio.Event()  # The second attempt has answered or failed.
        self._outcome: tuple[Attempt | None, Reply | None] = (None, None)
        self._failure: Exception | None = None

    async def run(self, delay: float, group: TaskGroup) -> tuple[Attempt | None, Reply | None]:
        group.start_soon(self._beside, delay)
        outcome: tuple[Attempt | None, Reply | None] = (None, None)
        with self._scope:
            outcome = await tried(self._first, self._answer)
        if outcome[1] is not None:  # The first has answered.
            if self._second is not None:
                self._second.outrun = True
            self.winner = self._first
            return outcome
        if self._second is None:
            return outcome
        await self._decided.wait()
        if self._failure is not None:
            raise self._failure
        # The first has failed, and so may the second have; the later record is then the one that counts.
        return self._outcome

    async def _beside(self, delay: float) -> None:
        """Open the second attempt, once it is time, and drive it."""
        await anyio.sleep(delay)
        try:
            second = self._second = await self._sibling()
            if second is None:
                return
            self._outcome = await tried(second, self._answer)
        except Exception as failure:  # noqa: BLE001 - it comes out in the caller's task, or not at all
            self._failure = failure
            self._decided.set()
            return
        reply = self._outcome[1]
        if reply is None:
            self._decided.set()
            return
        self.winner = second
        relayed = None
        if isinstance(reply, Committed):
            relayed = _Relayed(reply)
            self._outcome = (None, cast("Reply", relayed))
        self._first.outrun = True
        self._decided.set()
        self._scope.cancel()
        if relayed is not None:
            await relayed.drive()

    async def _sibling(self) -> OpenAttempt[R] | None:
        """The second attempt, if there is somebody with room, and nothing says that there is overload."""
        first = self._first
        run = first.run
        credit = run.fleet.credit
        if first.ttft is not None or not first.is_open or credit[self._hedge] < 1 or _is_strained(first):
            return None
        able = candidates_of(first.request, first.leg, run)
        others = [each for each in self._candidates if each is not first.deployment and each in able]
        second = await admit(first.leg, others, first.request, run, [], kind="hedge")
        if second is not None:
            credit[self._hedge] -= 1
            second.limit(others_left=False)
        return second


def _is_strained(attempt: OpenAttempt[R]) -> bool:
    """Whether a breaker, a host or a queue says that there is too much to do already."""
    states = attempt.run.fleet.states
    known = [state for id in attempt.leg.seats if (state := states.get(id)) is not None]
    return any(state.held or state.waiting or state.barred is not None for state in known)


class _Relayed:
    """The chunks of a stream that another task drives, from the second attempt that has won."""

    def __init__(self, stream: Committed) -> None:
        self.group: TaskGroup | None = None
        self._stream = stream
        self._failure: Exception | None = None
        ends = anyio.create_memory_object_stream[ChatChunk](0)
        self._sending: ObjectSendStream[ChatChunk] = ends[0]
        self._receiving: ObjectReceiveStream[ChatChunk] = ends[1]

    async def drive(self) -> None:
        """Hand on every chunk; in the task that opened the stream, which also closes it."""
        try:
            while (chunk := await self._stream.next()) is not None:
                await self._sending.send(chunk)
        except Exception as failure:  # noqa: BLE001 - raised where the chunks are read
            self._failure = failure
        finally:
            self._sending.close()
            await self._stream.close_generator()

    @property
    def attempt(self) -> OpenAttempt[ChatRequest]:
        return self._stream.attempt

    def asked(self) -> tuple[str, ...]:
        return self._stream.asked()

    async def next(self) -> ChatChunk | None:
        try:
            return await self._receiving.receive()
        except anyio.EndOfStream:
            pass
        if self._failure is not None:
            raise self._failure
        return None

    async def finish(self) -> ChatResponse[Any]:
        return await self._stream.finish()

    async def aclose(self) -> None:
        group, self.group = self.group, None
        try:
            if group is not None:
                group.cancel_scope.cancel()
                await group.__aexit__(None, None, None)
        finally:
            self._receiving.close()
            await self._stream.aclose()
