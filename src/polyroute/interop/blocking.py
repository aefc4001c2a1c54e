"""A router's calls for clients that block, on one event loop that they share."""

from __future__ import annotations

import atexit
import threading
from contextlib import nullcontext

from polyroute.calls import Calls
from polyroute.door import Core
from polyroute.sync import SyncCalls, SyncRouter

__all__ = ["Blocking"]

_LEFT_OPEN = nullcontext()  # The router is its owner's to close.


class Blocking:
    """One `sync()` for all of a router's transports: entered at the first call that blocks, left when
    the last of those that made one is closed."""

    def __init__(self, calls: Calls, core: Core) -> None:
        self._calls = calls
        self._core = core
        self._entered: SyncRouter | None = None
        self._users: set[object] = set()
        self._lock = threading.Lock()

    def calls(self, user: object) -> SyncCalls:
        """The calls, of which *user* makes one.

        Raises:
            ConfigurationError: The router is in use from an event loop.
        """
        with self._lock:
            if self._entered is None:
                self._entered = SyncRouter(self._calls, _LEFT_OPEN, self._core).__enter__()
                # Scripts seldom close their client; what then ends the loop must come before the
                # interpreter stops the thread that it runs on.
                atexit.register(self._entered.__exit__, None, None, None)
            self._users.add(user)
            return self._entered

    def leave(self, user: object) -> None:
        """*user* makes no more of them. May be called twice."""
        with self._lock:
            self._users.discard(user)
            if not self._users and self._entered is not None:
                entered, self._entered = self._entered, None
                atexit.unregister(entered.__exit__)
                entered.__exit__(None, None, None)
