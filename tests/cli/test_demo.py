"""The demo's fleet, its router and its sums, in virtual time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import anyio
import pytest
from rich.console import Console

from polyroute import (
    AllAttemptsFailedError,
    Attempt,
    AuthenticationError,
    ConnectError,
    ContextWindowExceededError,
    Deployment,
    RateLimitError,
    ReadError,
    Usage,
)
from polyroute.cli.demo.board import Board
from polyroute.cli.demo.command import Show, show
from polyroute.cli.demo.fleet import FLEET, Fleet, Incident
from polyroute.cli.demo.prompts import LONG, bundled_prompts, cycled
from polyroute.cli.demo.record import Record, percentile
from polyroute.cli.demo.summary import Summary, show_summary, summed_up
from polyroute.cli.demo.traffic import play, router_over
from polyroute.testing import FakeProvider
from tests.virtual_time import anyio_backend  # noqa: F401

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)


async def run(
    calls: int = 300, *, fleet: Fleet | None = None, real: tuple[Deployment, ...] = (), real_calls: int = 0
) -> tuple[Record, Summary]:
    fleet = fleet or Fleet()
    names = [each.model for each in (*fleet.deployments, *real)]
    record = Record(names, calls, wall=NOON)
    async with router_over(fleet, record, real) as router:
        await play(router, fleet, cycled(bundled_prompts(), calls), record, real_calls=real_calls)
    return record, summed_up(record, {model.name: model.price for model in FLEET})


async def test_every_call_is_answered_through_an_outage_and_a_limit():
    record, summary = await run()

    assert (summary.answered, summary.failed, summary.calls) == (300, 0, 300)
    errors = {type(past.error) for reply in record.replies for past in reply.trace.attempts}
    assert {ConnectError, ReadError, RateLimitError} <= errors
    assert summary.rescued >= 10
    assert summary.took < 20


async def test_who_died_is_left_alone_and_asked_again_when_it_is_back():
    record, _ = await run()

    told = [event.text for event in record.events]
    for name in ("aurora/small", "aurora/large"):
        down = next(place for place, text in enumerate(told) if text.startswith(f"{name} is down"))
        back = next(place for place, text in enumerate(told) if text.startswith(f"{name} is back"))
        assert down < back
        assert record.tallies[name].standing == "up"
    assert record.tallies["aurora/small"].failures < 30
    assert any(text.endswith("answers for aurora/large") for text in told)
    assert any(
        text.startswith("cirrus/mini limits its callers (RateLimitError, asks for 1.00 s)") for text in told
    )
    assert all(event.at >= NOON for event in record.events)


async def test_the_counts_add_up():
    record, summary = await run()

    attempts = [past for reply in record.replies for past in reply.trace.attempts]
    served = Counter(reply.deployment for reply in record.replies)
    assert {name: tally.served for name, tally in record.tallies.items()} == served
    assert sum(tally.failures for tally in record.tallies.values()) == len(attempts) - summary.answered
    assert not any(record.in_flight(name) for name in record.tallies)
    assert record.done == summary.answered + summary.failed == 300


async def test_the_sums_add_up():
    record, summary = await run()

    attempts = [past for reply in record.replies for past in reply.trace.attempts]
    assert summary.actual == record.cost == sum(past.cost for past in attempts)
    usage = summary.usage
    assert usage.output_tokens == sum(reply.usage.output_tokens for reply in record.replies)
    assert summary.dearest_name == "zenith/grand"
    assert summary.dearest == Decimal(usage.input_tokens * 3 + usage.output_tokens * 15) / 1_000_000
    assert summary.saved == summary.dearest - summary.actual > 0
    assert summary.unpriced == 0
    broken = [
        reply
        for reply in record.replies
        if any(type(past.error) is ReadError for past in reply.trace.attempts)
    ]
    assert summary.estimated == len(broken) > 5


async def test_the_percentiles_are_those_of_whole_calls():
    record, summary = await run()

    lengths = sorted(
        reply.trace.attempts[-1].ended - reply.trace.attempts[0].started for reply in record.replies
    )
    assert (summary.p50, summary.p95, summary.p99) == (lengths[149], lengths[284], lengths[296])


async def test_the_same_seed_asks_the_same_of_the_fleet_and_another_one_does_not():
    _, first = await run(60)
    _, second = await run(60)
    _, other = await run(60, fleet=Fleet(seed=8))

    assert (first.usage, first.dearest) == (second.usage, second.dearest)
    assert first.usage != other.usage


async def test_long_prompts_go_to_the_large_models():
    fleet = Fleet(incidents=())
    record, _ = await run(fleet=fleet)

    large = {"aurora/large", "zenith/grand"}
    asked = [call for each in fleet.deployments if each.model in large for call in each.provider.calls]
    prompts = cycled(bundled_prompts(), 300)
    assert len(asked) >= sum(len(prompt) >= LONG for prompt in prompts) > 30
    assert record.tallies["aurora/large"].served > record.tallies["zenith/grand"].served


async def test_where_nobody_is_up_calls_fail_and_the_sentence_says_so():
    fleet = Fleet(
        incidents=[Incident(name, "down", 0, 10) for name in ("aurora", "borealis", "cirrus", "zenith")]
    )
    record, summary = await run(20, fleet=fleet)

    assert (summary.answered, summary.failed) == (0, 20)
    assert all(isinstance(error, AllAttemptsFailedError) for error in record.errors)
    assert summary.sentence == "None of 20 calls got an answer."
    assert record.events[-1].tone == "bad"
    console = Console(file=StringIO())
    show_summary(summary, console)
    assert "0 of 20 calls, 20 failed" in console.file.getvalue()
    assert "latency" not in console.file.getvalue()


def test_a_sum_that_is_no_saving_is_not_called_one():
    summary = Summary(
        calls=3, answered=2, failed=1, rescued=1, p50=1, p95=1, p99=1, took=1, usage=Usage(), estimated=0, unpriced=1,
        actual=Decimal(3), dearest=Decimal(2), dearest_name="a",
    )  # fmt: skip

    assert summary.sentence == "2 of 3 calls got an answer, 1 past a failure, 50% dearer than a."
    console = Console(file=StringIO())
    show_summary(summary, console)
    assert "saved          -$1.00, -50%" in console.file.getvalue()
    assert "1 call of unknown price" in console.file.getvalue()


def test_a_callers_own_mistake_says_nothing_of_a_deployment():
    record = Record(["a"], 1, wall=NOON)
    record.attempt(Attempt("a", error=ContextWindowExceededError("too long")))

    assert (record.tallies["a"].failures, record.tallies["a"].served) == (0, 0)


async def test_real_deployments_get_their_share_and_no_more():
    first, second = (FakeProvider([name], name=name) for name in ("one", "two"))
    real = (Deployment("one/model", provider=first), Deployment("two/model", provider=second))
    record, summary = await run(real=real, real_calls=20)

    assert len(first.calls) == len(second.calls) == 10
    assert {call.request.max_tokens for call in first.calls} == {200}
    assert record.tallies["one/model"].served == 10
    assert [name for name, tally in record.tallies.items() if not tally.priced] == ["one/model", "two/model"]
    assert (summary.answered, summary.unpriced) == (300, 20)
    priced = [reply for reply in record.replies if reply.cost is not None]
    assert summary.actual == sum(reply.cost for reply in priced)


async def test_the_fleet_answers_for_a_real_deployment_that_refuses():
    refuses = FakeProvider(script=[AuthenticationError("no", status=401)])
    record, summary = await run(60, real=(Deployment("one/model", provider=refuses),), real_calls=4)

    assert summary.answered == 60
    assert record.tallies["one/model"].failures == 1  # and then its key rests


def terminal(width: int, height: int) -> Console:
    return Console(
        file=StringIO(),
        force_terminal=True,
        color_system=None,
        width=width,
        height=height,
        _environ={"TERM": "xterm"},
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (77, 16)])
async def test_the_board_fits_on_the_screen_at_every_moment(width, height):
    console = terminal(width, height)
    fleet = Fleet()
    record = Record([each.model for each in fleet.deployments], 300, wall=NOON)
    board = Board(record, "polyroute", console)
    frames = []

    async def look() -> None:
        while True:
            frames.append(console.render_lines(board.drawn(), pad=False))
            await anyio.sleep(0.25)

    async with router_over(fleet, record) as router, anyio.create_task_group() as group:
        group.start_soon(look)
        await play(router, fleet, cycled(bundled_prompts(), 300), record)
        group.cancel_scope.cancel()

    frames.append(console.render_lines(board.drawn(), pad=False))
    assert len(frames) > 40
    assert max(len(frame) for frame in frames) < height
    words = ["\n".join("".join(segment.text for segment in line) for line in frame) for frame in frames]
    assert any("down" in frame and "limited" in frame for frame in words)
    assert not any("…" in line for frame in words for line in frame.split("\n")[2:9])
    if height >= 24:
        assert len(frames[-1]) + 12 <= height


@pytest.mark.parametrize("plain", [True, False])
async def test_the_summary_ends_what_is_shown(plain):
    console = terminal(80, 24)
    summary = await show(Show(bundled_prompts(), plain=plain), console, {})

    lines = console.file.getvalue().rstrip("\n").split("\n")
    assert lines[-1] == summary.sentence
    assert summary.sentence.startswith("All 300 calls got an answer, ")
    assert summary.sentence.endswith("% cheaper than zenith/grand.")
    assert max(len(line) for line in lines[-9:]) <= 80


async def test_plain_lines_tell_the_events_and_the_progress():
    console = Console(file=StringIO())
    await show(Show(bundled_prompts(), calls=100), console, {})

    shown = console.file.getvalue()
    assert shown.startswith("polyroute: 100 calls, 5 deployments, 4 providers, simulated, seed 7\n")
    assert "aurora/small is down" in shown
    assert "100/100 calls, 0 in flight" in shown
    assert "\x1b" not in shown


async def test_without_a_key_real_stays_simulated_and_says_so():
    console = Console(file=StringIO())
    summary = await show(Show(["hi"], calls=3, real=True), console, {})

    assert console.file.getvalue().startswith("--real: no key is set (OPENAI_API_KEY, ")
    assert " providers, simulated, seed 7" in console.file.getvalue()
    assert summary.unpriced == 0


def test_percentiles_are_values_that_were_seen():
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.25, 0.5, 0.95)] == [1.0, 2.0, 4.0]
