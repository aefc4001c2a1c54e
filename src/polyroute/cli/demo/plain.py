"""The run as it goes, in plain lines: where there is no terminal, or none is wanted."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
from rich.console import Console

from polyroute.cli.demo.record import Record
from polyroute.cli.words import money

__all__ = ["Lines"]


class Lines:
    """A line a second, and one for each event, as it happens."""

    interval: float = 1.0

    def __init__(self, record: Record, title: str, console: Console) -> None:
        self._record = record
        self._title = title
        self._file = console.file
        self._told = 0

    def __enter__(self) -> Self:
        self._print(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            self.refresh()

    def refresh(self) -> None:
        """Print what has happened since the last time."""
        record = self._record
        new = record.happened - self._told
        self._told = record.happened
        for event in list(record.events)[-new:] if new else ():
            self._print(f"{event.at:%H:%M:%S} {event.text}")
        now = record.ended if record.ended is not None else anyio.current_time()
        in_flight = sum(map(record.in_flight, record.tallies))
        self._print(
            f"{now - record.began:5.1f} s  {record.done:,}/{record.calls:,} calls,"
            f" {in_flight} in flight, {money(record.cost)}"
        )

    def _print(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()
