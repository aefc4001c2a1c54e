"""What a call's arguments become in Gemini's generateContent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from inline_snapshot import snapshot
from pydantic import BaseModel

from polyroute import (
    Deployment,
    NamedTool,
    NoDeploymentAvailableError,
    ResponseFormat,
    Router,
    Tool,
    UnsupportedParameterError,
)
from polyroute.providers import HOSTS, HTTPProvider
from tests.providers.gemini.wire import candidate, reply, sent, streamed
from tests.providers.wire import KEY, Response, Scripted

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather", "Tell the weather.", SCHEMA)
PLAIN = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


async def test_a_plain_question_is_its_words_and_nothing_else():
    assert await sent("Why is the sky blue?") == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]}
    )


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-2.5-flash", False, "/models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", True, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("tuned/../a b?", False, "/models/tuned%2F..%2Fa%20b%3F:generateContent"),
    ],
)
async def test_the_model_stands_in_the_path_and_cannot_leave_it(model, stream, path):
    said = reply(candidate("ok"))
    transport = Scripted(Response(streamed(said) if stream else said))
    router = Router([Deployment(f"gemini/{model}", api_key=KEY)], transport=transport)
    async with router.stream("hi") if stream else router:
        if not stream:
            await router.chat("hi")

    request = transport.sent[0]
    headers = dict(request.headers)
    assert request.url == "https://generativelanguage.googleapis.com/v1beta" + path
    assert headers[b"x-goog-api-key"] == KEY.encode()
    assert b"authorization" not in headers
    assert KEY not in request.url


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"GEMINI_API_KEY": "k-one", "GOOGLE_API_KEY": "k-two"}, b"k-one"),
        ({"GOOGLE_API_KEY": "k-two"}, b"k-two"),
        ({"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "k-two"}, b"k-two"),
    ],
)
async def test_the_key_comes_from_gemini_s_variable_or_else_from_google_s(monkeypatch, variables, key):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    transport = Scripted(Response(reply(candidate("ok"))))
    await Router(["gemini/gemini-2.5-flash"], transport=transport).chat("hi")

    assert dict(transport.sent[0].headers)[b"x-goog-api-key"] == key


async def test_without_a_key_the_error_names_the_first_variable(monkeypatch):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(NoDeploymentAvailableError, match="set GEMINI_API_KEY"):
        await Router(["gemini/gemini-2.5-flash"], transport=Scripted()).chat("hi")


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        ({"max_tokens": 64}, {"maxOutputTokens": 64}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9}, {"topP": 0.9}),
        ({"top_k": 40}, {"topK": 40}),
        ({"frequency_penalty": -0.5}, {"frequencyPenalty": -0.5}),
        ({"presence_penalty": 0.5}, {"presencePenalty": 0.5}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": list("abcde")}, {"stopSequences": list("abcde")}),
        ({"seed": 0}, {"seed": 0}),
        ({"n": 2}, {"candidateCount": 2}),
        ({"logprobs": True}, {"responseLogprobs": True}),
        ({"logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"logprobs": 0}, {"responseLogprobs": True}),
        ({"logprobs": False}, None),
        ({"parallel_tool_calls": True}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        ({"user": "ann", "metadata": {"app": "shop"}}, None),
    ],
)
async def test_an_argument_is_one_field_of_the_generation_config(arguments, config):
    assert await sent(**arguments) == PLAIN | ({"generationConfig": config} if config else {})


async def test_a_user_has_no_place_in_the_body_even_where_the_router_may_tell():
    transport = Scripted(Response(reply(candidate("ok"))))
    deployment = Deployment("gemini/gemini-2.5-flash", api_key=KEY)
    await Router([deployment], transport=transport, send_user=True).chat("hi", user="ann")

    assert b"ann" not in transport.sent[0].body


@pytest.mark.parametrize(
    ("effort", "budget", "level"),
    [
        ("none", {"thinkingBudget": 0}, {"thinkingLevel": "minimal"}),
        ("minimal", {"thinkingBudget": 1024}, {"thinkingLevel": "minimal"}),
        ("low", {"thinkingBudget": 1024}, {"thinkingLevel": "low"}),
        ("medium", {"thinkingBudget": 8192}, {"thinkingLevel": "medium"}),
        ("high", {"thinkingBudget": 24576}, {"thinkingLevel": "high"}),
    ],
)
async def test_effort_is_a_budget_before_gemini_3_and_a_level_since(effort, budget, level):
    thoughts = {} if effort == "none" else {"includeThoughts": True}
    for model, thinking in {
        "gemini/gemini-2.5-flash": budget,
        "gemini/gemini-robotics-er-1.5-preview": budget,
        "gemini/gemini-3-pro-preview": level,
        "gemini/gemini-3.6-flash": level,
        "gemini/gemini-10-flash": level,
        "gemini/gemini-flash-latest": level,
    }.items():
        body = await sent(model=model, reasoning_effort=effort)
        assert body["generationConfig"] == {"thinkingConfig": thinking | thoughts}, model


class City(BaseModel):
    """Where it is."""

    name: str


async def test_a_schema_is_sent_as_a_json_schema():
    body = await sent(response_format=SCHEMA)

    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}


async def test_what_a_schema_is_for_is_told_in_the_schema_unless_it_says_so_itself():
    shape = ResponseFormat("json_schema", schema=SCHEMA, description="A place.")
    body = await sent(response_format=shape)
    assert body["generationConfig"]["responseJsonSchema"] == {"description": "A place.", **SCHEMA}

    shape = ResponseFormat("json_schema", schema={**SCHEMA, "description": "Mine."}, description="A place.")
    body = await sent(response_format=shape)
    assert body["generationConfig"]["responseJsonSchema"]["description"] == "Mine."


async def test_tools_are_declared_with_their_schemas():
    body = await sent(tools=[WEATHER, Tool("now")])

    assert body == PLAIN | {
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "weather",
                        "description": "Tell the weather.",
                        "parametersJsonSchema": SCHEMA,
                    },
                    {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
                ]
            }
        ]
    }


@pytest.mark.parametrize(
    ("choice", "strict", "calling"),
    [
        (None, None, None),
        (None, False, None),
        ("auto", None, {"mode": "AUTO"}),
        ("none", True, {"mode": "NONE"}),
        ("required", True, {"mode": "ANY"}),
        (NamedTool("weather"), True, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        ("auto", True, {"mode": "VALIDATED"}),
        (None, True, {"mode": "VALIDATED"}),
    ],
)
async def test_a_choice_of_tools_is_a_mode_and_so_is_strictness(choice, strict, calling):
    tool = Tool("weather", parameters=SCHEMA, strict=strict)
    body = await sent(tools=[Tool("now"), tool], tool_choice=choice)

    assert body.get("toolConfig") == ({"functionCallingConfig": calling} if calling else None)


async def test_extra_is_merged_deeply_and_has_the_last_word():
    extra = {
        "generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingBudget": 5}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "tools": [{"googleSearch": {}}],
    }
    body = await sent(max_tokens=9, temperature=0.1, reasoning_effort="low", tools=[WEATHER], extra=extra)

    assert body == PLAIN | {
        "tools": [{"googleSearch": {}}],
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "generationConfig": {
            "maxOutputTokens": 9,
            "temperature": 1,
            "thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True},
        },
    }
    assert extra["generationConfig"] == {"temperature": 1, "thinkingConfig": {"thinkingBudget": 5}}


async def test_what_a_host_does_not_take_is_refused_by_name():
    host = replace(HOSTS["gemini"], unsupported=frozenset({"seed"}))
    transport = Scripted(Response(reply(candidate("ok"))))
    deployment = Deployment("gemini/own", provider=HTTPProvider(host, transport), api_key=KEY)

    with pytest.raises(UnsupportedParameterError, match="seed"):
        await Router([deployment]).chat("hi", seed=7)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"parallel_tool_calls": False, "tools": [WEATHER]}, "parallel_tool_calls"),
        ({"stop": list("abcdef")}, "stop"),
        ({"reasoning_effort": "xhigh"}, "reasoning_effort"),
    ],
)
async def test_what_the_format_cannot_say_is_refused_by_name(arguments, name):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(**arguments)

    assert caught.value.parameter == name
