"""Connections are made a few at a time; who waits for its turn is not timed, as long as there is hope."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyroute import AttemptTimeoutError, Deadline
from polyroute.transports.gate import Gate
from tests.virtual_time import anyio_backend  # noqa: F401


class Made:
    """What happened at a gate: who is making a connection, the most at once, and who was done in which order."""

    def __init__(self):
        self.now = self.most = 0
        self.done = []


async def connect(gate, made, name, *, seconds=1.0, patience=5.0, deadline=None, fails=False):
    passage = await gate.enter(patience, deadline or Deadline())
    made.now += 1
    made.most = max(made.most, made.now)
    try:
        await anyio.sleep(seconds)
        if not fails:
            passage.connected()
    finally:
        made.now -= 1
        passage.leave()
        made.done.append(name)


async def test_so_many_at_a_time_and_in_the_order_of_coming():
    gate, made = Gate(3), Made()
    async with anyio.create_task_group() as tasks:
        for name in range(10):
            tasks.start_soon(lambda name=name: connect(gate, made, name, seconds=1 + name / 100))
            await anyio.sleep(0.001)

    assert made.most == 3
    assert made.done == list(range(10))


async def test_who_waits_is_not_timed_while_connections_are_made():
    gate, made = Gate(1), Made()
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for name in range(20):
            tasks.start_soon(lambda name=name: connect(gate, made, name, patience=5))

    assert anyio.current_time() - began == pytest.approx(20)  # four times longer than anybody's patience
    assert len(made.done) == 20


async def test_where_nobody_gets_through_who_waits_gives_up_after_its_patience():
    gate, made = Gate(1), Made()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: connect(gate, made, "hung", seconds=100, fails=True))
        await anyio.sleep(1)
        began = anyio.current_time()
        with pytest.raises(AttemptTimeoutError) as caught:
            await gate.enter(5, Deadline())
        assert anyio.current_time() - began == pytest.approx(5)
        assert (caught.value.phase, caught.value.may_have_run) == ("connect", False)
        tasks.cancel_scope.cancel()


async def test_the_attempts_own_limit_holds_in_the_queue_too():
    gate, made = Gate(1), Made()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: connect(gate, made, "hung", seconds=100))
        await anyio.sleep(1)
        began = anyio.current_time()
        with pytest.raises(AttemptTimeoutError) as caught:
            await gate.enter(None, Deadline(began + 50, attempt=began + 3))
        assert anyio.current_time() - began == pytest.approx(3)
        assert caught.value.phase == "attempt"
        tasks.cancel_scope.cancel()


async def test_one_that_fails_makes_room_but_gives_no_hope():
    gate, made = Gate(1), Made()
    failures = []

    async def impatient():
        try:
            await connect(gate, made, "late", patience=2.5)
        except AttemptTimeoutError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        for name in range(4):
            tasks.start_soon(lambda name=name: connect(gate, made, name, fails=True))
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(impatient)

    assert len(failures) == 1
    assert made.done == [0, 1, 2, 3]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=12), st.integers(1, 3))
def test_whoever_is_cancelled_whenever_its_place_is_given_back(calls, at_once):
    """(when it is cancelled, how long it would take) of each."""
    gate, made = Gate(at_once), Made()

    async def cut(after, seconds):
        with anyio.move_on_after(after):
            await connect(gate, made, "x", seconds=seconds, patience=None)

    async def main():
        async with anyio.create_task_group() as tasks:
            for after, seconds in calls:
                tasks.start_soon(cut, after, seconds)
        for _ in range(at_once):  # All of the places are there again.
            with anyio.fail_after(0.001):
                await gate.enter(None, Deadline())

    from trio.testing import MockClock

    anyio.run(main, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
    assert made.most <= at_once
    assert made.now == 0
