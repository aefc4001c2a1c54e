"""The event loop whose clock jumps."""

from __future__ import annotations

import asyncio
import time
from socket import socketpair
from threading import Event

import anyio
from hypothesis import given
from hypothesis import strategies as st

from polyroute.testing.simulation.virtual import VirtualTimeLoop


def run(work):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work())


def test_it_starts_at_0_and_an_hour_takes_no_time():
    async def waits():
        started = anyio.current_time()
        await anyio.sleep(3_600)
        return started, anyio.current_time()

    began = time.monotonic()
    started, ended = run(waits)
    assert 0 <= started < 1e-6
    assert abs(ended - 3_600) < 1e-6
    assert time.monotonic() - began < 5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_nobody_wakes_before_his_time_or_later(waits):
    early_or_late = []

    async def sleeper(seconds):
        until = anyio.current_time() + seconds
        await anyio.sleep(seconds)
        early_or_late.append(anyio.current_time() - until)

    async def all_of_them():
        async with anyio.create_task_group() as group:
            for seconds in waits:
                group.start_soon(sleeper, seconds)

    run(all_of_them)
    assert len(early_or_late) == len(waits)
    # asyncio itself takes what is due within a nanosecond for due.
    assert all(-1.1e-9 < off < 1e-6 for off in early_or_late)


def test_those_who_wait_for_moments_wake_in_their_order():
    woken = []

    async def sleeper(seconds):
        await anyio.sleep(seconds)
        woken.append(seconds)

    async def all_of_them():
        async with anyio.create_task_group() as group:
            for seconds in (3, 1, 2, 5, 4):
                group.start_soon(sleeper, seconds)

    run(all_of_them)
    assert woken == [1, 2, 3, 4, 5]


def test_a_thread_wakes_it_where_nothing_else_would():
    async def waits_for_a_thread():
        gate = Event()

        def work():
            gate.wait(5)
            return "done"

        async with anyio.create_task_group() as group:

            async def open_the_gate():
                gate.set()

            group.start_soon(open_the_gate)
            return await anyio.to_thread.run_sync(work), anyio.current_time()

    assert run(waits_for_a_thread) == ("done", 0.0)


def test_what_is_ready_runs_before_time_goes_on():
    async def ticks():
        for _ in range(100):
            await asyncio.sleep(0)
        return anyio.current_time()

    assert run(ticks) == 0.0


def test_what_arrives_is_heard_before_time_goes_on():
    heard = []

    async def listens():
        loop = asyncio.get_running_loop()
        ours, theirs = socketpair()
        with ours, theirs:
            loop.add_reader(ours, lambda: heard.append((ours.recv(1), loop.time())))
            theirs.send(b"x")
            await anyio.sleep(10)
            loop.remove_reader(ours)
        return loop.time()

    assert run(listens) >= 10
    assert heard == [(b"x", 0.0)]
