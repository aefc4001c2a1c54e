"""What a call's arguments become in OpenAI's chat completions."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from inline_snapshot import snapshot
from pydantic import BaseModel, Field

from polyroute import BadRequestError, Deployment, NamedTool, Router, Timeout, Tool
from tests.providers.wire import KEY, OK, Response, Scripted, sent


async def test_a_plain_question_is_sent_with_the_model_and_nothing_else():
    assert await sent("Why is the sky blue?") == snapshot(
        {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    )


async def test_the_model_is_sent_without_its_prefix():
    body = await sent(model="openrouter/anthropic/claude-haiku-4.5")

    assert body["model"] == snapshot("anthropic/claude-haiku-4.5")


async def test_the_request_goes_to_the_operations_own_path_with_the_key_as_bearer():
    transport = Scripted(Response(OK))
    deployment = Deployment("openai/gpt-5-mini", base_url="https://host.example/v1/", api_key=KEY)
    await Router([deployment], transport=transport).chat("hi")

    request = transport.sent[0]
    headers = dict(request.headers)
    headers.pop(b"user-agent")
    assert (request.method, request.url, headers) == snapshot(
        (
            "POST",
            "https://host.example/v1/chat/completions",
            {b"content-type": b"application/json", b"authorization": b"Bearer k-0123456789abcdef"},
        )
    )


async def test_headers_of_the_deployment_are_sent_and_may_replace_ours():
    transport = Scripted(Response(OK))
    headers = {"OpenAI-Organization": "org-1", "User-Agent": "shop/1", "Authorization": "Basic abc"}
    deployment = Deployment("openai/gpt-5-mini", api_key=KEY, headers=headers)
    await Router([deployment], transport=transport).chat("hi")

    assert dict(transport.sent[0].headers) == snapshot(
        {
            b"user-agent": b"shop/1",
            b"content-type": b"application/json",
            b"authorization": b"Basic abc",
            b"openai-organization": b"org-1",
        }
    )


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"max_tokens": 64}, {"max_completion_tokens": 64}),
        ({"temperature": 0.2}, {"temperature": 0.2}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"frequency_penalty": -0.5}, {"frequency_penalty": -0.5}),
        ({"presence_penalty": 0.5}, {"presence_penalty": 0.5}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"stop": []}, {}),
        ({"seed": 0}, {"seed": 0}),
        ({"n": 2}, {"n": 2}),
        ({"n": 1}, {"n": 1}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": False}, {}),
        ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"extra": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"extra": {"openai": {"verbosity": "low"}}}, {"verbosity": "low"}),
        ({"extra": {"stream": True}}, {}),
        ({"metadata": {"app": "shop"}, "session": "s", "tags": (), "priority": 3}, {}),
        ({"max_tokens": None, "temperature": None, "stop": None, "tools": None}, {}),
    ],
)
async def test_an_argument_is_one_field(arguments, fields):
    body = await sent(**arguments)

    plain = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
    assert body == plain | fields


async def test_a_user_is_told_to_the_host_only_where_the_router_may():
    assert "user" not in await sent(user="ann")
    assert (await sent(user="ann", send_user=True))["user"] == "ann"


async def test_a_stream_asks_for_its_usage():
    assert await sent(stream=True) == snapshot(
        {
            "model": "gpt-5-mini",
            "messages": [{"role": "user", "content": "hi"}],
            "stream_options": {"include_usage": True},
            "stream": True,
        }
    )


async def test_extra_has_the_last_word_on_all_but_whether_it_is_a_stream():
    extra = {"stream_options": None, "stream": False, "temperature": 1}

    body = await sent(stream=True, temperature=0.1, extra=extra)

    assert (body["stream"], body["stream_options"], body["temperature"]) == (True, None, 1)


@pytest.mark.parametrize("extra", [{"a": object()}, {"a": b"\xff"}, {"a": {1, 2}.__iter__}])
async def test_what_has_no_json_is_refused_before_it_is_sent(extra):
    with pytest.raises(BadRequestError, match="cannot be written as JSON") as caught:
        await sent(extra=extra)

    assert caught.value.path == "extra"


async def test_what_holds_itself_is_refused_before_it_is_sent():
    endless: dict[str, object] = {}
    endless["again"] = endless

    with pytest.raises(BadRequestError, match="cannot be written as JSON"):
        await sent(extra=endless)


async def test_the_wait_for_a_first_token_ends_with_the_head_of_a_plain_reply():
    transport = Scripted(Response(OK))
    router = Router([Deployment("openai/gpt-5", api_key=KEY)], transport=transport)
    await router.chat("hi", timeout=Timeout(first_token=5))

    deadline = transport.sent[0].deadline
    assert (deadline.phase, deadline.at) == ("attempt", deadline.end)


# --- tools -------------------------------------------------------------------------------------


def weather(
    city: Annotated[str, Field(description="Where.")], days: int = 1, unit: str | None = None
) -> dict[str, float]:
    """Tell the weather.

    Of any city.
    """
    raise AssertionError("polyroute never runs a tool")


async def test_a_function_is_a_tool_by_its_signature():
    assert (await sent(tools=[weather]))["tools"] == snapshot(
        [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": """\
