"""What a call's arguments become in Anthropic's Messages."""

from __future__ import annotations

import json

import pytest
from inline_snapshot import snapshot
from pydantic import BaseModel, Field

from polyroute import Deployment, NamedTool, Opaque, Router, Tool, UnsupportedParameterError
from tests.conformance.anthropic_messages import reply
from tests.providers.anthropic.wire import CLAUDE, asked, text
from tests.providers.wire import KEY, Response, Scripted

ADAPTIVE = "anthropic/claude-opus-5"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NOW = Tool("now", "Tells the time.", {"properties": {"zone": {"type": "string"}}})


async def test_a_plain_question_is_sent_with_the_model_and_the_most_tokens_it_may_give():
    assert await asked("Why is the sky blue?") == snapshot(
        {
            "model": "claude-haiku-4-5",
            "max_tokens": 32000,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Why is the sky blue?"}]}],
        }
    )


async def test_the_request_goes_to_the_operations_own_path_with_the_key_and_the_version_of_the_format():
    transport = Scripted(Response(reply(text("hi"))))
    await Router([Deployment(CLAUDE, api_key=KEY)], transport=transport).chat("hi")

    request = transport.sent[0]
    headers = dict(request.headers)
    headers.pop(b"user-agent")
    assert (request.method, request.url, headers) == snapshot(
        (
            "POST",
            "https://api.anthropic.com/v1/messages",
            {
                b"content-type": b"application/json",
                b"anthropic-version": b"2023-06-01",
                b"x-api-key": b"k-0123456789abcdef",
            },
        )
    )


@pytest.mark.parametrize(
    "given", ["https://proxy.example", "https://proxy.example/", "https://proxy.example/v1"]
)
async def test_the_address_in_the_environment_is_read_as_its_own_sdk_reads_it(given, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", given)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    transport = Scripted(Response(reply(text("hi"))))
    await Router([CLAUDE], transport=transport).chat("hi")

    assert transport.sent[0].url == "https://proxy.example/v1/messages"


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-3-opus-20240229", 4_096),
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-haiku-20241022", 8_192),
        ("claude-3-7-sonnet-20250219", 32_000),
        ("claude-opus-4-1", 32_000),
        ("claude-sonnet-6", 32_000),
    ],
)
async def test_no_model_is_asked_for_more_tokens_than_it_can_give(model, most):
    assert (await asked(model=f"anthropic/{model}"))["max_tokens"] == most


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"max_tokens": 64}, {"max_tokens": 64}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 1.0}, {"temperature": 1.0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"top_k": 40}, {"top_k": 40}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": []}, {}),
        ({"n": 1}, {}),
        ({"logprobs": False}, {}),
        ({"frequency_penalty": 0}, {}),
        ({"presence_penalty": 0.0}, {}),
        ({"user": "ann", "metadata": {"app": "shop"}, "session": "s"}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tool_choice": NamedTool("now")}, {"tool_choice": {"type": "tool", "name": "now"}}),
        ({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        ({"parallel_tool_calls": True}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"extra": {"service_tier": "auto", "max_tokens": 7}}, {"service_tier": "auto", "max_tokens": 7}),
        ({"extra": {"stream": True}}, {}),
    ],
)  # fmt: skip
async def test_each_argument_becomes_the_formats_own(arguments, fields):
    assert await asked(**arguments) == {**await asked(), **fields}


async def test_the_user_is_told_where_the_router_may_tell():
    assert (await asked(user="ann", send_user=True))["metadata"] == {"user_id": "ann"}


async def test_a_stream_is_asked_for_whatever_extra_says():
    transport = Scripted(Response(b""))
    router = Router([Deployment(CLAUDE, api_key=KEY)], transport=transport, retry=None)
    with pytest.raises(Exception, match="the stream ended"):
        async with router.stream("hi", extra={"stream": False}):
            pass

    assert json.loads(transport.sent[0].body)["stream"] is True


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seed": 0}, "seed"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -0.1}, "presence_penalty"),
        ({"temperature": 1.1}, "temperature"),
        ({"stop": ["END", "\n\n"]}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"reasoning_effort": "as you like"}, "reasoning_effort"),
        ({"reasoning_effort": "low", "temperature": 0.5}, "temperature"),
        ({"reasoning_effort": "low", "top_k": 40}, "top_k"),
        ({"reasoning_effort": "low", "top_p": 0.9}, "top_p"),
        ({"reasoning_effort": "low", "tool_choice": "required"}, "tool_choice"),
        ({"reasoning_effort": "low", "tool_choice": NamedTool("now")}, "tool_choice"),
    ],
)
async def test_what_cannot_be_said_is_refused_by_name(arguments, named):
    with pytest.raises(UnsupportedParameterError, match=f"cannot honour {named}"):
        await asked(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"temperature": 1, "top_p": 0.95, "tool_choice": "auto"},
        {"tool_choice": "none"},
    ],
)
async def test_what_goes_with_thought_is_not_refused(arguments):
    assert await asked(reasoning_effort="low", **arguments)


async def test_tools_are_told_with_their_schemas():
    body = await asked(tools=[NOW, Tool("stop", strict=True, parameters=SCHEMA), Tool("go", strict=False)])

    assert body["tools"] == snapshot(
        [
            {
                "name": "now",
                "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}},
                "description": "Tells the time.",
            },
            {
                "name": "stop",
                "input_schema": {
                    "type": "object",
                    "properties": {"a": {"type": "integer"}},
                    "additionalProperties": False,
                },
                "strict": True,
            },
            {"name": "go", "input_schema": {"type": "object", "properties": {}}, "strict": False},
        ]
    )


