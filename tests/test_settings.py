"""Frozen settings: what they hold, how they merge, and what they refuse."""

from __future__ import annotations

import pickle
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import ConfigurationError, Deployment, Price, Route, Router, Timeout, Usage
from polyroute.pricing import dollars, nanodollars
from polyroute.settings import Secret
from polyroute.testing import FakeProvider

FIELDS = ("total", "attempt", "connect", "first_token", "between_tokens")
timeouts = st.dictionaries(st.sampled_from(FIELDS), st.none() | st.floats(0, 1e6)).map(
    lambda said: (said, Timeout(**said))
)


def test_the_defaults_of_a_timeout():
    assert [getattr(Timeout(), name) for name in FIELDS] == [600, 120, 5, 30, 20]
    assert Timeout(3).total == 3
    assert repr(Timeout(attempt=1)) == "Timeout(attempt=1)"


@given(timeouts, timeouts)
def test_merging_takes_what_was_said_and_nothing_else(one, other):
    (said, timeout), (over, above) = one, other
    merged = timeout.merged(above)
    for name in FIELDS:
        expected = over.get(name, said.get(name, getattr(Timeout(), name)))
        assert getattr(merged, name) == expected
        assert merged.says(name) == (name in said or name in over)


def test_a_timeout_is_frozen_a_value_and_pickles():
    timeout = Timeout(total=None, attempt=3)
    with pytest.raises(AttributeError):
        timeout.total = 1
    assert timeout == Timeout(total=None, attempt=3)
    assert len({timeout, Timeout(total=None, attempt=3)}) == 1
    assert timeout != Timeout()
    assert pickle.loads(pickle.dumps(timeout)) == timeout


class TestAPrice:
    @pytest.mark.parametrize("amount", [0.15, "0.15", Decimal("0.15")])
    def test_takes_numbers_strs_and_decimals_for_what_they_show(self, amount):
        assert Price(input=amount, output=1) == Price(input="0.15", output="1.00")
        assert nanodollars(Price(amount, 0), Usage(1_000_000)) == 150_000_000

    @pytest.mark.parametrize("wrong", [-1, "x", float("nan"), "inf", True, None])
    def test_refuses_what_is_no_price(self, wrong):
        with pytest.raises(ConfigurationError, match="US dollars per million tokens"):
            Price(input=wrong, output=1)

    def test_prices_each_token_of_the_prompt_once(self):
        price = Price(input=10, output=20, cached_input=1, cache_write=12)
        usage = Usage(1_000, 100, cached_input_tokens=600, cache_write_tokens=100)
        assert dollars(nanodollars(price, usage)) == Decimal("0.003") + Decimal("0.0006") + Decimal(
            "0.0012"
        ) + Decimal("0.002")

    def test_counts_the_cached_part_as_input_where_it_has_no_price_of_its_own(self):
        assert nanodollars(Price(10, 0), Usage(100, cached_input_tokens=60)) == nanodollars(
            Price(10, 0), Usage(100)
        )

    def test_a_fraction_of_a_nanodollar_is_rounded_up(self):
        assert nanodollars(Price("0.0375", 0), Usage(1)) == 38

    @given(st.decimals(0, 1_000, places=4), st.integers(0, 10**7), st.integers(0, 10**7))
    def test_is_exact_to_a_nanodollar(self, amount, input, output):
        price = Price(amount, amount)
        exact = amount * (input + output) / 1_000_000
        assert 0 <= dollars(nanodollars(price, Usage(input, output))) - exact < Decimal("1e-9")


class TestASecret:
    def test_shows_nothing_and_is_not_pickled(self):
        secret = Secret("sk-1234")
        assert "1234" not in repr(secret) + str(secret) + f"{secret}"
        with pytest.raises(TypeError):
            pickle.dumps(secret)
        assert secret == Secret("sk-1234") != Secret("sk-5678")
        assert len({secret, Secret("sk-1234"), "sk-1234"}) == 2
        assert secret.get_secret_value() == "sk-1234"


