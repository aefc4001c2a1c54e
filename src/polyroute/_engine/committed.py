"""A streamed attempt: opened up to its commit point, then read to its end by the one who entered it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import anyio

from polyroute._engine.answers import call_of, failed_finish, judge, stamped
from polyroute._engine.attempt import OpenAttempt
from polyroute._engine.conclude import abandoned_usage, flaw_of, with_usage
from polyroute._engine.continuing import Seam, continued
from polyroute._engine.eligible import lacks_of
from polyroute.errors import AttemptError, PolyrouteError, StreamInterruptedError
from polyroute.gathered import Gathered
from polyroute.replies import ChatChunk, ChatResponse
from polyroute.types import ChatRequest, amended

__all__ = ["CLOSING", "Committed", "answer_stream"]

_CHARACTERS = 4  # about as many to a token; enough for a floor on a stream's rate
CLOSING = 5.0  # seconds that closing a stream may take before it is abandoned


async def answer_stream(attempt: OpenAttempt[ChatRequest]) -> Committed:
    """Ask for a streamed reply and wait for its first token, or for all of it where it is judged."""
    stream = Committed(attempt)
    try:
        await stream.commit()
    except BaseException:
        await stream.close_generator()
        raise
    return stream


class Committed:
    """The chunks of one attempt. What fails before `commit` returns is the attempt's failure; what
    fails after it is the stream's, a `StreamInterruptedError`.

    Where the attempt carries a broken stream on, *whole* begins with what that one said, and the two
    are joined by a seam; else it is what this one has gathered.
    """

    __slots__ = (
        "_ended", "_fails", "_gathered", "_pull", "_ready", "_response", "_seam", "attempt", "chunks"
    )  # fmt: skip

    def __init__(self, attempt: OpenAttempt[ChatRequest]) -> None:
        self.attempt = attempt
        self._gathered = attempt.gathered = attempt.whole = Gathered()
        before = attempt.run.before
        self._seam = None if before is None else _carry_on(attempt, before)
        self.chunks: AsyncGenerator[ChatChunk, None] = attempt.seat.provider.stream(call_of(attempt))
        self._ready: deque[ChatChunk] = deque()
        self._response: ChatResponse[Any] | None = None
        self._ended = False
        breaker = attempt.seat.breaker
        self._fails = breaker.failed_finishes if breaker is not None and breaker.failed_finishes else None
        self._pull = self._pulled if attempt.seat.keeps_deadlines else self._pulled_in_time

    async def commit(self) -> None:
        attempt = self.attempt
        kept_back = attempt.request.hold
        while (chunk := await self._pull()) is not None:
            self._ready.append(chunk)
            if chunk.has_token:
                if attempt.ttft is None:
                    attempt.ttft = attempt.run.fleet.now - attempt.started
                kept_back -= 1
                if kept_back <= 0 and not attempt.leg.judges:
                    return
        # It is whole and nobody has seen it, so what is wrong with it is still the attempt's failure.
        self._response = await judge(attempt, self._told())

    def asked(self) -> tuple[str, ...]:
        attempt = self.attempt
        over = tuple(past.deployment for past in attempt.run.history)
        return (*over, attempt.deployment.id or "") if attempt.is_open else over

    async def next(self) -> ChatChunk | None:
        if self._ready:
            return self._ready.popleft()
        if self._ended:
            return None
        try:
            return await self._pull()
        except PolyrouteError as error:
            failure = self._interrupted(error)
        raise failure

    async def finish(self) -> ChatResponse[Any]:
        attempt = self.attempt
        if self._response is None:
            try:
                self._response = await judge(attempt, self._told())
            except AttemptError as error:
                attempt.close(error)
                raise
        attempt.close(flaw=flaw_of(attempt.adapted, self._response))
        return stamped(attempt, self._response)

    async def aclose(self) -> None:
        try:
            await self.close_generator()
        finally:
            self.attempt.release()

    async def close_generator(self) -> None:
        self._ended = True
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSING):
            await self.chunks.aclose()

    async def _pulled(self) -> ChatChunk | None:
        """The next chunk from the provider; None at the end."""
        try:
            chunk = await self.chunks.__anext__()
        except StopAsyncIteration:
            self._ended = True
            return self._rest()
        if chunk.deployment is None:
            chunk = replace(chunk, deployment=self.attempt.deployment.id)
        self._gathered.add(chunk)
        if chunk.text or chunk.has_token:
            deadline = self.attempt.deadline
            deadline.token_passed()
            if deadline.floor is not None:
                deadline.floor.passed(len(chunk.text) // _CHARACTERS or 1, anyio.current_time())
        if self._seam is not None:
            chunk = self._joined(chunk, self._seam)
        if chunk.finish_reason is not None and self._fails is not None and chunk.finish_reason in self._fails:
            raise failed_finish(self.attempt.seat.id, chunk.finish_reason)
        return chunk

    def _joined(self, chunk: ChatChunk, seam: Seam) -> ChatChunk:
        """The chunk without what it repeats of the part before; it may be held back for a while."""
        attempt = self.attempt
        if attempt.ttft is None and chunk.has_token:
            attempt.ttft = attempt.run.fleet.now - attempt.started
        text = seam.feed(chunk.text) if chunk.text else ""
        if chunk.finish_reason is not None or chunk.tool_call_delta is not None or chunk.refusal:
            text += seam.end()  # No text of the same run follows.
        if text != chunk.text:
            chunk = replace(chunk, text=text)
        attempt.whole.add(chunk)
        return chunk

    def _rest(self) -> ChatChunk | None:
        """What the seam still held back when the stream ended."""
        if self._seam is None or not (text := self._seam.end()):
            return None
        chunk = ChatChunk(text=text, deployment=self.attempt.deployment.id)
        self.attempt.whole.add(chunk)
        return chunk

    def _told(self) -> ChatResponse[Any]:
        """The whole reply, with the usage of this attempt alone."""
        attempt = self.attempt
        if self._seam is None:
            return self._gathered.response()
        own = with_usage(attempt.adapted, self._gathered.response())
        return amended(attempt.whole.response(), usage=own.usage)

    async def _pulled_in_time(self) -> ChatChunk | None:
        attempt = self.attempt
        with anyio.CancelScope(deadline=attempt.deadline.by(anyio.current_time())):
            return await self._pulled()
        raise attempt.silent()

    def _interrupted(self, error: PolyrouteError) -> StreamInterruptedError:
        """The failure as the consumer gets it, after the attempt was closed with it."""
        attempt = self.attempt
        attempt.usage = abandoned_usage(attempt.adapted, self._gathered)
        attempt.explain(error)
        cause = error
        if attempt.run.is_over():
            attempt.release()  # The call's own time ran out: that counts for nobody.
            cause = attempt.run.deadline_exceeded()
        else:
            attempt.close(error)
        interrupted = StreamInterruptedError(
            f"{attempt.deployment.id}: the stream broke after its first token: {cause}",
            partial=attempt.whole.text,
            usage=attempt.usage,
            deployment=attempt.deployment.id,
        )
        interrupted.__cause__ = cause
        return interrupted


def _carry_on(attempt: OpenAttempt[ChatRequest], before: Gathered) -> Seam:
    """Have *attempt* ask for the rest of what was said *before*, in the way that its deployment understands;
    gives what joins the two."""
    run, seat, request, partial = attempt.run, attempt.seat, attempt.adapted, before.text
    prefill = None if "prefill" in lacks_of(seat, run.fleet.lacks) else seat.prefill
    if prefill == "trimmed" and request.reasoning_effort not in (None, "none"):
        prefill = None  # Claude begins with its thoughts then, and not in the middle of a sentence.
    trimmed = partial[len(partial.rstrip()) :] if prefill == "trimmed" else ""
    shown = partial.removesuffix(trimmed)
    attempt.prefilled = prefill is not None
    attempt.adapted = continued(request, shown, prefills=attempt.prefilled)
    attempt.whole = before.copy()
    return Seam(partial, trimmed)
