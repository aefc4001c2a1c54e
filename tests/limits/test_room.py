"""Room: exact in every window, given back in full, and refused with the time until there is some."""

from __future__ import annotations

from math import inf

import pytest

from polyroute import LearningLimiter, Limits, RateLimits, RateWindow, Refusal, Usage
from polyroute.limits import LocalLimiter
from tests.limits.driving import Clock, Desk

DAY = 86_400.0


def test_it_is_a_limiter_that_learns():
    assert isinstance(LocalLimiter(Clock()), LearningLimiter)


@pytest.mark.parametrize(
    ("limits", "amounts", "fit", "retry_after", "reason"),
    [
        (Limits(rpm=3), (9, 9), 3, 60.0, "rpm 3 is used up for 60 s"),
        (Limits(rpd=3), (9, 9), 3, DAY, "rpd 3 is used up for 86400 s"),
        (Limits(tpm=100), (20, 20), 2, 60.0, "tpm 100 is used up for 60 s"),
        (Limits(itpm=50), (20, 99), 2, 60.0, "itpm 50 is used up for 60 s"),
        (Limits(otpm=50), (99, 20), 2, 60.0, "otpm 50 is used up for 60 s"),
        (Limits(concurrency=3), (9, 9), 3, inf, "concurrency 3 is used up until a call ends"),
    ],
)
def test_each_limit_counts_its_own(limits, amounts, fit, retry_after, reason):
    desk = Desk(limits)
    desk.take(*amounts, times=fit)

    assert desk.refused(*amounts) == Refusal(retry_after, reason)


@pytest.mark.parametrize(
    ("limits", "amounts", "early"),
    [
        (Limits(rpm=3), (9, 9), False),  # a request that was made stays made
        (Limits(rpd=3), (9, 9), False),
        (Limits(tpm=100), (20, 30), True),
        (Limits(otpm=50), (99, 25), True),
        (Limits(tpm=100, rpm=2), (20, 30), False),
        (Limits(tpm=100, rpm=3), (20, 30), True),
    ],
)
def test_it_tells_whether_a_lease_that_is_settled_may_make_room_before_time_does(limits, amounts, early):
    desk = Desk(limits)
    leases = []
    while not isinstance(answer := desk.ask(*amounts), Refusal):
        leases.append(answer)
    assert answer.early == early
    for lease in leases:
        lease.settle(Usage(*amounts))
    assert not desk.refused(*amounts).early


@pytest.mark.parametrize(
    ("limits", "amounts", "reason"),
    [
        (Limits(tpm=100), (60, 41), "tpm 100 is less than this call's 101"),
        (Limits(itpm=100), (101, 0), "itpm 100 is less than this call's 101"),
        (Limits(otpm=100, rpm=1), (0, 101), "otpm 100 is less than this call's 101"),
    ],
)
def test_what_can_never_fit_is_refused_for_good(limits, amounts, reason):
    assert Desk(limits).refused(*amounts) == Refusal(None, reason)


def test_what_can_never_fit_is_refused_for_good_also_where_there_is_no_room_now():
    desk = Desk(Limits(tpm=100, rpm=1, concurrency=1))
    desk.take()
    assert desk.refused(101).retry_after is None


def test_a_window_begins_anywhere_and_opens_a_request_at_a_time():
    desk = Desk(Limits(rpm=3))
    for _ in range(3):
        desk.wait(7)
        desk.take().settle(Usage())
    assert desk.refused().retry_after == 46.0  # 60 s after the first, which was at 7
    desk.wait(46)
    desk.take().settle(Usage())
    assert desk.refused().retry_after == 7.0


@pytest.mark.parametrize("start", [0.0, 0.1, 12_345.678, 1e6 / 3])
def test_who_waits_as_long_as_was_said_has_room_and_a_hair_less_is_too_soon(start):
    desk = Desk(Limits(rpm=7, tpm=1_000, rpd=13))
    desk.wait(start)
    waited = 0
    for _ in range(60):
        while isinstance(refusal := desk.ask(100, 100), Refusal):
            began = desk.clock.now
            desk.clock.now = began + max(refusal.retry_after - 1e-6, 0.0)
            assert not desk.fits(100, 100)
            desk.clock.now = began + refusal.retry_after
            assert desk.fits(100, 100)
            waited += 1
        desk.wait(0.7)
    assert waited >= 10


def test_who_waits_as_long_as_was_said_is_not_too_soon_for_the_rounding_of_floats():
    desk = Desk(Limits(rpm=1))
    desk.clock.now = 0.1
    desk.take()
    desk.clock.now = 16.3
    assert 16.3 + (60.1 - 16.3) < 60.1
    desk.clock.now += desk.refused().retry_after
    assert desk.fits()


def test_who_shares_a_bucket_waits_for_the_last_of_it():
    desk = Desk(Limits(rpm=2))
    desk.take()
    desk.wait(0.09)
    desk.take()
    assert desk.refused().retry_after == pytest.approx(60.0)
    desk.wait(59.95)
    assert not desk.fits()
    desk.wait(0.05)
    assert desk.room() == 2


def test_the_memory_of_a_window_is_bounded():
    desk = Desk(Limits(rpm=10**9))
    for _ in range(100_000):
        desk.wait(0.003)
        desk.take().settle(Usage())
    (log,) = desk.limiter._states[desk.deployment.limits]._logs
    assert len(log.buckets) <= 602


