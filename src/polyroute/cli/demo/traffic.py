"""The calls: who may be asked for what, and prompts that come in at random moments."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import anyio

from polyroute import (
    Deployment,
    ExponentialBackoff,
    PolyrouteError,
    RoundRobin,
    Route,
    Router,
    Timeout,
    Transport,
)
from polyroute.cli.demo.fleet import Fleet
from polyroute.cli.demo.prompts import LONG
from polyroute.cli.demo.record import Record
from polyroute.cli.demo.strategy import CheapestHealthy, Watched

__all__ = ["play", "router_over"]

REAL_TOKENS = 200
"""The longest answer that a real provider is asked for."""


def router_over(
    fleet: Fleet, record: Record, real: Sequence[Deployment] = (), *, transport: str | Transport = "httpx"
) -> Router:
    """The router of a run. Long prompts go to the large models, short ones to the small; each stands
    in for the other. *real* deployments are asked on a route of their own, and the fleet stands in."""
    routes = {
        "short": Route(["cirrus/mini", "aurora/small", "borealis/small"], fallbacks=["long"]),
        "long": Route(["aurora/large", "zenith/grand"], fallbacks=["borealis/small"]),
    }
    if real:
        routes["real"] = Route(
            [each.model for each in real],
            strategy=RoundRobin(),
            retry=None,
            params={"max_tokens": REAL_TOKENS},
            fallbacks=["short"],
        )
    strategy = CheapestHealthy(rest=fleet.seconds / 24, longest=fleet.seconds / 6)
    return Router(
        [*fleet.deployments, *real],
        routes=routes,
        strategy=Watched(strategy, fleet=record.see, attempt=record.attempt),
        retry=ExponentialBackoff(max_retries=2, base=0.2, cap=1.0),
        timeout=Timeout(total=9, attempt=6),
        rng=Random(fleet.seed),  # noqa: S311 - it keeps no secret
        transport=transport,
    )


async def play(
    router: Router, fleet: Fleet, prompts: Sequence[str], record: Record, *, real_calls: int = 0
) -> None:
    """Ask each of *prompts*, at random moments over the fleet's seconds, until all have ended.
    *real_calls* of them, spread evenly, are asked on the route of the real deployments."""
    chance = Random(f"{fleet.seed}/arrivals")  # noqa: S311 - the same each time
    arrivals = sorted(chance.uniform(0, fleet.seconds) for _ in prompts)
    real = {len(prompts) * place // real_calls for place in range(real_calls)}
    fleet.began = began = anyio.current_time()
    record.begin(began)
    async with anyio.create_task_group() as group:
        for place, (prompt, arrival) in enumerate(zip(prompts, arrivals, strict=True)):
            await anyio.sleep_until(began + arrival)
            route = "real" if place in real else "long" if len(prompt) >= LONG else "short"
            group.start_soon(_ask, router, place, prompt, route, record)
    record.finish(anyio.current_time())


async def _ask(router: Router, place: int, prompt: str, route: str, record: Record) -> None:
    try:
        reply = await router.chat(prompt, model=route, metadata={"call": str(place)})
    except PolyrouteError as error:
        record.failed(prompt, error, anyio.current_time())
    else:
        record.answered(prompt, reply)
