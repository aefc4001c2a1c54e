"""One timer for all the waits of an event loop: a timer for each would cost more than most of them take."""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType
from typing import Self

__all__ = ["Watch"]


class Watch:
    """Ends waits when their time has come. The timer is set for the first of them, and where that
    one is over by then it is set anew: most waits end long before their limits do."""

    __slots__ = ("_loop", "_rings", "_timer", "_waits")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waits: set[_Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = inf

    def until(self, ends: float) -> _Wait:
        """A `with` block that raises `TimeoutError` at the moment *ends* of the event loop's clock, as
        `asyncio.timeout_at` would."""
        return _Wait(self, ends)

    def begin(self, wait: _Wait) -> None:
        self._waits.add(wait)
        if wait.ends < self._rings:
            self._set(wait.ends)

    def end(self, wait: _Wait) -> None:
        self._waits.discard(wait)

    def close(self) -> None:
        self._set(inf)

    def _set(self, rings: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = rings
        self._timer = self._loop.call_at(rings, self._ring) if rings < inf else None

    def _ring(self) -> None:
        for wait in tuple(self._waits):
            if wait.ends <= self._rings:
                wait.ring()
                self._waits.discard(wait)
        self._set(min((wait.ends for wait in self._waits), default=inf))


class _Wait:
    __slots__ = ("_cancelling", "_rung", "_task", "_watch", "ends")

    def __init__(self, watch: Watch, ends: float) -> None:
        self._watch = watch
        self.ends: float = ends
        self._rung = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours always runs in one
        self._task, self._cancelling = task, task.cancelling()
        self._watch.begin(self)
        return self

    def ring(self) -> None:
        self._rung = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._rung:
            self._watch.end(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            # Nobody else has cancelled it, so it was the time.
            raise TimeoutError from exc
