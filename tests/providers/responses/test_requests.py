"""What a call's arguments become in OpenAI's Responses."""

from __future__ import annotations

import json

import pytest
from inline_snapshot import snapshot
from pydantic import BaseModel

from polyroute import (
    Deployment,
    FleetError,
    NamedTool,
    NotFoundError,
    Router,
    Tool,
    UnsupportedParameterError,
)
from tests.conformance.openai_responses import message, reply
from tests.providers.responses.wire import GPT, SILENT, asked
from tests.providers.wire import KEY, OK, Response, Scripted

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NOW = Tool("now", "Tells the time.", SCHEMA)
SEARCH = {"type": "web_search"}
ENCRYPTED = "reasoning.encrypted_content"


async def test_a_plain_question_is_kept_by_nobody_and_what_is_reasoned_comes_along():
    assert await asked("Why is the sky blue?") == snapshot(
        {
            "model": "gpt-5-mini",
            "input": [{"role": "user", "content": "Why is the sky blue?"}],
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
    )


async def test_the_request_goes_to_the_operations_own_path_with_openais_key():
    transport = Scripted(Response(reply(message("hi"))))
    await Router([Deployment(GPT, api_key=KEY)], transport=transport).chat("hi")

    request = transport.sent[0]
    headers = dict(request.headers)
    headers.pop(b"user-agent")
    assert (request.method, request.url, headers) == snapshot(
        (
            "POST",
            "https://api.openai.com/v1/responses",
            {b"content-type": b"application/json", b"authorization": b"Bearer k-0123456789abcdef"},
        )
    )


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("gpt-5-mini", True),
        ("gpt-5.4", True),
        ("o3-mini", True),
        ("gpt-6", True),
        ("grok-4.3", True),
        ("openai/gpt-oss-20b", True),
        ("gpt-4o", False),
        ("gpt-4.1-nano", False),
        ("gpt-3.5-turbo", False),
        ("gpt-5-chat-latest", False),
        ("chatgpt-4o-latest", False),
        ("ft:gpt-4o-mini:org::1", False),
        ("openai/gpt-4o", False),
    ],
)
async def test_only_of_who_reasons_reasoning_is_wanted(model, reasons):
    body = await asked(model=f"openai-responses/{model}")

    assert body.get("include") == ([ENCRYPTED] if reasons else None)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"max_tokens": 64}, {"max_output_tokens": 64}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"logprobs": True}, {"include": [ENCRYPTED, "message.output_text.logprobs"]}),
        ({"logprobs": 2}, {"include": [ENCRYPTED, "message.output_text.logprobs"], "top_logprobs": 2}),
        ({"logprobs": False}, {}),
        ({"n": 1}, {}),
        ({"stop": []}, {}),
        ({"frequency_penalty": 0}, {}),
        ({"user": "ann", "metadata": {"app": "shop"}, "session": "s"}, {}),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": NamedTool("now")}, {"tool_choice": {"type": "function", "name": "now"}}),
        ({"response_format": {"type": "text"}}, {"text": {"format": {"type": "text"}}}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": SCHEMA},
            {"text": {"format": {"type": "json_schema", "name": "response", "schema": SCHEMA}}},
        ),
        ({"extra": {"store": True, "max_output_tokens": 7}}, {"store": True, "max_output_tokens": 7}),
        ({"extra": {"stream": True}}, {}),
    ],
)
async def test_each_argument_becomes_the_formats_own(arguments, fields):
    assert await asked(**arguments) == {**await asked(), **fields}


async def test_the_user_is_told_where_the_router_may_tell():
    assert (await asked(user="ann", send_user=True))["user"] == "ann"


async def test_a_stream_is_asked_for_whatever_extra_says():
    transport = Scripted(Response(b""))
    router = Router([Deployment(GPT, api_key=KEY)], transport=transport, retry=None)
    with pytest.raises(FleetError):
        async with router.stream("hi", extra={"stream": False}):
            pass

    assert json.loads(transport.sent[0].body)["stream"] is True


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"stop": "END"}, "stop"),
        ({"seed": 0}, "seed"),
        ({"n": 2}, "n"),
        ({"top_k": 40}, "top_k"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -0.1}, "presence_penalty"),
        ({"messages": [{"role": "user", "content": "hi", "name": "ann"}]}, "messages"),
    ],
)
async def test_what_cannot_be_said_is_refused_by_name(arguments, named):
    with pytest.raises(UnsupportedParameterError, match=f"cannot honour {named}"):
        await asked(**arguments)


