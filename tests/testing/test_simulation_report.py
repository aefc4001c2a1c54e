"""The report of a simulation: the same each time, and good to read."""

from __future__ import annotations

import os
import subprocess
import sys

from inline_snapshot import snapshot

from polyroute.testing import BlackHole, BrownOut, Outage, Percentiles, Poisson, simulate
from tests.testing.fleet import FOREVER, Dawdles, Leaves, every, host, made, run

_WITH_TIES = """
from random import Random
from polyroute import *
from polyroute.testing import *

def every(rng):
    return (place * 0.25 for place in range(10**9))

rng = Random(3)
hosts = {
    name: SimulatedHost(
        latency=1.0, ttft=0.25, output_tokens=100, rpm=100,
        faults=[Outage(at=30, lasting=20), BrownOut(at=0, lasting=1e9, share=0.3), *random_faults(rng, lasting=120)],
    )
    for name in "abc"
}
report = simulate(
    [Deployment(f"p/{name}", id=name, price=Price(1, 2)) for name in "abc"], hosts,
    arrivals=every, lasting=120, streams=0.5, seed=SEED,
    router=lambda deployments, rng: Router(deployments, strategy=Weighted(), rng=rng, timeout=Timeout(total=30)),
)
print(repr(report), report, sep="\\n")
"""


def told(seed: int, hash_seed: int) -> str:
    code = _WITH_TIES.replace("SEED", str(seed))
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_the_same_seed_gives_the_same_report_byte_for_byte_though_much_happens_at_once():
    first = told(1, 1)
    assert "AllAttemptsFailedError" in first
    assert first == told(1, 2)
    assert first != told(2, 1)


def test_what_arrives_does_not_depend_on_the_router_or_the_hosts():
    options = {"arrivals": Poisson(5), "lasting": 100, "seed": 4}
    one = run(host(), **options)
    other = run(host(Outage(**FOREVER)), host(), **options)
    assert one.calls == other.calls
    assert one.hosts["a"].per_minute == other.hosts["b"].per_minute
    assert one.calls != run(host(), **{**options, "seed": 5}).calls


def test_percentiles_are_by_nearest_rank():
    assert Percentiles.of([]) is None
    assert Percentiles.of([3.0]) == Percentiles(3, 3, 3, 3)
    assert Percentiles.of(range(200, 0, -1)) == Percentiles(100, 190, 198, 200)
    assert Percentiles.of([1, 2, 3]) == Percentiles(2, 3, 3, 3)


def test_a_report_reads_well():
    report = run(
        host(Outage(at=19.5, lasting=20)), host(BrownOut(at=20, lasting=30, share=0.5), ttft=0.5), streams=0.2
    )
    assert str(report) == snapshot("""\
60 calls in 60 s (seed 0)
answered    52 (86.667%), 1.35 attempts a call
failed      AllAttemptsFailedError 8; 0 of them avoidable
latency     p50 1.00 s, p95 1.00 s, p99 1.50 s, longest 1.50 s
ttft        p50 1.00 s, p95 1.00 s, p99 1.00 s, longest 1.00 s
cost        $0.01

host    attempts    answered   peak rpm   at once  failures
a             60          39         60         2  ConnectError 20, ReadError 1
b             21          13         21         2  ServerError 8\
""")


def test_a_report_says_what_went_wrong():
    report = run(
        host(BlackHole(at=0, lasting=30)),
        router=made(strategy=Leaves(), timeout=None, middleware=[Dawdles()]),
        request=lambda rng: {"messages": "hi", "timeout": 20 if rng.random() < 0.5 else None},
    )
    assert str(report) == snapshot("""\
60 calls in 60 s (seed 0)
answered    30 (50.000%), 1.02 attempts a call
failed      DeadlineExceededError 11; 0 of them avoidable
latency     p50 31.00 s, p95 31.00 s, p99 31.00 s, longest 31.00 s
cost        $0.01
15 calls ended after their deadline
19 calls did not end
left behind: requests in flight at a: 1; a task of RunningHost.chat

host    attempts    answered   peak rpm   at once  failures
a             61          30         61        28\
""")


def test_a_report_says_no_more_than_there_is_to_say():
    nothing = simulate(["p/m"], {"p": host(Outage(**FOREVER))}, arrivals=every(1.0), lasting=2, router=made())
    assert str(nothing) == snapshot("""\
2 calls in 2 s (seed 0)
answered    0 (0.000%), 1.00 attempts a call
failed      AllAttemptsFailedError 2; 0 of them avoidable
cost        $0.00

host    attempts    answered   peak rpm   at once  failures
p              2           0          2         1  ConnectError 2\
""")
    free = simulate(["p/m"], {"p": host()}, arrivals=every(1.0), lasting=2)
    assert str(free) == snapshot("""\
2 calls in 2 s (seed 0)
answered    2 (100.000%), 1.00 attempts a call
latency     p50 1.00 s, p95 1.00 s, p99 1.00 s, longest 1.00 s

host    attempts    answered   peak rpm   at once  failures
p              2           2          2         1\
""")
    nobody = simulate(["p/m"], {"p": host()}, arrivals=lambda rng: iter(()), lasting=2)
    assert (nobody.success, nobody.availability, nobody.attempts_per_call) == (1.0, 1.0, 0.0)
