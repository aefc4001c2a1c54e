"""Connections to one place are made a few hundred at a time, and each is timed from its turn on.

Thousands that are begun at once flood a server's backlog: what does not fit into it is tried again by
the kernel, after seconds, and runs into the limit for making a connection though nothing is wrong.
"""

from __future__ import annotations

from math import inf

import anyio

from polyroute.deadlines import Deadline
from polyroute.transports.faults import unconnected_in_time

__all__ = ["Gate", "Passage"]

_AT_ONCE = 256


class Gate:
    """Who may make a connection to one place now."""

    __slots__ = ("_free", "_progress", "_waiting")

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._free = at_once
        self._progress = -inf  # when a connection was last made
        self._waiting: dict[anyio.Event, None] = {}

    async def enter(self, patience: float | None, deadline: Deadline) -> Passage:
        """Leave to make a connection, in the order of coming.

        Raises:
            AttemptTimeoutError: For *patience* seconds nobody has made one, or the attempt's time is up.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(inf if patience is None else patience, deadline)
        return Passage(self)

    async def _wait(self, patience: float, deadline: Deadline) -> None:
        began = now = anyio.current_time()
        turn = anyio.Event()
        self._waiting[turn] = None
        try:
            while True:
                until = min(deadline.by(now), max(began, self._progress) + patience)
                if until <= now:
                    raise unconnected_in_time(deadline, now)
                with anyio.CancelScope(deadline=until):
                    await turn.wait()
                    return
                now = anyio.current_time()
        except BaseException:
            if self._waiting.pop(turn, ...) is ...:
                self.pass_on()  # Its turn came all the same.
            raise

    def made(self) -> None:
        """Note that a connection was made, so that those who wait have hope."""
        self._progress = anyio.current_time()
        self.pass_on()

    def pass_on(self) -> None:
        """Let the next one make a connection."""
        turn = next(iter(self._waiting), None)
        if turn is None:
            self._free += 1
        else:
            del self._waiting[turn]
            turn.set()


class Passage:
    """One caller's leave; it ends with the first thing that is said of it."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def connected(self) -> None:
        if self._gate is not None:
            self._gate.made()
            self._gate = None

    def leave(self) -> None:
        if self._gate is not None:
            self._gate.pass_on()
            self._gate = None
