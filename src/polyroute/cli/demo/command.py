"""One showing of the demo, from the fleet to the last line of the summary."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from functools import partial

import anyio
from rich.console import Console
from rich.text import Text

from polyroute import Deployment
from polyroute.cli.demo.board import Board
from polyroute.cli.demo.fleet import Fleet
from polyroute.cli.demo.plain import Lines
from polyroute.cli.demo.prompts import cycled
from polyroute.cli.demo.real import announced, real_deployments, share_of
from polyroute.cli.demo.record import Record
from polyroute.cli.demo.summary import Summary, show_summary, summed_up
from polyroute.cli.demo.traffic import play, router_over
from polyroute.cli.words import count

__all__ = ["Show", "demo_status", "show"]

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Show:
    """What is shown: *calls* calls with *prompts* that come in over *seconds*. *real*: providers whose
    keys are set join in. *plain*: lines instead of a live board."""

    prompts: Sequence[str]
    _: KW_ONLY
    calls: int = 300
    seed: int = 7
    seconds: float = 10.0
    real: bool = False
    plain: bool = False


def demo_status(wanted: Show, console: Console | None = None) -> int:
    """Show the demo, and give the exit status.

    Raises:
        BrokenPipeError: Nobody reads it any more.
    """
    console = console or Console()
    log = logging.getLogger("polyroute")
    silent = logging.NullHandler()  # What fails is the show; it is told on the board.
    log.addHandler(silent)
    status = 0
    left: BrokenPipeError | None = None
    try:
        anyio.run(partial(show, wanted, console, os.environ))
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* BrokenPipeError:
        left = BrokenPipeError(errno.EPIPE, "whoever read this has left, as `head` does")
    finally:
        log.removeHandler(silent)
    if left is not None:
        raise left
    return status


async def show(wanted: Show, console: Console, environment: Mapping[str, str]) -> Summary:
    """Run the demo on *console*."""
    fleet = Fleet(seed=wanted.seed, seconds=wanted.seconds)
    prompts = cycled(wanted.prompts, wanted.calls)
    real: list[Deployment] = []
    if wanted.real:
        real = real_deployments(environment)
        console.print(Text(announced(real, wanted.calls), style="yellow"), soft_wrap=True)
    members = [*fleet.deployments, *real]
    record = Record([each.model for each in members], len(prompts), wall=datetime.now().astimezone())
    live = console.is_terminal and not console.is_dumb_terminal and not wanted.plain
    view = (Board if live else Lines)(record, _title(wanted, fleet, real), console)
    async with router_over(fleet, record, real) as router, anyio.create_task_group() as group:
        with view:
            group.start_soon(_redraw, view)
            await play(router, fleet, prompts, record, real_calls=share_of(wanted.calls) if real else 0)
        group.cancel_scope.cancel()
    summary = summed_up(record, {model.name: model.price for model in fleet.models})
    show_summary(summary, console)
    return summary


async def _redraw(view: Board | Lines) -> None:
    while True:
        await anyio.sleep(view.interval)
        view.refresh()


def _title(wanted: Show, fleet: Fleet, real: Sequence[Deployment]) -> str:
    members = [*fleet.deployments, *real]
    providers = len({each.prefix for each in members})
    return (
        f"polyroute: {count(wanted.calls, 'call')}, {count(len(members), 'deployment')}, "
        f"{count(providers, 'provider')}, {'partly ' if real else ''}simulated, seed {wanted.seed}"
    )
