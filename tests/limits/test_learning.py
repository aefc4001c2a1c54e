"""What hosts teach: lowered at once, raised slowly, never above what was set and never to nothing."""

from __future__ import annotations

from random import Random

import pytest

from polyroute import Limits, RateLimits, RateWindow, Refusal, Usage
from tests.limits.driving import Desk


def used(limits: Limits, requests: int, tokens: int = 0) -> Desk:
    """A desk where so many requests were let through a second ago, with so many tokens each."""
    desk = Desk(limits)
    for _ in range(requests):
        desk.take(tokens).settle(Usage(tokens))
    desk.wait(1)
    return desk


def too_many(
    desk: Desk, *, started: float | None = None, retry_after: float | None = None
) -> tuple[str, float] | None:
    when = desk.clock.now if started is None else started
    return desk.limiter.rate_limited(desk.deployment, started=when, retry_after=retry_after)


def told(desk: Desk, *windows: RateWindow) -> None:
    desk.limiter.learn(desk.deployment, RateLimits(windows))


class TestA429:
    def test_lowers_a_limit_at_once_to_seven_tenths_of_what_was_used(self):
        desk = used(Limits(rpm=100), 60)
        assert too_many(desk) == ("rpm", pytest.approx(0.42))
        assert not desk.fits()
        desk.wait(59)
        assert desk.room() == 42 + 4  # and a twentieth of a hundred a minute since

    def test_says_so_where_it_refuses(self):
        desk = used(Limits(rpm=100), 60)
        too_many(desk)
        assert desk.refused().reason == "rpm 100, which a 429 showed to be too high, is used up for 59 s"

    def test_is_taken_for_the_scarcest_limit_and_leaves_the_others(self):
        desk = used(Limits(rpm=100, tpm=1_000, itpm=10_000), 10, tokens=60)
        too_many(desk)
        desk.wait(59)
        assert desk.room() == 100
        desk.take(400)
        assert desk.fits(20 + 49)
        assert not desk.fits(20 + 50)

    def test_rises_by_a_twentieth_a_minute_and_never_above_what_was_set(self):
        desk = used(Limits(rpm=100), 100)
        too_many(desk)
        rooms = []
        for _ in range(8):
            desk.wait(60)
            rooms.append(desk.room())
        assert rooms == [75, 80, 85, 90, 95, 100, 100, 100]
        desk.take(times=100)
        assert desk.refused().reason == "rpm 100 is used up for 60 s"

    def test_counts_once_for_all_calls_that_were_under_way(self):
        desk = used(Limits(rpm=100), 80)
        assert too_many(desk, started=0.0) == ("rpm", pytest.approx(0.56))
        for started in (0.0, 0.5, desk.clock.now):
            assert too_many(desk, started=started) is None
        desk.wait(60)
        assert desk.room() == 56 + 5

    def test_counts_again_for_a_call_that_began_after_it_was_heeded(self):
        desk = used(Limits(rpm=100), 80)
        too_many(desk)
        desk.wait(60)
        desk.take(times=50)
        too_many(desk)
        desk.wait(60)
        assert desk.room() == 35 + 5

    def test_never_raises_what_an_earlier_one_lowered(self):
        desk = used(Limits(rpm=100), 40)
        too_many(desk)  # to 28
        desk.wait(1)
        too_many(desk)  # 40 are in use still
        desk.wait(58)
        assert desk.room() == 19 + 5

    def test_does_not_silence_a_deployment_that_is_hardly_used(self):
        desk = used(Limits(rpm=100), 1)
        too_many(desk)
        assert desk.room() == 4

    def test_never_lowers_a_limit_to_nothing(self):
        desk = used(Limits(rpm=1, tpm=10), 1, tokens=10)
        for _ in range(50):
            too_many(desk)
            desk.wait(60)
            desk.take(10).settle(Usage(10))

    def test_lets_a_call_that_is_larger_than_what_it_left_go_alone(self):
        desk = used(Limits(tpm=1_000), 1, tokens=1_000)
        too_many(desk)
        assert desk.refused(900).retry_after == pytest.approx(59.0)
        desk.wait(59)
        desk.take(900)
        assert not desk.fits(10)

    def test_waits_for_what_leaves_and_what_rises_together(self):
        desk = Desk(Limits(tpm=100))
        desk.take(40)
        desk.wait(30)
        desk.take(40)
        too_many(desk)  # to 56, and a token more every twelve seconds
        assert desk.refused(20).retry_after == pytest.approx(48.0)  # 40 are in use by then, of 60
        desk.wait(48.1)
        assert desk.fits(20)
        assert not desk.fits(21)

    def test_counts_places_too(self):
        desk = Desk(Limits(concurrency=10, rpm=10_000))
        leases = [desk.take() for _ in range(8)]
        desk.wait(1)
        too_many(desk)
        for lease in leases[:5]:
            lease.settle(Usage())
        taken = desk.take(times=2)
        assert desk.refused().retry_after == pytest.approx(48.0)  # from 5.6 by half a place a minute
        taken.settle(Usage())
        assert desk.fits()

    def test_says_nothing_of_a_day(self):
        desk = used(Limits(rpd=10), 8)
        assert too_many(desk) is None
        assert desk.room() == 2

    def test_bars_all_that_share_the_limit_for_as_long_as_the_host_asked(self):
        shared = Limits(rpm=100)
        desk = used(shared, 1)
        other = Desk(shared, desk.limiter)
        too_many(desk, retry_after=5)
        assert other.refused() == Refusal(5.0, "the host asked to be left alone for 5 s")
        assert other.headroom == 0.0
        desk.wait(2)
        too_many(desk, retry_after=1)  # the longer one counts
        assert other.refused().retry_after == 3.0
        desk.wait(3)
        assert other.fits()
        assert other.headroom > 0

    def test_lowers_the_headroom(self):
        desk = used(Limits(rpm=100), 60)
        too_many(desk)
        assert desk.headroom == 0.0
        desk.wait(59)
        assert desk.headroom == pytest.approx(0.42 + 0.05 * 59 / 60)


