"""The verdict after a failure, decided from what happened and from nothing else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    Attempt,
    AttemptTimeoutError,
    AuthenticationError,
    ConfigurationError,
    ExponentialBackoff,
    Fallback,
    GiveUp,
    QuotaExhaustedError,
    RateLimitError,
    Retry,
    ServerError,
)


def attempt(error, deployment="a", ended=100.0):
    return Attempt(deployment, ended - 1, ended, error)


def rate_limited(retry_after=None, **options):
    return attempt(RateLimitError("busy", retry_after=retry_after), **options)


def failed(**options):
    return attempt(ServerError("down"), **options)


def unauthorised(**options):
    return attempt(AuthenticationError("no"), **options)


def timed_out(**options):
    return attempt(AttemptTimeoutError("silent", phase="attempt"), **options)


class Highest(Random):
    """Chance at its worst: always the upper end."""

    def uniform(self, a, b):
        return b


@pytest.mark.parametrize(
    ("history", "others", "remaining", "verdict"),
    [
        ([failed()], 1, 60, Fallback()),  # a sibling that was not tried comes before any wait
        ([rate_limited(3)], 1, 60, Fallback()),
        ([rate_limited(3)], 0, 60, Retry(3.0)),
        ([rate_limited(3)], 0, None, Retry(3.0)),
        ([rate_limited(0.1)], 0, 60, Retry(0.5)),  # the backoff is longer
        ([failed()], 0, 60, Retry(0.5)),
        ([failed(), failed()], 0, 60, Retry(1.0)),
        ([failed()] * 3, 0, 60, GiveUp()),
        ([timed_out()] * 3, 0, 60, GiveUp()),
        ([unauthorised()], 0, 60, Fallback()),
        ([timed_out()], 0, 60, Fallback()),
        ([attempt(QuotaExhaustedError("broke", retry_after=1))], 0, 60, Fallback()),
        ([failed(deployment="a"), unauthorised(deployment="b")], 0, 60, Retry(0.5)),  # a may be asked again
        ([rate_limited(3)], 0, 3, GiveUp()),  # it would end with the call
        ([failed()], 0, 0.4, GiveUp()),
        ([rate_limited(20)], 0, 60, Retry(20.0)),
        ([rate_limited(21)], 0, 60, Retry(21.0, last_resort=True)),
        ([rate_limited(61)], 0, 60, GiveUp()),
        # Each host's own newest hint counts, from when it was given; the soonest of them is enough.
        ([rate_limited(10, deployment="a", ended=95), rate_limited(9, deployment="b")], 0, 60, Retry(5.0)),
        ([rate_limited(30, ended=90), rate_limited(2)], 0, 60, Retry(2.0)),
        ([rate_limited(30, deployment="a"), failed(deployment="b")], 0, 60, Retry(0.5)),
    ],
)
def test_decides_from_what_happened(history, others, remaining, verdict):
    policy = ExponentialBackoff(max_retries=2, rng=Highest(1))
    assert policy.decide(history, remaining=remaining, others=others) == verdict


def test_the_ceiling_doubles_up_to_the_cap():
    policy = ExponentialBackoff(max_retries=1_000, base=0.5, cap=8, rng=Highest(1))
    waits = [policy.decide([failed()] * n, remaining=None, others=0).delay for n in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert policy.decide([failed()] * 900, remaining=None, others=0) == Retry(8.0)


def test_the_defaults():
    policy = ExponentialBackoff()
    assert (policy.max_retries, policy.base, policy.cap, policy.patience) == (2, 0.5, 8.0, 20.0)
    assert ExponentialBackoff(0, 0, 0, patience=0) == ExponentialBackoff(
        max_retries=0, base=0, cap=0, patience=0
    )


def test_jitter_is_full_and_seeded():
    waits = [
        ExponentialBackoff(rng=Random(seed)).decide([failed()], remaining=None, others=0).delay
        for seed in range(200)
    ]
    assert min(waits) < 0.05
    assert max(waits) > 0.45
    assert ExponentialBackoff(rng=Random(5)).decide(
        [failed()], remaining=None, others=0
    ) == ExponentialBackoff(rng=Random(5)).decide([failed()], remaining=None, others=0)


@given(
    errors=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["transient", "final", "silent"]),
            st.none() | st.floats(0, 100),
        ),
        min_size=1,
        max_size=8,
    ),
    remaining=st.none() | st.floats(0, 1_000),
    others=st.integers(0, 2),
    retries=st.integers(0, 4),
)
def test_never_more_than_it_may_and_never_past_the_deadline(errors, remaining, others, retries):
    make = {"transient": ServerError, "final": AuthenticationError, "silent": AttemptTimeoutError}
    history = [
        attempt(make[kind]("x", retry_after=after), deployment=name, ended=float(n))
        for n, (name, kind, after) in enumerate(errors)
    ]
    verdict = ExponentialBackoff(max_retries=retries).decide(history, remaining=remaining, others=others)
    second_tries = len(history) - len({name for name, *_ in errors})
    if isinstance(verdict, Retry):
        assert not others
        assert second_tries < retries
        assert remaining is None or verdict.delay < remaining
        assert any(error == "transient" for _, error, _ in errors)
    else:
        assert isinstance(verdict, Fallback | GiveUp)


@pytest.mark.parametrize(
    "options", [{"max_retries": -1}, {"max_retries": 1.5}, {"base": -1}, {"cap": float("nan")}]
)
def test_refuses_what_makes_no_sense(options):
    with pytest.raises(ConfigurationError):
        ExponentialBackoff(**options)
