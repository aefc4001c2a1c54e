"""Calls that wait for room: by priority, then arrival, and nobody for ever."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from polyroute.queues import Queue, Ticket
from tests.virtual_time import anyio_backend  # noqa: F401

LEVEL = 10.0  # seconds that a level of priority is worth


class AnyQueue(RuleBasedStateMachine):
    """Who is first is whom a look at all that wait finds."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.now = 0.0
        self.waiting: list[tuple[float, int, Ticket]] = []  # when it came, its priority
        self.called: set[Ticket] = set()

    def _first(self) -> Ticket | None:
        """The one whose wait and priority come to the most; of equals the one that came first."""
        best = max(self.waiting, key=lambda each: (self.now - each[0]) + LEVEL * each[1], default=None)
        return None if best is None else best[2]

    @rule(eighths=st.integers(1, 200))
    def time_passes(self, eighths):
        self.now += eighths / 8

    @rule(priority=st.integers(-3, 3), crowd=st.integers(1, 5))
    def calls_come(self, priority, crowd):
        for _ in range(crowd):
            came_first = self.queue.passes(priority, self.now)
            ticket = self.queue.enter(priority, self.now)
            self.waiting.append((self.now, priority, ticket))
            assert came_first == (self._first() is ticket)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def one_leaves(self, data):
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        _, _, ticket = self.waiting.pop(place)
        self.queue.leave(ticket)
        first = self._first()
        assert first is None or first._called.is_set()

    @precondition(lambda self: len(self.waiting) > 2)
    @rule()
    def most_leave(self):
        for _, _, ticket in self.waiting[1:]:
            self.queue.leave(ticket)
        del self.waiting[1:]

    @invariant()
    def the_first_is_the_first_and_the_only_one(self):
        first = self._first()
        assert len(self.queue) == len(self.waiting)
        assert [ticket for _, _, ticket in self.waiting if self.queue.is_first(ticket)] == (
            [] if first is None else [first]
        )

    @invariant()
    def it_keeps_no_more_than_it_needs(self):
        assert len(self.queue._heap) <= 2 * len(self.waiting) + 64


AnyQueue.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyQueue = AnyQueue.TestCase


def test_a_low_priority_ages_so_that_it_is_never_passed_for_ever():
    queue = Queue()
    low = queue.enter(-1, 0.0)
    assert queue.passes(0, 9.9)
    assert not queue.passes(0, 10.0)
    for second in range(1_000):
        queue.enter(0, 10.0 + second)
    assert queue.is_first(low)


def test_a_crowd_that_gives_up_behind_a_patient_call_is_forgotten():
    queue = Queue()
    patient = queue.enter(1_000, 0.0)
    for now in range(10_000):
        queue.leave(queue.enter(0, float(now)))
    assert len(queue._heap) <= 66
    assert queue.is_first(patient)


async def test_who_is_called_goes_on_at_once_and_else_when_its_time_is_over():
    ticket = Ticket()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticket.called, 100.0 + anyio.current_time())
        began = anyio.current_time()
        await anyio.sleep(3)
        ticket.call()
    assert anyio.current_time() - began == pytest.approx(3)

    began = anyio.current_time()
    await ticket.called(began + 5)
    assert anyio.current_time() - began == pytest.approx(5)


async def test_a_call_that_comes_before_the_wait_is_not_lost_and_counts_once():
    ticket = Ticket()
    ticket.call()
    ticket.call()
    began = anyio.current_time()
    await ticket.called(began + 5)
    assert anyio.current_time() == began
    await ticket.called(began + 5)
    assert anyio.current_time() - began == pytest.approx(5)
