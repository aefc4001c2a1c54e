"""Several keys of one host: one that is refused is taken out, one that is told to wait makes room for the next."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    BreakerOpened,
    CircuitBreaker,
    ConfigurationError,
    Deployment,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    Router,
    ServerError,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked
from tests.virtual_time import anyio_backend  # noqa: F401

KEYS = ["sk-one", "sk-two", "sk-three"]


class Host(FakeProvider):
    """It answers, but for the keys that it was told to meet with an error."""

    def __init__(self, **errors: Exception) -> None:
        super().__init__(script=[self._answered])
        self.errors = errors
        self.keys: list[object] = []

    def _answered(self, call):
        key = call.deployment.api_key
        name = "callable" if callable(key) else key.get_secret_value().removeprefix("sk-")
        self.keys.append(name)
        if name in self.errors:
            raise self.errors[name]
        return f"by {name}"


def keyed(host: Host, **options) -> list[Deployment]:
    return Deployment.for_keys("fake/m", KEYS, provider=host, **options)


REFUSALS = [
    AuthenticationError("no", status=401),
    QuotaExhaustedError("no money", status=402),
    PermissionDeniedError("no right", status=403),
    QuotaExhaustedError("no quota", status=429),
]


def test_each_key_is_a_deployment_of_its_own():
    named = Deployment.for_keys("openai/gpt-5", KEYS, id="gpt", weight=2)
    assert [each.id for each in named] == ["gpt#1", "gpt#2", "gpt#3"]
    assert [each.api_key.get_secret_value() for each in named] == KEYS
    assert {each.weight for each in named} == {2}
    assert [each.id for each in Deployment.for_keys("openai/gpt-5", KEYS)] == [None] * 3
    for keys in ("sk-one", []):
        with pytest.raises(ConfigurationError, match="for_keys"):
            Deployment.for_keys("openai/gpt-5", keys)


@pytest.mark.parametrize("error", REFUSALS, ids=str)
async def test_a_key_that_is_refused_is_out_at_once_and_the_next_one_serves(error):
    host = Host(one=error)
    async with Router(keyed(host, id="m")) as router:
        assert asked(await router.chat("hi")) == ["m#1", "m#2"]
        for _ in range(5):
            assert asked(await router.chat("hi")) == ["m#2"]
        assert "refused for good" in str(await router.explain("hi"))
        await anyio.sleep(290)
        assert asked(await router.chat("hi")) == ["m#2"]
        host.errors.clear()
        await anyio.sleep(11)
        assert asked(await router.chat("hi")) == ["m#1"]


async def test_a_key_that_is_told_to_wait_makes_room_for_the_next_at_once_and_comes_back():
    host = Host(one=RateLimitError("busy", status=429, retry_after=30))
    async with Router(keyed(host, id="m")) as router:
        began = anyio.current_time()
        assert asked(await router.chat("hi")) == ["m#1", "m#2"]
        assert asked(await router.chat("hi")) == ["m#2"]
        assert anyio.current_time() == began
        assert router.fleet["m#1"].barred == pytest.approx(30)
        assert router.fleet["m#1"].breaker == "closed"
        host.errors.clear()
        await anyio.sleep(30)
        assert asked(await router.chat("hi")) == ["m#1"]


async def test_a_hosts_own_failure_says_nothing_of_the_key():
    host = Host(one=ServerError("down", status=500))
    async with Router(keyed(host, id="m")) as router:
        for _ in range(3):
            assert asked(await router.chat("hi")) == ["m#1", "m#2"]


@pytest.mark.parametrize("error", REFUSALS[:2], ids=str)
async def test_what_has_the_same_key_at_the_same_host_is_out_with_it_whatever_its_model(error):
    host, elsewhere = Host(one=error), Host()
    deployments = [
        Deployment("fake/a", id="a", provider=host, api_key="sk-one"),
        Deployment("fake/b", id="b", provider=host, api_key="sk-one"),
        Deployment("fake/c", id="c", provider=host, api_key="sk-one", base_url="https://other.example"),
        Deployment("fake/d", id="d", provider=elsewhere, api_key="sk-one"),
        Deployment("fake/e", id="e", provider=host, api_key="sk-one", breaker=None),
        Deployment("fake/f", id="f", provider=host, api_key="sk-two"),
    ]
    async with Router(deployments) as router:
        with pytest.raises(AllAttemptsFailedError):
            await router.chat("hi", model="a")
        assert {id for id in "abcdef" if router.fleet[id].breaker == "open"} == {"a", "b"}


@pytest.mark.parametrize(
    "error", [NotFoundError("no such model", status=404), PermissionDeniedError("not you", status=403)]
)
async def test_a_model_that_is_not_there_or_not_allowed_leaves_the_keys_other_models_be(error):
    async with Router(
        [
            Deployment("fake/a", id="a", provider=(host := Host(one=error)), api_key="sk-one"),
            Deployment("fake/b", id="b", provider=host, api_key="sk-one"),
        ],
        retry=None,
    ) as router:
        with pytest.raises(AllAttemptsFailedError):
            await router.chat("hi")
        assert router.fleet["a"].breaker == "open"
        host.errors.clear()
        assert asked(await router.chat("hi", model="b")) == ["b"]


async def test_a_key_that_is_asked_for_each_time_may_be_another_one_by_then():
    host = Host(callable=AuthenticationError("no", status=401))
    deployments = [
        Deployment("fake/m", id="a", provider=host, api_key=lambda: "sk-short-lived"),
        Deployment("fake/m", id="b", provider=host, api_key="sk-two"),
    ]
    async with Router(deployments) as router:
        for _ in range(5):
            assert asked(await router.chat("hi")) == ["a", "b"]
        assert asked(await router.chat("hi")) == ["b"]  # but five failures are five failures
        assert "5 failures in a row" in str(await router.explain("hi"))


async def test_an_only_key_that_is_no_good_is_told_of_by_every_call():
    host = Host(one=AuthenticationError("no", status=401))
    async with Router([Deployment("fake/m", provider=host, api_key="sk-one")]) as router:
        for _ in range(3):
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")
            assert isinstance(caught.value.__cause__, AuthenticationError)
        host.errors.clear()
        assert (await router.chat("hi")).text == "by one"  # It was given money, and serves at once.
        await anyio.sleep(100)
        assert (await router.chat("hi")).text == "by one"


async def test_equal_model_and_key_share_what_a_429_teaches_and_nothing_else_does():
    host = Host(one=RateLimitError("busy", status=429, retry_after=9))
    options = {"provider": host, "api_key": "sk-one"}
    deployments = [
        Deployment("fake/m", id="a", **options),
        Deployment("fake/m", id="same", **options),
        Deployment("fake/m", id="other key", provider=host, api_key="sk-two"),
        Deployment("fake/other", id="other model", **options),
        Deployment("fake/m", id="other host", provider=host, api_key="sk-one", base_url="https://x.example"),
    ]
    async with Router(deployments) as router:
        assert asked(await router.chat("hi")) == ["a", "other key"]
        barred = {each.id: router.fleet[each.id].barred for each in deployments}
    assert barred == {
        "a": pytest.approx(9), "same": pytest.approx(9), "other model": 0, "other key": 0, "other host": 0
    }  # fmt: skip


async def test_deployments_without_a_key_are_not_taken_for_one_anothers():
    busy = FakeProvider(script=[RateLimitError("busy", retry_after=9), "ok"])
    async with Router(
        [Deployment("fake/m", id="a", provider=busy), Deployment("fake/m", id="b", provider=busy)]
    ) as router:
        assert asked(await router.chat("hi")) == ["a", "b"]


async def test_an_opening_is_told_once_for_each():
    host = Host(one=AuthenticationError("no", status=401))
    deployments = [
        Deployment("fake/a", id="a", provider=host, api_key="sk-one", breaker=CircuitBreaker(longest=60)),
        Deployment("fake/b", id="b", provider=host, api_key="sk-one"),
        Deployment("fake/c", id="c", provider=Host(), api_key="sk-two"),
    ]
    async with Router(deployments) as router, router.events() as events:
        await router.chat("hi")
        router.pause("c")
        for _ in range(3):
            with pytest.raises(AllAttemptsFailedError):
                await router.chat("hi")
    told = [(each.deployment, each.lasting) async for each in events if isinstance(each, BreakerOpened)]
    assert told[:2] == [("a", pytest.approx(60)), ("b", pytest.approx(300))]
    assert len(told) == 2
