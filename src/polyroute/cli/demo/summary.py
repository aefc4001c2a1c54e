"""What a run came to: counts, times and sums, and the one sentence that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from polyroute import Attempt, ChatResponse, Price, Usage
from polyroute.cli.demo.record import Record, percentile
from polyroute.cli.words import count, money, seconds
from polyroute.pricing import dollars, nanodollars

__all__ = ["Summary", "show_summary", "summed_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The result of a run. Sums are in US dollars.

    *rescued* calls met a failure and were answered elsewhere, or later, all the same. *actual* is
    what the run cost, failed attempts included; *dearest* what the same calls with the same tokens
    would have cost at the deployment that this makes the dearest. *estimated* calls have an estimate
    in their cost, for an attempt that broke off; *unpriced* ones had an attempt whose price nobody
    knows, and are in neither sum.
    """

    calls: int
    answered: int
    failed: int
    rescued: int
    p50: float | None
    p95: float | None
    p99: float | None
    took: float
    usage: Usage
    actual: Decimal
    dearest: Decimal
    dearest_name: str
    estimated: int
    unpriced: int

    @property
    def saved(self) -> Decimal:
        return self.dearest - self.actual

    @property
    def saved_share(self) -> Decimal:
        """Of what the dearest would have cost."""
        return self.saved / self.dearest if self.dearest else Decimal(0)

    @property
    def sentence(self) -> str:
        """The result in one line."""
        if not self.answered:
            return f"None of {count(self.calls, 'call')} got an answer."
        if self.failed:
            who = f"{self.answered:,} of {count(self.calls, 'call')} got an answer"
        else:
            who = f"All {self.calls:,} calls got an answer" if self.calls > 1 else "The call got an answer"
        past = f", {self.rescued:,} past a failure" if self.rescued else ""
        cheaper = "cheaper" if self.saved >= 0 else "dearer"
        return f"{who}{past}, {abs(self.saved_share):.0%} {cheaper} than {self.dearest_name}."


def summed_up(record: Record, prices: Mapping[str, Price]) -> Summary:
    """What *record* comes to. *prices* are those of the deployments that could each have served all calls."""
    latencies = sorted(_latency(reply.trace.attempts) for reply in record.replies)
    priced = [reply for reply in record.replies if reply.cost is not None]
    histories = [attempts for error in record.errors if (attempts := getattr(error, "attempts", ()))]
    lost = [cost for attempts in histories if (cost := _cost(attempts)) is not None]
    totals = {name: _all_at(price, priced) for name, price in prices.items()}
    name = max(totals, key=lambda each: totals[each])
    return Summary(
        calls=record.calls,
        answered=len(record.replies),
        failed=len(record.errors),
        rescued=sum(len(reply.trace.attempts) > 1 for reply in record.replies),
        p50=percentile(latencies, 0.50),
        p95=percentile(latencies, 0.95),
        p99=percentile(latencies, 0.99),
        took=(record.ended or record.began) - record.began,
        usage=Usage(
            sum(reply.usage.input_tokens for reply in record.replies),
            sum(reply.usage.output_tokens for reply in record.replies),
        ),
        actual=sum((reply.cost for reply in priced if reply.cost is not None), sum(lost, Decimal(0))),
        dearest=totals[name],
        dearest_name=name,
        estimated=sum(reply.cost_estimated for reply in priced),
        unpriced=len(record.replies) - len(priced) + len(histories) - len(lost),
    )


def show_summary(summary: Summary, console: Console) -> None:
    """Print *summary*, its sentence last."""
    rows = list(_rows(summary))
    width = max(len(label) for label, _ in rows) + 2
    console.print()
    console.print(Text(_ORIGIN, style="dim"), soft_wrap=True)
    for label, text in rows:
        console.print(Text.assemble((label.ljust(width), "dim"), text), soft_wrap=True)
    console.print()
    console.print(Text(summary.sentence, style="bold"), soft_wrap=True)


_ORIGIN = "Simulated hosts have invented prices; what follows was measured in this run."


def _rows(summary: Summary) -> Iterable[tuple[str, Text]]:
    answered = Text(f"{summary.answered:,} of {count(summary.calls, 'call')}", style="bold green")
    if summary.failed:
        answered.append(f", {summary.failed:,} failed", style="bold red")
    yield "answered", answered.append(f", in {seconds(summary.took)}", style="not bold default")
    yield "met a failure", Text(f"{count(summary.rescued, 'call')}, answered all the same")
    if summary.p50 is not None and summary.p95 is not None and summary.p99 is not None:
        percentiles = (("p50", summary.p50), ("p95", summary.p95), ("p99", summary.p99))
        yield "latency", Text("   ".join(f"{name} {seconds(value)}" for name, value in percentiles))
    tokens = f"{summary.usage.input_tokens:,} in, {summary.usage.output_tokens:,} out"
    yield "tokens", Text(tokens)
    cost = Text(money(summary.actual), style="bold")
    if summary.estimated:
        part = f", estimated in part for {count(summary.estimated, 'call')} cut short"
        cost.append(part, style="not bold default")
    yield "this run cost", cost
    yield f"all at {summary.dearest_name}", Text(f"{money(summary.dearest)}, the same calls and tokens")
    yield "saved", Text(f"{money(summary.saved)}, {summary.saved_share:.0%}", style="bold green")
    if summary.unpriced:
        yield (
            "",
            Text(f"{count(summary.unpriced, 'call')} of unknown price stand in neither sum", style="dim"),
        )


def _latency(attempts: Sequence[Attempt]) -> float:
    """From the begin of a call's first attempt to the end of its last."""
    return attempts[-1].ended - attempts[0].started


def _cost(attempts: Sequence[Attempt]) -> Decimal | None:
    """What attempts cost together; None where a price is unknown."""
    costs = [attempt.cost for attempt in attempts]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


def _all_at(price: Price, replies: Iterable[ChatResponse[Any]]) -> Decimal:
    """What *replies* would have cost at one price."""
    return dollars(sum(nanodollars(price, reply.usage) for reply in replies))