async def test_whether_a_tool_is_strict_is_always_said_since_silence_would_mean_yes():
    tools = [NOW, Tool("stop", strict=True), Tool("go", strict=False)]

    assert (await asked(tools=tools))["tools"] == snapshot(
        [
            {
                "type": "function",
                "name": "now",
                "description": "Tells the time.",
                "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
                "strict": False,
            },
            {
                "type": "function",
                "name": "stop",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
            {"type": "function", "name": "go", "parameters": {"type": "object", "properties": {}}, "strict": False},
        ]
    )  # fmt: skip


class Town(BaseModel):
    name: str


async def test_the_shape_of_a_reply_is_asked_for_by_name():
    transport = Scripted(Response(reply(message('{"name": "Ulm"}'))))
    said = await Router([Deployment(GPT, api_key=KEY)], transport=transport).chat("hi", response_format=Town)

    assert said.parsed == Town(name="Ulm")
    assert json.loads(transport.sent[0].body)["text"] == snapshot(
        {
            "format": {
                "type": "json_schema",
                "name": "Town",
                "schema": {
                    "properties": {"name": {"title": "Name", "type": "string"}},
                    "required": ["name"],
                    "title": "Town",
                    "type": "object",
                    "additionalProperties": False,
                },
                "strict": True,
            }
        }
    )


async def test_what_a_shape_is_for_is_told():
    inner = {"name": "a", "description": "A number.", "schema": SCHEMA}
    body = await asked(response_format={"type": "json_schema", "json_schema": inner})

    assert body["text"]["format"] == {"type": "json_schema", **inner}


# --- what the format alone can say --------------------------------------------------------------


async def test_extra_goes_into_what_stands_there_already():
    body = await asked(
        tools=[NOW],
        reasoning_effort="low",
        response_format={"type": "json_object"},
        extra={
            "tools": [SEARCH],
            "include": ["web_search_call.action.sources"],
            "reasoning": {"summary": "auto"},
            "text": {"verbosity": "low"},
        },
    )

    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]
    assert body["include"] == [ENCRYPTED, "web_search_call.action.sources"]
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}


async def test_what_stands_in_extra_alone_stands_there_as_it_is():
    body = await asked(model=SILENT, extra={"tools": [SEARCH], "include": ["web_search_call.results"]})

    assert body["tools"] == [SEARCH]
    assert body["include"] == ["web_search_call.results"]


async def test_who_goes_on_from_a_reply_that_is_kept_asks_nobody_of_another_format():
    transport = Scripted(Response(reply(message("hi"))))
    deployments = [Deployment(GPT, api_key=KEY), Deployment("openai/gpt-5-mini", api_key=KEY)]
    router = Router(deployments, transport=transport)

    plan = await router.explain("hi", extra={"previous_response_id": "resp_1"})

    assert plan.deployment == GPT
    assert {each.deployment: each.reason for each in plan.excluded} == snapshot(
        {"openai/gpt-5-mini": "extra= speaks openai-responses, and it speaks openai-chat"}
    )


async def test_where_the_kept_reply_is_not_known_the_call_moves_on_to_who_may_know_it():
    code = "previous_response_not_found"
    unknown = Response({"error": {"message": "Previous response not found.", "code": code}}, 400)
    transport = Scripted(unknown, Response(reply(message("I know."))))
    router = Router(
        [Deployment(GPT, id="theirs", api_key=KEY), Deployment(GPT, id="ours", api_key=KEY)],
        transport=transport,
    )

    said = await router.chat("hi", extra={"previous_response_id": "resp_1"})

    assert (said.text, said.deployment) == ("I know.", "ours")
    assert isinstance(said.trace.attempts[0].error, NotFoundError)


async def test_a_stop_sequence_goes_to_who_can_take_one():
    transport = Scripted(Response(OK))
    router = Router(
        [Deployment(GPT, api_key=KEY), Deployment("openai/gpt-4o", api_key=KEY)], transport=transport
    )

    assert (await router.chat("hi", stop="END")).deployment == "openai/gpt-4o"
