"""What hosts say that a key reaches, each in its own way."""

from __future__ import annotations

import json

import pytest

from polyroute import AuthenticationError, ConfigurationError, Deployment, ResponseDecodeError, Router
from polyroute.providers import HOSTS
from tests.wire_server import Answer, WireServer

KEY = "k-0123456789abcdef"


async def listing(model: str, answer: Answer):
    """What a router with one deployment of *model* says, and what the host was asked."""
    with WireServer(answer) as host:
        async with Router([Deployment(model, base_url=f"{host.url}/v1", api_key=KEY)]) as router:
            (listing,) = await router.models()
    return listing, host.asked


@pytest.mark.parametrize(
    ("model", "body", "path", "header"),
    [
        ("openai/gpt-5-mini", {"data": [{"id": "gpt-5-mini-2026-01-01"}, {"id": "x"}]}, "/v1/models",
         ("authorization", f"Bearer {KEY}")),
        ("together/x", [{"id": "x"}, {"id": "y", "type": "image"}], "/v1/models", ("authorization", f"Bearer {KEY}")),
        ("anthropic/claude-haiku-4-5", {"data": [{"id": "claude-haiku-4-5-20251001"}], "has_more": False},
         "/v1/models?limit=1000", ("x-api-key", KEY)),
        ("gemini/gemini-2.5-flash", {"models": [{"name": "models/gemini-2.5-flash"}, {"name": None}]},
         "/v1/models?pageSize=1000", ("x-goog-api-key", KEY)),
        ("ollama/gemma3", {"models": [{"model": "gemma3", "name": "gemma3"}]}, "/v1/api/tags",
         ("authorization", f"Bearer {KEY}")),
    ],
)  # fmt: skip
async def test_a_hosts_list_is_read_in_its_own_words(model, body, path, header):
    told, asked = await listing(model, Answer.of(body))

    prefix = model.partition("/")[0]
    assert told.error is None
    assert told.gone == ()
    assert all(name.startswith(f"{prefix}/") for name in told.models)
    assert model in told.models or any(name.startswith(f"{model}-") for name in told.models)
    assert [(each.method, each.path, each.body) for each in asked] == [("GET", path, b"")]
    assert asked[0].headers[header[0]] == header[1]


async def test_a_model_that_is_no_longer_there_is_named():
    told, _ = await listing("openai/gpt-3", Answer.of({"data": [{"id": "gpt-5"}]}))
    assert told.gone == ("openai/gpt-3",)


async def test_a_refusal_is_the_listings_error_and_holds_no_key():
    told, _ = await listing("openai/x", Answer.of({"error": {"message": f"bad key {KEY}"}}, status=401))
    assert isinstance(told.error, AuthenticationError)
    assert KEY not in str(told.error)


@pytest.mark.parametrize(
    "body", [b"<html>", b"3", json.dumps({"data": 3}).encode(), json.dumps([3]).encode()]
)
async def test_what_is_no_list_is_told_too(body):
    told, _ = await listing("openai/x", Answer(body))
    assert isinstance(told.error, ResponseDecodeError)


@pytest.mark.parametrize("prefix", [prefix for prefix, host in HOSTS.items() if host.models is None])
async def test_a_host_without_a_list_says_so(prefix, monkeypatch):
    one = Deployment(f"{prefix}/m", base_url="http://127.0.0.1:9/v1", api_key=KEY, region="eu")
    async with Router([one]) as router:
        (told,) = await router.models()
    assert isinstance(told.error, ConfigurationError)
    assert "no list of its models" in str(told.error)
