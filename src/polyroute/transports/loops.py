"""Event loops as objects: which one runs here, whether one still runs elsewhere, and work handed to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

__all__ = ["is_running", "running_loop", "start_there"]


def running_loop() -> object:
    """The event loop that runs here, as an object that is the same at each call."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        token = anyio.lowlevel.current_token()
        return getattr(token, "native_token", token)  # which anyio wraps anew each time since 4.11


def is_running(loop: object) -> bool:
    """Whether *loop* runs, here or on another thread."""
    if loop is None or isinstance(loop, asyncio.AbstractEventLoop):
        return loop is not None and loop.is_running()
    return _on_trio(loop, int)


def start_there(loop: object, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *call* as a task of *loop*, which runs on another thread."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        asyncio.run_coroutine_threadsafe(call(), loop)
    else:
        from trio.lowlevel import spawn_system_task

        _on_trio(loop, spawn_system_task, call)


def _on_trio(loop: object, *call: Any) -> bool:
    """Whether the run that *loop* stands for took *call*, as one does that is not over."""
    from trio import RunFinishedError
    from trio.lowlevel import TrioToken

    assert isinstance(loop, TrioToken)  # noqa: S101 - there are no others that anyio knows of
    try:
        loop.run_sync_soon(*call)
    except RunFinishedError:
        return False
    return True
