"""Work in a task of its own, which belongs to an object and to no function.

A task group would be woven into the scopes of the task that opened it, and could be left only there and
only in their order. A stream is entered under one time limit, read under another, and closed by whoever
holds it: by the client behind which it stands, or by the event loop where a web server dropped its reader.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context

import anyio

__all__ = ["Aside"]


class Aside:
    """*work* under way beside the task that began it, until it is done or `aclose` ends it.

    What *work* raises comes out of `aclose`.
    """

    __slots__ = ("_failure", "_over", "_scope", "_task")

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._failure: BaseException | None = None
        self._task: object = self._begun(work)  # An event loop alone does not keep its tasks alive.

    async def aclose(self, grace: float = 0.0) -> None:
        """Cancel it, after *grace* seconds, and wait until it has cleaned up; from any task, and as often
        as one likes."""
        if grace:
            self._scope.deadline = anyio.current_time() + grace
        else:
            self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._over.wait()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _begun(self, work: Callable[[], Awaitable[None]]) -> object:
        import asyncio

        async def run() -> None:
            try:
                with self._scope:
                    await work()
            except anyio.get_cancelled_exc_class():
                raise  # The event loop itself is at its end.
            except BaseException as failure:  # noqa: BLE001 - trio as a whole would end for it
                self._failure = failure
            finally:
                self._over.set()

        token = anyio.lowlevel.current_token()
        loop = getattr(token, "native_token", token)
        if isinstance(loop, asyncio.AbstractEventLoop):
            return loop.create_task(run())
        from trio.lowlevel import spawn_system_task

        return spawn_system_task(run, context=copy_context())
