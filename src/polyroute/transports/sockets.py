"""Sockets that an event loop owns, looked at from beside it."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

__all__ = ["hang_up", "watched"]


def watched(sock: Any) -> Callable[[], object]:
    """What tells, at each call, whether *sock* can be read."""
    if not hasattr(select, "poll"):  # as on Windows
        return lambda: select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return partial(poll.poll, 0)


def hang_up(sock: Any) -> None:
    """End the connection here and now; the socket itself goes with its owner."""
    if sock is not None:
        with suppress(OSError):  # It may be closed already.
            sock.shutdown(socket.SHUT_RDWR)
