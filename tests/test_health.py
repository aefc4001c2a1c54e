"""How deployments fare, from samples and times: jump up at once, forget slowly, blame who is to blame."""

from __future__ import annotations

from decimal import Decimal
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    Attempt,
    BadRequestError,
    ChatRequest,
    Deployment,
    EmbedRequest,
    Message,
    Price,
    RateLimitError,
    ServerError,
    Usage,
)
from polyroute.fleet import Fleet, State, learn
from polyroute.health import failure_sample, peak_ewma, share

times = st.floats(0.001, 1_000)


@pytest.mark.parametrize(
    ("estimate", "sample", "elapsed", "expected"),
    [
        (None, 3.0, 0.0, 3.0),  # the first sample is all that is known
        (1.0, 3.0, 0.0, 3.0),  # a peak counts at once
        (3.0, 1.0, 0.0, 3.0),  # nothing is forgotten in no time
        (3.0, 1.0, 10.0, 3 * exp(-1) + 1 * (1 - exp(-1))),
        (3.0, 1.0, 1e9, 1.0),
    ],
)
def test_latency_is_a_peak_ewma(estimate, sample, elapsed, expected):
    assert peak_ewma(estimate, sample, elapsed) == pytest.approx(expected)


@given(times, times, times)
def test_an_estimate_stays_between_what_it_was_and_the_sample(estimate, sample, elapsed):
    new = peak_ewma(estimate, sample, elapsed)
    assert min(estimate, sample) - 1e-9 <= new <= max(estimate, sample) + 1e-9


def test_a_rate_moves_a_tenth_of_the_way_with_each_outcome():
    assert share(0.0, happened=True) == pytest.approx(0.1)
    assert share(0.5, happened=False) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("latency", "retry_after", "expected"),
    [(0.01, None, 5.0), (9.0, None, 9.0), (0.01, 60, 60), (0.01, 1, 1), (0.01, 10_000, 300)],
)
def test_a_failure_counts_for_seconds_so_that_who_fails_fast_does_not_look_fast(
    latency, retry_after, expected
):
    assert failure_sample(latency, RateLimitError("x", retry_after=retry_after)) == expected


class TestLearning:
    def test_from_answers_and_failures(self):
        state = State()
        learn(state, Attempt("a", 0.0, 2.0, ttft=0.5, usage=Usage(1, 100)))
        assert (state.latency, state.ttft, state.error_rate, state.reply_tokens) == (2.0, 0.5, 0.0, 100)
        learn(state, Attempt("a", 2.0, 12.0, usage=Usage(1, 200)))
        assert state.latency == 10.0
        assert state.ttft == 0.5  # it had none
        assert state.reply_tokens == pytest.approx(110)
        learn(state, Attempt("a", 12.0, 12.1, ServerError("x"), usage=Usage(1, 9_999)))
        assert state.error_rate == pytest.approx(0.1)
        assert state.reply_tokens == pytest.approx(110)  # of a failure nothing is learnt about lengths
        assert state.latency == pytest.approx(10 * exp(-0.01) + 5 * (1 - exp(-0.01)))

    def test_not_from_the_callers_own_mistakes(self):
        state = State()
        learn(state, Attempt("a", 0.0, 2.0, BadRequestError("x")))
        assert state == State()


class TestAFleet:
    def test_shows_vitals_by_deployment_and_by_id(self):
        fleet = Fleet(Random(1))
        fleet.state("a").in_flight = 3
        assert fleet["a"].in_flight == fleet[Deployment("p/m", id="a")].in_flight == 3
        assert fleet["unknown"].in_flight == 0
        assert fleet.busy
        fleet.state("a").in_flight = 0
        assert not fleet.busy

    def test_a_preview_draws_the_same_chances_and_takes_none_away(self):
        fleet = Fleet(Random(1))
        preview = fleet.preview()
        drawn = preview.rng.random()
        assert fleet.rng.random() == drawn
        assert preview["a"] == fleet["a"]

    def test_forgets_the_idle_before_it_grows_for_ever(self):
        fleet = Fleet(Random(1))
        fleet.state("busy").in_flight = 1
        for number in range(5_000):
            fleet.state(f"m{number}")
        assert fleet["busy"].in_flight == 1
        assert len(fleet.states) <= 4_096

    def test_estimates_from_what_it_has_seen(self):
        fleet = Fleet(Random(1))
        deployment = Deployment("p/m", id="a", price=Price(1_000_000, 2_000_000))
        request = ChatRequest(messages=(Message("user", "x" * 16),))
        assert fleet.estimate(request, deployment) == Decimal(8 + 2 * 256)
        fleet.state("a").reply_tokens = 10
        assert fleet.estimate(request, deployment) == Decimal(8 + 2 * 10)
        assert fleet.estimate(request, Deployment("p/m", id="a")) is None
        assert fleet.estimate(EmbedRequest(input=("x" * 16,)), deployment) == Decimal(4)

    def test_estimates_for_the_model_that_would_be_asked(self):
        """Cohere puts some five hundred tokens of its own before every prompt."""
        request = ChatRequest(messages=(Message("user", "hi"),))
        price = Price(1_000_000, 0)
        named, like, other = (
            Fleet(Random(1)).estimate(request, each)
            for each in (
                Deployment("cohere/command-a-03-2025", price=price),
                Deployment("p/m", like="cohere/command-a-03-2025", price=price),
                Deployment("p/m", price=price),
            )
        )
        assert named == like > 490 + other
