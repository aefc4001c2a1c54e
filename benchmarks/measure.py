"""CPU time a call of several clients in one process, in small slices turn by turn.

Run by `run.py`, once in each interpreter that has clients to measure; prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from clients import CLIENTS, version_of
from cores import pin
from server import CHUNKS, TEXT
from workloads import WORKLOADS, Workload

_SETTLING = 0.02  # seconds in which a client ends what its calls have left behind

Call = Callable[[], Awaitable[object]]


async def measured(
    workload: Workload, names: Sequence[str], server: str, *, rounds: int, calls: int
) -> dict[str, list[float]]:
    """Microseconds of CPU a call, by client, one figure for each round."""
    figures: dict[str, list[float]] = {name: [] for name in names}
    async with AsyncExitStack() as stack:
        ready: dict[str, Call] = {}
        for name in names:
            client = CLIENTS[name]([server + path for path in workload.paths])
            stack.push_async_callback(client.aclose)
            ready[name] = getattr(client, workload.operation)
            await _warmed_up(name, ready[name], workload, calls)
        for turn in range(rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                figures[name].append(await _slice(ready[name], workload.in_flight, calls))
    return figures


async def _warmed_up(name: str, call: Call, workload: Workload, calls: int) -> None:
    """Open the connections and fill the caches, once it is sure that the right thing is measured."""
    promised = CHUNKS if workload.operation == "stream" else TEXT
    if (came := await call()) != promised:
        raise RuntimeError(f"{name}: {promised!r} was promised and {came!r} came")
    await _slice(call, workload.in_flight, calls)


async def _slice(call: Call, in_flight: int, calls: int) -> float:
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await call()

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(min(in_flight, calls))))
    await asyncio.sleep(_SETTLING)
    return (time.process_time() - began) / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--server", required=True, help="its address, such as http://127.0.0.1:8000")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, required=True)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--calls", type=int)
    asked = parser.parse_args()
    workload = WORKLOADS[asked.workload]
    logging.disable(logging.WARNING)  # What a library says of a 503 is not to be measured.
    pin("client")
    figures = asyncio.run(
        measured(
            workload,
            asked.clients,
            asked.server,
            rounds=asked.rounds or workload.rounds,
            calls=asked.calls or workload.calls,
        )
    )
    versions = {CLIENTS[name].library: version_of(CLIENTS[name].library) for name in asked.clients}
    print(json.dumps({"figures": figures, "versions": versions}))


if __name__ == "__main__":
    main()
