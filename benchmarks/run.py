"""Measures polyroute beside other clients: CPU time a call, as ratios to raw httpx in the same run.

    python benchmarks/run.py --litellm-python path/to/a/venv/bin/python --markdown docs/benchmarks.md

LiteLLM wants other versions of what the others need, so it runs in a venv of its own, beside a raw
httpx of that venv, which is what it is compared with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import imports
from clients import CLIENTS, version_of
from report import Row, Spread, machine, missed, table, write_between
from server import loopback, serving
from workloads import BASELINE, WORKLOADS, Workload

_HERE = Path(__file__).parent
_LITELLM = "litellm"
_STORMS = {
    "storm": ("polyroute", "httpx"),
    "httpx2-storm": ("polyroute over httpx2",),
    "aiohttp-storm": ("polyroute over aiohttp",),
}
_OTHERS = (*_STORMS, "import", "ready")


class Bench:
    """One run: where it measures, and the versions that it met there."""

    def __init__(self, server: str, *, litellm_python: str | None, quick: bool) -> None:
        self.versions: dict[str, str] = {}
        self._server = server
        self._litellm_python = litellm_python
        self._quick = quick

    def row(self, name: str) -> Row:
        """The figures of the workload called *name*."""
        if name in _STORMS:
            return self._storm(*_STORMS[name])
        if name == "import":
            return self._imports()
        if name == "ready":
            figures = imports.import_times(sys.executable, imports.READY, rounds=self._rounds(25))
            title = "import, and a client or a router made"
            return _row(title, None, figures, _ratios(figures, figures[imports.BASE]))
        workload = WORKLOADS[name]
        here = [each for each in workload.clients if self._is_here(each, workload)]
        figures, ratios = self._measured(sys.executable, name, here)
        if self._litellm_python and _LITELLM in workload.clients:
            theirs, their_ratios = self._measured(self._litellm_python, name, [BASELINE, _LITELLM])
            figures[_LITELLM], ratios[_LITELLM] = theirs[_LITELLM], their_ratios[_LITELLM]
        return _row(workload.title, workload.bar, figures, ratios, workload.baseline, workload.ours)

    def _is_here(self, client: str, workload: Workload) -> bool:
        """Whether it can be measured in this interpreter, and does of itself what is asked."""
        kind = CLIENTS[client]
        can = client == workload.baseline or kind.falls_back or not workload.falls_back
        return can and client != _LITELLM and version_of(kind.library) is not None

    def _measured(
        self, python: str, name: str, clients: Sequence[str]
    ) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Microseconds by client, and their ratios to the baseline's in the same round."""
        command = [name, "--server", self._server, "--clients", *clients]
        if self._quick:
            command += ["--rounds", str(self._rounds(WORKLOADS[name].rounds))]
        came = _run(python, "measure.py", *command)
        for library, version in came["versions"].items():
            if self.versions.setdefault(library, version) != version:
                self.versions[f"{library} beside {clients[-1]}"] = version
        figures = came["figures"]
        return figures, _ratios(figures, figures.get(WORKLOADS[name].baseline))

    def _storm(self, ours: str = "polyroute", *others: str) -> Row:
        command = [
            "--server",
            self._server,
            "--storms",
            "2" if self._quick else "5",
            "--clients",
            ours,
            *others,
        ]
        came = _run(sys.executable, "storm.py", *command)
        succeeded = {name: [each["succeeded"] for each in outcomes] for name, outcomes in came.items()}
        left = sum(
            each["tasks"] + each["connections"] + each["in_flight"] + each["connections_at_the_end"]
            for each in came[ours]
        )
        cells = {_column(name): _counted(counts) for name, counts in succeeded.items()}
        cells["polyroute"] += f"; {left or 'nothing'} left"
        return Row(
            f"400 calls cancelled, then 100 more{ours.removeprefix('polyroute')}",
            cells,
            reached=min(succeeded[ours]) - left,
            bar=100,
            more_is_better=True,
        )

    def _imports(self) -> Row:
        rounds = self._rounds(25)
        here = {
            name: statement
            for name, statement in imports.STATEMENTS.items()
            if name != _LITELLM and version_of(CLIENTS[name].library) is not None
        }
        figures = imports.import_times(sys.executable, here, rounds=rounds)
        ratios = _ratios(figures, figures[imports.BASE])
        if self._litellm_python:
            theirs = {name: imports.STATEMENTS[name] for name in (imports.BASE, _LITELLM)}
            taken = imports.import_times(self._litellm_python, theirs, rounds=rounds)
            figures[_LITELLM] = taken[_LITELLM]
            ratios[_LITELLM] = _ratios(taken, taken[imports.BASE])[_LITELLM]
        return _row("import, against httpx, pydantic and anyio", imports.BAR, figures, ratios)

    def _rounds(self, rounds: int) -> int:
        return max(3, rounds // 5) if self._quick else rounds


def _run(python: str, program: str, *arguments: str) -> Any:
    """What one of our programs prints, run by *python*."""
    done = subprocess.run(
        [python, str(_HERE / program), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=loopback(),
    )
    return json.loads(done.stdout)


def _ratios(
    figures: Mapping[str, Sequence[float]], baseline: Sequence[float] | None
) -> dict[str, list[float]]:
    if baseline is None:
        return {}
    return {
        name: [taken / base for taken, base in zip(values, baseline, strict=True)]
        for name, values in figures.items()
    }


def _row(
    title: str,
    bar: float | None,
    figures: Mapping[str, Sequence[float]],
    ratios: Mapping[str, Sequence[float]],
    baseline: str = BASELINE,
    ours: str = "polyroute",
) -> Row:
    """A line of ratios; where there is nothing to compare with, of the plain figures."""
    if not ratios:
        (values,) = figures.values()
        return Row(title, {"polyroute": _shown(Spread.of(values), "µs")}, {}, median(values), bar)
    cells = {_column(name): _shown(Spread.of(values)) for name, values in ratios.items()}
    costs = {_column(name): Spread.of(values) for name, values in figures.items()}
    reached = median(ratios[ours]) if ours in ratios else None
    return Row(title, {**cells, baseline: "1"}, costs, reached, bar)


def _column(client: str) -> str:
    """The router's figures stand in one column, whatever its transport, which the title names."""
    return "polyroute" if client.startswith("polyroute ") else client


def _counted(counts: Sequence[int]) -> str:
    """How many calls succeeded after each storm, in words."""
    of_each = f"{counts[0]} of 100" if len(set(counts)) == 1 else f"{', '.join(map(str, counts))} of 100"
    return f"{of_each}, {len(counts)} times"


def _shown(spread: Spread, unit: str = "") -> str:
    digits = 1 if unit else 2 if spread.median >= 0.1 else 3
    low, middle, high = (f"{each:.{digits}f}" for each in (spread.low, spread.median, spread.high))
    return f"{middle}{unit and ' ' + unit} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds: for a first look")
    parser.add_argument("--only", nargs="+", choices=(*WORKLOADS, *_OTHERS), help="these workloads alone")
    parser.add_argument("--litellm-python", metavar="PATH", help="the interpreter of a venv with litellm")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="write the tables into this page")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    asked = parser.parse_args()
    with serving() as server:
        bench = Bench(server, litellm_python=asked.litellm_python, quick=asked.quick)
        rows = []
        for name in asked.only or (*WORKLOADS, *_OTHERS):
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            rows.append(bench.row(name))
    figures = f"{machine(bench.versions)}\n\n{table(rows)}"
    print(figures)
    if asked.markdown:
        write_between(asked.markdown, figures)
    for miss in missed(rows):
        print(f"missed: {miss}", file=sys.stderr)
    if asked.check and missed(rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