Tell the weather.

Of any city.\
""",
                    "parameters": {
                        "additionalProperties": False,
                        "properties": {
                            "city": {"description": "Where.", "title": "City", "type": "string"},
                            "days": {"default": 1, "title": "Days", "type": "integer"},
                            "unit": {
                                "anyOf": [{"type": "string"}, {"type": "null"}],
                                "default": None,
                                "title": "Unit",
                            },
                        },
                        "required": ["city"],
                        "type": "object",
                    },
                },
            }
        ]
    )


async def test_a_tool_keeps_its_name_its_schema_and_whether_it_is_strict():
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    tools = [
        Tool("bare"),
        Tool("add", "Add one.", schema, strict=True),
        Tool("sub", parameters=schema, strict=False),
    ]

    assert (await sent(tools=tools))["tools"] == snapshot(
        [
            {
                "type": "function",
                "function": {"name": "bare", "parameters": {"type": "object", "properties": {}}},
            },
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Add one.",
                    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
                    "strict": True,
                },
            },
            {
                "type": "function",
                "function": {
                    "name": "sub",
                    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
                    "strict": False,
                },
            },
        ]
    )


async def test_a_tool_as_openai_writes_it_is_sent_as_it_is():
    tool = {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add.",
            "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "strict": True,
        },
    }

    assert (await sent(tools=[tool]))["tools"] == [tool]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("any", "required"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
        (NamedTool("weather"), {"type": "function", "function": {"name": "weather"}}),
        (
            {"type": "function", "function": {"name": "weather"}},
            {"type": "function", "function": {"name": "weather"}},
        ),
    ],
)
async def test_a_tool_is_chosen_by_a_word_or_by_its_name(given, written):
    assert (await sent(tools=[weather], tool_choice=given))["tool_choice"] == written


# --- the shape of the reply --------------------------------------------------------------------


class Sky(BaseModel):
    """What is above."""

    colour: str = Field(description="In English.")
    clouds: list[str] = []


async def sent_shape(shape: object) -> object:
    transport = Scripted(Response({**OK, "choices": [{"message": {"content": '{"colour": "blue"}'}}]}))
    deployment = Deployment("openai/gpt-5-mini", api_key=KEY)
    await Router([deployment], transport=transport).chat("hi", response_format=shape)
    return json.loads(transport.sent[0].body)["response_format"]


async def test_a_pydantic_class_is_a_strict_schema_of_its_name():
    assert await sent_shape(Sky) == snapshot(
        {
            "type": "json_schema",
            "json_schema": {
                "name": "Sky",
                "schema": {
                    "description": "What is above.",
                    "properties": {
                        "colour": {"description": "In English.", "title": "Colour", "type": "string"},
                        "clouds": {"items": {"type": "string"}, "title": "Clouds", "type": "array"},
                    },
                    "required": ["colour", "clouds"],
                    "title": "Sky",
                    "type": "object",
                    "additionalProperties": False,
                },
                "strict": True,
            },
        }
    )


async def test_a_class_with_free_keys_is_a_schema_that_is_not_strict():
    class Counts(BaseModel):
        by_word: dict[str, int] = {}

    assert await sent_shape(Counts) == snapshot(
        {
            "type": "json_schema",
            "json_schema": {
                "name": "Counts",
                "schema": {
                    "properties": {
                        "by_word": {
                            "additionalProperties": {"type": "integer"},
                            "default": {},
                            "title": "By Word",
                            "type": "object",
                        }
                    },
                    "title": "Counts",
                    "type": "object",
                },
            },
        }
    )


async def test_a_schema_is_sent_under_a_name_of_ours():
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}

    assert await sent_shape(schema) == snapshot(
        {
            "type": "json_schema",
            "json_schema": {
                "name": "response",
                "schema": {"type": "object", "properties": {"colour": {"type": "string"}}},
            },
        }
    )


async def test_openais_own_dict_keeps_its_name_and_strict():
    shape = {
        "type": "json_schema",
        "json_schema": {
            "name": "sky",
            "description": "Above.",
            "strict": False,
            "schema": {"type": "object", "properties": {"colour": {"type": "string"}}},
        },
    }

    assert await sent_shape(shape) == shape
