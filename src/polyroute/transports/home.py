"""One event loop at a time: connections are made in a loop, belong to it, and end in it where that can be."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from polyroute.errors import ConfigurationError
from polyroute.transports.loops import is_running, running_loop, start_there

__all__ = ["Home", "Stock"]


class Stock(Protocol):
    """The connections of one event loop."""

    def is_busy(self) -> bool: ...
    async def aclose(self) -> None:
        """Close those that nobody uses, in their own loop."""
        ...

    def hang_up(self) -> None:
        """End them all from without: their loop is over."""
        ...


S = TypeVar("S", bound=Stock)


class Home(Generic[S]):
    """Where a transport's connections are at home: the event loop, and the process, that it was used in last."""

    __slots__ = ("_inherited", "_lease", "_loop", "_make", "_process", "closed", "stock")

    def __init__(self, make: Callable[[], S]) -> None:
        self.stock: S | None = None
        self.closed: bool = False
        self._make = make
        self._loop: object = None
        self._lease: AsyncGenerator[None, None] | None = None
        self._process = os.getpid()
        self._inherited: object = None

    def here(self) -> S | None:
        """The stock of the loop that runs; None where it has none yet."""
        return self.stock if running_loop() is self._loop and not self.closed else None

    async def move(self) -> S:
        """Make the loop that runs the home; connections of another are of no use to it.

        Raises:
            ConfigurationError: It is closed, or calls are under way on another loop.
        """
        if self.closed:
            raise ConfigurationError("the router is closed")
        same_process = self._process == os.getpid()
        if self.stock is not None and self.stock.is_busy() and same_process and is_running(self._loop):
            raise ConfigurationError(
                "this router has calls under way on another event loop; use one loop at a time, or a router for each"
            )
        self._leave()
        self.stock = stock = self._make()
        self._loop, self._process = running_loop(), os.getpid()
        self._lease = _lease(stock)
        await anext(self._lease)
        return stock

    async def aclose(self) -> None:
        self.closed = True
        if self._loop is not running_loop():
            self._leave()
        elif self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.aclose()

    def _leave(self) -> None:
        """Let go of the connections of another event loop, or of the process that forked this one."""
        lease, self._lease = self._lease, None
        if self._process != os.getpid():  # pragma: no cover - tests see a forked process from outside
            # The parent uses them. Held on to, for what is finalised here would reach into its event loop.
            self._inherited = (self._inherited, self.stock, lease)
        elif lease is not None and is_running(self._loop):
            start_there(self._loop, partial(_end, lease))
        elif self.stock is not None:
            self.stock.hang_up()


async def _lease(stock: Stock) -> AsyncGenerator[None, None]:
    """Stays open for as long as the event loop does. A loop ends the generators that are left before
    it ends itself, and there, in it, the idle connections can still be closed as they should be."""
    try:
        yield
    finally:
        await stock.aclose()


async def _end(lease: AsyncGenerator[None, None]) -> None:
    await lease.aclose()
