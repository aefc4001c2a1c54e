"""What importing a library costs: fresh processes, turn by turn, the first of each thrown away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from cores import pin

__all__ = ["BAR", "BASE", "READY", "STATEMENTS", "import_times"]

BAR = 0.5
BASE = "httpx"  # with pydantic and anyio, which whoever calls a model has as well
STATEMENTS = {
    BASE: "import httpx, pydantic, anyio",
    "polyroute": "from polyroute import Router",
    "aiohttp": "import aiohttp",
    "openai": "from openai import AsyncOpenAI",
    "litellm": "from litellm import Router",
}
# With what is loaded only when the first client or router is made.
READY = {
    BASE: "import httpx, pydantic, anyio; httpx.AsyncClient()",
    "polyroute": "from polyroute import Router; Router(['openai/gpt-5-mini'])",
}


def import_times(python: str, statements: Mapping[str, str], *, rounds: int) -> dict[str, list[float]]:
    """Microseconds of CPU by name, one figure for each round, in processes of *python*."""
    figures: dict[str, list[float]] = {name: [] for name in statements}
    for turn in range(rounds + 1):
        for name, statement in statements.items():
            taken = _import(python, statement)
            if turn:  # The first may have compiled what the others only read.
                figures[name].append(taken)
    return figures


def _import(python: str, statement: str) -> float:
    program = (
        f"import time; began = time.process_time(); {statement}; print((time.process_time() - began) * 1e6)"
    )
    done = subprocess.run(
        [python, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: pin("client"),
        # pip compiles what it installs; what is installed in place is compiled by the round thrown away.
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    )
    return float(done.stdout)
