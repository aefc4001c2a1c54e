"""A whole simulation: calls in, a report out, and nothing left behind."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from decimal import Decimal
from threading import Event, Thread

import anyio
import pytest

import polyroute.testing
from polyroute import (
    ChatResponse,
    ConfigurationError,
    Deployment,
    Middleware,
    RoundRobin,
    Route,
    Strategy,
    Timeout,
)
from polyroute.testing import (
    BlackHole,
    CutStreams,
    Outage,
    SimulatedHost,
    simulate,
)
from tests.testing.fleet import FOREVER, A, Dawdles, Leaves, every, host, made, run


def test_a_healthy_fleet_answers_every_call():
    report = run(host(), host())

    assert (report.calls, report.answered, report.errors) == (60, 60, {})
    assert (report.avoidable, report.late, report.unfinished, report.left) == (0, 0, 0, ())
    assert (report.success, report.availability, report.attempts_per_call) == (1.0, 1.0, 1.0)
    assert report.deployments == {"a": 60}
    assert (report.latency.p50, report.latency.longest) == pytest.approx((1, 1))
    assert report.ttft is None
    a, b = report.hosts["a"], report.hosts["b"]
    assert (a.attempts, a.answered, a.failures, a.per_minute, a.peak_rpm) == (60, 60, {}, (60,), 60)
    assert a.peak_in_flight <= 2
    assert (b.attempts, b.answered, b.per_minute, b.peak_rpm) == (0, 0, (), 0)


def test_calls_arrive_for_as_long_as_was_said_and_the_last_is_waited_for():
    report = run(host(latency=100.0), lasting=10, arrivals=every(2.5))

    assert (report.calls, report.answered, report.unfinished) == (4, 4, 0)
    assert report.latency.longest == pytest.approx(100)


def test_an_outage_shows_on_the_hosts_and_not_on_the_callers():
    report = run(host(Outage(at=19.5, lasting=20)), host())

    assert (report.success, report.errors) == (1.0, {})
    assert report.hosts["a"].failures == {"ConnectError": 20, "ReadError": 1}
    assert report.deployments == {"a": 39, "b": 21}
    assert report.attempts_per_call == pytest.approx(81 / 60)
    assert report.latency.p50 == pytest.approx(1)
    assert report.latency.longest == pytest.approx(1.5)


def test_a_fleet_that_is_down_fails_every_call_and_none_of_it_was_avoidable():
    report = run(host(Outage(**FOREVER)), host(Outage(**FOREVER)))

    assert (report.answered, report.success) == (0, 0.0)
    assert report.errors == {"AllAttemptsFailedError": 60}
    assert (report.avoidable, report.availability) == (0, 1.0)
    assert report.latency is None
    assert report.deployments == {}


def test_calls_that_nobody_could_have_answered_do_not_lessen_availability():
    report = run(host(Outage(at=29.5, lasting=1e9)))

    assert (report.success, report.availability) == (29 / 60, 1.0)


def test_a_failure_is_avoidable_where_some_host_was_well_for_as_long_as_the_call_took():
    nobody_stands_in = made(routes={"default": Route(["a"])})
    report = run(host(Outage(**FOREVER)), host(), router=nobody_stands_in)
    assert (report.avoidable, report.availability) == (60, 0.0)

    report = run(host(Outage(**FOREVER)), host(Outage(at=30, lasting=30)), router=nobody_stands_in)
    assert (report.success, report.avoidable) == (0, 30)


def test_a_failure_is_not_avoidable_where_the_one_that_was_well_had_no_room():
    report = run(host(Outage(**FOREVER)), host(capacity=0))

    assert report.errors == {"AllAttemptsFailedError": 60}
    assert report.avoidable == 0
    assert report.hosts["b"].failures == {"OverloadedError": 60}


def test_hosts_count_by_the_minute_and_over_any_minute():
    bursts = [*range(50), *range(100, 130), *range(400, 410)]
    report = run(host(), lasting=500, arrivals=lambda rng: iter(float(moment) for moment in bursts))

    assert report.hosts["a"].per_minute == (50, 20, 10, 0, 0, 0, 10)
    assert report.hosts["a"].peak_rpm == 50


def test_a_host_is_known_by_id_then_by_model_then_by_prefix():
    deployments = [Deployment("p/m", id="x"), Deployment("p/m", id="y"), "p/other", "q/m"]
    hosts = {name: host() for name in ("x", "p/m", "p", "q")}
    report = simulate(
        deployments,
        hosts,
        arrivals=every(1.0),
        lasting=40,
        router=made(strategy=RoundRobin()),
    )
    assert {name: seen.attempts for name, seen in report.hosts.items()} == dict.fromkeys(hosts, 10)


def test_deployments_of_one_prefix_are_on_one_host():
    two = [Deployment("p/m", id="x"), Deployment("p/n", id="y")]
    report = simulate(two, {"p": host()}, arrivals=every(1.0), lasting=20, router=made(strategy=RoundRobin()))
    assert report.hosts["p"].answered == 20
    assert report.deployments == {"x": 10, "y": 10}


def test_streams_are_a_share_of_the_calls():
    report = run(host(latency=4.0, ttft=1.0), streams=1.0)
    assert report.answered == 60
    assert (report.ttft.p50, report.ttft.longest) == pytest.approx((1, 1))
    assert report.latency.p50 == pytest.approx(4)

    report = run(host(CutStreams(**FOREVER)), streams=0.4, lasting=1_000)
    assert report.errors.keys() == {"StreamInterruptedError"}
    assert 350 < report.errors["StreamInterruptedError"] < 450
    assert report.answered + report.errors["StreamInterruptedError"] == 1_000


def test_each_call_is_made_with_what_the_request_says():
    asked = []

    class Notes(Middleware):
        async def chat(self, request, call_next):
            asked.append(request)
            return await call_next(request)

    run(host(), router=made(middleware=[Notes()]), request={"messages": "Why?", "user": "ann"}, lasting=3)
    assert [(each.messages[0].text, each.user) for each in asked] == [("Why?", "ann")] * 3

    asked.clear()
    options = {"request": lambda rng: {"messages": "Why?", "priority": rng.randint(0, 9)}, "lasting": 50}
    run(host(), router=made(middleware=[Notes()]), **options)
    priorities = [each.priority for each in asked]
    assert len(set(priorities)) > 5
    asked.clear()
    run(host(latency=7.0), router=made(middleware=[Notes()], strategy=RoundRobin()), **options)
    assert [each.priority for each in asked] == priorities
    asked.clear()
    run(host(), router=made(middleware=[Notes()]), seed=1, **options)
    assert [each.priority for each in asked] != priorities


def test_what_it_cost_includes_failed_attempts_and_what_came_of_failed_calls():
    report = run(host())
    prompt = report.hosts["a"].peak_tpm / 60 - 100
    assert report.cost == 60 * (Decimal(prompt) * 1 + 100 * 2) / 1_000_000

    cut_off = run(host(Outage(at=29.5, lasting=1e9)), lasting=30)
    assert (cut_off.answered, cut_off.errors) == (29, {"AllAttemptsFailedError": 1})
    assert cut_off.cost > 29 * (Decimal(prompt) * 1 + 100 * 2) / 1_000_000

    for deployments in (["p/m"], ["p/m", A]):
        hosts = {"p": host(), "one": host()} if A in deployments else {"p": host()}
        turns = made(strategy=RoundRobin())
        assert simulate(deployments, hosts, arrivals=every(1.0), lasting=5, router=turns).cost is None


# --- what must not be ------------------------------------------------------------------------------


def test_calls_that_end_after_their_deadline_are_counted():
    report = run(host(), router=made(middleware=[Dawdles()]), request={"messages": "hi", "timeout": 5})
    assert (report.calls, report.late) == (60, 60)
    report = run(host(), router=made(middleware=[Dawdles()], timeout=Timeout(total=5)))
    assert report.late == 60
    report = run(host(), router=made(middleware=[Dawdles()], timeout=Timeout(total=32)))
    assert report.late == 0


def test_a_call_that_reaches_no_host_has_a_deadline_too():
    class Answers(Middleware):
        async def chat(self, request, call_next):
            with anyio.CancelScope(shield=True):
                await anyio.sleep(30)
            return ChatResponse("by myself")

    report = run(host(), router=made(middleware=[Answers()]), request={"messages": "hi", "timeout": 5})
    assert (report.late, report.hosts["a"].attempts) == (60, 0)


def test_a_deadline_that_is_kept_to_the_moment_is_kept():
    report = run(host(BlackHole(**FOREVER)), request={"messages": "hi", "timeout": 5})
    assert report.errors == {"DeadlineExceededError": 60}
    assert report.late == 0


def test_what_waits_for_ever_is_given_up_and_counted():
    report = run(host(BlackHole(**FOREVER)), router=made(timeout=None))
    assert (report.calls, report.answered, report.errors) == (60, 0, {})
    assert (report.unfinished, report.left) == (60, ())


class Miscounts(Strategy):
    async def choose(self, request, candidates, history, fleet):
        fleet.state("somebody").in_flight = 1
        return candidates[0]


def test_what_is_left_behind_is_told():
    report = run(host(latency=5_000.0), router=made(strategy=Leaves(), timeout=None), lasting=2)
    assert report.left == ("requests in flight at a: 1", "a task of RunningHost.chat")
    report = run(host(), router=made(strategy=Miscounts()))
    assert report.left == ("in the router: attempts are counted as in flight",)


def test_what_ends_a_moment_after_the_router_is_not_left_behind():
    class Lingers(Strategy):
        async def choose(self, request, candidates, history, fleet):
            self.task = asyncio.create_task(anyio.sleep(1.5))
            return candidates[0]

    assert run(host(), router=made(strategy=Lingers())).left == ()


def test_a_bug_comes_out_as_itself_and_at_once():
    asked = []

    class Breaks(Strategy):
        async def choose(self, request, candidates, history, fleet):
            asked.append(request)
            raise error

    for error in (KeyError("oops"), ConfigurationError("wired wrongly")):
        asked.clear()
        with pytest.raises(type(error)) as caught:
            run(host(), router=made(strategy=Breaks()))
        assert caught.value is error
        assert len(asked) == 1
    with pytest.raises(TypeError, match="temperature"):
        run(host(), request={"messages": "hi", "temprature": 1})


def test_so_does_one_in_what_says_when_and_what_is_asked():
    def broken(rng):
        raise KeyError("oops")

    with pytest.raises(KeyError):
        run(host(), arrivals=broken)
    with pytest.raises(KeyError):
        run(host(), request=broken)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"hosts": {}}, "there are: none"),
        ({"hosts": {"on": SimulatedHost()}}, "there are: on"),
        ({"hosts": {"one": SimulatedHost(), "two": SimulatedHost()}}, "no deployment is on: two"),
        ({"lasting": 0}, "lasting"),
        ({"lasting": float("nan")}, "lasting"),
        ({"streams": 1.5}, "streams"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(wrong, told):
    options = {"hosts": {"one": SimulatedHost()}, "arrivals": every(1.0), "lasting": 5, **wrong}
    with pytest.raises(ConfigurationError, match=told):
        simulate(["one/m"], **options)


# --- where it runs ---------------------------------------------------------------------------------


async def test_it_runs_where_a_loop_is_running():
    assert run(host()).success == 1.0


def test_what_the_simulated_router_logs_is_kept_back_and_nothing_else(caplog):
    begun, over = Event(), Event()

    def arrivals(rng):
        begun.set()
        over.wait(10)
        yield 0.0

    def log_elsewhere():
        begun.wait(10)
        logging.getLogger("polyroute").warning("from elsewhere")
        over.set()

    other = Thread(target=log_elsewhere)
    other.start()
    report = run(host(Outage(**FOREVER)), arrivals=arrivals)
    other.join()
    assert report.hosts["a"].failures == {"ConnectError": 1}
    assert [record.getMessage() for record in caplog.records] == ["from elsewhere"]
    assert not logging.getLogger("polyroute").filters


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="simulat"):
        _ = polyroute.testing.simulat


def test_scripted_tests_do_not_load_the_simulation():
    code = (
        "import sys, polyroute.testing as testing; testing.FakeProvider;"
        "print([name for name in sys.modules if 'simulation' in name]);"
        "print(all(hasattr(testing, name) for name in testing.__all__), hasattr(testing, 'simulat'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True False"]
