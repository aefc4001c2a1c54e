"""One timer for all the waits of an event loop: each ends at its own moment, and only by it."""

from __future__ import annotations

import asyncio
from math import inf

import anyio
import pytest

from polyroute.transports.watch import Watch

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def waited(watch: Watch, ends: float, *, seconds: float = 60.0) -> str:
    try:
        with watch.until(ends):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "rung"
    return "over"


async def test_each_wait_ends_at_its_own_moment():
    watch, loop = Watch(), asyncio.get_running_loop()
    began = loop.time()
    lengths = [0.06, 0.02, 0.04, 0.02]
    ended = []

    async def wait(length: float) -> None:
        assert await waited(watch, began + length) == "rung"
        ended.append((length, loop.time() - began))

    async with anyio.create_task_group() as group:
        for length in lengths:
            group.start_soon(wait, length)

    assert [length for length, _ in ended] == sorted(lengths)
    assert all(length <= took < length + 0.5 for length, took in ended)
    assert watch._timer is None


async def test_a_wait_that_is_over_in_time_costs_no_timer_of_its_own():
    watch, loop = Watch(), asyncio.get_running_loop()
    timers = set()
    for _ in range(20):
        assert await waited(watch, loop.time() + 50, seconds=0) == "over"
        timers.add(watch._timer)
    assert len(timers) == 1
    watch.close()


async def test_a_wait_without_an_end_sets_no_timer():
    watch = Watch()
    assert await waited(watch, inf, seconds=0) == "over"
    assert watch._timer is None


async def test_a_wait_whose_end_has_passed_is_rung_at_once():
    watch, loop = Watch(), asyncio.get_running_loop()
    assert await waited(watch, loop.time() - 1) == "rung"


@pytest.mark.parametrize("moment", [0, 0.02], ids=["before", "at the same time"])
async def test_who_is_cancelled_is_not_taken_for_one_whose_time_has_come(moment):
    watch, loop = Watch(), asyncio.get_running_loop()
    task = asyncio.ensure_future(waited(watch, loop.time() + 0.02))
    await asyncio.sleep(0)
    if moment:
        watch._loop.call_at(watch._timer.when(), task.cancel)
    else:
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not watch._waits
    watch.close()


async def test_what_fails_as_its_time_comes_fails_as_it_does():
    watch, loop = Watch(), asyncio.get_running_loop()

    async def failing() -> None:
        with watch.until(loop.time() + 0.01):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise KeyError("a bug") from None

    with pytest.raises(KeyError, match="a bug"):
        await failing()
    assert asyncio.current_task().cancelling() == 0


async def test_a_scope_around_a_wait_is_heeded_though_its_time_came():
    watch, loop = Watch(), asyncio.get_running_loop()
    with anyio.move_on_after(0.02) as scope:
        await waited(watch, loop.time() + 60)
    assert scope.cancelled_caught
    assert not watch._waits
    watch.close()
