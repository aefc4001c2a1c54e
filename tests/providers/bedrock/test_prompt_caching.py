"""Up to where Bedrock is told to cache a prompt: by points, and only for whom takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polyroute import File, Image, Message, Opaque, Reasoning, Text, Tool, ToolCall, ToolResult, Usage
from tests.providers.bedrock.wire import CLAUDE, NOVA, asked, read, reply, stream, text, told

SHORT, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
MARK = Opaque("anthropic", {"cache_control": SHORT})
POINT = {"cachePoint": {"type": "default"}}
POINT_FOR_AN_HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}
LONG = "Long. " * 400
OLD = "bedrock/anthropic.claude-3-haiku-20240307-v1:0"
PROFILE = "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/x"
TALK = (
    Message("system", LONG),
    Message("user", "one"),
    Message("assistant", "yes"),
    Message("user", "two"),
    Message("assistant", [ToolCall("a", "now", {})]),
    Message("tool", [ToolResult("a", "noon")]),
)


def pointed(body: dict[str, Any]) -> list[object]:
    """What a point follows, in the order of the prompt: texts, tools by name, and the kinds of other blocks."""
    lists = [
        body.get("toolConfig", {}).get("tools", []),
        body.get("system", []),
        *(turn["content"] for turn in body["messages"]),
    ]
    found: list[object] = []
    for blocks in lists:
        for before, block in zip([{"nothing": ""}, *blocks], blocks, strict=False):
            if "cachePoint" in block:
                [(kind, value)] = before.items()
                found.append(value if kind == "text" else value["name"] if kind == "toolSpec" else kind)
    return found


async def test_what_a_mark_follows_is_followed_by_a_point():
    body = await asked(
        [
            {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": HOUR}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c", "cache_control": SHORT},
            {"role": "assistant", "content": "d", "cache_control": {**SHORT, "ttl": "5m"}},
            {"role": "user", "content": "e"},
        ],
        tools=[Tool("now", cache_control=SHORT), Tool("later")],
    )  # fmt: skip

    assert body["system"] == [text("a"), POINT_FOR_AN_HOUR, text("b")]
    assert [turn["content"] for turn in body["messages"]] == [
        [text("c"), POINT],
        [text("d"), POINT],
        [text("e")],
    ]
    assert [next(iter(tool)) for tool in body["toolConfig"]["tools"]] == [
        "toolSpec",
        "cachePoint",
        "toolSpec",
    ]
    assert "cache_control" not in json.dumps(body)


@pytest.mark.parametrize(
    ("model", "point"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", POINT_FOR_AN_HOUR),
        ("global.anthropic.claude-opus-4-6-v1", POINT_FOR_AN_HOUR),
        ("us.anthropic.claude-sonnet-5", POINT_FOR_AN_HOUR),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", POINT),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", POINT),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", POINT),
        ("us.amazon.nova-pro-v1:0", POINT),
    ],
)
async def test_an_hour_is_asked_for_where_the_model_has_it(model, point):
    mark = Opaque("anthropic", {"cache_control": HOUR})
    body = await asked([Message("user", [Text("a"), mark])], model=f"bedrock/{model}")

    assert body["messages"][0]["content"] == [text("a"), point]


@pytest.mark.parametrize(
    "model",
    [
        OLD,
        "bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0",
        "bedrock/anthropic.claude-v2:1",
        "bedrock/anthropic.claude-instant-v1",
        "bedrock/us.meta.llama3-3-70b-instruct-v1:0",
        "bedrock/amazon.titan-text-express-v1",
        "bedrock/mistral.mistral-large-2407-v1:0",
        "bedrock/qwen.qwen3-coder-next",
        "bedrock/amazon.nova-sonic-v1:0",
        PROFILE,
    ],
)
async def test_who_would_refuse_a_point_is_given_none(model):
    marked = [Message("system", [Text(LONG), MARK]), Message("user", "hi")]

    assert pointed(await asked(list(TALK), model=model, tools=[Tool("now")])) == []
    body = await asked(marked, model=model, tools=[Tool("now", cache_control=SHORT)])
    assert pointed(body) == []
    assert "cache_control" not in json.dumps(body)


@pytest.mark.parametrize(
    "model",
    [
        CLAUDE,
        "bedrock/us.anthropic.claude-3-5-haiku-20241022-v1:0",
        "bedrock/us.anthropic.claude-3-7-sonnet-20250219-v1:0",
        "bedrock/global.anthropic.claude-opus-5",
        "bedrock/anthropic.claude-fable-5",
    ],
)
async def test_claude_is_given_points_after_tools_system_and_the_last_two_turns_of_its_user(model):
    body = await asked(list(TALK), model=model, tools=[Tool("later"), Tool("now")])

    assert pointed(body) == ["now", LONG, "two", "toolResult"]
    assert "cache_control" not in json.dumps(body)


@pytest.mark.parametrize(
    "model", [NOVA, "bedrock/amazon.nova-lite-v1:0", "bedrock/us.amazon.nova-premier-v1:0"]
)
async def test_nova_is_given_none_among_tools_nor_with_what_they_gave_back(model):
    tools = [Tool("now", cache_control=SHORT)]
    marked = [
        *TALK[:-1],
        Message("tool", [ToolResult("a", "noon"), MARK]),
        Message("user", [Text("b"), MARK]),
    ]

    assert pointed(await asked(list(TALK), model=model, tools=[Tool("now")])) == [LONG, "two"]
    assert pointed(await asked(marked, model=model, tools=tools)) == []


async def test_an_application_s_profile_is_known_by_what_it_is_like_or_is_said_to_have():
    liked = {"like": CLAUDE}
    said = {"capabilities": {"prompt_caching": True}}

    assert pointed(await asked(list(TALK), model=PROFILE, options=liked)) == [
        "now",
        LONG,
        "two",
        "toolResult",
    ]
    assert pointed(await asked(list(TALK), model=PROFILE, options=said)) == ["now", LONG, "two", "toolResult"]


async def test_it_is_switched_off_by_saying_that_there_is_none_and_a_callers_marks_with_it():
    off = {"capabilities": {"prompt_caching": False}}

    assert pointed(await asked(list(TALK), options=off)) == []
    assert pointed(await asked([Message("user", [Text("a"), MARK])], options=off)) == []


TABLE = File(data=b"a,b", media_type="text/csv")


@pytest.mark.parametrize(
    ("message", "places"),
    [
        (Message("user", [Text("a"), TABLE, MARK]), []),
        (Message("user", [TABLE, Text("a"), MARK]), ["a"]),
        (Message("user", [Text("a"), Image(data=b"\x89PNG"), MARK]), ["image"]),
        (Message("user", [MARK, Text("a")]), []),
        (Message("user", [Text(" "), MARK, Text("a")]), []),
        (Message("assistant", [Opaque("bedrock", {"reasoningContent": {"redactedContent": "Em=="}}), MARK, Text("a")]), []),
        (Message("assistant", [Reasoning("Hm."), Text("a"), MARK]), ["a"]),
        (Message("assistant", [ToolCall("a", "now", {}), MARK]), ["toolUse"]),
    ],
)  # fmt: skip
async def test_a_point_stands_only_where_the_host_takes_one(message, places):
    assert pointed(await asked([Message("user", "hi"), Message("assistant", "yes"), message])) == places


async def test_a_turn_that_ends_in_a_document_is_given_none_unasked():
    history = [*TALK[:4], Message("assistant", "yes"), Message("user", [Text("a"), TABLE])]

    assert pointed(await asked(history)) == [LONG, "two"]


async def test_points_of_ones_own_stay_as_they_are_and_are_then_all():
    own = Opaque("bedrock", POINT)
    extra = {"toolConfig": {"tools": [{"toolSpec": {"name": "now", "inputSchema": {}}}, POINT]}}

    body = await asked([Message("system", [Text(LONG), own, Text("b")]), *TALK[1:]])
    assert pointed(body) == [LONG]
    assert pointed(await asked(list(TALK[:4]), extra=extra)) == ["now"]
    assert pointed(await asked([Message("user", [Text("a"), own])], model=OLD)) == ["a"]


async def test_a_point_stays_behind_its_block_where_results_are_put_first():
    body = await asked(
        [
            *TALK[1:5],
            Message("user", [Text("quick"), MARK]),
            Message("tool", [ToolResult("a", "noon")]),
        ]
    )

    assert [next(iter(block)) for block in body["messages"][-1]["content"]] == [
        "toolResult",
        "text",
        "cachePoint",
    ]


COUNTS = {"inputTokens": 2, "outputTokens": 3, "totalTokens": 14}


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        ({**COUNTS, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 5}, Usage(11, 3, 4, 5)),
        ({**COUNTS, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0}, Usage(2, 3, 0, 0)),
        (COUNTS, Usage(2, 3)),
    ],
)
async def test_what_was_read_and_written_is_counted_alike_in_replies_and_in_streams(usage, read_as):
    streamed = await told(
        stream(
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": text("ok")}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"usage": usage}),
        )
    )

    assert (await read(reply(text("ok"), usage=usage))).usage == read_as
    assert streamed.reply is not None
    assert streamed.reply.usage == read_as
