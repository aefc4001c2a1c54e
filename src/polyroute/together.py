"""Many jobs at once, and what they give in their order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

__all__ = ["together"]

T = TypeVar("T")


async def together(jobs: Iterable[Callable[[], Awaitable[T]]], *, at_once: int) -> list[T]:
    """What *jobs* give, in their order, where at most *at_once* run at the same time.

    The first that fails ends what is under way, and its error comes out as itself and in no group.
    """
    waiting = list(enumerate(jobs))[::-1]
    given: dict[int, T] = {}
    failures: list[Exception] = []

    async def work(scope: anyio.CancelScope) -> None:
        while waiting and not failures:
            place, job = waiting.pop()
            try:
                given[place] = await job()
            except Exception as failure:  # noqa: BLE001 - it comes out below, as itself and not in a group
                failures.append(failure)
                scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(min(at_once, len(waiting))):
            group.start_soon(work, group.cancel_scope)
    if failures:
        raise failures[0]
    return [given[place] for place in range(len(given))]
