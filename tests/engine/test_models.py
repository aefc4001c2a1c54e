"""What each key reaches, and which configured models are no longer there."""

from __future__ import annotations

import anyio
import pytest

from polyroute import ConfigurationError, Deployment, NotFoundError, Router
from tests.doubles import deployment


class Lists:
    """A provider that can say which models it has."""

    name = "lists"

    def __init__(self, *names, error=None, missing=None):
        self.names, self.error, self.missing = names, error, missing
        self.asked = []

    def needs(self, deployment):
        return self.missing

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        raise NotImplementedError
        yield

    async def models(self, deployment, deadline):
        self.asked.append((deployment.id, deadline.at - anyio.current_time()))
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return list(self.names)


async def test_one_key_is_asked_once_and_tells_what_it_reaches_and_what_is_gone():
    host = Lists("small-2026-01-01", "large", "other")
    names = ["lists/small", "lists/large", "lists/large-latest", "lists/smal", "lists/*"]
    async with Router([Deployment(name, provider=host) for name in names], timeout=7) as router:
        (listing,) = await router.models()

    assert listing.provider == "lists"
    assert listing.deployments == tuple(names)
    assert listing.models == ("lists/small-2026-01-01", "lists/large", "lists/other")
    assert listing.gone == ("lists/large-latest", "lists/smal")
    assert listing.error is None
    assert host.asked == [("lists/small", pytest.approx(7, abs=0.5))]


async def test_each_key_and_each_host_has_a_listing_of_its_own():
    host = Lists("m")
    keys = {"api_key": "k-1"}, {"api_key": "k-2"}, {"base_url": "https://x.example"}, {"region": "eu"}
    deployments = [
        Deployment("lists/m", id=str(place), provider=host, **key) for place, key in enumerate(keys)
    ]
    async with Router([*deployments, Deployment("lists/n", id="n", provider=host, api_key="k-1")]) as router:
        listings = await router.models()

    assert [listing.deployments for listing in listings] == [("0", "n"), ("1",), ("2",), ("3",)]
    assert [listing.gone for listing in listings] == [("n",), (), (), ()]


async def test_who_cannot_say_says_why():
    refused = NotFoundError("404", status=404)
    deployments = [
        Deployment("lists/a", provider=Lists(error=refused)),
        Deployment("lists/b", provider=Lists(missing="no key: set X")),
        deployment("c"),
    ]
    async with Router(deployments) as router:
        first, second, third = await router.models()

    assert (first.error, first.models, first.gone) == (refused, (), ())
    assert isinstance(second.error, ConfigurationError)
    assert "no key: set X" in str(second.error)
    assert "no list of its models" in str(third.error)


async def test_a_bug_comes_out_as_itself():
    async with Router([Deployment("lists/a", provider=Lists(error=ZeroDivisionError()))]) as router:
        with pytest.raises(ZeroDivisionError):
            await router.models()


async def test_a_closed_router_is_asked_no_more():
    router = Router([Deployment("lists/a", provider=Lists("a"))])
    await router.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await router.models()
