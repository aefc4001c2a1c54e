"""Ten thousand calls in flight at once: the memory and the CPU time that each of them takes.

    python benchmarks/many.py

Every figure is of a process of its own. Memory is what the process has grown by, in pages that it
holds (RSS), when all calls are in flight, divided by their number; the calls share their messages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from clients import CLIENTS, MESSAGES
from cores import pin
from server import TEXT, asked, loopback, serving

_MANY = 10_000
_FEW = 100
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FAKE = "the router alone"

# What is measured, and with how many in flight.
_RUNS = (
    (_FAKE, _MANY),
    ("aiohttp", _MANY),
    ("polyroute over aiohttp", _MANY),
    ("polyroute", _FEW),
    ("polyroute", _MANY),
)


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


async def over_server(client: str, server: str, calls: int) -> tuple[float, float]:
    """Bytes and microseconds of CPU a call, of calls that are all in flight before the first is answered."""
    made = CLIENTS[client]([f"{server}/held/v1"] * 2)
    await_all = _all_in_flight(server, calls)
    try:
        first = asyncio.ensure_future(made.chat())  # It opens what is opened once.
        await _all_in_flight(server, 1)()
        await first
        return await _measured(made.chat, calls, await_all)
    finally:
        await made.aclose()


def _all_in_flight(server: str, calls: int) -> Callable[[], Awaitable[int]]:
    async def wait() -> int:
        while await asked(server, "held") < calls:
            await asyncio.sleep(0.05)
        held = _resident()
        await asked(server, "release")
        return held

    return wait


async def over_fake(calls: int) -> tuple[float, float]:
    """The same of a router alone."""
    from polyroute import Deployment, Router
    from polyroute.testing import FakeProvider

    gate = asyncio.Event()
    arrived = 0

    async def answer(call: object) -> str:
        nonlocal arrived
        arrived += 1
        if arrived > 1:
            await gate.wait()
        return TEXT

    fake = FakeProvider([answer])
    async with Router([Deployment("fake/a", provider=fake)]) as router:

        async def chat() -> str:
            return (await router.chat(MESSAGES)).text

        async def wait() -> int:
            while arrived < calls + 1:
                await asyncio.sleep(0.05)
            held = _resident()
            gate.set()
            return held

        await chat()
        return await _measured(chat, calls, wait)


async def _measured(
    chat: Callable[[], Awaitable[str]], calls: int, all_in_flight: Callable[[], Awaitable[int]]
) -> tuple[float, float]:
    before, began = _resident(), time.process_time()
    tasks = [asyncio.ensure_future(chat()) for _ in range(calls)]
    held = await all_in_flight()
    texts = await asyncio.gather(*tasks)
    taken = time.process_time() - began
    if texts != [TEXT] * calls:
        raise RuntimeError("a call was answered with something else")
    return (held - before) / calls, taken / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--client", help="measure this one alone, in this process")
    parser.add_argument("--server", help="its address; needed with --client")
    parser.add_argument("--calls", type=int, default=_MANY)
    given = parser.parse_args()
    if given.client is not None:
        pin("client")
        run = (
            over_fake(given.calls)
            if given.client == _FAKE
            else over_server(given.client, given.server, given.calls)
        )
        print(json.dumps(asyncio.run(run)))
        return
    with serving() as server:
        for client, calls in _RUNS:
            command = [
                sys.executable,
                __file__,
                "--client",
                client,
                "--server",
                server,
                "--calls",
                str(calls),
            ]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=loopback())
            memory, cpu = json.loads(done.stdout)
            print(f"{client}, {calls} in flight: {memory / 1024:.1f} KiB and {cpu:.0f} µs a call", flush=True)


if __name__ == "__main__":
    main()
