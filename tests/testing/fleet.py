"""A small fleet, and a minute of traffic on it."""

from __future__ import annotations

import asyncio

import anyio

from polyroute import Call, Deadline, Deployment, Middleware, Price, Router, Strategy, Timeout
from polyroute.testing import SimulatedHost, SimulationReport, simulate

A = Deployment("one/m", id="a", price=Price(1, 2))
B = Deployment("two/m", id="b", price=Price(3, 4))
FOREVER = {"at": 0, "lasting": 1e9}


def host(*faults, **options) -> SimulatedHost:
    return SimulatedHost(**{"latency": 1.0, "output_tokens": 100, "faults": faults, **options})


def every(gap: float):
    """Arrivals that are *gap* seconds apart, from 0."""
    return lambda rng: (place * gap for place in range(10**9))


def made(**options):
    """A router that leaves everything to the fleet."""
    return lambda deployments, rng: Router(
        deployments, rng=rng, **{"retry": None, "breaker": None, **options}
    )


def run(*hosts: SimulatedHost, **options) -> SimulationReport:
    """A minute in which a call arrives each second, for *a* first and then for *b*."""
    placed = dict(zip("ab", hosts, strict=False))
    options = {"arrivals": every(1.0), "lasting": 60, "router": made(), **options}
    return simulate([A, B][: len(hosts)], placed, **options)


class Dawdles(Middleware):
    """It answers to no deadline."""

    async def chat(self, request, call_next):
        reply = await call_next(request)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(30)
        return reply


class Leaves(Strategy):
    """It starts a request on the side and forgets about it."""

    def __init__(self):
        self.tasks = []

    async def choose(self, request, candidates, history, fleet):
        if not self.tasks:
            chosen = candidates[0]
            call = Call(request=request, deployment=chosen, model="m", timeout=Timeout(), deadline=Deadline())
            self.tasks.append(asyncio.create_task(chosen.provider.chat(call)))
        return candidates[0]
