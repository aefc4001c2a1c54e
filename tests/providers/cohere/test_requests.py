"""What a call's arguments become in Cohere's chat."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    Deployment,
    NamedTool,
    NoDeploymentAvailableError,
    ResponseFormat,
    Router,
    Tool,
    UnsupportedParameterError,
)
from tests.providers.cohere.wire import COHERE, reply, sent, streamed, text
from tests.providers.wire import KEY, Response, Scripted

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tell the weather.", SCHEMA)
NOW = Tool("now")
PLAIN = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "hi"}], "stream": False}


def told(tool):
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters}}


async def test_a_plain_question_is_its_words_and_nothing_else():
    assert await sent("Why is the sky blue?") == snapshot(
        {
            "model": "command-a-03-2025",
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
            "stream": False,
        }
    )


async def test_a_stream_is_asked_for_whatever_extra_says():
    assert (await sent(stream=True, extra={"stream": False}))["stream"] is True
    assert (await sent(extra={"stream": True}))["stream"] is False


async def test_it_is_asked_at_its_address_with_its_key():
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
    transport = Scripted(Response(reply(text("ok"))), Response(streamed(end)))
    router = Router([Deployment(COHERE, api_key=KEY)], transport=transport)
    await router.chat("hi")
    async with router.stream("hi") as stream:
        await stream.response()

    assert {request.url for request in transport.sent} == {"https://api.cohere.com/v2/chat"}
    assert dict(transport.sent[0].headers)[b"authorization"] == f"Bearer {KEY}".encode()


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"COHERE_API_KEY": "k-one", "CO_API_KEY": "k-two"}, b"Bearer k-one"),
        ({"CO_API_KEY": "k-two"}, b"Bearer k-two"),
    ],
)
async def test_the_key_comes_from_cohere_s_variable_or_else_from_its_sdk_s(monkeypatch, variables, key):
    for name in ("COHERE_API_KEY", "CO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    transport = Scripted(Response(reply(text("ok"))))
    await Router([COHERE], transport=transport).chat("hi")

    assert dict(transport.sent[0].headers)[b"authorization"] == key


async def test_without_a_key_the_error_names_the_first_variable(monkeypatch):
    for name in ("COHERE_API_KEY", "CO_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(NoDeploymentAvailableError, match="set COHERE_API_KEY"):
        await Router([COHERE], transport=Scripted()).chat("hi")


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"max_tokens": 64}, {"max_tokens": 64}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9}, {"p": 0.9}),
        ({"top_k": 40}, {"k": 40}),
        ({"frequency_penalty": 1}, {"frequency_penalty": 1}),
        ({"presence_penalty": 0.5}, {"presence_penalty": 0.5}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": list("abcde")}, {"stop_sequences": list("abcde")}),
        ({"seed": 0}, {"seed": 0}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": 0}, {"logprobs": True}),
        ({"logprobs": False}, {}),
        ({"n": 1}, {}),
        ({"tools": [], "tool_choice": "required"}, {}),
        ({"parallel_tool_calls": True}, {}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "token_budget": 1024}}),
        ({"reasoning_effort": "medium"}, {"thinking": {"type": "enabled", "token_budget": 8192}}),
        ({"reasoning_effort": "high"}, {"thinking": {"type": "enabled"}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "text"}, "tools": [NOW]}, {"tools": [told(NOW)]}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"response_format": SCHEMA}, {"response_format": {"type": "json_object", "json_schema": SCHEMA}}),
        ({"user": "ann", "metadata": {"app": "shop"}}, {}),
        ({"extra": {"documents": ["It is."], "k": 3}, "top_k": 2}, {"documents": ["It is."], "k": 3}),
    ],
)
async def test_an_argument_is_a_field_of_the_body(arguments, fields):
    assert await sent(**arguments) == PLAIN | fields


async def test_what_a_schema_is_for_is_told_in_the_schema():
    shape = ResponseFormat("json_schema", schema=SCHEMA, description="A place.")
    body = await sent(response_format=shape)

    assert body["response_format"]["json_schema"] == {"description": "A place.", **SCHEMA}


@pytest.mark.parametrize(
    ("choice", "tools", "word"),
    [
        (None, [WEATHER, NOW], None),
        ("auto", [WEATHER, NOW], None),
        ("none", [WEATHER, NOW], "NONE"),
        ("required", [WEATHER, NOW], "REQUIRED"),
        (NamedTool("now"), [NOW], "REQUIRED"),
    ],
)
async def test_a_tool_that_must_be_called_is_the_only_one_that_is_told_of(choice, tools, word):
    body = await sent(tools=[WEATHER, NOW], tool_choice=choice)

    assert body == PLAIN | {"tools": [told(tool) for tool in tools]} | ({"tool_choice": word} if word else {})


async def test_a_choice_of_no_tools_is_not_told():
    assert await sent(tool_choice="none") == PLAIN


@pytest.mark.parametrize(("strict", "fields"), [(True, {"strict_tools": True}), (False, {}), (None, {})])
async def test_strictness_is_told_of_all_tools_at_once(strict, fields):
    tool = Tool("weather", parameters=SCHEMA, strict=strict)
    body = await sent(tools=[tool, NOW])

    # The host refuses what OpenAI puts into the function itself.
    assert body == PLAIN | {"tools": [told(tool), told(NOW)], **fields}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"n": 2}, "n"),
        ({"frequency_penalty": -0.5}, "frequency_penalty"),
        ({"presence_penalty": 1.5}, "presence_penalty"),
        ({"stop": list("abcdef")}, "stop"),
        ({"parallel_tool_calls": False, "tools": [NOW]}, "parallel_tool_calls"),
        ({"reasoning_effort": "xhigh"}, "reasoning_effort"),
        ({"logprobs": 2}, "logprobs"),
        ({"tools": [NOW], "tool_choice": NamedTool("later")}, "tool_choice"),
        ({"tool_choice": NamedTool("now")}, "tool_choice"),
        ({"tools": [NOW], "response_format": SCHEMA}, "response_format"),
        ({"tools": [NOW], "response_format": {"type": "json_object"}}, "response_format"),
    ],
)
async def test_what_the_host_cannot_honour_is_refused_by_name(arguments, name):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(**arguments)

    assert caught.value.parameter == name