def test_a_refusal_by_one_limit_spends_nothing_of_another():
    desk = Desk(Limits(rpm=10, tpm=100, rpd=10, concurrency=10))
    for _ in range(50):
        desk.refused(101)
    desk.take(0, 100).settle(Usage(0, 100))
    for _ in range(50):
        desk.refused(1)
    assert desk.limiter.idle
    desk.wait(60)
    assert desk.room() == 9  # of the day's ten one was used


def test_what_needs_nothing_of_a_limit_is_not_held_back_by_it():
    desk = Desk(Limits(otpm=10))
    desk.take(5, 10).settle(Usage(5, 999))
    desk.take(5, 0)
    desk.refused(5, 1)


class TestSettling:
    def test_puts_the_truth_in_the_place_of_the_estimate(self):
        desk = Desk(Limits(tpm=100))
        desk.take(30, 70).settle(Usage(30, 10))
        assert desk.headroom == pytest.approx(0.6)
        assert desk.fits(60)
        assert not desk.fits(61)

    def test_counts_in_the_window_of_the_reservation(self):
        desk = Desk(Limits(tpm=100))
        lease = desk.take(10)
        desk.wait(50)
        lease.settle(Usage(90))
        assert desk.refused(11).retry_after == 10.0

    def test_counts_an_overdraft_in_full(self):
        desk = Desk(Limits(tpm=100))
        desk.take(10).settle(Usage(0, 150))
        desk.wait(30)
        desk.take(0)
        assert desk.headroom == 0.0
        assert desk.refused(1).retry_after == 30.0
        desk.wait(30)
        assert desk.fits(100)

    def test_with_nothing_gives_the_request_back_too(self):
        desk = Desk(Limits(rpm=1, rpd=1, tpm=100, itpm=100, otpm=100, concurrency=1))
        desk.take(50, 50).settle(None)
        assert desk.headroom == 1.0
        desk.take(50, 50)

    def test_with_no_tokens_keeps_the_request(self):
        desk = Desk(Limits(rpm=1, tpm=100))
        desk.take(50, 50).settle(Usage())
        assert desk.refused().retry_after == 60.0

    def test_counts_once(self):
        desk = Desk(Limits(rpm=2, concurrency=2))
        lease = desk.take()
        desk.take()
        lease.settle(None)
        lease.settle(None)
        assert desk.room() == 1
        assert not desk.limiter.idle

    def test_after_the_window_has_passed_changes_nothing_of_the_next(self):
        desk = Desk(Limits(tpm=100))
        long = [desk.take(30), desk.take(30), desk.take(30)]
        desk.wait(60)
        desk.take(40).settle(Usage(40))
        for lease, usage in zip(long, (None, Usage(0), Usage(500)), strict=True):
            lease.settle(usage)
        assert desk.fits(60)
        assert not desk.fits(61)

    def test_frees_a_place_whatever_was_used(self):
        desk = Desk(Limits(concurrency=2))
        first, second = desk.take(9), desk.take(9)
        first.settle(Usage(9, 9))
        desk.wait(1e9)
        assert desk.room() == 1
        second.settle(None)
        assert desk.room() == 2
        assert desk.limiter.idle


def test_where_both_are_used_up_a_place_counts_and_then_the_time():
    desk = Desk(Limits(rpm=1, concurrency=1))
    lease = desk.take()
    assert desk.refused().retry_after == inf
    desk.wait(20)
    lease.settle(Usage())
    assert desk.refused().retry_after == 40.0


class TestHeadroom:
    def test_is_that_of_the_scarcest_limit(self):
        desk = Desk(Limits(rpm=10, tpm=100, concurrency=4))
        assert desk.headroom == 1.0
        lease = desk.take(5, 5)
        assert desk.headroom == 0.75  # of the places
        desk.take(40, 10)
        assert desk.headroom == pytest.approx(0.4)
        lease.settle(Usage(0, 40))
        assert desk.headroom == pytest.approx(0.1)

    def test_comes_back_with_time(self):
        desk = Desk(Limits(rpm=4))
        desk.take(times=2)
        desk.wait(59)
        assert desk.headroom == 0.5
        desk.wait(1)
        assert desk.headroom == 1.0


class TestAClockThatJumps:
    def test_back_leaves_what_was_used_in_use_for_as_long_as_it_would_have_been(self):
        desk = Desk(Limits(rpm=2, rpd=10))
        desk.wait(1_000_000)
        desk.take()
        desk.wait(20)
        desk.take()
        desk.clock.now = 5.0
        assert desk.refused().retry_after == 40.0
        desk.wait(40)
        assert desk.headroom == 0.5
        assert desk.room() == 1
        desk.wait(20)
        assert desk.room() == 2

    def test_back_takes_what_was_learnt_along(self):
        desk = Desk(Limits(rpm=100))
        desk.wait(1_000)
        desk.take(times=40)
        desk.limiter.rate_limited(desk.deployment, started=1_000.0, retry_after=5)
        desk.clock.now = 0.0
        assert desk.refused().retry_after == 60.0
        desk.wait(60)
        assert desk.room() == 28 + 5  # seven tenths of forty, and a twentieth of a hundred since
        assert desk.limiter.rate_limited(desk.deployment, started=60.0, retry_after=None)

    def test_back_takes_along_what_the_host_said(self):
        desk = Desk(Limits(rpm=100))
        desk.wait(1_000)
        desk.limiter.learn(desk.deployment, RateLimits((RateWindow("requests", remaining=0, reset=10.0),)))
        desk.clock.now = 0.0
        assert desk.refused().retry_after == 10.0

    def test_forward_is_time_that_has_passed(self):
        desk = Desk(Limits(rpm=2, concurrency=3))
        desk.take(times=2)
        desk.wait(1e12)
        assert desk.room() == 1
