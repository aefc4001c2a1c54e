"""Whatever is reserved, settled and waited for: a plain scan of the history finds every promise kept."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from polyroute import Lease, Limits, RateLimits, RateWindow, Refusal, Usage
from tests.limits.driving import Desk

LIMITS = Limits(rpm=6, tpm=100, itpm=70, otpm=60, rpd=14, concurrency=4)
SPANS = {"rpm": 60.0, "tpm": 60.0, "itpm": 60.0, "otpm": 60.0, "rpd": 86_400.0, "concurrency": inf}

# Moments that floats hold exactly, so that next to nothing is lost to rounding.
seconds = st.integers(0, 90 * 1_024).map(lambda ticks: ticks / 1_024)
hours = st.integers(1, 30).map(lambda hours: hours * 3_600.0)
tokens = st.integers(0, 75)
HAIR = 1 / 1_024


@dataclass
class Reserved:
    at: float
    lease: Lease
    usage: Usage
    requests: int = 1
    open: bool = True

    def used(self, name: str) -> int:
        if name == "concurrency":
            return int(self.open)
        if name in ("rpm", "rpd"):
            return self.requests
        return amount(name, self.usage)


def amount(name: str, usage: Usage) -> int:
    counted = {"tpm": usage.total_tokens, "itpm": usage.input_tokens, "otpm": usage.output_tokens}
    return counted.get(name, 1)


class AnyHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(LIMITS)
        self.history: list[Reserved] = []
        self.taught = False

    @property
    def open(self) -> list[Reserved]:
        return [each for each in self.history if each.open]

    def used(self, name: str, span: float) -> int:
        return sum(each.used(name) for each in self.history if each.at + span > self.desk.clock.now)

    def admit(self, lease: Lease, usage: Usage) -> None:
        """Note it, and look at every window that ends now."""
        self.history.append(Reserved(self.desk.clock.now, lease, usage))
        for name, span in SPANS.items():
            assert not amount(name, usage) or self.used(name, span) <= getattr(LIMITS, name), name

    @rule(input=tokens, output=tokens)
    def reserve(self, input: int, output: int) -> None:
        usage = Usage(input, output)
        before = self.desk.headroom
        answer = self.desk.ask(input, output)
        if not isinstance(answer, Refusal):
            self.admit(answer, usage)
            return
        assert self.desk.headroom == before
        never = any(amount(name, usage) > getattr(LIMITS, name) for name in SPANS)
        assert (answer.retry_after is None) == never
        # What shares a bucket leaves together, so a window may seem a bucket longer than it is.
        full = {
            name
            for name, span in SPANS.items()
            if self.used(name, span * 601 / 600) + amount(name, usage) > getattr(LIMITS, name)
        }
        assert full or self.taught
        if not never:
            assert (answer.retry_after == inf) == ("concurrency" in full) or self.taught

    @rule(input=tokens, output=tokens)
    def wait_as_long_as_was_said(self, input: int, output: int) -> None:
        answer = self.desk.ask(input, output)
        if isinstance(answer, Refusal) and answer.retry_after is not None and answer.retry_after < inf:
            began = self.desk.clock.now
            assert answer.retry_after > 0
            self.desk.clock.now = began + max(answer.retry_after - HAIR, answer.retry_after / 2)
            assert isinstance(self.desk.ask(input, output), Refusal)
            self.desk.clock.now = began + answer.retry_after
            answer = self.desk.ask(input, output)
            assert not isinstance(answer, Refusal)
        if not isinstance(answer, Refusal):
            self.admit(answer, Usage(input, output))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), input=tokens, output=st.integers(0, 200))
    def settle(self, data: st.DataObject, input: int, output: int) -> None:
        reserved = data.draw(st.sampled_from(self.open))
        reserved.usage, reserved.open = Usage(input, output), False
        reserved.lease.settle(reserved.usage)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle_with_nothing(self, data: st.DataObject) -> None:
        reserved = data.draw(st.sampled_from(self.open))
        reserved.usage, reserved.requests, reserved.open = Usage(), 0, False
        reserved.lease.settle(None)

    @precondition(lambda self: self.history)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        reserved = data.draw(st.sampled_from(self.history))
        if not reserved.open:
            reserved.lease.settle(Usage(7, 7))

    @rule(seconds=seconds)
    def wait(self, seconds: float) -> None:
        self.desk.wait(seconds)

    @rule(hours=hours)
    def sleep(self, hours: float) -> None:
        self.desk.wait(hours)

    @rule(seconds=seconds)
    def put_the_clock_back(self, seconds: float) -> None:
        _ = self.desk.headroom  # it knows what time it is
        self.desk.wait(-seconds)
        for each in self.history:
            each.at -= seconds

    @invariant()
    def headroom_is_a_share_and_never_more_than_is_left(self) -> None:
        left = [1 - self.used(name, span) / getattr(LIMITS, name) for name, span in SPANS.items()]
        assert 0.0 <= self.desk.headroom <= max(min(left), 0.0) + 1e-9

    @invariant()
    def it_is_idle_when_nothing_is_under_way(self) -> None:
        assert self.desk.limiter.idle == (not self.open)

    def teardown(self) -> None:
        for reserved in self.open:
            reserved.lease.settle(None)
        self.desk.wait(2 * 86_400)
        assert self.desk.limiter.idle
        assert self.desk.headroom == 1.0


class AnyHistoryOfAHostThatTeaches(AnyHistory):
    """It may lower what is let through, and never raises it: all else holds as before."""

    @rule(
        of=st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens"]),
        limit=st.none() | st.integers(1, 200),
        remaining=st.none() | st.integers(0, 200),
        reset=st.none() | seconds | hours,
        span=st.none() | st.sampled_from([10.0, 60.0, 86_400.0]),
    )
    def tell(self, of, limit, remaining, reset, span) -> None:
        self.taught = True
        told = RateLimits((RateWindow(of, limit, remaining, reset, span),))
        self.desk.limiter.learn(self.desk.deployment, told)

    @rule(ago=seconds, retry_after=st.none() | seconds)
    def refuse(self, ago: float, retry_after: float | None) -> None:
        self.taught = True
        started = self.desk.clock.now - ago
        self.desk.limiter.rate_limited(self.desk.deployment, started=started, retry_after=retry_after)


AnyHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
AnyHistoryOfAHostThatTeaches.TestCase.settings = AnyHistory.TestCase.settings
TestAnyHistory = AnyHistory.TestCase
TestAnyHistoryOfAHostThatTeaches = AnyHistoryOfAHostThatTeaches.TestCase
