"""What was promised of a fleet that fails in every way it can, shown on simulated traffic.

Each run simulates ten minutes; with POLYROUTE_SIMULATED_HOUR set, the whole hour.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from polyroute import Deployment, Ordered, RoundRobin, Router, Timeout
from polyroute.testing import (
    BlackHole,
    BrownOut,
    LogNormal,
    Outage,
    Poisson,
    SimulatedHost,
    SimulationReport,
    random_faults,
    simulate,
)

SECONDS = 3_600 if "POLYROUTE_SIMULATED_HOUR" in os.environ else 600
RATE = 50  # calls a second
NAMES = ("one", "two", "three", "four", "five")


def traffic(hosts: dict[str, SimulatedHost], strategy=RoundRobin, **options) -> SimulationReport:
    """Calls of a minute at most, to a router over one deployment on each host."""
    options = {"arrivals": Poisson(RATE), "lasting": SECONDS, "seed": 11, **options}
    return simulate(
        [Deployment(f"{name}/m", id=name) for name in hosts],
        hosts,
        router=lambda deployments, rng: Router(
            deployments, strategy=strategy(), timeout=Timeout(total=60, attempt=10), rng=rng
        ),
        **options,
    )


def ill_fated(rng: Random) -> dict[str, SimulatedHost]:
    """A fleet of which some fault or other holds nearly all the time, and now and then several."""
    return {
        name: SimulatedHost(
            ttft=LogNormal(0.3, p95=1.0), faults=random_faults(rng, lasting=SECONDS, every=200)
        )
        for name in NAMES
    }


NOBODY_COULD = {"AllAttemptsFailedError", "NoDeploymentAvailableError"}
IN_TIME = {"DeadlineExceededError", "LimitTimeoutError"}
BROKE = "StreamInterruptedError"


def check_that_all_ended_well(report: SimulationReport) -> None:
    """Each call got a reply or an error that says what happened, by its deadline, and nothing is left of it."""
    assert report.errors.keys() <= NOBODY_COULD | IN_TIME | {BROKE}, report
    assert report.answered + sum(report.errors.values()) == report.calls > 1_000
    assert (report.late, report.unfinished, report.left) == (0, 0, ()), report


@pytest.mark.parametrize("strategy", [Ordered, RoundRobin])
def test_999_of_1000_calls_are_answered_while_any_one_deployment_is_well(strategy):
    report = traffic(ill_fated(Random(11)), strategy)

    check_that_all_ended_well(report)
    assert report.availability >= 0.999, report
    assert sum(sum(host.failures.values()) for host in report.hosts.values()) > 500


def test_streams_end_as_well_as_replies_do_but_for_those_that_break_after_their_first_token():
    report = traffic(ill_fated(Random(11)), streams=1.0, lasting=SECONDS / 2)

    check_that_all_ended_well(report)
    assert report.errors[BROKE] > 10
    assert report.avoidable - report.errors[BROKE] <= 0.001 * report.calls, report


@pytest.mark.parametrize(
    "fault",
    [
        Outage(at=0, lasting=1e9),
        BlackHole(at=0, lasting=1e9),
        BrownOut(at=0, lasting=1e9, share=1.0),
        BrownOut(at=0, lasting=1e9, share=1.0, status=503),
    ],
    ids=["outage", "black hole", "500", "503"],
)
@pytest.mark.parametrize("names", [NAMES[:1], NAMES], ids=["one", "five"])
def test_a_fleet_that_is_down_gets_no_more_than_a_tenth_over_what_is_asked_of_it(fault, names):
    hosts = {name: SimulatedHost(faults=[fault]) for name in names}
    report = traffic(hosts, arrivals=Poisson(20), lasting=60)

    check_that_all_ended_well(report)
    for name, host in report.hosts.items():
        assert host.attempts <= 1.1 * report.calls, name
