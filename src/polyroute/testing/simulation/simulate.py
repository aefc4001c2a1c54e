"""The run itself: calls arrive at an application's router, whose hosts are simulated, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from random import Random
from threading import get_ident
from typing import Any, Protocol, TypeAlias

import anyio
from anyio.from_thread import start_blocking_portal

from polyroute.deployments import Deployment
from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.router import Router
from polyroute.testing.simulation.chance import Arrivals
from polyroute.testing.simulation.hosts import DEADLINES, RunningHost, SimulatedHost
from polyroute.testing.simulation.report import SimulationReport
from polyroute.testing.simulation.tally import Tally
from polyroute.testing.simulation.virtual import VirtualTimeLoop

__all__ = ["CallArguments", "RouterFactory", "simulate"]

CallArguments: TypeAlias = Mapping[str, Any]
"""What `Router.chat` or `Router.stream` is called with, `messages` among it."""

_QUESTION: CallArguments = {"messages": "Why is the sky blue?"}
_PATIENCE = 3_600.0  # seconds after the last arrival; a call without limits may wait for ever
_SETTLING = 1.0  # seconds after the router was closed, in which what is ending may end


class RouterFactory(Protocol):
    """Makes an application's router of its deployments, behind which the simulated hosts stand. *rng* is
    the run's source of chance: with another one no two runs are the same. `Router` itself is one."""

    def __call__(self, deployments: Sequence[Deployment], /, *, rng: Random) -> Router: ...


def simulate(
    deployments: Sequence[Deployment | str],
    hosts: Mapping[str, SimulatedHost],
    *,
    arrivals: Arrivals,
    lasting: float,
    router: RouterFactory = Router,
    request: CallArguments | Callable[[Random], CallArguments] = _QUESTION,
    streams: float = 0.0,
    seed: int = 0,
) -> SimulationReport:
    """Send calls to a router whose hosts are simulated, and say what became of them.

    Time is virtual: an hour takes as long as its work does. With the same *seed* the report is the
    same. What the router logs is not shown. It blocks, and so does a loop that it is called from.

    Args:
        deployments: Those of the application, as a `Router` takes them. They need no key.
        hosts: What stands behind them, by a deployment's id or model, or by a provider's prefix: one
            host for all of its deployments that have none of their own.
        arrivals: The moments at which calls arrive: `Poisson(50)`, or any callable that gets a
            `random.Random` and gives an iterator over seconds from the start.
        lasting: Seconds in which calls arrive. The run ends when the last of them has ended.
        router: Makes the application's router, once a run, so that what keeps state begins anew:
            `lambda deployments, rng: Router(deployments, strategy=RoundRobin(), rng=rng)`.
        request: What each call is made with, or a callable that says so for each.
        streams: The share of calls that are streamed, between 0 and 1.
        seed: Of all chance. Arrivals and requests do not depend on what the router does with them.

    Raises:
        ConfigurationError: A deployment has no host, a host no deployment, or a number makes no sense.
    """
    if not lasting > 0:
        raise ConfigurationError(f"simulate: lasting is seconds, more than 0, not {lasting!r}")
    if not 0 <= streams <= 1:
        raise ConfigurationError(f"simulate: streams is a share between 0 and 1, not {streams!r}")
    running = {name: RunningHost(name, host, _chance(seed, f"host {name}")) for name, host in hosts.items()}
    placed = _placed(deployments, running)
    calls = _calls(arrivals, lasting, request, streams, seed)

    async def run() -> SimulationReport:
        others = asyncio.all_tasks()
        tally = Tally(running)
        with _unlogged():
            async with router(placed, rng=_chance(seed, "router")) as made:
                await _offer(made, calls, tally)
                held = made._core.holds  # noqa: SLF001 - nobody else asks for it
            await anyio.sleep(_SETTLING)
        left = [
            f"requests in flight at {name}: {host.in_flight}"
            for name, host in running.items()
            if host.in_flight
        ]
        left += sorted(f"a task of {_name(task)}" for task in asyncio.all_tasks() - others)
        if held is not None:
            left.append(f"in the router: {held}")
        return tally.report(seed=seed, lasting=lasting, left=tuple(left))

    # On a thread of its own, so that it also runs where a loop is running.
    with start_blocking_portal("asyncio", {"loop_factory": VirtualTimeLoop}) as portal:
        return portal.call(run)


