"""Which core runs what: the client has one to itself, and so has the server."""

from __future__ import annotations

import os
from typing import Literal

__all__ = ["pin", "pinning"]


def pin(role: Literal["client", "server"]) -> None:
    """Keep this process to the core of its *role*, where there is a choice."""
    cores = _choice()
    if cores:
        os.sched_setaffinity(0, {cores[0] if role == "server" else cores[-1]})


def pinning() -> str:
    """What `pin` comes to here, in words."""
    return "client and server with a core each" if _choice() else "client and server not kept to a core"


def _choice() -> list[int]:
    """The cores that there are to choose from, if there is a choice."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    return cores if len(cores) > 1 else []
