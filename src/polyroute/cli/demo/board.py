"""The run as it goes, live in a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from polyroute.cli.demo.record import Record, Tally, percentile
from polyroute.cli.words import money, one_line, seconds

__all__ = ["Board"]

_STANDINGS = {"up": "green", "down": "bold red", "limited": "bold yellow"}
_TONES = {"good": "green", "bad": "red", "warning": "yellow"}
_WIDE = 105  # columns from which on there is room for a bar
_FIGURES = 63  # columns that the figures take beside a name
_SHARE = 26  # and the bar
_SUMMARY = 12  # lines


class Board:
    """A table of the deployments, the progress, the latest answers and events; drawn by `refresh`."""

    interval: float = 0.1

    def __init__(self, record: Record, title: str, console: Console) -> None:
        self._record = record
        self._title = title
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.refresh()
        self._live.stop()

    def refresh(self) -> None:
        """Draw it as things stand."""
        self._live.update(self.drawn(), refresh=True)

    def drawn(self) -> RenderableType:
        """The board as it fits on the console."""
        lines: list[RenderableType] = [
            Text(self._title, style="bold", no_wrap=True, overflow="ellipsis"),
            Text(),
            self._table(),
            Text(),
            self._progress(),
        ]
        taken = len(self._record.tallies) + 7
        if self._record.ended is not None:
            taken += _SUMMARY  # What follows is to be seen together with the table.
        room = self._console.height - taken - 1
        answers = min((room - 1) // 3, 8) if self._record.ended is None else 0
        for feed in (self._answers(answers), self._events(min(room - answers - 1, 10))):
            lines += [Text(), *feed] if feed else []
        return Group(*lines)

    def _table(self) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            header_style="dim",
            border_style="dim",
        )
        wide = self._console.width >= _WIDE
        room = max(self._console.width - (_FIGURES + _SHARE if wide else _FIGURES), 10)
        table.add_column("deployment", no_wrap=True, min_width=min(14, room), max_width=room)
        table.add_column("state", no_wrap=True, min_width=7)
        for name in ("in flight", "served", "failed", "p50", "p95"):
            table.add_column(name, justify="right", min_width=6, no_wrap=True)
        table.add_column("cost", justify="right", min_width=9, no_wrap=True)
        if wide:
            table.add_column("share of the answers", width=24)
        for name, tally in self._record.tallies.items():
            cells = self._cells(name, tally)
            if wide:
                cells.append(self._share(tally))
            table.add_row(*cells)
        return table

    def _share(self, tally: Tally) -> Table:
        served = len(self._record.replies)
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            ProgressBar(total=max(served, 1), completed=tally.served, width=18, complete_style="cyan"),
            Text(f"{tally.served / max(served, 1):4.0%}", style="dim"),
        )
        return grid

    def _cells(self, name: str, tally: Tally) -> list[RenderableType]:
        in_flight = self._record.in_flight(name)
        return [
            name,
            Text(tally.standing, style=_STANDINGS[tally.standing]),
            Text(str(in_flight), style="" if in_flight else "dim"),
            f"{tally.served:,}",
            Text(f"{tally.failures:,}", style="red" if tally.failures else "dim"),
            _shown(percentile(tally.latencies, 0.50)),
            _shown(percentile(tally.latencies, 0.95)),
            f"${tally.cost:,.4f}" if tally.priced else "unknown",
        ]

    def _progress(self) -> Table:
        record = self._record
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        now = record.ended if record.ended is not None else anyio.current_time()
        grid.add_row(
            f"{record.done:,}/{record.calls:,} calls",
            ProgressBar(total=record.calls, completed=record.done, complete_style="cyan"),
            f"{max(now - record.began, 0) if record.began else 0:.1f} s  {money(record.cost)}",
        )
        return grid

    def _answers(self, most: int) -> list[Text]:
        lines = [
            Text.assemble(
                ("✓ ", "green" if len(reply.trace.attempts) == 1 else "yellow"),
                one_line(prompt, max(self._console.width - 34, 20)),
                (f"  {reply.deployment}  {seconds(reply.trace.attempts[-1].latency)}", "dim"),
                no_wrap=True,
                overflow="ellipsis",
            )
            for prompt, reply in list(self._record.latest)[-most:]
            if most > 0
        ]
        return [*lines, *[Text()] * (most - len(lines))]

    def _events(self, most: int) -> list[Text]:
        return [
            Text.assemble(
                (f"{event.at:%H:%M:%S} ", "dim"),
                (event.text, _TONES[event.tone]),
                no_wrap=True,
                overflow="ellipsis",
            )
            for event in list(self._record.events)[-most:]
            if most > 0
        ]


def _shown(length: float | None) -> str:
    return "-" if length is None else seconds(length)
