"""The circuit breaker as a machine of outcomes and moments, against a plain scan of what has happened."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from polyroute import CircuitBreaker, ConfigurationError
from polyroute.health import Breaker, slowness


def never() -> float:
    return 0.0


def breaker(**options) -> Breaker:
    return Breaker(CircuitBreaker(**options))


def fed(machine: Breaker, weights, *, at: float = 100.0, every: float = 0.0) -> float:
    """The moment after these outcomes, one *every* so many seconds; the machine has not changed before the last."""
    for place, weight in enumerate(weights):
        changed = machine.count(weight, at, never)
        assert changed == (machine.until is not None)
        assert not changed or place == len(weights) - 1
        at += every
    return at


def opened(**options) -> Breaker:
    """One that opened at 100."""
    machine = breaker(**options)
    fed(machine, [1.0] * machine.settings.failures)
    return machine


def back(at: float = 105.0, **options) -> Breaker:
    """One that has just closed again."""
    machine = opened(**options)
    assert machine.count(0.0, at, never, probe=True)
    return machine


class TestOpening:
    @pytest.mark.parametrize(
        ("weights", "opens"),
        [
            ([1.0] * 4, False),
            ([1.0] * 5, True),
            ([1.0] * 4 + [0.0] + [1.0] * 4, False),  # in a row
            ([0.5] * 9, False),  # answers that are bad in themselves count half
            ([0.5] * 10, True),
            ([1.0, 0.5, 1.0, 0.5, 1.0, 0.5], False),
            ([1.0, 0.5, 1.0, 0.5, 1.0, 1.0], True),
        ],
    )
    def test_after_so_many_failures_in_a_row(self, weights, opens):
        machine = breaker()
        fed(machine, weights)
        assert (machine.until is not None) == opens

    @pytest.mark.parametrize(
        ("weights", "opens"),
        [
            ([0.0, 1.0] * 9 + [1.0], False),  # ten of nineteen: too few to tell
            ([0.0, 1.0] * 10, True),
            ([0.0, 0.0, 1.0] * 20, False),  # a third
            ([0.0] * 20 + [0.0, 1.0] * 19 + [1.0], False),
            ([0.0, 1.0, 0.5] * 6 + [0.0, 1.0], True),  # seven and six halves of twenty
        ],
    )
    def test_where_a_share_of_enough_attempts_failed(self, weights, opens):
        machine = breaker()
        fed(machine, weights)
        assert (machine.until is not None) == opens

    def test_a_good_answer_never_opens_it_whatever_the_share(self):
        machine = breaker(failures=100, calls=4)
        fed(machine, [1.0, 1.0, 1.0, 0.0])
        assert machine.until is None

    def test_what_is_older_than_its_window_is_forgotten(self):
        machine = breaker()
        fed(machine, [0.0, 1.0] * 9, at=100.0)
        fed(machine, [0.0, 1.0], at=131.0)
        assert machine.until is None
        machine = breaker()
        fed(machine, [0.0, 1.0] * 9, at=100.0)
        fed(machine, [0.0, 1.0], at=126.0)
        assert machine.until is not None

    def test_a_slow_trickle_within_the_window_counts_and_a_slower_one_does_not(self):
        quick, slow = breaker(), breaker()
        fed(quick, [0.0, 1.0] * 10, every=1.3)
        fed(slow, [0.0, 1.0] * 200, every=1.6)
        assert quick.until is not None
        assert slow.until is None

    @pytest.mark.parametrize("weights", [[1.0] * 5, [0.0, 1.0] * 10])
    def test_it_says_why(self, weights):
        machine = breaker()
        fed(machine, weights)
        said = "5 failures in a row" if len(weights) == 5 else "10 of 20 attempts failed within 30 s"
        assert machine.reason == said

    def test_as_it_was_configured(self):
        machine = breaker(failures=2, cooldown=9)
        fed(machine, [1.0, 1.0], at=50.0)
        assert machine.until == 59.0
        machine = breaker(failures=99, calls=2, rate=1.0, window=1.0)
        fed(machine, [1.0, 1.0], at=50.0)
        assert machine.reason == "2 of 2 attempts failed within 1 s"


class TestStayingOpen:
    def test_its_states_in_time(self):
        machine = opened()
        assert [machine.state(now) for now in (100.0, 104.9, 105.0, 1e9)] == [
            "open", "open", "half_open", "half_open"
        ]  # fmt: skip
        assert [machine.share(now) for now in (100.0, 104.9, 105.0, 1e9)] == [0.0, 0.0, 1.0, 1.0]

    def test_while_a_probe_is_under_way_there_is_no_share(self):
        machine = opened()
        machine.probes += 1
        assert machine.share(106.0) == 0.0
        machine.probes -= 1
        assert machine.share(106.0) == 1.0

    def test_what_began_before_it_opened_says_nothing_new(self):
        machine = opened()
        for weight in (0.0, 1.0):
            assert not machine.count(weight, 103.0, never)
        assert machine.until == 105.0

    def test_each_time_it_stays_open_for_twice_as_long_up_to_the_longest(self):
        machine = opened()
        pauses = []
        for _ in range(9):
            now = machine.until
            assert machine.count(1.0, now, never, probe=True)
            pauses.append(machine.until - now)
        assert pauses == [10, 20, 40, 80, 160, 300, 300, 300, 300]

    def test_many_that_opened_together_do_not_probe_together(self):
        first, again = set(), []
        rng = Random(1)
        for _ in range(100):
            machine = opened()
            first.add(machine.until)
            machine.count(1.0, 105.0, rng.random, probe=True)
            again.append(machine.until - 105.0)
        assert first == {105.0}
        assert 10 <= min(again) < 10.1
        assert 10.9 < max(again) <= 11

    def test_a_refusal_for_good_opens_it_for_as_long_as_it_ever_does(self):
        machine = breaker()
        machine.trip(100.0, "its key is no good")
        assert (machine.until, machine.reason, machine.state(399.0)) == (400.0, "its key is no good", "open")

    def test_moments_of_another_event_loop_hold_nothing_against_it(self):
        machine = opened()
        assert (machine.state(3.0), machine.share(3.0)) == ("half_open", 1.0)
        assert machine.count(0.0, 3.0, never, probe=True)
        assert machine.until is None
        assert machine.share(1.0) == 1.0

    def test_what_failed_on_another_event_loops_clock_is_forgotten(self):
        machine = breaker()
        fed(machine, [0.0, 1.0] * 9, at=5_000.0)
        fed(machine, [0.0, 1.0] * 5, at=10.0)
        assert machine.until is None


class TestComingBack:
    def test_is_a_ramp(self):
        machine = back()
        shares = [machine.share(105.0 + seconds) for seconds in (0, 4.9, 5, 9.9, 10, 14.9, 15, 100)]
        assert shares == [0.01, 0.01, 0.1, 0.1, 0.5, 0.5, 1.0, 1.0]

    def test_is_over_once_it_has_all_of_its_share(self):
        machine = back()
        assert not machine.is_idle(119.9)
        assert machine.is_idle(120.0)

    def test_an_answer_that_is_bad_in_itself_is_an_answer_to_the_probe(self):
        machine = opened()
        assert machine.count(0.5, 105.0, never, probe=True)
        assert machine.until is None

    def test_half_as_much_opens_it_again_and_for_twice_as_long(self):
        machine = back()
        for _ in range(2):
            assert not machine.count(1.0, 107.0, never)
        assert machine.count(1.0, 107.0, never)
        assert machine.until == 117.0

    def test_once_it_is_back_it_is_as_if_it_had_never_opened(self):
        machine = back()
        assert machine.share(120.0) == 1.0
        fed(machine, [1.0] * 5, at=120.0)
        assert machine.until == 125.0

    def test_it_begins_with_a_clean_slate(self):
        machine = breaker(failures=1_000)
        fed(machine, [0.0, 1.0] * 10)
        machine.count(0.0, 105.0, never, probe=True)
        for _ in range(9):
            assert not machine.count(0.0, 106.0, never)
            assert not machine.count(1.0, 106.0, never)


def test_succeeding_is_counting_a_good_answer():
    quick, plain = breaker(), breaker()
    for now in (1.0, 2.0, 4.0, 40.0):
        quick.succeed(now)
        plain.count(0.0, now, never)
        for _ in range(3):
            assert quick.count(1.0, now, never) == plain.count(1.0, now, never)
    assert (quick.until, quick.reason) == (plain.until, plain.reason)


class AnyHistory(RuleBasedStateMachine):
    """What the machine says is what a scan of all outcomes and changes says."""

    COOLDOWN, LONGEST = 4.0, 60.0

    def __init__(self) -> None:
        super().__init__()
        options = CircuitBreaker(3, self.COOLDOWN, rate=0.5, calls=6, window=20.0, longest=self.LONGEST)
        self.machine = Breaker(options)
        self.now = 0.0
        self.outcomes: list[tuple[float, float]] = []  # since it closed last
        self.changes: list[tuple[float, str]] = [(-1e9, "closed")]
        self.rng = Random(1)

    @rule(quarters=st.integers(1, 60) | st.integers(61, 400))
    def time_passes(self, quarters):
        self.now += quarters / 4  # All sums are exact, so that moments can be compared.

    @precondition(lambda self: self.changes[-1][1] == "closed")
    @rule(weight=st.sampled_from([0.0, 1.0, 1.0, 0.5]), times=st.integers(1, 3))
    def attempts_end(self, weight, times):
        for _ in range(times):
            self.outcomes.append((self.now, weight))
            opens = bool(weight) and self._is_too_bad()
            assert self.machine.count(weight, self.now, self.rng.random) == opens
            if opens:
                self._opens(pause=self.COOLDOWN * 2 ** self._openings())
                return

    @precondition(lambda self: self.changes[-1][1] == "opened")
    @rule(weight=st.sampled_from([0.0, 1.0]))
    def a_late_attempt_ends(self, weight):
        before = self.machine.until
        assert not self.machine.count(weight, self.now, self.rng.random)
        assert self.machine.until == before

    @precondition(lambda self: self.changes[-1][1] == "opened" and self.machine.until <= self.now)
    @rule(weight=st.sampled_from([0.0, 0.5, 1.0]))
    def a_probe_ends(self, weight):
        assert self.machine.count(weight, self.now, self.rng.random, probe=True)
        if weight < 1:
            self.changes.append((self.now, "closed"))
            self.outcomes.clear()
        else:
            self._opens(pause=self.COOLDOWN * 2 ** self._openings())

    @rule()
    def it_is_refused_for_good(self):
        self.machine.trip(self.now, "no")
        self._opens(pause=self.LONGEST)

    @invariant()
    def it_is_in_the_state_and_has_the_share_that_follow(self):
        moment, change = self.changes[-1]
        if change == "closed":
            step = int((self.now - moment) / self.COOLDOWN)
            expected = ("closed", (0.01, 0.1, 0.5, 1.0)[min(step, 3)])
        else:
            expected = ("open", 0.0) if self.now < self.machine.until else ("half_open", 1.0)
        assert (self.machine.state(self.now), self.machine.share(self.now)) == expected

    def _opens(self, pause):
        longest = min(pause, self.LONGEST)
        assert longest <= self.machine.until - self.now <= longest * 1.1 + 1e-9
        self.changes.append((self.now, "opened"))

    def _openings(self) -> int:
        """How often it has opened since it was last closed for the whole of its way back."""
        count = 0
        until = self.now
        for moment, change in reversed(self.changes):
            if change == "closed" and until - moment >= 3 * self.COOLDOWN:
                break
            count += change == "opened"
            until = moment
        return count

    def _is_too_bad(self) -> bool:
        in_a_row = 0.0
        for _, weight in reversed(self.outcomes):
            if not weight:
                break
            in_a_row += weight
        is_back = self.now - self.changes[-1][0] >= 3 * self.COOLDOWN
        piece = int(self.now / 2)  # Its window has ten pieces, which are forgotten one by one.
        recent = [weight for moment, weight in self.outcomes if int(moment / 2) > piece - 10]
        return in_a_row >= (3 if is_back else 1.5) or (len(recent) >= 6 and sum(recent) >= len(recent) / 2)


AnyHistory.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase


@pytest.mark.parametrize(
    ("latency", "others", "expected"),
    [
        (9.0, [1.0, 1.0], 1.0),  # of so few none is an outlier
        (None, [1.0, 1.0, 1.0], 1.0),
        (3.0, [1.0, 1.0, 3.0], 1.0),
        (3.1, [1.0, 1.0, 3.1], 3 / 3.1),
        (30.0, [1.0, 1.0, 30.0], 0.1),
        (30.0, [1.0, None, 1.0, None, 30.0], 0.1),
        (1.0, [1.0, 1.0, 30.0], 1.0),
        (60.0, [10.0, 20.0, 60.0], 1.0),
    ],
)
def test_one_that_is_slower_than_three_times_the_median_loses_weight_in_proportion(latency, others, expected):
    assert slowness(latency, others) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"failures": 0}, "failures"),
        ({"failures": True}, "failures"),
        ({"calls": 1.5}, "calls"),
        ({"cooldown": 0}, "cooldown"),
        ({"window": float("inf")}, "window"),
        ({"longest": float("nan")}, "longest"),
        ({"rate": 0}, "rate"),
        ({"rate": 1.1}, "rate"),
        ({"failed_finishes": "other"}, "failed_finishes"),
        ({"failed_finishes": ["odd"]}, "failed_finishes"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(options, told):
    with pytest.raises(ConfigurationError, match=told):
        CircuitBreaker(**options)
