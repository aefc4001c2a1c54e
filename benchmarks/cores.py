"""Which core runs what: the client has one to itself, and so has the server."""

from __future__ import annotations

import os
from typing import Literal

__all__ = ["pin"]


def pin(role: Literal["client", "server"]) -> int | None:
    """Keep this process to the core of its *role*; None where there is no choice."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    core = cores[0] if role == "server" else cores[-1]
    os.sched_setaffinity(0, {core})
    return core
