"""An event loop whose clock jumps from one timer to the next, so that an hour passes as fast as the
work in it is done.

It is asyncio's own loop: what is ready runs in the order in which it became ready, and of timers for
the same moment it takes the same one first each time. So a run with the same chance is the same run,
which trio, with dice in its scheduler, does not promise on any clock.
"""

from __future__ import annotations

import asyncio
from math import inf, nextafter
from selectors import DefaultSelector, SelectorKey

__all__ = ["VirtualTimeLoop"]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0. Where nothing is ready and nothing has arrived, it does not wait for the next timer
    but is there; so what a thread works at takes no time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class _Jumping(DefaultSelector):
    """Waits for files and threads, but not for time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None:
            return super().select()
        ready = super().select(0)
        if timeout > 0 and not ready:
            # Up to the next float, so that rounding wakes nobody before his time.
            self.now = nextafter(self.now + timeout, inf)
        return ready
