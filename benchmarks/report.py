"""The figures as tables: for the terminal, and for the page in the docs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from cores import pinning

__all__ = ["CLIENT_TITLES", "Row", "Spread", "machine", "missed", "table", "write_between"]

BEGIN = "<!-- figures: written by benchmarks/run.py -->"
END = "<!-- figures end -->"

CLIENT_TITLES = {
    "polyroute": "polyroute",
    "httpx": "raw httpx",
    "httpx2": "raw httpx2",
    "aiohttp": "raw aiohttp",
    "openai": "openai SDK",
    "litellm": "LiteLLM Router",
}


@dataclass(frozen=True, slots=True)
class Spread:
    """A median between its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(median(values), low, high)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. *cells* and *costs* are by client; *reached* is what is held against *bar*,
    which it must not exceed, or, where *more_is_better*, must not fall short of."""

    title: str
    cells: Mapping[str, str]
    costs: Mapping[str, Spread] = field(default_factory=dict)
    reached: float | None = None
    bar: float | None = None
    more_is_better: bool = False

    @property
    def misses_its_bar(self) -> bool:
        if self.bar is None or self.reached is None:
            return False
        return self.reached < self.bar if self.more_is_better else self.reached > self.bar


def missed(rows: Sequence[Row]) -> list[str]:
    """The lines that do not reach their bar, in words."""
    return [
        f"{row.title}: {row.reached:.3g}, and the bar is {row.bar:g}" for row in rows if row.misses_its_bar
    ]


def table(rows: Sequence[Row]) -> str:
    """The ratios with their bars, and below them the plain CPU time, in Markdown."""
    clients = [name for name in CLIENT_TITLES if any(name in row.cells for row in rows)]
    titles = [CLIENT_TITLES[name] for name in clients]
    ratios = [["what", "bar", *titles]]
    ratios += [[row.title, _bar(row), *(row.cells.get(name, "-") for name in clients)] for row in rows]
    costs = [["µs of CPU", *titles]]
    costs += [[row.title, *(_cost(row.costs.get(name)) for name in clients)] for row in rows if row.costs]
    return "\n\n".join(_markdown(each) for each in (ratios, costs) if len(each) > 1)


def machine(versions: Mapping[str, str]) -> str:
    """Where the figures come from, in two lines."""
    libraries = ", ".join(f"{library} {version}" for library, version in versions.items())
    return (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
        f" {platform.machine()}, {os.cpu_count()} cores; {pinning()}.\n{libraries}."
    )


def write_between(page: Path, figures: str) -> None:
    """Put *figures* between the two marks of *page*, in the place of what stood there.

    Raises:
        ValueError: The page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no place for the figures: the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    return f"≥ {row.bar:g}" if row.more_is_better else f"≤ {row.bar:g}"


def _cost(cost: Spread | None) -> str:
    return "-" if cost is None else f"{cost.median:,.0f}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((written[0], rule, *written[1:]))
