"""The strategies that come with the library, and one of an application's own."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from polyroute import (
    AllAttemptsFailedError,
    Attempt,
    Choice,
    ConfigurationError,
    Ordered,
    RoundRobin,
    Route,
    Router,
    Strategy,
    Weighted,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, dead, deployment, down


async def test_ordered_takes_the_first():
    async with Router([deployment("a"), deployment("b")], strategy=Ordered()) as router:
        assert {(await router.chat("hi")).deployment for _ in range(3)} == {"a"}


async def test_ordered_with_ids_takes_these_alone_and_in_their_order():
    deployments = [deployment("a"), deployment("b", dead()), deployment("c", dead())]
    async with Router(deployments, strategy=Ordered("c", "b")) as router:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")
    assert asked(caught.value) == ["c", "b"]
    assert repr(Ordered("c", "b")) == "Ordered('c', 'b')"
    with pytest.raises(ConfigurationError):
        Ordered(["c", "b"])


async def test_round_robin_gives_each_its_turn():
    async with Router([deployment(name) for name in "abc"], strategy=RoundRobin()) as router:
        served = [(await router.chat("hi")).deployment for _ in range(7)]

    assert served == ["a", "b", "c", "a", "b", "c", "a"]


async def test_round_robin_stays_fair_while_one_fails():
    deployments = [deployment("a", dead()), deployment("b"), deployment("c")]
    async with Router(deployments, strategy=RoundRobin()) as router:
        served = Counter([(await router.chat("hi")).deployment for _ in range(12)])

    assert served["b"] == served["c"] == 6


async def test_weighted_draws_by_weight():
    deployments = [deployment("a", weight=3), deployment("b", weight=1), deployment("c", weight=0)]
    async with Router(deployments, strategy=Weighted(), rng=Random(7)) as router:
        served = Counter([(await router.chat("hi")).deployment for _ in range(2_000)])

    assert served["c"] == 0
    assert served["a"] / 2_000 == pytest.approx(0.75, abs=0.04)


async def test_weighted_tells_the_chances_it_drew_with():
    class Fleet:
        rng = Random(1)

    choice = await Weighted().choose(
        None, [deployment("a", weight=3), deployment("b", weight=1)], (), Fleet()
    )
    assert choice.scores == {"a": 0.75, "b": 0.25}
    assert choice.propensity == choice.scores[choice.deployment.id]


async def test_weighted_is_the_same_again_with_the_same_chance():
    async def served(seed):
        async with Router(
            [deployment("a"), deployment("b")], strategy=Weighted(), rng=Random(seed)
        ) as router:
            return [(await router.chat("hi")).deployment for _ in range(30)]

    assert await served(1) == await served(1) != await served(2)


async def test_weighted_with_nothing_but_zeroes_takes_any():
    deployments = [deployment("a", weight=0), deployment("b", weight=0)]
    async with Router(deployments, strategy=Weighted()) as router:
        assert {(await router.chat("hi")).deployment for _ in range(50)} == {"a", "b"}


async def test_weighted_falls_back_among_what_is_left():
    deployments = [deployment("a", down(), weight=1_000), deployment("b")]
    async with Router(deployments, strategy=Weighted(), retry=None) as router:
        for _ in range(20):
            assert (await router.chat("hi")).deployment == "b"


async def test_explain_changes_nothing():
    for strategy in (RoundRobin(), Weighted()):
        async with Router([deployment(name) for name in "abc"], strategy=strategy, rng=Random(3)) as router:
            expected = await router.explain("hi")
            for _ in range(5):
                assert await router.explain("hi") == expected
            assert (await router.chat("hi")).deployment == expected.deployment
            assert {ranked.deployment for ranked in expected.ranking} == set("abc")


@pytest.mark.parametrize("strategy", [Ordered(), RoundRobin(), Weighted()])
def test_a_strategy_shows_what_it_is(strategy):
    assert repr(strategy) == f"{type(strategy).__name__}()"


async def test_a_route_may_have_a_strategy_of_its_own():
    deployments = [deployment(name) for name in "ab"]
    routes = {"turns": Route(["a", "b"], strategy=RoundRobin()), "default": Route(["a", "b"])}
    async with Router(deployments, routes=routes) as router:
        assert [(await router.chat("hi", model="turns")).deployment for _ in range(4)] == ["a", "b", "a", "b"]
        assert [(await router.chat("hi")).deployment for _ in range(2)] == ["a", "a"]


class TestAnApplicationsOwn:
    async def test_sees_the_request_the_candidates_the_history_and_the_fleet(self):
        seen = []

        class Looks(Strategy):
            async def choose(self, request, candidates, history, fleet):
                vitals = fleet[candidates[0]]
                seen.append(
                    (
                        [c.id for c in candidates],
                        [a.deployment for a in history],
                        vitals.in_flight,
                        fleet.now > 0,
                    )
                )
                return Choice(candidates[-1], "the last", {"a": 0.5})

        async with Router([deployment("a"), deployment("b", dead())], strategy=Looks()) as router:
            reply = await router.chat("hi")

        assert seen == [(["a", "b"], [], 0, True), (["a"], ["b"], 0, True)]
        assert [attempt.reason for attempt in reply.trace.attempts] == ["the last", "the last"]
        assert reply.trace.decision.ranking[0].deployment == "b"
        assert reply.trace.decision.ranking[1].score == 0.5

    async def test_learns_from_every_attempt_whoever_chose_it(self):
        class Learns(Strategy):
            def __init__(self):
                self.learnt = []

            def observe(self, request, attempt):
                self.learnt.append((attempt.deployment, type(attempt.error).__name__, request.user))

        one, other = Learns(), Learns()
        routes = {"x": Route(["a"], strategy=one, fallbacks=["b"]), "y": Route(["b"], strategy=other)}
        async with Router([deployment("a", dead()), deployment("b")], routes=routes) as router:
            await router.chat("hi", model="x", user="ann")

        assert one.learnt == other.learnt == [("a", "AuthenticationError", "ann"), ("b", "NoneType", "ann")]

    async def test_that_picks_who_is_no_candidate_is_told_so(self):
        stranger = deployment("stranger")

        class Strays(Strategy):
            async def choose(self, request, candidates, history, fleet):
                return stranger

        async with Router([deployment("a")], strategy=Strays()) as router:
            with pytest.raises(ConfigurationError, match="Strays.choose gave"):
                await router.chat("hi")
        assert not stranger.provider.calls

    async def test_a_failing_observer_does_not_keep_the_others_from_learning(self):
        learnt = []

        class Fails(Strategy):
            def observe(self, request, attempt):
                raise ZeroDivisionError

        class Learns(Strategy):
            def observe(self, request, attempt):
                learnt.append(attempt)

        routes = {"x": Route(["a"], strategy=Fails()), "y": Route(["a"], strategy=Learns())}
        async with Router([deployment("a")], routes=routes) as router:
            with pytest.raises(ZeroDivisionError):
                await router.chat("hi", model="x")
            assert router._core.fleet["a"].in_flight == 0
        assert [type(attempt) for attempt in learnt] == [Attempt]

    async def test_every_method_has_a_default(self):
        async with Router([deployment("a"), deployment("b")], strategy=Strategy()) as router:
            assert (await router.chat("hi")).deployment == "a"


async def test_the_fleet_tells_what_is_in_flight_and_how_it_fares():
    class Looks(Strategy):
        async def choose(self, request, candidates, history, fleet):
            vitals.append(fleet["a"])
            return candidates[0]

    vitals = []
    async with Router(
        [deployment("a", FakeProvider(script=["x", "x"])), deployment("b")], strategy=Looks()
    ) as router:
        await router.chat("hi")
        await router.chat("hi")

    assert vitals[0].latency is None
    assert vitals[1].latency is not None
    assert vitals[1].breaker == "closed"
    assert vitals[1].headroom == 1.0


async def test_weighted_gives_one_that_is_much_slower_than_the_others_less_and_never_nothing():
    speeds = {"a": 1.0, "b": 1.0, "c": 1.0, "slow": 12.0}
    deployments = [deployment(name) for name in speeds]
    async with Router(deployments, strategy=Weighted(), rng=Random(5)) as router:
        for name, latency in speeds.items():
            router._core.fleet.state(name).latency = latency
            router._core.fleet.state(name).sampled = 1e12  # Nothing is forgotten meanwhile.
        explained = [await router.explain("hi") for _ in range(1)]
        counts = Counter()
        for _ in range(2_000):
            for name, latency in speeds.items():
                router._core.fleet.state(name).latency = latency
            counts[(await router.chat("hi")).deployment] += 1

    assert explained[0].ranking
    # Four times over three medians, so a quarter of its weight is left: 1 of 13 calls.
    assert counts["slow"] / 2_000 == pytest.approx(1 / 13, rel=0.25)
    assert counts["a"] / 2_000 == pytest.approx(4 / 13, rel=0.15)
