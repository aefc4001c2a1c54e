"""What a call becomes in Ollama's own chat, and where it is asked."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    ConfigurationError,
    Deployment,
    NamedTool,
    ResponseFormat,
    Router,
    Tool,
    UnsupportedParameterError,
)
from tests.providers.ollama.wire import OLLAMA, reply, sent
from tests.providers.wire import Response, Scripted

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather", "Tell the weather.", SCHEMA, strict=True)
PLAIN = {"model": "qwen3", "messages": [{"role": "user", "content": "hi"}], "stream": False}
TOLD = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA},
    }
]


async def test_a_plain_question_says_that_it_is_not_to_be_streamed():
    assert await sent("Why is the sky blue?") == snapshot(
        {
            "model": "qwen3",
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
            "stream": False,
        }
    )


async def test_a_stream_is_asked_for_whatever_extra_says():
    assert (await sent(stream=True, extra={"stream": False}))["stream"] is True
    assert (await sent(extra={"stream": True}))["stream"] is False


async def asked(monkeypatch, host=None, key=None, **options):
    for name, value in {"OLLAMA_HOST": host, "OLLAMA_API_KEY": key}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    transport = Scripted(Response(reply("ok")))
    await Router([Deployment(OLLAMA, **options)], transport=transport).chat("hi")
    return transport.sent[0]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (None, "http://127.0.0.1:11434"),
        (" ", "http://127.0.0.1:11434"),
        ("http://10.0.0.1:8080/", "http://10.0.0.1:8080"),
        ("https://ollama.com", "https://ollama.com"),
        # As Ollama's own programs take it: without a scheme, and without a port or a name.
        ("10.0.0.1", "http://10.0.0.1:11434"),
        ("gpu.local:8080", "http://gpu.local:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("10.0.0.1/behind/a/proxy", "http://10.0.0.1:11434/behind/a/proxy"),
    ],
)
async def test_it_is_asked_where_ollama_s_own_variable_says(monkeypatch, host, address):
    request = await asked(monkeypatch, host)

    assert request.url == f"{address}/api/chat"


async def test_a_base_url_beats_the_variable(monkeypatch):
    request = await asked(monkeypatch, "10.0.0.1", base_url="http://10.0.0.2:1/ollama")

    assert request.url == "http://10.0.0.2:1/ollama/api/chat"


@pytest.mark.parametrize("host", ["::1", "http://user:pass@10.0.0.1", "ftp://10.0.0.1", "10.0.0.1?x=1"])
async def test_a_variable_that_holds_no_address_is_refused(monkeypatch, host):
    with pytest.raises(ConfigurationError, match="OLLAMA_HOST"):
        await asked(monkeypatch, host)


async def test_a_key_is_sent_where_there_is_one(monkeypatch):
    assert b"authorization" not in dict((await asked(monkeypatch)).headers)
    with_key = await asked(monkeypatch, "https://ollama.com", "k-0123456789abcdef")
    assert dict(with_key.headers)[b"authorization"] == b"Bearer k-0123456789abcdef"


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"max_tokens": 64}, {"options": {"num_predict": 64}}),
        ({"temperature": 0, "seed": 0}, {"options": {"temperature": 0, "seed": 0}}),
        ({"top_p": 0.9, "top_k": 40}, {"options": {"top_p": 0.9, "top_k": 40}}),
        ({"frequency_penalty": -0.5}, {"options": {"frequency_penalty": -0.5}}),
        ({"presence_penalty": 0.5}, {"options": {"presence_penalty": 0.5}}),
        ({"stop": "END"}, {"options": {"stop": ["END"]}}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"logprobs": False, "n": 1, "parallel_tool_calls": True}, {}),
        ({"reasoning_effort": "none"}, {"think": False}),
        ({"reasoning_effort": "low"}, {"think": "low"}),
        ({"reasoning_effort": "high"}, {"think": "high"}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}),
        ({"response_format": SCHEMA}, {"format": SCHEMA}),
        (
            {"response_format": ResponseFormat("json_schema", schema=SCHEMA, description="A place.")},
            {"format": {"description": "A place.", **SCHEMA}},
        ),
        ({"tools": [WEATHER]}, {"tools": TOLD}),
        ({"tools": [WEATHER], "tool_choice": "auto"}, {"tools": TOLD}),
        ({"tools": [WEATHER], "tool_choice": "none"}, {}),
        ({"tools": []}, {}),
        ({"user": "ann", "metadata": {"app": "shop"}}, {}),
        (
            {
                "temperature": 1,
                "seed": 7,
                "extra": {"options": {"num_ctx": 8192, "seed": 8}, "keep_alive": "5m"},
            },
            {"options": {"temperature": 1, "num_ctx": 8192, "seed": 8}, "keep_alive": "5m"},
        ),
    ],
)
async def test_an_argument_is_an_option_or_a_field_of_its_own(arguments, fields):
    assert await sent(**arguments) == PLAIN | fields


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"n": 2}, "n"),
        ({"tools": [WEATHER], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": NamedTool("weather")}, "tool_choice"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort"),
    ],
)
async def test_what_the_format_cannot_say_is_refused_by_name(arguments, name):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(**arguments)

    assert caught.value.parameter == name
