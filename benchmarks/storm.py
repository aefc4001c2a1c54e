"""Calls cancelled at random moments, then calls that must succeed: polyroute and a plain httpx pool.

Run by `run.py`; prints what came of it as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from functools import partial
from random import Random
from typing import Any

from clients import KEY, MESSAGES, MODEL
from cores import pin
from server import open_connections

CANCELLED = 400
AFTER = 100
_AT_ONCE = 10
_QUICK, _SLOW = _PATHS = ("/v1", "/slow/v1")
_LATEST = 0.005  # seconds that a call has at most before it is cancelled
_POOL = 5  # connections of the plain pool
_WAIT = 2.0  # seconds that it lets a call wait for one of them
_SETTLING = 0.2

Call = Callable[[str], Coroutine[Any, Any, object]]  # of what comes before the operation's own path


@dataclass(slots=True)
class Outcome:
    """How many calls succeeded after the storm, what the others ended with, and what was left: tasks
    of the event loop, connections in use, attempts in flight by the router's own count, and
    connections that the server still saw when all was closed. None: it is not known."""

    succeeded: int
    errors: dict[str, int] = field(default_factory=dict)
    tasks: int = 0
    connections: int | None = None
    in_flight: int | None = None
    connections_at_the_end: int = 0


async def polyroute_storm(server: str, seed: int, *, over: str) -> Outcome:
    from polyroute import Deployment, Ordered, Router
    from polyroute.transports.choosing import transport_of

    class Watching(Ordered):
        """The default strategy, which also keeps hold of the counts that it is shown."""

        async def choose(self, request, candidates, history, fleet, /):
            self.fleet = fleet
            return await super().choose(request, candidates, history, fleet)

    transport, watching = transport_of(over), Watching()
    deployments = [
        Deployment(f"openai/{MODEL}", id=path, base_url=server + path, api_key=KEY) for path in _PATHS
    ]
    async with Router(deployments, strategy=watching, transport=transport) as router:
        outcome = await _stormed(lambda path: router.chat(MESSAGES, model=path), seed)
        outcome.connections, _ = transport.connections
        outcome.in_flight = sum(watching.fleet[path].in_flight for path in _PATHS)
    await transport.aclose()
    await asyncio.sleep(_SETTLING)
    outcome.connections_at_the_end = await open_connections(server)
    return outcome


async def httpx_storm(server: str, seed: int) -> Outcome:
    import httpx

    limits = httpx.Limits(max_connections=_POOL, max_keepalive_connections=_POOL)
    body = {"model": MODEL, "messages": MESSAGES}

    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(60, pool=_WAIT)) as client:
        outcome = await _stormed(
            lambda path: client.post(f"{server}{path}/chat/completions", json=body), seed
        )
    await asyncio.sleep(_SETTLING)
    outcome.connections_at_the_end = await open_connections(server)
    return outcome


async def _stormed(call: Call, seed: int) -> Outcome:
    before = len(asyncio.all_tasks())
    chance = Random(seed)
    cancelled = 0
    while cancelled < CANCELLED:  # One that had its reply before its moment came does not count.
        calls = [call(path) for path in _PATHS * (_AT_ONCE // 2)]
        cancelled += sum(
            await asyncio.gather(*(_cancelled(each, chance.uniform(0, _LATEST)) for each in calls))
        )
    replies = await asyncio.gather(*(call(_QUICK) for _ in range(AFTER)), return_exceptions=True)
    errors = Counter(type(reply).__name__ for reply in replies if isinstance(reply, BaseException))
    await asyncio.sleep(_SETTLING)
    return Outcome(AFTER - errors.total(), dict(errors), tasks=len(asyncio.all_tasks()) - before)


async def _cancelled(call: Coroutine[Any, Any, object], after: float) -> bool:
    """Whether *call* was cancelled before it had its reply."""
    task = asyncio.create_task(call)
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return task.cancelled()


_STORMS = {
    "polyroute": partial(polyroute_storm, over="httpx"),
    "polyroute over httpx2": partial(polyroute_storm, over="httpx2"),
    "polyroute over aiohttp": partial(polyroute_storm, over="aiohttp"),
    "httpx": httpx_storm,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="its address, such as http://127.0.0.1:8000")
    parser.add_argument("--clients", nargs="+", choices=_STORMS, default=list(_STORMS))
    parser.add_argument("--storms", type=int, default=5)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pin("client")
    outcomes = {
        name: [asdict(asyncio.run(_STORMS[name](asked.server, seed))) for seed in range(asked.storms)]
        for name in asked.clients
    }
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
