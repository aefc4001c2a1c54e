"""Limits as they are given: what they may be, and who shares them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polyroute import ConfigurationError, Deployment, Limits, RateLimits, RateWindow, Usage
from polyroute.limits import LocalLimiter
from tests.limits.driving import REQUEST, Desk

NAMES = ("rpm", "tpm", "itpm", "otpm", "rpd", "concurrency")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [0, -1, 1.5, 600.0, "600", True, float("inf")])
def test_a_limit_is_a_whole_number_and_the_error_names_it(name, wrong):
    with pytest.raises(ConfigurationError, match=rf"Limits: {name} is a whole number, 1 or more"):
        Limits(**{name: wrong})


@pytest.mark.parametrize("name", NAMES)
def test_each_limit_can_be_set_alone_and_none_sets_none(name):
    limits = Limits(**(dict.fromkeys(NAMES) | {name: 7}))
    assert [getattr(limits, each) for each in NAMES] == [7 if each == name else None for each in NAMES]


def test_limits_of_nothing_are_refused():
    with pytest.raises(ConfigurationError, match="at least one of rpm, tpm, itpm, otpm, rpd, concurrency"):
        Limits()


def test_a_deployment_takes_limits_and_nothing_else_for_them():
    limits = Limits(rpm=3)
    deployment = Deployment("p/m", limits=limits)
    assert deployment.limits is limits
    assert "limits=Limits(rpm=3, " in repr(deployment)
    with pytest.raises(ConfigurationError, match=r"limits is a Limits\(rpm=…, tpm=…\), not 3"):
        Deployment("p/m", limits=3)


def test_one_object_is_one_limit_and_two_that_say_the_same_are_two():
    shared = Limits(rpm=2)
    one = Desk(shared)
    other, apart = Desk(shared, one.limiter), Desk(Limits(rpm=2), one.limiter)

    one.take()
    other.take()

    assert not one.fits()
    assert not other.fits()
    assert apart.room() == 2


async def test_a_pattern_has_one_limit_for_all_models_it_serves():
    pattern = Deployment("p/*", limits=Limits(rpm=2))
    limiter = LocalLimiter(lambda: 0.0)

    for model in ("p/a", "p/b"):
        (await limiter.reserve(REQUEST, replace(pattern, model=model), Usage())).settle(Usage())

    assert limiter.headroom(replace(pattern, model="p/c")) == 0.0


def test_without_limits_there_is_always_room_and_nothing_is_kept():
    desk = Desk(None)
    lease = desk.take(10**9, 10**9, times=1_000)
    assert desk.limiter.idle
    lease.settle(None)
    lease.settle(Usage(1, 1))
    desk.limiter.rate_limited(desk.deployment, started=0.0, retry_after=60)
    desk.limiter.learn(desk.deployment, RateLimits((RateWindow("requests", remaining=0, reset=9.0),)))
    assert desk.headroom == 1.0
    desk.take()
    assert not desk.limiter._states