class TestWhatTheHostSaysIsLeft:
    def test_counts_where_it_is_less_than_we_believe(self):
        desk = used(Limits(rpm=100), 10)
        told(desk, RateWindow("requests", limit=100, remaining=5, reset=57.0))
        assert desk.headroom == pytest.approx(0.05)
        assert desk.room() == 5

    def test_says_so_where_it_refuses(self):
        desk = Desk(Limits(rpm=100))
        told(desk, RateWindow("requests", remaining=0, reset=2.5))
        assert desk.refused() == Refusal(2.5, "rpm 100 is used up, as the host counts, for 2.5 s")

    def test_never_makes_room_where_our_own_count_has_none(self):
        desk = used(Limits(rpm=10), 10)
        told(desk, RateWindow("requests", limit=10_000, remaining=10_000, reset=0.0))
        assert not desk.fits()
        told(desk, RateWindow("requests", limit=10, remaining=9, reset=1.0))
        assert not desk.fits()
        desk.wait(2)
        assert not desk.fits()

    def test_fills_up_steadily_until_it_is_reset(self):
        desk = Desk(Limits(rpm=100))
        told(desk, RateWindow("requests", limit=60, remaining=0, reset=30.0))
        assert desk.refused().retry_after == 0.5
        desk.wait(10)
        assert desk.room() == 20
        desk.wait(20)
        assert desk.room() == 100

    def test_counts_what_is_reserved_from_then_on(self):
        desk = used(Limits(tpm=1_000), 1, tokens=100)
        told(desk, RateWindow("tokens", remaining=300, reset=10.0))
        desk.take(200)
        assert desk.fits(100)
        assert not desk.fits(101)

    def test_counts_nothing_that_was_reserved_before(self):
        desk = used(Limits(rpm=100), 90)
        desk.wait(60)
        told(desk, RateWindow("requests", remaining=5, reset=10.0))
        assert desk.room() == 5

    def test_is_not_stretched_by_what_is_given_back(self):
        desk = Desk(Limits(tpm=1_000))
        lease = desk.take(500)
        told(desk, RateWindow("tokens", remaining=100, reset=10.0))
        lease.settle(Usage(1))
        assert not desk.fits(101)

    def test_is_replaced_by_what_it_says_next(self):
        desk = Desk(Limits(rpm=100))
        told(desk, RateWindow("requests", remaining=1, reset=50.0))
        told(desk, RateWindow("requests", remaining=20, reset=50.0))
        assert desk.room() == 20
        told(desk, RateWindow("requests", limit=100, remaining=100, reset=0.0))
        assert desk.room() == 100

    def test_may_be_more_than_the_limit_it_names(self):
        desk = Desk(Limits(rpm=100))
        told(desk, RateWindow("requests", limit=10, remaining=19, reset=2.0))
        assert desk.room() == 19
        desk.wait(1.9)
        assert not desk.fits()

    def test_of_one_kind_leaves_the_others(self):
        desk = Desk(Limits(rpm=100, tpm=100, itpm=100, otpm=100))
        told(desk, RateWindow("input_tokens", remaining=10, reset=9.0))
        told(desk, RateWindow("output_tokens", remaining=20, reset=9.0), RateWindow("requests", limit=3))
        assert desk.fits(10, 20)
        assert not desk.fits(11, 0)
        assert not desk.fits(0, 21)

    def test_of_two_spans_is_the_scarcer(self):
        desk = Desk(Limits(rpm=100))
        told(
            desk,
            RateWindow("requests", limit=60, remaining=50, span=10.0),
            RateWindow("requests", limit=1_000, remaining=7, reset=40_000.0, span=86_400.0),
        )
        assert desk.room() == 7

    @pytest.mark.parametrize(("span", "lasts"), [(None, 60), (10.0, 10), (86_400.0, 60)])
    def test_without_a_reset_holds_for_its_span_and_no_longer_than_a_minute(self, span, lasts):
        desk = Desk(Limits(rpm=100, rpd=1_000))
        told(desk, RateWindow("requests", remaining=0, span=span))
        assert desk.refused().retry_after == lasts

    def test_holds_no_longer_than_a_limit_looks_back(self):
        desk = Desk(Limits(rpm=100))
        told(desk, RateWindow("requests", remaining=0, reset=40_000.0))
        assert desk.refused().retry_after == 60.0

    def test_is_no_word_about_places(self):
        desk = Desk(Limits(concurrency=5))
        told(desk, RateWindow("requests", remaining=0, reset=40.0))
        assert desk.room() == 5

    def test_makes_the_scarcest_limit_plain_to_a_429(self):
        desk = used(Limits(rpm=100, tpm=1_000), 50, tokens=1)
        told(desk, RateWindow("tokens", limit=1_000, remaining=0, reset=1.0))
        too_many(desk)
        desk.wait(59)
        assert desk.room() == 100
        desk.take(10)
        assert desk.fits(50 + 49 - 10)
        assert not desk.fits(50 + 49 - 9)


@pytest.mark.parametrize("seed", range(3))
def test_a_limit_that_was_set_too_high_settles_near_the_hosts_own(seed):
    """600 a minute were set, the host allows 300 in any minute, and ten calls a second come for an hour."""
    rng = Random(seed)
    desk = Desk(Limits(rpm=600))
    accepted: list[float] = []
    refused = 0
    for _ in range(36_000):
        desk.wait(rng.expovariate(10))
        now = desk.clock.now
        lease = desk.ask()
        if isinstance(lease, Refusal):
            continue
        if sum(moment > now - 60 for moment in accepted[-300:]) < 300:
            accepted.append(now)
            lease.settle(Usage())
        else:
            refused += 1
            desk.limiter.rate_limited(desk.deployment, started=now, retry_after=None)
            lease.settle(Usage())
    assert len(accepted) >= 0.8 * 300 * 60
    assert refused <= 0.005 * len(accepted)
