"""Calls that wait for room: by priority, then arrival, and nobody for ever."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf

import anyio

__all__ = ["Queue", "Ticket"]

_AGEING = 10.0  # seconds; having waited so much longer outweighs one level of priority
_SPARE = 64  # places given up that are kept until they come up


class Ticket:
    """One call's place in a queue."""

    __slots__ = ("_called", "left")

    def __init__(self) -> None:
        self._called = anyio.Event()
        self.left: bool = False

    async def called(self, until: float) -> None:
        """Wait until it may be this call's turn, or until the moment *until*."""
        with anyio.CancelScope(deadline=until):
            await self._called.wait()
        if self._called.is_set():
            self._called = anyio.Event()

    def call(self) -> None:
        self._called.set()


class Queue:
    """The calls that wait for the same room. Only the first may take it; when it leaves, the next is called.
    *opens* is when the first one expects room, by time alone; `inf` where it waits for a call to end.

    A call's place is fixed when it comes: a level of priority is worth having come ten seconds earlier,
    so that a low one ages and is never passed for ever.
    """

    __slots__ = ("_arrivals", "_heap", "_length", "opens")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Ticket]] = []
        self._arrivals = 0
        self._length = 0
        self.opens: float = -inf

    def __len__(self) -> int:
        return self._length

    def enter(self, priority: int, now: float) -> Ticket:
        ticket = Ticket()
        self._arrivals += 1
        heappush(self._heap, (_place(priority, now), self._arrivals, ticket))
        self._length += 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place up, whatever for; whoever is first then is called."""
        ticket.left = True
        self._length -= 1
        if len(self._heap) > 2 * self._length + _SPARE:
            self._heap = [place for place in self._heap if not place[2].left]
            heapify(self._heap)
        self.call()

    def call(self) -> None:
        """Tell the first that there may be room."""
        if (first := self._first()) is not None:
            first[2].call()

    def is_first(self, ticket: Ticket) -> bool:
        first = self._first()
        return first is not None and first[2] is ticket

    def passes(self, priority: int, now: float) -> bool:
        """Whether a call that comes *now* would be the first."""
        first = self._first()
        return first is None or _place(priority, now) < first[0]

    def _first(self) -> tuple[float, int, Ticket] | None:
        heap = self._heap
        while heap and heap[0][2].left:
            heappop(heap)
        return heap[0] if heap else None


def _place(priority: int, now: float) -> float:
    return now - priority * _AGEING
