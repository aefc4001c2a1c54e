"""What is used up is given back: memory stays flat over routers, failures and streams without end."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, gc, sys, tracemalloc
from polyroute import Deployment, ReadError, Router, ServerError
from polyroute.testing import FakeProvider

LONG = "A long prompt. " * 2_000


async def turn():
    await asyncio.sleep(0)  # The loop lets go of cancelled timers when it runs.


async def routers(times):
    for _ in range(times):
        async with Router([Deployment("fake/a", provider=FakeProvider(["hi"])), "openai/gpt-5"]) as router:
            await router.chat("hi", model="fake/a")
            await turn()
            async with router.stream("hi", model="fake/a") as stream:
                await stream.response()


async def failures(times):
    down = Deployment("fake/a", id="a", provider=Down([ServerError(LONG, status=500, body={"error": LONG})]))
    async with Router([down], retry=None) as router:
        for _ in range(times):
            try:
                await router.chat(LONG)
            except Exception as error:
                assert "a" in str(error)
            await turn()


async def broken_streams(times):
    cut = Deployment("fake/a", id="a", provider=Down([("Once upon a time", ReadError("cut"))]))
    whole = Deployment("fake/b", id="b", provider=Down([" there was"]))
    async with Router([cut, whole], breaker=None) as router:
        for _ in range(times):
            async with router.stream(LONG, on_break="resume") as stream:
                assert (await stream.response()).text == "Once upon a time there was"
            await turn()


class Down(FakeProvider):
    def __init__(self, script):
        super().__init__(script=script)

    def _next(self, call):
        step = super()._next(call)
        self.calls.clear()
        return step


async def main(kind, times):
    run = {"routers": routers, "failures": failures, "broken_streams": broken_streams}[kind]
    await run(times // 5)  # Caches fill, and modules are loaded.
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await run(times)
    gc.collect()
    print(tracemalloc.get_traced_memory()[0] - before)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize(("kind", "times"), [("routers", 1_000), ("failures", 600), ("broken_streams", 300)])
def test_memory_is_flat(kind, times):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, str(times)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    # The loop's cancelled timers come and go; of a single prompt or error, 30,000 bytes each, nothing is kept.
    assert int(done.stdout) < 100_000
