"""How a caller marks up to where a prompt may be cached, and how OpenRouter is told; and what each host is
told of its own caches and tiers."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import Any

import pytest

from polyroute import (
    BadRequestError,
    ChatResponse,
    Deployment,
    Image,
    Message,
    Opaque,
    Router,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from polyroute.messages import read_messages
from polyroute.providers import HOSTS, HTTPProvider
from polyroute.testing import FakeProvider
from tests.conformance import driving
from tests.conformance.bedrock_converse import BEDROCK_CONVERSE
from tests.conformance.cohere_chat import COHERE_CHAT
from tests.conformance.driving import call
from tests.conformance.formats import ALL
from tests.conformance.gemini_generate import GEMINI_GENERATE
from tests.conformance.ollama_chat import OLLAMA_CHAT
from tests.conformance.openai_responses import OPENAI_RESPONSES
from tests.providers.wire import KEY, Response, Scripted, choice, completion, read, sent, told

SHORT, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
MARK = Opaque("anthropic", {"cache_control": SHORT})
MARK_FOR_AN_HOUR = Opaque("anthropic", {"cache_control": HOUR})
LONG = "Long. " * 400
CALL = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
CALLED = Message("assistant", [ToolCall("c", "now", {})])
CLAUDE = "openrouter/anthropic/claude-sonnet-4.6"


def text(words: str, mark: object = None) -> dict[str, Any]:
    return {"type": "text", "text": words, **({"cache_control": mark} if mark is not None else {})}


# --- how it is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ({"role": "user", "content": [text("a", SHORT), text("b")]}, Message("user", (Text("a"), MARK, Text("b")))),
        ({"role": "system", "content": [text("a", HOUR)]}, Message("system", (Text("a"), MARK_FOR_AN_HOUR))),
        ({"role": "user", "content": "a", "cache_control": SHORT}, Message("user", (Text("a"), MARK))),
        ({"role": "user", "content": "a", "cache_control": None}, Message("user", "a")),
        ({"role": "user", "content": "", "cache_control": SHORT}, Message("user", "")),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "u", "cache_control": SHORT}]},
            Message("user", (Image("u"), MARK)),
        ),
        (
            {"role": "assistant", "content": "a", "tool_calls": [{**CALL, "cache_control": SHORT}]},
            Message("assistant", (Text("a"), ToolCall("c", "now", {}, "{}"), MARK)),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": [text("a", SHORT), text("b")]},
            Message("tool", (ToolResult("c", "ab"), MARK)),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": "a", "cache_control": HOUR},
            Message("tool", (ToolResult("c", "a"), MARK_FOR_AN_HOUR)),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": "u", "cache_control": SHORT}]},
            Message("tool", (ToolResult("c", (Image("u"),)), MARK)),
        ),
        (Message("tool", (ToolResult("c", "a"), MARK)), Message("tool", (ToolResult("c", "a"), MARK))),
    ],
)  # fmt: skip
def test_a_mark_is_a_part_that_stands_right_after_what_it_marks(message, read):
    before = copy.deepcopy(message)

    assert read_messages([message]) == (read,)
    assert message == before


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "user", "content": [text("a"), text("b", "ephemeral")]}, "messages[0].content[1].cache_control"),
        ({"role": "user", "content": "a", "cache_control": True}, "messages[0].cache_control"),
        ({"role": "tool", "tool_call_id": "c", "content": "a", "cache_control": 5}, "messages[0].cache_control"),
        ({"role": "assistant", "tool_calls": [{**CALL, "cache_control": []}]}, "messages[0].tool_calls[0].cache_control"),
        (
            {"role": "tool", "tool_call_id": "c", "content": [text("a", SHORT), {"type": "refusal", "refusal": "b"}, {"type": "file", "file": {"file_id": "f"}}]},
            "messages[0].content[2]",
        ),
    ],
)  # fmt: skip
def test_a_mark_that_is_none_is_refused_by_its_place(message, path):
    with pytest.raises(BadRequestError) as caught:
        read_messages([message])

    assert caught.value.path == path


async def given(tools: object) -> tuple[Tool, ...]:
    """The tools as a provider gets them."""
    fake = FakeProvider()
    await Router([Deployment("fake/a", provider=fake)]).chat("hi", tools=tools)
    return fake.calls[0].request.tools


async def test_a_tool_is_marked_beside_its_function_or_in_it():
    function = {"name": "now", "parameters": {}}
    tool = {"type": "function", "function": function}

    assert await given([{**tool, "cache_control": HOUR}]) == (Tool("now", cache_control=HOUR),)
    assert await given([{**tool, "function": {**function, "cache_control": SHORT}}]) == (
        Tool("now", cache_control=SHORT),
    )
    assert await given([{**tool, "cache_control": None}]) == (Tool("now"),)
    for wrong, path in (
        ({**tool, "cache_control": "yes"}, "tools[0].cache_control"),
        ({**tool, "function": {**function, "cache_control": 1}}, "tools[0].function.cache_control"),
    ):
        with pytest.raises(BadRequestError) as caught:
            await given([wrong])
        assert caught.value.path == path


@pytest.mark.parametrize(
    "model", ["openai/gpt-5-mini", "deepseek/deepseek-chat", "mistral/mistral-small-latest", "groq/any"]
)
async def test_hosts_that_know_no_marks_are_asked_as_if_there_were_none(model):
    marked = [
        {"role": "system", "content": [text("Be", SHORT), text(" brief.", SHORT)]},
        {"role": "user", "content": "hi", "cache_control": SHORT},
        {"role": "assistant", "content": [text("yes", SHORT)], "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": [text("noon", SHORT)]},
    ]
    plain = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "noon"},
    ]
    tools = [Tool("now", cache_control=SHORT)]

    assert await sent(marked, model=model, tools=tools) == await sent(plain, model=model, tools=[Tool("now")])


@pytest.mark.parametrize("format", [GEMINI_GENERATE, COHERE_CHAT, OLLAMA_CHAT, OPENAI_RESPONSES], ids=str)
async def test_formats_without_marks_are_given_none(format):
    wires = format.wires()
    assert wires
    for _, wire in wires:
        assert not hasattr(wire, "understands")


async def test_a_provider_of_ones_own_is_given_marks_only_if_it_says_so():
    class Marked(FakeProvider):
        name = "marked"

        def understands(self, opaque: Opaque) -> bool:
            return opaque == MARK

    plain, marked = FakeProvider(), Marked()
    other = Opaque("else", {"cache_control": SHORT})
    history = [Message("user", [Text("a"), MARK, other])]
    async with Router(
        [Deployment("fake/a", provider=plain), Deployment("marked/b", provider=marked)]
    ) as router:
        await router.chat(history, model="fake/a")
        await router.chat(history, model="marked/b")

    assert plain.calls[0].request.messages == (Message("user", [Text("a")]),)
    assert marked.calls[0].request.messages == (Message("user", [Text("a"), MARK]),)


# --- OpenRouter ---------------------------------------------------------------------------------


async def test_openrouter_is_handed_each_mark_on_the_text_that_it_follows():
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = await sent(
        [
            {"role": "system", "content": [text("a", HOUR), text("b")]},
            {"role": "user", "content": [text("c"), {**picture, "cache_control": SHORT}]},
            {"role": "assistant", "content": "d", "cache_control": SHORT, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "e", "cache_control": MappingProxyType(SHORT)},
        ],
        model="openrouter/google/gemini-2.5-flash",
        tools=[Tool("now", cache_control=HOUR), Tool("later")],
    )

    assert body["messages"] == [
        {"role": "system", "content": [text("a", HOUR), text("b")]},
        {"role": "user", "content": [text("c", SHORT), picture]},
        {"role": "assistant", "content": [text("d", SHORT)], "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": [text("e", SHORT)]},
    ]
    assert [tool.get("cache_control") for tool in body["tools"]] == [HOUR, None]


@pytest.mark.parametrize(
    "message",
    [
        Message("user", [Image("https://example.com/a.png"), MARK]),
        Message("user", [MARK, Text("a")]),
        Message("user", [Text(" "), MARK, Text("a")]),
        Message("assistant", [ToolCall("c", "now", {}), MARK]),
        Message("tool", [MARK, ToolResult("c", "a")]),
        Message("tool", [ToolResult("c", ""), MARK]),
    ],
)
async def test_a_mark_that_no_text_can_bear_is_left_out(message):
    messages = [Message("user", "hi"), CALLED, message, Message("user", "hi")]
    body = await sent(messages, model="openrouter/google/gemini-2.5-flash")

    assert len(body["messages"]) == len(messages)
    assert body["messages"][2]["content"] != [text("")]
    assert "cache_control" not in json.dumps(body)


TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "developer", "content": LONG},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "noon"},
    {"role": "user", "content": "And?"},
    {"role": "assistant", "content": "Well,"},
    {"role": "user", "content": [text("a"), text("b")]},
]


def marked(body: dict[str, Any]) -> list[object]:
    """What bears a mark, in the order of the prompt."""
    parts = [
        part
        for message in body["messages"]
        for part in (message["content"] if isinstance(message["content"], list) else ())
    ]
    return [
        each.get("text") or each["function"]["name"]
        for each in (*body.get("tools", ()), *parts)
        if each.get("cache_control") == SHORT
    ]


async def test_claude_through_openrouter_is_marked_where_nobody_did():
    before = copy.deepcopy(TALK)
    body = await sent(TALK, model=CLAUDE, tools=[Tool("later"), Tool("now")])

    assert marked(body) == ["now", LONG, "And?", "ab"]
    assert before == TALK


@pytest.mark.parametrize(
    ("messages", "places"),
    [
        ([{"role": "user", "content": LONG}], []),
        ([TALK[1], {"role": "user", "content": "hi"}], [LONG]),
        ([{"role": "user", "content": LONG}, {"role": "assistant", "content": "And"}], []),
        ([{"role": "user", "content": LONG}, TALK[3], TALK[4]], [LONG, "noon"]),
        (
            [{"role": "user", "content": LONG}, TALK[6], {"role": "user", "content": "b"}, TALK[6]],
            [LONG, "b"],
        ),
        ([{"role": "user", "content": "a"}, TALK[6], {"role": "user", "content": "b"}], []),
        ([{"role": "user", "content": LONG}, TALK[6], {"role": "user", "content": ""}], [LONG]),
    ],
)
async def test_only_what_will_come_again_is_marked(messages, places):
    assert marked(await sent(messages, model=CLAUDE)) == places


@pytest.mark.parametrize(
    ("model", "options", "arguments"),
    [
        ("openrouter/openai/gpt-5-mini", {}, {}),
        ("openrouter/google/gemini-2.5-flash", {}, {}),
        ("openai/claude", {}, {}),
        (CLAUDE, {"capabilities": {"prompt_caching": False}}, {}),
        (CLAUDE, {}, {"extra": {"cache_control": SHORT}}),
        (CLAUDE, {}, {"extra": {"tools": [{"type": "x", "cache_control": SHORT}]}}),
    ],
)
async def test_nothing_is_marked_where_hosts_do_so_themselves_or_the_caller_sees_to_it(
    model, options, arguments
):
    body = await sent(TALK, model=model, options=options, **arguments)

    assert marked({"messages": body["messages"]}) == []


async def test_an_opaque_name_is_known_by_what_it_is_like():
    options = {"like": "openrouter/anthropic/claude-opus-5"}

    assert marked(await sent(TALK, model="openrouter/prod", options=options)) == [LONG, "And?", "ab"]


async def test_a_host_of_ones_own_may_know_marks_and_developers():
    transport = Scripted(Response(completion(choice({"content": "ok"}))))
    host = replace(HOSTS["compatible"], cache_control=True, developer_role=True)
    mine = Deployment(
        "mine/claude", provider=HTTPProvider(host, transport), base_url="https://host.example/v1"
    )
    await Router([mine]).chat([{"role": "developer", "content": LONG}, {"role": "user", "content": "hi"}])

    assert marked(json.loads(transport.sent[0].body)) == [LONG]


async def test_where_prompts_are_not_cached_a_callers_marks_are_left_out_too():
    options = {"capabilities": {"prompt_caching": False}}
    messages = [Message("system", [Text("a"), MARK]), Message("user", "hi")]
    body = await sent(messages, model=CLAUDE, options=options, tools=[Tool("now", cache_control=SHORT)])

    assert "cache_control" not in json.dumps(body)


# --- every format -------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ALL, ids=str)
def test_marks_are_made_of_the_request_alone_and_leave_it_as_it_was(format):
    messages = read_messages(TALK)
    for deployment, wire in format.wires():
        asked = call(deployment)
        request = type(asked.request)(messages=messages, tools=(Tool("now"),))
        key = request.cache_key
        asked = call(deployment, request)

        assert wire.encode(asked, stream=False) == wire.encode(asked, stream=False)
        assert request.cache_key == key


# --- the hosts' own words -----------------------------------------------------------------------

TOLD = [
    ("openai/gpt-5-mini", {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex"}),
    ("groq/llama-3.3-70b-versatile", {"service_tier": "flex"}),
    ("mistral/mistral-small-latest", {"prompt_cache_key": "k"}),
    ("openrouter/any", {"service_tier": "priority", "prompt_cache_key": "k"}),
    ("xai/grok-4", {"service_tier": "priority"}),
]


@pytest.mark.parametrize(("model", "extra"), TOLD)
async def test_caches_and_tiers_are_told_in_extra(model, extra):
    assert await sent(model=model, extra=extra) == {**await sent(model=model), **extra}


@pytest.mark.parametrize(("model", "extra"), TOLD)
async def test_what_is_keyed_by_a_prefix_is_told_to_that_host_alone(model, extra):
    keyed = {model.partition("/")[0]: extra}

    assert await sent(model=model, extra=keyed) == {**await sent(model=model), **extra}
    assert await sent(model="cerebras/any", extra=keyed) == await sent(model="cerebras/any")


OTHERS = [
    (BEDROCK_CONVERSE, {"serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"}}),
    (GEMINI_GENERATE, {"cachedContent": "cachedContents/c1", "serviceTier": "flex"}),
    (
        OPENAI_RESPONSES,
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex"},
    ),
]


async def asked(
    format: Any, extra: object, answer: dict[str, Any]
) -> tuple[dict[str, Any], ChatResponse[Any]]:
    """What a call sends, and what is made of *answer*."""
    transport = Scripted(Response(answer))
    deployment = Deployment(format.models[0], api_key=KEY, region="us-east-1")
    reply = await Router([deployment], transport=transport).chat("hi", extra=extra)
    return json.loads(transport.sent[0].body), reply


@pytest.mark.parametrize(("format", "extra"), OTHERS, ids=str)
async def test_other_formats_are_told_in_extra_too(format, extra):
    plain, _ = await asked(format, None, format.answer("ok"))
    prefix = format.models[0].partition("/")[0]

    assert (await asked(format, extra, format.answer("ok")))[0] == {**plain, **extra}
    assert (await asked(format, {prefix: extra}, format.answer("ok")))[0] == {**plain, **extra}


@pytest.mark.parametrize(
    ("format", "tier"),
    [
        (BEDROCK_CONVERSE, {"serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"}}),
        (OPENAI_RESPONSES, {"service_tier": "flex"}),
    ],
    ids=str,
)
async def test_the_tier_that_a_reply_names_is_in_its_raw_body(format, tier):
    _, reply = await asked(format, None, {**format.answer("ok"), **tier})

    assert reply.raw.items() >= tier.items()


async def test_the_tier_of_a_chat_completion_is_in_its_raw_body():
    reply = await read(completion(choice({"content": "ok"}), service_tier="flex"))

    assert reply.raw["service_tier"] == "flex"


async def test_gemini_tells_its_tier_with_its_usage():
    answer = GEMINI_GENERATE.answer("ok")
    _, reply = await asked(GEMINI_GENERATE, None, {**answer, "usageMetadata": {**answer["usageMetadata"], "serviceTier": "flex"}})  # fmt: skip

    assert reply.raw["usageMetadata"]["serviceTier"] == "flex"


# --- what was read from caches, and written -----------------------------------------------------

COUNTED = [
    ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(9, 3, 4)),
    (
        {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 6}},
        Usage(9, 3, 0, 6),
    ),
    ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5}, Usage(9, 3, 4)),
    ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "read_as"), COUNTED)
async def test_cached_tokens_are_counted_alike_in_replies_and_in_streams(usage, read_as):
    reply = await read(completion(choice({"content": "ok"}), usage=usage))
    said = {"id": "c", "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}
    counts = {"id": "c", "choices": [], "usage": usage}
    body = "".join(f"data: {each}\n\n" for each in (json.dumps(said), json.dumps(counts), "[DONE]"))
    streamed = await told(body.encode())

    assert reply.usage == read_as
    assert streamed.reply is not None
    assert streamed.reply.usage == read_as


@pytest.mark.parametrize(
    ("format", "usage", "read_as"),
    [
        (
            BEDROCK_CONVERSE,
            {"inputTokens": 2, "outputTokens": 3, "totalTokens": 14, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 5},
            Usage(11, 3, 4, 5),
        ),
        (GEMINI_GENERATE, {"promptTokenCount": 9, "candidatesTokenCount": 3, "cachedContentTokenCount": 4}, Usage(9, 3, 4)),
        (
            OPENAI_RESPONSES,
            {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5}},
            Usage(9, 3, 4, 5),
        ),
    ],
    ids=str,
)  # fmt: skip
async def test_each_format_counts_what_was_cached_into_the_whole_prompt(format, usage, read_as):
    answer = format.answer("ok")
    answer["usageMetadata" if format is GEMINI_GENERATE else "usage"] = usage
    _, reply = await asked(format, None, answer)
    deployment, wire = format.wires()[0]
    chunks, error = driving.told(deployment, wire, [format.as_stream(answer, Random(1))])

    assert error is None
    assert reply.usage == read_as
    assert driving.gathered(chunks).usage == read_as
