"""A second deployment asked beside the first, where the first stays silent for too long.

The first answer wins. The other attempt is abandoned: cancelled, counted in the call's cost, and held
against nobody (Dean and Barroso, "The Tail at Scale", 2013). The first attempt runs in the caller's own
task and the second in a task of its own, which drives a stream to its end where that one wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

import anyio

from polyroute._engine.admission import admit
from polyroute._engine.answers import stamped
from polyroute._engine.aside import Aside
from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.choosing import candidates_of
from polyroute._engine.committed import CLOSING, Committed
from polyroute._engine.verdict import tried
from polyroute.deployments import Deployment
from polyroute.errors import PolyrouteError
from polyroute.replies import Attempt, ChatChunk, ChatResponse, EmbedResponse
from polyroute.settings import Hedge
from polyroute.types import ChatRequest, EmbedRequest

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["raced"]

R = TypeVar("R", ChatRequest, EmbedRequest)
Reply = TypeVar("Reply")
Answer: TypeAlias = Callable[[OpenAttempt[R]], Awaitable[Reply]]

_MOST_CREDIT = 10.0  # calls that may be asked twice in a row after a long time without


async def raced(
    first: OpenAttempt[R],
    candidates: Sequence[Deployment],
    answer: Answer[R, Reply],
    hedge: Hedge,
    anyone_left: Callable[[], bool],
) -> tuple[Attempt | None, Reply | None]:
    """What came of *first*, or of the second attempt that was made beside it; as `tried` gives it.

    Where both fail it is the record of the one that failed last. *anyone_left* says whether, as the call
    then stands, somebody is there who was not asked.
    """
    delay = _delay(first, hedge)
    if delay is None:
        return await tried(first, answer)
    return await _Race(first, candidates, answer, hedge, anyone_left).run(delay)


def _delay(first: OpenAttempt[R], hedge: Hedge) -> float | None:
    """Seconds after which *first* is taken to be slow; None while too little is known of it."""
    run = first.run
    if not run.history:  # A call earns its share once, however many attempts it takes.
        credit = run.fleet.credit
        credit[hedge] = min(credit.get(hedge, 1.0) + hedge.max_extra, _MOST_CREDIT)
    return float(hedge.after) if hedge.percentile is None else first.usual_wait(hedge.percentile)


class _Race(Generic[R, Reply]):
    """Two attempts at once. The first runs where `run` is awaited, the second in a task aside."""

    def __init__(
        self,
        first: OpenAttempt[R],
        candidates: Sequence[Deployment],
        answer: Answer[R, Reply],
        hedge: Hedge,
        anyone_left: Callable[[], bool],
    ) -> None:
        self._first: OpenAttempt[R] = first
        self._second: OpenAttempt[R] | None = None
        self._candidates = candidates
        self._answer: Answer[R, Reply] = answer
        self._hedge = hedge
        self._anyone_left = anyone_left
        self._scope = anyio.CancelScope()  # around the first attempt, as long as it lasts
        self._decided = anyio.Event()  # The second attempt has answered or failed.
        self._over = False
        self._outcome: tuple[Attempt | None, Reply | None] = (None, None)
        self._failure: BaseException | None = None

    async def run(self, delay: float) -> tuple[Attempt | None, Reply | None]:
        aside = Aside(partial(self._beside, delay))
        outcome: tuple[Attempt | None, Reply | None] = (None, None)
        try:
            outcome = await self._outcome_of_both()
        finally:
            self._over = True
            if isinstance(outcome[1], _Relayed):
                outcome[1].aside = aside
            else:
                with suppress(PolyrouteError):
                    await aside.aclose()
                if isinstance(self._outcome[1], _Relayed):
                    await self._outcome[1].aclose()
        past, reply = outcome
        if self._second is not None and isinstance(reply, ChatResponse | EmbedResponse):
            return past, self._counted(reply)
        return past, reply

    async def _outcome_of_both(self) -> tuple[Attempt | None, Reply | None]:
        past, reply = None, None
        with self._scope:
            past, reply = await tried(self._first, self._answer)
        if reply is not None:
            self._first.outrun = False
            if self._second is not None:
                self._second.outrun = True
            return past, reply
        if self._second is not None:
            await self._decided.wait()
        if self._failure is not None:
            raise self._failure
        its_past, its_reply = self._outcome
        if its_reply is not None:
            return None, its_reply
        if its_past is None or (past is not None and past.ended > its_past.ended):
            return past, None
        return its_past, None

    async def _beside(self, delay: float) -> None:
        """Open the second attempt, once it is time, and drive it."""
        await anyio.sleep(delay)
        try:
            self._second = await self._sibling()
            if self._second is None:
                return
            self._outcome = await tried(self._second, self._answer)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as failure:  # noqa: BLE001 - it is raised in the caller's task
            self._failure = failure
            if self._second is None or not isinstance(failure, PolyrouteError):
                self._scope.cancel()  # A bug is not to be hidden by another one's answer.
            self._decided.set()
            return
        reply = self._outcome[1]
        if reply is None:
            self._decided.set()
            return
        if self._over:  # It was a moment too late.
            if isinstance(reply, Committed):
                await reply.aclose()
            return
        self._first.outrun = True
        self._scope.cancel()
        if not isinstance(reply, Committed):
            self._decided.set()
            return
        relayed = _Relayed(reply)
        self._outcome = (None, cast("Reply", relayed))
        self._decided.set()
        await relayed.drive()

    async def _sibling(self) -> OpenAttempt[R] | None:
        """The second attempt, if there is somebody with room, and nothing says that there is overload."""
        first = self._first
        run, credit = first.run, first.run.fleet.credit
        if first.ttft is not None or not first.is_open or credit[self._hedge] < 1 or _is_strained(first):
            return None
        run.began = None  # Now is not the moment at which the call began.
        able = candidates_of(first.request, first.leg, run)
        others = [each for each in self._candidates if each is not first.deployment and each in able]
        credit[self._hedge] -= 1  # before anything is awaited, where others would spend it too
        second = None
        try:
            second = await admit(first.leg, others, first.request, run, {}, kind="hedge")
        finally:
            if second is None:
                credit[self._hedge] += 1
        if second is not None:
            second.limit(others_left=self._anyone_left())
        return second

    def _counted(self, reply: ChatResponse[Any] | EmbedResponse) -> Reply:
        """The reply with the loser's cost, which is known only now; the record of who answered comes last."""
        winner, history = self._first, self._first.run.history
        if self._second is not None and self._second.seat.id == reply.deployment:
            winner = self._second
        good = [place for place, past in enumerate(history) if past.deployment == winner.seat.id]
        history.append(history.pop(good[-1]))
        return cast("Reply", stamped(winner, cast("ChatResponse[Any]", reply)))