class TestADeployment:
    def test_never_shows_its_key(self):
        from pydantic import SecretStr

        for key in ("sk-1234567", SecretStr("sk-1234567"), lambda: "sk-1234567"):
            deployment = Deployment(
                "openai/m",
                api_key=key,
                headers={"x-api-key": "sk-1234567"},
                params={"extra": {"k": "sk-1234567"}},
            )
            assert "1234567" not in repr(deployment)
            assert "1234567" not in repr(Router([deployment]))

    def test_shows_what_was_said_of_it(self):
        assert repr(Deployment("openai/m")) == "Deployment('openai/m')"
        assert repr(Deployment("openai/m", weight=2.0)) == "Deployment('openai/m', weight=2.0)"

    @pytest.mark.parametrize("made", [partial(Deployment, "openai/m"), partial(Route, ["a"])])
    def test_its_params_like_a_routes_are_its_own(self, made):
        given = {"seed": 1}
        params = made(params=given).params
        given["seed"] = 2
        assert dict(params) == {"seed": 1}
        with pytest.raises(TypeError):
            params["seed"] = 3

    @pytest.mark.parametrize("name", ["messages", "model", "input", "tags", "sead"])
    def test_may_drop_what_a_call_can_do_without_and_nothing_else(self, name):
        Deployment("openai/m", may_drop=("seed", "dimensions"))
        with pytest.raises(ConfigurationError, match=f"may_drop names no argument.*{name!r}"):
            Deployment("openai/m", may_drop=(name,))

    def test_tells_the_parts_of_its_name(self):
        deployment = Deployment("openrouter/openai/gpt-5", region="eu", tags=["x"])
        assert (deployment.prefix, deployment.name) == ("openrouter", "openai/gpt-5")
        assert deployment.all_tags == {"x", "provider:openrouter", "model:openai/gpt-5", "region:eu"}
        assert Deployment("p/*").is_pattern

    @pytest.mark.parametrize(
        "options",
        [
            {"model": "no-slash"},
            {"model": "a/"},
            {"model": "a/b\nc"},
            {"model": "a/b", "id": ""},
            {"model": "a/b", "id": "x\x00"},
            {"model": "a/b", "weight": -1},
            {"model": "a/b", "weight": float("inf")},
            {"model": "a/b", "price": 3},
            {"model": "a/b", "tags": "eu"},
            {"model": "a/b", "tags": [1]},
            {"model": "a/b", "api_key": "sk\r\nHost: evil"},
            {"model": "a/b", "headers": {"x": "a\nb"}},
            {"model": "a/b", "headers": {"x y": "a"}},
            {"model": "a/b", "base_url": "ftp://x"},
            {"model": "a/b", "base_url": "https://user:pw@x.example/v1"},
            {"model": "a/b", "base_url": "https://a\\@b.example"},
            {"model": "a/b", "base_url": "https://x.example/v1?key=1"},
            {"model": "a/b", "base_url": "x.example/v1"},
            {"model": "a/b", "base_url": "http://x.example:99999/v1"},
            {"model": "a/b", "timeout": "x"},
            {"model": "a/b", "limits": 3},
            {"model": "a/b", "breaker": 3},
            {"model": "a/b", "wieght": 3},
        ],
    )
    def test_is_refused_when_built_and_says_why(self, options):
        with pytest.raises(ConfigurationError) as caught:
            Deployment(**options)
        assert "sk" not in str(caught.value).split("api_key")[0]
        assert "evil" not in str(caught.value)

    @pytest.mark.parametrize("address", ["http://10.0.0.1:8000/v1", "https://x.example", "http://[::1]:9/v1"])
    def test_takes_any_host_over_http(self, address):
        assert Deployment("compatible/m", base_url=address).base_url == address

    def test_takes_none_for_what_is_left_out(self):
        Deployment(
            "a/b", id=None, tags=None, may_drop=None, params=None, headers=None, timeout=None, breaker=None
        )
        Router(
            [Deployment("a/b", provider=FakeProvider())],
            routes=None,
            fallbacks=None,
            tags=None,
            middleware=None,
            params=None,
        )


@pytest.mark.parametrize(
    "options",
    [
        {"deployments": "a"},
        {"deployments": ["a"], "fallbacks": "b"},
        {"deployments": ["a"], "hedge": 3},
        {"deployments": ["a"], "degrade": "later"},
        {"deployments": ["a"], "after_content_filter": "maybe"},
        {"deployments": ["a"], "timeout": "x"},
        {"deployments": ["a"], "stratgy": 1},
    ],
)
def test_a_route_that_is_none_is_refused(options):
    with pytest.raises(ConfigurationError):
        Route(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"hedge": 1}, {"degrade": "later"}, {"breaker": 1}, {"limiter": 1}, {"cache": 1}, {"budgets": (1,)},
        {"ledger": 1}, {"guards": (1,)}, {"state": 1}, {"transport": 3},
    ],
)  # fmt: skip
def test_an_option_that_makes_no_sense_or_is_not_built_yet_is_refused_by_its_name(options):
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        Router(["fake/a"], **options)


@pytest.mark.parametrize(
    "options",
    [
        {"deployments": []}, {"deployments": "openai/x"}, {"deployments": [3]}, {"deployments": ["unheard-of/x"]},
        {"deployments": ["opnai/x"]}, {"deployments": ["compatible/x"]},
        {"params": {"temprature": 1}}, {"params": {"temperature": "hot"}}, {"params": {"extra": {}}}, {"params": {"user": "a"}},
        {"deployments": [Deployment("fake/a", id="a"), Deployment("fake/b", id="a")]},
        {"deployments": [Deployment("fake/a", id="x"), Deployment("fake/x", id="fake/a")]},
        {"deployments": [Deployment("fake/a", id="fake/a"), Deployment("fake/a", id="fake/a")]},
        {"routes": {"x": ["openai/x"]}}, {"routes": {"x": Route([])}}, {"stratgy": 1},
    ],
)  # fmt: skip
def test_wiring_that_is_wrong_is_refused_when_built(options):
    with pytest.raises(ConfigurationError):
        Router(**{"deployments": ["openai/x"], **options})
