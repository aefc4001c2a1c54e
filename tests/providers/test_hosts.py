"""How hosts differ: where they are, which key they take, and their own words for things."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from polyroute import (
    ConfigurationError,
    Deployment,
    NoDeploymentAvailableError,
    RateLimitError,
    Router,
    UnsupportedParameterError,
)
from polyroute.providers import HOSTS, ErrorRow, HTTPProvider
from tests.providers.wire import KEY, OK, Response, Scripted, sent

CHATTING = sorted(
    prefix for prefix, host in HOSTS.items() if "chat" in host.kinds and host.wire_format == "openai-chat"
)

EVERYTHING = {
    "max_tokens": 5,
    "seed": 7,
    "tool_choice": "required",
    "user": "ann",
    "reasoning_effort": "low",
    "stop": "x",
    "temperature": 0.5,
    "response_format": {"type": "json_object"},
    "parallel_tool_calls": True,
}

# What each host has instead of what most have; None: it is left out.
OWN_WORDS: dict[str, dict[str, object]] = {
    "openai": {"max_completion_tokens": 5, "max_tokens": None},
    "azure": {"max_completion_tokens": 5, "max_tokens": None},
    "groq": {"max_completion_tokens": 5, "max_tokens": None},
    "xai": {"max_completion_tokens": 5, "max_tokens": None},
    "cerebras": {"max_completion_tokens": 5, "max_tokens": None},
    "mistral": {
        "random_seed": 7, "seed": None, "tool_choice": "any", "user": None, "stream_options": None
    },
    "deepseek": {"user": None, "seed": None},
    "openrouter": {"reasoning": {"effort": "low"}, "reasoning_effort": None},
    "perplexity": {
        "user": None, "stream_options": None, "tool_choice": None, "parallel_tool_calls": None, "seed": None
    },
    "xroute": {"stream_options": None},
}  # fmt: skip


@pytest.mark.parametrize("prefix", CHATTING)
async def test_each_host_is_asked_in_its_own_words(prefix):
    asked = {name: value for name, value in EVERYTHING.items() if name not in HOSTS[prefix].unsupported}

    body = await sent(model=f"{prefix}/any", stream=True, send_user=True, **asked)

    usual = {
        "model": "any",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **EVERYTHING,
        "stop": ["x"],
    }
    expected = usual | OWN_WORDS.get(prefix, {})
    assert body == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize("prefix", CHATTING)
async def test_only_who_knows_developers_is_sent_one(prefix):
    body = await sent([{"role": "developer", "content": "Be brief."}], model=f"{prefix}/any")

    assert body["messages"][0]["role"] == ("developer" if prefix in ("openai", "azure") else "system")


async def test_every_host_is_where_it_says_and_takes_its_own_key(monkeypatch):
    for prefix, host in reversed(HOSTS.items()):  # a key that two share is called after the first
        if host.key_variable:
            monkeypatch.setenv(host.key_variable, f"  key-of-{prefix}\n")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com//")
    seen = {}
    for prefix in CHATTING:
        transport = Scripted(Response(OK))
        address = "http://10.0.0.1/v1" if prefix == "compatible" else None
        deployment = Deployment(f"{prefix}/any", base_url=address)
        await Router([deployment], transport=transport).chat("hi")
        request = transport.sent[0]
        keys = [
            f"{name.decode()}: {value.decode()}"
            for name, value in request.headers
            if name not in (b"user-agent", b"content-type")
        ]
        seen[prefix] = (request.url, keys)

    assert seen == snapshot(
        {
            "azure": ("https://mine.openai.azure.com/openai/v1/chat/completions", ["api-key: key-of-azure"]),
            "cerebras": (
                "https://api.cerebras.ai/v1/chat/completions",
                ["authorization: Bearer key-of-cerebras"],
            ),
            "compatible": ("http://10.0.0.1/v1/chat/completions", []),
            "deepseek": (
                "https://api.deepseek.com/chat/completions",
                ["authorization: Bearer key-of-deepseek"],
            ),
            "fireworks": (
                "https://api.fireworks.ai/inference/v1/chat/completions",
                ["authorization: Bearer key-of-fireworks"],
            ),
            "groq": (
                "https://api.groq.com/openai/v1/chat/completions",
                ["authorization: Bearer key-of-groq"],
            ),
            "huggingface": (
                "https://router.huggingface.co/v1/chat/completions",
                ["authorization: Bearer key-of-huggingface"],
            ),
            "llamacpp": ("http://127.0.0.1:8080/v1/chat/completions", []),
            "lmstudio": ("http://127.0.0.1:1234/v1/chat/completions", []),
            "mistral": (
                "https://api.mistral.ai/v1/chat/completions",
                ["authorization: Bearer key-of-mistral"],
            ),
            "nvidia": (
                "https://integrate.api.nvidia.com/v1/chat/completions",
                ["authorization: Bearer key-of-nvidia"],
            ),
            "openai": ("https://api.openai.com/v1/chat/completions", ["authorization: Bearer key-of-openai"]),
            "openrouter": (
                "https://openrouter.ai/api/v1/chat/completions",
                ["authorization: Bearer key-of-openrouter"],
            ),
            "perplexity": (
                "https://api.perplexity.ai/chat/completions",
                ["authorization: Bearer key-of-perplexity"],
            ),
            "together": (
                "https://api.together.xyz/v1/chat/completions",
                ["authorization: Bearer key-of-together"],
            ),
            "vllm": ("http://127.0.0.1:8000/v1/chat/completions", []),
            "xai": ("https://api.x.ai/v1/chat/completions", ["authorization: Bearer key-of-xai"]),
            "xroute": (
                "https://api.xroute.ai/openai/v1/chat/completions",
                ["authorization: Bearer key-of-xroute"],
            ),
        }
    )


async def test_the_hosts_usual_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/openai/v1")
    transport = Scripted(Response(OK))

    await Router([Deployment("openai/gpt-5", api_key=KEY)], transport=transport).chat("hi")

    assert transport.sent[0].url == "https://proxy.example/openai/v1/chat/completions"


async def test_an_address_in_the_environment_is_checked_as_any_other(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:pass@proxy.example/v1")

    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        await Router([Deployment("openai/gpt-5", api_key=KEY)], transport=Scripted(Response(OK))).chat("hi")


async def test_a_host_without_its_key_or_its_address_is_no_candidate(monkeypatch):
    for variable in ("OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    router = Router(
        [Deployment("openai/gpt-5"), Deployment("azure/gpt-5", api_key=KEY)], transport=Scripted(Response(OK))
    )

    with pytest.raises(NoDeploymentAvailableError) as caught:
        await router.chat("hi")

    assert caught.value.reasons == {
        "openai/gpt-5": "no key: set OPENAI_API_KEY",
        "azure/gpt-5": "no address: give base_url=, or set AZURE_OPENAI_ENDPOINT",
    }


@pytest.mark.parametrize(
    ("prefix", "arguments", "parameter"),
    [
        ("openai", {"top_k": 5}, "top_k"),
        ("mistral", {"logprobs": True}, "logprobs"),
        ("groq", {"n": 2}, "n"),
        ("groq", {"logprobs": 0}, "logprobs"),
        ("deepseek", {"seed": 1}, "seed"),
        ("deepseek", {"response_format": {"type": "object", "properties": {}}}, "response_format"),
    ],
)
async def test_what_a_host_is_known_not_to_take_is_refused_by_name(prefix, arguments, parameter):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(model=f"{prefix}/any", **arguments)

    assert caught.value.parameter == parameter


async def test_what_may_be_dropped_is_dropped():
    body = await sent(model="groq/any", n=2, logprobs=True, options={"may_drop": ("n", "logprobs")})

    assert body == {"model": "any", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("prefix", "arguments", "fields"),
    [
        ("groq", {"n": 1}, {"n": 1}),
        ("groq", {"logprobs": False}, {}),
        (
            "deepseek",
            {"response_format": {"type": "json_object"}},
            {"response_format": {"type": "json_object"}},
        ),
        ("together", {"top_k": 5}, {"top_k": 5}),
    ],
)
async def test_what_asks_for_nothing_unusual_is_honoured_everywhere(prefix, arguments, fields):
    body = await sent(model=f"{prefix}/any", **arguments)

    assert body == {"model": "any", "messages": [{"role": "user", "content": "hi"}]} | fields


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("openai/gpt-5-mini", {"chat"}),
        ("openai/text-embedding-3-small", {"embed"}),
        ("openai/whisperer", {"chat", "embed"}),
        ("mistral/mistral-embed", {"embed"}),
        ("mistral/mistral-large-latest", {"chat"}),
        ("mistral/codestral", {"chat", "embed"}),
        ("together/BAAI/bge-large-en-v1.5", {"embed"}),
        ("together/meta-llama/Llama-3.3-70B-Instruct-Turbo", {"chat"}),
        ("openrouter/anthropic/claude-haiku-4.5", {"chat"}),
        ("perplexity/sonar-pro", {"chat"}),
        ("perplexity/unheard-of", {"chat"}),
        ("voyage/voyage-3.5", {"embed"}),
    ],
)
def test_a_models_family_tells_what_it_serves_and_an_unknown_one_serves_all(model, kinds):
    prefix, _, name = model.partition("/")

    assert HTTPProvider(HOSTS[prefix], Scripted()).kinds(name) == kinds


@pytest.mark.parametrize(
    ("model", "field"),
    [("openai/text-embedding-3-small", "dimensions"), ("mistral/mistral-embed", "output_dimension")],
)
async def test_vectors_are_asked_for_in_the_hosts_own_words(model, field):
    transport = Scripted(Response({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}))
    router = Router([Deployment(model, api_key=KEY)], transport=transport, send_user=True)

    await router.embed(["a", "b"], dimensions=256, user="ann", extra={"truncate": True})

    user = {} if model.startswith("mistral") else {"user": "ann"}
    assert json.loads(transport.sent[0].body) == {
        "model": model.partition("/")[2], "input": ["a", "b"], field: 256, "truncate": True, **user
    }  # fmt: skip
    assert transport.sent[0].url.endswith("/embeddings")


async def test_a_host_of_ones_own_is_a_host_with_other_words():
    host = replace(
        HOSTS["compatible"],
        prefix="mine",
        max_tokens_field="max_completion_tokens",
        errors=(ErrorRow(RateLimitError, statuses=frozenset({420}), pattern="calm"),),
    )
    transport = Scripted(Response({"detail": "Enhance your calm"}, 420), Response(OK))
    provider = HTTPProvider(host, transport)
    deployment = Deployment("mine/any", provider=provider, base_url="http://10.0.0.1", api_key=KEY)
    reply = await Router([deployment]).chat("hi", max_tokens=3)

    assert type(reply.trace.attempts[0].error) is RateLimitError
    assert reply.provider == "mine"
    assert json.loads(transport.sent[1].body)["max_completion_tokens"] == 3


async def test_a_format_that_cannot_embed_serves_no_vectors():
    class ChatOnly:
        name = "chat-only"
        path = encode = decode = stream_decoder = decode_error = None

    provider = HTTPProvider(HOSTS["openai"], Scripted(), wire_format=ChatOnly())
    router = Router([Deployment("mine/any", provider=provider, api_key=KEY)])

    assert provider.kinds("any") == {"chat"}
    with pytest.raises(NoDeploymentAvailableError, match="does not serve embed calls"):
        await router.embed("hi")
    with pytest.raises(ConfigurationError, match="'chat-only' has no embeddings"):
        await provider.embed(None)


async def test_a_key_that_has_gone_since_the_call_was_planned_is_missed(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    transport = Scripted(Response(OK))
    router = Router([Deployment("openai/gpt-5")], transport=transport)
    await router.explain("hi")
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(ConfigurationError, match="openai/gpt-5: no key: set OPENAI_API_KEY"):
        await router.chat("hi")
    assert transport.sent == []


async def test_what_is_remembered_of_deployments_is_bounded():
    transport = Scripted(Response(OK))
    provider = HTTPProvider(HOSTS["compatible"], transport)
    deployment = Deployment("compatible/*", provider=provider, base_url="http://10.0.0.1", api_key=KEY)
    router = Router([deployment])
    for number in range(1_100):
        await router.chat("hi", model=f"compatible/m{number}")

    assert len(transport.sent) == 1_100
    assert len(provider._endpoints) <= 1_024


def test_the_table_of_hosts_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        HOSTS["mine"] = HOSTS["openai"]
    with pytest.raises(AttributeError):
        HOSTS["openai"].base_url = "https://elsewhere.example"