async def _offer(router: Router, calls: Iterable[_Call], tally: Tally) -> None:
    """Make each call when it arrives, and wait for their ends. A bug comes out as itself."""
    bugs: list[Exception] = []

    async def call(arguments: CallArguments, streamed: bool) -> None:
        began = anyio.current_time()
        deadlines = [_own_deadline(arguments, began)]
        DEADLINES.set(deadlines)
        ttft = None
        try:
            if streamed:
                async with router.stream(**arguments) as stream:
                    ttft = anyio.current_time() - began
                    reply = await stream.response()
            else:
                reply = await router.chat(**arguments)
            tally.answered(reply, began, ttft)
        except PolyrouteError as error:
            if isinstance(error, ConfigurationError):
                raise
            tally.failed(error, began)
        tally.ended(min(deadlines))

    async def arriving() -> None:
        for moment, arguments, streamed in calls:
            await anyio.sleep_until(moment)
            tally.arrived()
            group.start_soon(guarded, call, arguments, streamed)
        group.cancel_scope.deadline = anyio.current_time() + _PATIENCE

    async def guarded(job: Callable[..., Awaitable[None]], *arguments: object) -> None:
        try:
            await job(*arguments)
        except Exception as bug:  # noqa: BLE001 - it comes out below, as itself and not in a group
            bugs.append(bug)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        await guarded(arriving)
    if bugs:
        raise bugs[0]


_Call: TypeAlias = tuple[float, CallArguments, bool]


def _calls(
    arrivals: Arrivals,
    lasting: float,
    request: CallArguments | Callable[[Random], CallArguments],
    streams: float,
    seed: int,
) -> Iterator[_Call]:
    """Each call's moment, its arguments, and whether it is streamed."""
    chance = _chance(seed, "requests")
    for moment in arrivals(_chance(seed, "arrivals")):
        if moment >= lasting:
            return
        arguments = request(chance) if callable(request) else request
        yield moment, arguments, chance.random() < streams


def _own_deadline(arguments: CallArguments, began: float) -> float:
    """When a call must end by what it says itself; the router's own limits are what hosts are told."""
    timeout = arguments.get("timeout")
    return began + timeout if isinstance(timeout, int | float) else inf


def _placed(deployments: Sequence[Deployment | str], running: Mapping[str, RunningHost]) -> list[Deployment]:
    """The deployments, each with its host for a provider."""
    placed: list[Deployment] = []
    for given in deployments:
        deployment = Deployment(given) if isinstance(given, str) else given
        names = (deployment.id or "", deployment.model, deployment.prefix)
        host = next((running[name] for name in names if name in running), None)
        if host is None:
            raise ConfigurationError(
                f"simulate: no host for {deployment!r}: name one by its id, its model or its prefix"
                f" (there are: {', '.join(running) or 'none'})"
            )
        placed.append(replace(deployment, provider=host))
    idle = running.keys() - {each.provider.name for each in placed if each.provider is not None}
    if idle:
        raise ConfigurationError(f"simulate: hosts that no deployment is on: {', '.join(sorted(idle))}")
    return placed


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "no name")


def _chance(seed: int, whose: str) -> Random:
    """A source of chance that depends on nobody else's draws."""
    return Random(f"{seed}/{whose}")  # noqa: S311 - it is to be the same each time


@contextmanager
def _unlogged() -> Generator[None, None, None]:
    """Keep back what the router of this thread logs: its moments are of another time."""
    thread = get_ident()
    log = logging.getLogger("polyroute")

    def is_elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    log.addFilter(is_elsewhere)
    try:
        yield
    finally:
        log.removeFilter(is_elsewhere)
