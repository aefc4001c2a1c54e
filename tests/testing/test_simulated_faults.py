"""What faults make of a host's conditions, and what chance draws."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random
from statistics import median

import pytest

from polyroute import ConfigurationError
from polyroute.testing import (
    BlackHole,
    BrownOut,
    CutStreams,
    LogNormal,
    Outage,
    Poisson,
    RateLimited,
    SimulatedHost,
    SlowSpell,
    SlowStart,
    random_faults,
)


def test_a_rate_limit_may_hold_for_a_time_only_and_only_lowers_what_there_is():
    host = SimulatedHost(rpm=100, faults=[RateLimited(at=10, lasting=10, rpm=5, tpm=900, retry_after=False)])
    assert [host.conditions(now).rpm for now in (9, 10, 19, 20)] == [100, 5, 5, 100]
    assert [host.conditions(now).tpm for now in (9, 10)] == [None, 900]
    assert [host.conditions(now).retry_after for now in (9, 10)] == [True, False]
    assert replace(host, rpm=2).conditions(10).rpm == 2


def test_a_slow_start_takes_one_at_once_and_then_ever_more():
    host = SimulatedHost(faults=[SlowStart(at=100, lasting=100, capacity=51)], capacity=40)
    capacities = [host.conditions(100 + now).capacity for now in (0, 1, 2, 50, 79, 99.99, 100)]
    assert capacities == [1, 1, 2, 26, 40, 40, 40]
    assert replace(host, capacity=None).conditions(200).capacity is None


def test_faults_add_up():
    host = SimulatedHost(
        faults=[
            SlowSpell(at=0, lasting=20, factor=2),
            SlowSpell(at=10, lasting=20, factor=3),
            BrownOut(at=0, lasting=20, share=0.2),
            BrownOut(at=10, lasting=20, share=0.1),
            CutStreams(at=0, lasting=20, share=0.2),
            CutStreams(at=10, lasting=20, share=0.1),
        ]
    )
    seen = [host.conditions(now) for now in (5, 15, 25, 35)]
    assert [each.slowness for each in seen] == [2, 6, 3, 1]
    assert [each.failing for each in seen] == [0.2, 0.2, 0.1, 0]
    assert [each.cut for each in seen] == [0.2, 0.2, 0.1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Outage(at=-1, lasting=5),
        lambda: Outage(at=0, lasting=float("nan")),
        lambda: BrownOut(at=0, lasting=5, share=1.1),
        lambda: SlowSpell(at=0, lasting=5, factor=-2),
        lambda: RateLimited(at=0, lasting=5),
        lambda: RateLimited(at=-1, lasting=5, rpm=5),
        lambda: SimulatedHost(latency=-1.0),
        lambda: SimulatedHost(capacity=-1),
        lambda: SimulatedHost(faults=["down"]),
        lambda: LogNormal(0, p95=1),
        lambda: LogNormal(2, p95=1),
        lambda: Poisson(0),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        wrong()


def test_a_lognormal_has_its_median_and_its_p95():
    rng, draw = Random(3), LogNormal(0.8, p95=3.0)
    draws = sorted(draw(rng) for _ in range(20_000))
    assert median(draws) == pytest.approx(0.8, rel=0.03)
    assert draws[19_000] == pytest.approx(3.0, rel=0.05)


def test_poisson_arrivals_come_at_their_rate_and_rise():
    moments = Poisson(50)(Random(3))
    first = [next(moments) for _ in range(20_000)]
    assert first[-1] == pytest.approx(400, rel=0.03)
    gaps = [later - sooner for sooner, later in pairwise(first)]
    assert min(gaps) > 0
    assert median(gaps) == pytest.approx(0.02 * 0.693, rel=0.05)


def test_random_faults_are_of_all_kinds_and_follow_each_other():
    rng = Random(5)
    kinds = set()
    for _ in range(100):
        faults = random_faults(rng, lasting=3_600)
        kinds |= {type(fault) for fault in faults}
        assert all(fault.at < 3_600 for fault in faults if not isinstance(fault, SlowStart))
        assert all(sooner.until <= later.at for sooner, later in pairwise(faults))
        assert {type(later) for sooner, later in pairwise(faults) if isinstance(sooner, Outage)} <= {
            SlowStart
        }

    assert kinds == {Outage, BlackHole, BrownOut, SlowSpell, RateLimited, SlowStart, CutStreams}
    assert random_faults(Random(1), lasting=3_600) == random_faults(Random(1), lasting=3_600) != ()


def test_more_time_between_random_faults_means_fewer_of_them():
    often, seldom = (
        sum(len(random_faults(Random(seed), lasting=3_600, every=every)) for seed in range(50))
        for every in (60, 3_600)
    )
    assert often > 3 * seldom
