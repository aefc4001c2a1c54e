"""A streamed attempt: opened up to its commit point, then read to its end by the one who entered it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import anyio

from polyroute._engine.attempt import OpenAttempt, call_of, judge, stamped
from polyroute._engine.conclude import abandoned_usage
from polyroute.errors import AttemptError, PolyrouteError, StreamInterruptedError
from polyroute.replies import ChatChunk, ChatResponse
from polyroute.streams import Gathered
from polyroute.types import ChatRequest

__all__ = ["Committed", "answer_stream"]

_CLOSING = 5.0  # seconds that closing a stream may take before it is abandoned


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
    fails after it is the stream's, a `StreamInterruptedError`."""

    __slots__ = ("_attempt", "_chunks", "_ended", "_gathered", "_pull", "_ready", "_response")

    def __init__(self, attempt: OpenAttempt[ChatRequest]) -> None:
        self._attempt = attempt
        self._chunks: AsyncGenerator[ChatChunk, None] = attempt.seat.provider.stream(call_of(attempt))
        self._gathered = attempt.gathered = Gathered()
        self._ready: deque[ChatChunk] = deque()
        self._response: ChatResponse[Any] | None = None
        self._ended = False
        self._pull = self._pulled if attempt.seat.keeps_deadlines else self._pulled_in_time

    async def commit(self) -> None:
        attempt = self._attempt
        while (chunk := await self._pull()) is not None:
            self._ready.append(chunk)
            if attempt.ttft is None and chunk.has_token:
                attempt.ttft = anyio.current_time() - attempt.started
                if not attempt.leg.judges:
                    return
        # It is whole and nobody has seen it, so what is wrong with it is still the attempt's failure.
        self._response = await judge(attempt, self._gathered.response())

    def asked(self) -> tuple[str, ...]:
        attempt = self._attempt
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
        attempt = self._attempt
        if self._response is None:
            try:
                self._response = await judge(attempt, self._gathered.response())
            except AttemptError as error:
                attempt.close(error)
                raise
        attempt.close()
        return stamped(attempt, self._response)

    async def aclose(self) -> None:
        try:
            await self.close_generator()
        finally:
            self._attempt.release()

    async def close_generator(self) -> None:
        self._ended = True
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSING):
            await self._chunks.aclose()

    async def _pulled(self) -> ChatChunk | None:
        """The next chunk from the provider; None at the end."""
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._ended = True
            return None
        if chunk.deployment is None:
            chunk = replace(chunk, deployment=self._attempt.deployment.id)
        self._gathered.add(chunk)
        if chunk.has_token:
            self._attempt.deadline.token_passed()
        return chunk

    async def _pulled_in_time(self) -> ChatChunk | None:
        attempt = self._attempt
        with anyio.CancelScope(deadline=attempt.deadline.by(anyio.current_time())):
            return await self._pulled()
        raise attempt.silent()

    def _interrupted(self, error: PolyrouteError) -> StreamInterruptedError:
        """The failure as the consumer gets it, after the attempt was closed with it."""
        attempt = self._attempt
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
            partial=self._gathered.text,
            usage=attempt.usage,
            deployment=attempt.deployment.id,
        )
        interrupted.__cause__ = cause
        return interrupted
