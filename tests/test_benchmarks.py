"""The benchmarks run: each client does what is asked of it, and a figure comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, str(BENCHMARKS / "server.py")], stdout=subprocess.PIPE, text=True
    ) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report

    return report


@pytest.mark.parametrize(
    ("client", "workload"),
    [
        *((client, "chat1") for client in ("httpx", "polyroute", "aiohttp", "openai", "litellm")),
        *((client, "stream") for client in ("httpx", "polyroute", "aiohttp", "openai", "litellm")),
        *((client, "fallback16") for client in ("polyroute", "litellm")),
        ("polyroute behind openai", "openai16"),
        ("polyroute behind openai", "openai-stream"),
        *((client, "aiohttp16") for client in ("aiohttp", "polyroute over aiohttp")),
        ("polyroute over aiohttp", "aiohttp-stream"),
        *((client, "httpx2-16") for client in ("httpx2", "polyroute over httpx2")),
        ("polyroute over httpx2", "httpx2-stream"),
        ("router alone", "router"),
    ],
)
def test_a_client_gives_a_figure(server, client, workload):
    library = {"router alone": "polyroute"}.get(client, client.split(" ")[-1])
    if find_spec(library) is None:
        pytest.skip(
            f"{library} is not installed here; `nox -s bench` installs it, litellm in a venv of its own"
        )

    printed = run(
        "measure.py", workload, "--server", server, "--clients", client, "--rounds", "2", "--calls", "4"
    )

    figures = json.loads(printed)["figures"][client]
    assert len(figures) == 2
    assert all(microseconds > 0 for microseconds in figures)


@pytest.mark.parametrize("client", ["polyroute", "polyroute over httpx2", "polyroute over aiohttp"])
def test_after_a_storm_of_cancellations_all_calls_succeed_and_nothing_is_left(server, client):
    printed = run("storm.py", "--server", server, "--clients", client, "--storms", "1")

    assert json.loads(printed) == {
        client: [
            {
                "succeeded": 100,
                "errors": {},
                "tasks": 0,
                "connections": 0,
                "in_flight": 0,
                "connections_at_the_end": 0,
            }
        ]
    }


def test_the_table_is_printed_and_written_into_its_page(tmp_path, report):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")

    printed = run("run.py", "--quick", "--only", "router", "--markdown", str(page))

    assert "| the router alone, over FakeProvider | ≤ 45 |" in printed
    text = page.read_text(encoding="utf-8")
    assert text == f"before\n{report.BEGIN}\n\n{printed.strip()}\n\n{report.END}\nafter\n"


def test_a_page_without_a_place_for_the_table_is_left_as_it_is(tmp_path, report):
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")

    with pytest.raises(ValueError, match="no place for the figures"):
        report.write_between(page, "figures")

    assert page.read_text(encoding="utf-8") == "nothing"


@pytest.mark.parametrize(
    ("reached", "bar", "more_is_better", "misses"),
    [
        (0.4, 0.45, False, False),
        (0.45, 0.45, False, False),
        (0.5, 0.45, False, True),
        (100, 100, True, False),
        (99, 100, True, True),
        (None, 0.45, False, False),
        (1.0, None, False, False),
    ],
)
def test_a_bar_is_missed_on_the_wrong_side_of_it(report, reached, bar, more_is_better, misses):
    row = report.Row("x", {}, reached=reached, bar=bar, more_is_better=more_is_better)

    assert bool(report.missed([row])) == misses


def test_the_profile_shows_where_the_time_goes():
    printed = run("hotspots.py", "--calls", "50")

    assert "polyroute/_engine/failover.py" in printed


def test_it_is_told_what_reliability_costs():
    assert "more, and the bar is 25" in run("reliability.py", "--rounds", "1")


@pytest.mark.parametrize("client", ["the router alone", "polyroute", "aiohttp", "polyroute over aiohttp"])
def test_memory_and_time_of_calls_that_are_all_in_flight_are_measured(client, server):
    if "aiohttp" in client and find_spec("aiohttp") is None:
        pytest.skip("aiohttp is not installed here")
    memory, taken = json.loads(run("many.py", "--client", client, "--server", server, "--calls", "50"))

    assert memory >= 0
    assert taken > 0
