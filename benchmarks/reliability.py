"""What breakers, limits and a budgeted retry cost a call that needs none of them: the router's CPU time
with them and without, turn by turn in one process.

    python benchmarks/reliability.py
"""

from __future__ import annotations

import argparse
import asyncio
import time
from statistics import median

from clients import MESSAGES
from cores import pin
from server import TEXT

from polyroute import CircuitBreaker, Deployment, ExponentialBackoff, Limits, Router
from polyroute.testing import FakeProvider

_CALLS = 1_000
_BAR = 25.0  # µs


def routers() -> tuple[Router, Router, list[FakeProvider]]:
    """One without, one with, and the doubles that answer for both."""
    fakes = [FakeProvider([TEXT]), FakeProvider([TEXT])]
    plain = [Deployment(f"fake/{place}", provider=fake) for place, fake in enumerate(fakes)]
    limits = Limits(rpm=10**9, tpm=10**12, concurrency=10**6)
    limited = [Deployment(f"fake/{place}", provider=fake, limits=limits) for place, fake in enumerate(fakes)]
    without = Router(plain, breaker=None, retry=None)
    return without, Router(limited, breaker=CircuitBreaker(), retry=ExponentialBackoff()), fakes


async def measured(rounds: int) -> tuple[float, float]:
    """Microseconds of CPU a call: without, and with."""
    without, with_all, fakes = routers()
    figures: dict[Router, list[float]] = {without: [], with_all: []}
    async with without, with_all:
        for turn in range(rounds + 1):
            for router, taken in figures.items():
                began = time.process_time()
                for _ in range(_CALLS):
                    fakes[0].calls.clear()  # What the double remembers is no work of the router's.
                    await router.chat(MESSAGES)
                if turn:  # The first round warms up.
                    taken.append((time.process_time() - began) / _CALLS * 1e6)
    return median(figures[without]), median(figures[with_all])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    pin("client")
    without, with_all = asyncio.run(measured(parser.parse_args().rounds))
    more = with_all - without
    print(f"without {without:.1f} µs, with {with_all:.1f} µs: {more:.1f} more, and the bar is {_BAR:g}")


if __name__ == "__main__":
    main()