def _is_strained(attempt: OpenAttempt[R]) -> bool:
    """Whether a breaker, a host or a queue says that there is too much to do already."""
    now = anyio.current_time()
    states = attempt.run.fleet.states
    known = [state for id in attempt.leg.seats if (state := states.get(id)) is not None]
    return any(
        state.waiting
        or state.barred_for(now)
        or (state.breaker is not None and state.breaker.state(now) == "open")
        for state in known
    )


class _Relayed:
    """The chunks of a stream that another task drives, from the second attempt that has won."""

    def __init__(self, stream: Committed) -> None:
        self.aside: Aside | None = None  # the work of `drive`
        self._stream = stream
        self._response: ChatResponse[Any] | None = None
        self._left = False
        self._listens = False  # The task waits for the host, and not for a reader.
        ends = anyio.create_memory_object_stream[ChatChunk](0)
        self._sending: MemoryObjectSendStream[ChatChunk] = ends[0]
        self._receiving: MemoryObjectReceiveStream[ChatChunk] = ends[1]

    async def drive(self) -> None:
        """Hand on every chunk, and close the stream; in the task that opened it."""
        stream = self._stream
        try:
            while not self._left:
                self._listens = True
                chunk = await stream.next()
                self._listens = False
                if chunk is None:
                    self._response = await stream.finish()
                    return
                with suppress(anyio.BrokenResourceError):  # It is left now.
                    await self._sending.send(chunk)
            # No scope of ours is around this, since some of the provider's own may be open.
            await stream.chunks.aclose()
        finally:
            self._sending.close()
            await stream.aclose()

    @property
    def attempt(self) -> OpenAttempt[ChatRequest]:
        return self._stream.attempt

    def asked(self) -> tuple[str, ...]:
        return self._stream.asked()

    async def next(self) -> ChatChunk | None:
        if self._response is not None:
            return None  # Every chunk was taken before that was made.
        try:
            return await self._receiving.receive()
        except anyio.EndOfStream:
            await self._end()
            return None

    async def finish(self) -> ChatResponse[Any]:
        assert self._response is not None  # noqa: S101 - the chunks have come to their end
        return self._response

    async def aclose(self) -> None:
        with suppress(PolyrouteError):  # It was left before anybody saw it break.
            await self._end()

    async def _end(self) -> None:
        """End the task, if it is not over; raises what has ended that before its time."""
        self._left = True
        self._receiving.close()
        if self.aside is not None:
            await self.aside.aclose(grace=0.0 if self._listens else CLOSING)