class Town(BaseModel):
    """A town."""

    name: str = Field(min_length=1)
    people: int | None = Field(None, ge=0)


async def test_the_shape_of_a_reply_is_asked_for_natively_and_what_only_bounds_it_is_told():
    transport = Scripted(Response(reply(text('{"name": "Ulm", "people": 126329}'))))
    router = Router([Deployment(CLAUDE, api_key=KEY)], transport=transport)

    said = await router.chat("hi", response_format=Town)

    assert said.parsed == Town(name="Ulm", people=126_329)
    assert json.loads(transport.sent[0].body)["output_config"] == snapshot(
        {
            "format": {
                "type": "json_schema",
                "schema": {
                    "description": "A town.",
                    "properties": {
                        "name": {"title": "Name", "type": "string", "description": '{"minLength": 1}'},
                        "people": {
                            "anyOf": [{"type": "integer", "description": '{"minimum": 0}'}, {"type": "null"}],
                            "title": "People",
                        },
                    },
                    "required": ["name", "people"],
                    "title": "Town",
                    "type": "object",
                    "additionalProperties": False,
                },
            }
        }
    )


async def test_what_a_shape_is_for_is_told_where_its_schema_does_not_say():
    named = {"name": "town", "description": "A town.", "schema": SCHEMA}
    shape = {"type": "json_schema", "json_schema": named}
    spoken = {**shape, "json_schema": {**named, "schema": {**SCHEMA, "description": "Its own."}}}

    assert (await asked(response_format=shape))["output_config"]["format"]["schema"][
        "description"
    ] == "A town."
    assert (await asked(response_format=spoken))["output_config"]["format"]["schema"][
        "description"
    ] == "Its own."


# --- how much to think --------------------------------------------------------------------------

BUDGETED = [
    "claude-3-7-sonnet-20250219", "claude-sonnet-4-0", "claude-sonnet-4-20250514", "claude-opus-4-1-20250805",
    "claude-opus-4", "claude-sonnet-4-5", "claude-haiku-4-5-20251001", "claude-opus-4-5", "claude-sonnet-4.5",
]  # fmt: skip
TOLD_HOW_HARD = [
    "claude-opus-4-6", "claude-sonnet-4-6-20260217", "claude-opus-4-8", "claude-opus-4-10", "claude-sonnet-5",
    "claude-opus-5", "claude-haiku-5-5", "claude-opus-4.7", "another-model",
]  # fmt: skip


@pytest.mark.parametrize("model", BUDGETED)
async def test_older_models_are_given_a_budget_to_think_in(model):
    body = await asked(model=f"anthropic/{model}", reasoning_effort="medium")

    assert body["thinking"] == {"type": "enabled", "budget_tokens": 16_000}
    assert "output_config" not in body


@pytest.mark.parametrize("model", TOLD_HOW_HARD)
async def test_newer_models_are_told_how_hard_to_think_and_to_show_it(model):
    body = await asked(model=f"anthropic/{model}", reasoning_effort="medium")

    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "medium"}


@pytest.mark.parametrize(
    ("effort", "max_tokens", "budget"),
    [
        ("minimal", None, 3_200),
        ("low", None, 6_400),
        ("high", None, 25_600),
        ("xhigh", None, 30_400),
        ("max", None, 30_400),
        ("high", 4_000, 3_200),
        ("minimal", 4_000, 1_024),
        ("max", 1_025, 1_024),
    ],
)
async def test_a_budget_is_a_share_of_what_may_be_said(effort, max_tokens, budget):
    body = await asked(reasoning_effort=effort, max_tokens=max_tokens)

    assert body["thinking"]["budget_tokens"] == budget < body["max_tokens"]


@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE])
async def test_no_effort_is_no_thought(model):
    body = await asked(model=model, reasoning_effort="none", temperature=0.5, tool_choice="required", top_k=3)

    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


async def test_the_least_effort_is_the_least_word_that_the_host_has():
    assert (await asked(model=ADAPTIVE, reasoning_effort="minimal"))["output_config"] == {"effort": "low"}


async def test_a_shape_and_an_effort_are_told_side_by_side():
    body = await asked(model=ADAPTIVE, reasoning_effort="high", response_format=SCHEMA)

    assert body["output_config"].keys() == {"effort", "format"}


def looped(*thought: Opaque) -> list[object]:
    """A conversation in the midst of a tool loop."""
    first = {"role": "assistant", "content": [*thought], "tool_calls": [call("a")]}
    return [
        {"role": "user", "content": "What time is it?"},
        first,
        {"role": "tool", "tool_call_id": "a", "content": "12"},
        {"role": "assistant", "tool_calls": [call("b")]},
        {"role": "tool", "tool_call_id": "b", "content": "13"},
    ]


def call(id: str) -> dict[str, object]:
    return {"id": id, "type": "function", "function": {"name": "now", "arguments": "{}"}}


async def test_a_tool_loop_that_another_maker_began_is_ended_without_thought_where_the_host_demands_it():
    ended = [*looped(), {"role": "assistant", "content": "13"}, {"role": "user", "content": "So?"}]

    assert "thinking" not in await asked(looped(), reasoning_effort="high")
    assert "thinking" not in await asked(looped()[:3], reasoning_effort="high")
    assert "thinking" in await asked(looped(), model=ADAPTIVE, reasoning_effort="high")
    assert "thinking" in await asked(ended, reasoning_effort="high")


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
async def test_a_tool_loop_that_began_with_thought_goes_on_with_it(kind):
    thought = Opaque("anthropic", {"type": kind})

    assert "thinking" in await asked(looped(thought), reasoning_effort="high")
