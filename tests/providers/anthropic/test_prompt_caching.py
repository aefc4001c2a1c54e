"""Up to where Anthropic is told to cache a prompt: as its caller marked it, or else where it pays."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from polyroute import Deployment, Image, Message, Opaque, Router, Text, Tool, ToolCall, ToolResult, Usage
from tests.conformance.anthropic_messages import ANTHROPIC_MESSAGES, reply
from tests.providers.anthropic.wire import CLAUDE, asked, events, read, text, told
from tests.providers.wire import KEY, Response, Scripted

SHORT, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
MARK = Opaque("anthropic", {"cache_control": SHORT})
LONG = "Long. " * 400
CALLS = Message("assistant", [ToolCall("a", "now", {}), ToolCall("b", "now", {})])
TALK = (
    Message("system", "Be kind."),
    Message("system", LONG),
    Message("user", "one"),
    Message("assistant", "yes"),
    Message("user", "two"),
    CALLS,
    Message("tool", [ToolResult("a", "three"), ToolResult("b", "four")]),
)
TOOLS = [Tool("later"), Tool("now")]


def marked(body: dict[str, Any]) -> list[object]:
    """What bears a mark, in the order of the prompt."""
    blocks = [
        *body.get("tools", ()),
        *body.get("system", ()),
        *(block for turn in body["messages"] for block in turn["content"]),
    ]
    return [
        block.get("name") or block.get("text") or block.get("content") or block["type"]
        for block in blocks
        if "cache_control" in block
    ]


# --- as the caller marks it ---------------------------------------------------------------------


async def test_what_a_mark_follows_bears_it():
    body = await asked(
        [
            {"role": "system", "content": [{**text("a"), "cache_control": HOUR}, text("b")]},
            {"role": "user", "content": [text("c"), {"type": "image_url", "image_url": "https://a.example/c", "cache_control": SHORT}]},
            {"role": "assistant", "content": "d", "cache_control": SHORT},
            {"role": "user", "content": "e"},
        ],
        tools=[{"type": "function", "function": {"name": "now"}, "cache_control": HOUR}, Tool("later")],
    )  # fmt: skip

    assert [tool.get("cache_control") for tool in body["tools"]] == [HOUR, None]
    assert body["system"] == [{**text("a"), "cache_control": HOUR}, text("b")]
    assert [turn["content"] for turn in body["messages"]] == [
        [text("c"), {"type": "image", "source": {"type": "url", "url": "https://a.example/c"}, "cache_control": SHORT}],
        [{**text("d"), "cache_control": SHORT}],
        [text("e")],
    ]  # fmt: skip


async def test_what_a_tool_gave_back_bears_the_mark_that_stands_in_it():
    body = await asked(
        [
            Message("user", "hi"),
            CALLS,
            {"role": "tool", "tool_call_id": "a", "content": [{**text("noon"), "cache_control": SHORT}]},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
        ]
    )

    assert body["messages"][-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "noon", "cache_control": SHORT},
        {"type": "tool_result", "tool_use_id": "b", "content": "two"},
    ]


async def test_a_mark_stays_with_its_block_where_results_are_put_first():
    body = await asked(
        [
            Message("user", "hi"),
            CALLS,
            Message("user", [Text("quick"), MARK]),
            Message("tool", [ToolResult("a", "x"), ToolResult("b", "y")]),
        ]
    )

    assert marked(body) == ["quick"]
    assert body["messages"][-1]["content"][-1]["text"] == "quick"


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
@pytest.mark.parametrize("before", [[], [Text(" ")]], ids=["nothing", "white space"])
async def test_what_cannot_bear_a_mark_bears_none(kind, before):
    thought = {"type": kind}
    body = await asked(
        [
            Message("user", [*before, MARK, Text("hi")]),
            Message("assistant", [Opaque("anthropic", thought), MARK, Text("yes")]),
            Message("user", "hi"),
        ]
    )

    assert marked(body) == []
    assert body["messages"][1]["content"] == [thought, text("yes")]


async def test_of_two_marks_in_one_place_the_later_counts():
    body = await asked([Message("user", [Text("a"), MARK, Opaque("anthropic", {"cache_control": HOUR})])])

    assert body["messages"][0]["content"] == [{**text("a"), "cache_control": HOUR}]


async def test_as_many_marks_as_the_caller_sets_are_sent():
    body = await asked([Message("user", [part for each in "abcde" for part in (Text(each), MARK)])])

    assert marked(body) == ["a", "b", "c", "d", "e"]


async def test_the_callers_own_dicts_are_not_the_ones_that_are_marked():
    mark = dict(HOUR)
    messages = [{"role": "user", "content": [{**text("a"), "cache_control": mark}]}]
    before = copy.deepcopy(messages)
    block = {"type": "text", "text": LONG}
    await asked(messages)
    await asked([Message("system", [Opaque("anthropic", block)]), Message("user", "hi")])

    assert messages == before
    assert block == {"type": "text", "text": LONG}


# --- unasked ------------------------------------------------------------------------------------


async def test_a_long_conversation_is_marked_after_tools_system_and_the_last_two_turns_of_its_user():
    body = await asked(list(TALK), tools=TOOLS)

    assert marked(body) == ["now", LONG, "two", "four"]
    assert body["messages"][-1]["content"][-1]["cache_control"] == SHORT


@pytest.mark.parametrize(
    ("messages", "tools", "places"),
    [
        ([Message("user", LONG)], None, []),
        ([Message("user", LONG)], TOOLS, ["now"]),
        ([Message("system", LONG), Message("user", "hi")], None, [LONG]),
        ([Message("user", LONG), Message("assistant", "And")], None, []),
        ([Message("user", LONG), Message("assistant", "a"), Message("user", "b")], None, [LONG, "b"]),
        ([Message("user", LONG), Message("assistant", "a"), Message("user", "b"), Message("assistant", "c")], None, [LONG, "b"]),
        ([Message("assistant", LONG), Message("user", "b")], None, []),
        ([Message("user", "a"), Message("assistant", [ToolCall("a", "now", {"a": LONG})]), Message("tool", [ToolResult("a", "b")])], None, ["a", "b"]),
        ([Message("user", "a"), CALLS, Message("tool", [ToolResult("a", LONG)])], None, ["a", LONG]),
        ([Message("user", "a"), CALLS, Message("tool", [ToolResult("a", (Text(LONG),)), ToolResult("b", "c")])], None, ["a", "c"]),
        ([Message("user", [Image("https://a.example/a.png")]), Message("assistant", "a"), Message("user", "b")], None, ["image", "b"]),
        ([Message("user", "a"), Message("assistant", "a"), Message("user", "b")], None, []),
        ([Message("user", "a"), Message("assistant", "a"), Message("user", "b")], [Tool("now", LONG)], ["now", "a", "b"]),
        ([Message("user", "a")], [Tool("now", parameters={"type": "object", "description": LONG})], ["now"]),
    ],
)  # fmt: skip
async def test_only_what_will_come_again_is_marked_and_only_where_it_is_long(messages, tools, places):
    assert marked(await asked(messages, tools=tools)) == places


@pytest.mark.parametrize("length", [1_999, 2_000])
async def test_a_prompt_is_long_from_two_thousand_characters_on(length):
    half = "x" * (length // 2)
    messages = [Message("system", [Text(half)]), Message("user", "y" * (length - len(half)))]

    assert marked(await asked(messages)) == ([half] if length >= 2_000 else [])


async def test_a_turn_of_the_systems_own_leaves_the_marks_with_the_user():
    body = await asked([*TALK, Message("system", "Be brief.")], model="anthropic/claude-opus-5")

    assert body["messages"][-1]["role"] == "system"
    assert marked(body) == [LONG, "two", "four"]


@pytest.mark.parametrize(
    ("messages", "arguments"),
    [
        ([*TALK[:-1], Message("tool", [ToolResult("a", "three"), MARK, ToolResult("b", "four")])], {}),
        ([Message("system", [Opaque("anthropic", {"type": "text", "text": LONG, "cache_control": SHORT})]), *TALK[2:]], {}),
        ([*TALK[:-1], Message("tool", [Opaque("anthropic", {"type": "tool_result", "content": [{**text("a"), "cache_control": SHORT}]})])], {}),
        (TALK, {"tools": [Tool("now", cache_control=HOUR), Tool("later")]}),
        (TALK, {"extra": {"cache_control": SHORT}}),
        (TALK, {"extra": {"anthropic": {"cache_control": SHORT}}}),
        (TALK, {"extra": {"tools": [{"type": "web_search_20250305", "name": "web_search", "cache_control": SHORT}]}}),
    ],
)  # fmt: skip
async def test_where_the_caller_marks_anything_nothing_else_is_marked(messages, arguments):
    body = json.dumps(await asked(list(messages), **arguments))

    assert body.count('"cache_control"') == 1


async def test_what_extra_says_otherwise_leaves_the_rest_marked():
    body = await asked(list(TALK), extra={"service_tier": "auto", "tools": [{"type": "web_search_20250305"}]})

    assert marked(body) == [LONG, "two", "four"]


async def test_it_is_switched_off_by_saying_that_there_is_none_and_a_callers_marks_with_it():
    off = {"capabilities": {"prompt_caching": False}}
    mine = [Message("system", [Text(LONG), MARK]), Message("user", "hi")]

    assert marked(await asked(list(TALK), tools=TOOLS, options=off)) == []
    assert marked(await asked(mine, tools=[Tool("now", cache_control=SHORT)], options=off)) == []
    assert (await asked(mine, options=off))["system"] == [text(LONG)]


async def test_a_deployment_without_is_a_candidate_all_the_same():
    deployment = Deployment(CLAUDE, api_key=KEY, capabilities={"prompt_caching": False})
    router = Router([deployment], transport=Scripted(Response(reply(text("ok")))))

    assert (await router.chat([Message("user", [Text("hi"), MARK])])).text == "ok"


# --- what it costs and where it is told ---------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        ({"input_tokens": 2, "output_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5}, Usage(11, 3, 4, 5)),
        ({"input_tokens": 2, "output_tokens": 3, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
          "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}}, Usage(2, 3, 0, 0)),
        ({"input_tokens": 2, "output_tokens": 3}, Usage(2, 3)),
    ],
)  # fmt: skip
async def test_what_was_read_and_written_is_counted_alike_in_replies_and_in_streams(usage, read_as):
    head = reply(usage={**usage, "output_tokens": 1})
    streamed = await told(
        events(
            {"type": "message_start", "message": head},
            {"type": "content_block_start", "index": 0, "content_block": text("ok")},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        )
    )

    assert (await read(reply(text("ok"), usage=usage))).usage == read_as
    assert streamed.reply is not None
    assert streamed.reply.usage == read_as


@pytest.mark.parametrize("extra", [{"service_tier": "auto"}, {"anthropic": {"service_tier": "auto"}}])
async def test_the_tier_is_told_in_extra_and_the_one_that_served_is_in_the_raw_body(extra):
    answer = reply(text("ok"), usage={"input_tokens": 2, "output_tokens": 3, "service_tier": "priority"})
    transport = Scripted(Response(answer))
    said = await Router([Deployment(CLAUDE, api_key=KEY)], transport=transport).chat("hi", extra=extra)

    assert json.loads(transport.sent[0].body) == {**await asked(), "service_tier": "auto"}
    assert said.raw["usage"]["service_tier"] == "priority"


def test_the_format_knows_marks_and_no_other_parts_of_other_makers():
    _, wire = ANTHROPIC_MESSAGES.wires()[0]

    assert wire.understands(MARK)
    for other in (
        Opaque("openrouter", {"cache_control": SHORT}),
        Opaque("anthropic", {"cache_control": None}),
        Opaque("anthropic", {"cache_control": SHORT, "type": "text"}),
        Opaque("anthropic", {"type": "thinking"}),
        Opaque("anthropic", "cache_control"),
    ):
        assert not wire.understands(other)
