"""What is made of Anthropic's replies, whole ones, and of its refusals."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    Message,
    Opaque,
    OverloadedError,
    RateLimitError,
    Reasoning,
    ResponseDecodeError,
    ServerError,
    Text,
    ToolCall,
    Usage,
)
from tests.conformance.anthropic_messages import reply
from tests.providers.anthropic.wire import CLAUDE, asked, read, text
from tests.providers.wire import refused

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "Eq=="}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "é"}}


async def test_a_reply_says_what_it_says():
    body = reply(text("Hello."))
    said = await read(body)

    assert (said.text, said.message, said.id, said.model) == snapshot(
        ("Hello.", Message(role="assistant", content="Hello."), "msg_1", "claude-haiku-4-5-20251001")
    )
    assert (said.finish_reason, said.usage, said.reasoning, said.refusal) == snapshot(
        ("stop", Usage(input_tokens=9, output_tokens=3), None, None)
    )
    assert (said.provider, said.raw, said.tool_calls) == ("anthropic", body, [])


async def test_texts_that_stand_together_are_one():
    said = await read(
        reply(text("It is "), {**text("12"), "citations": [{"url": "https://a.example"}]}, text("."))
    )

    assert said.text == "It is 12."
    assert said.message == Message("assistant", "It is 12.")
    assert said.raw["content"][1]["citations"]


async def test_what_was_thought_is_told_and_kept_with_its_signature():
    hidden = {"type": "redacted_thinking", "data": "Em=="}
    said = await read(reply(THOUGHT, hidden, text("12.")))

    assert said.reasoning == "Hm."
    assert said.parts == (
        Reasoning("Hm."),
        Opaque("anthropic", THOUGHT),
        Opaque("anthropic", hidden),
        Text("12."),
    )


async def test_thought_that_is_not_shown_is_kept_all_the_same():
    silent = {"type": "thinking", "thinking": "", "signature": "Eq=="}
    said = await read(reply(silent, text("12.")))

    assert said.reasoning is None
    assert said.message.content == (Opaque("anthropic", silent), Text("12."))


async def test_a_reply_goes_back_as_it_came():
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "time"}}
    found = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"encrypted_content": "E"}],
    }
    content = [THOUGHT, search, found, text("Wait."), THOUGHT, CALL]
    said = await read(reply(*content, stop_reason="tool_use"))

    body = await asked([Message("user", "?"), said.message, said.tool_calls[0].result("12")])

    assert body["messages"][1] == {"role": "assistant", "content": content}
    assert said.tool_calls == [ToolCall("toolu_1", "now", {"zone": "é"})]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "other"),
        ("unheard_of", "other"),
        (None, "other"),
    ],
)
async def test_each_reason_to_stop_is_one_of_ours(reason, finish):
    assert (await read(reply(text("hi"), stop_reason=reason))).finish_reason == finish


@pytest.mark.parametrize(
    ("reason", "finish"), [("end_turn", "tool_calls"), (None, "tool_calls"), ("max_tokens", "length")]
)
async def test_a_reply_that_calls_says_so_unless_it_was_cut(reason, finish):
    assert (await read(reply(CALL, stop_reason=reason))).finish_reason == finish


async def test_tools_of_the_host_are_no_calls():
    said = await read(reply({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}))

    assert (said.tool_calls, said.finish_reason) == ([], "stop")


async def test_why_the_host_refuses_is_told():
    why = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    said = await read(reply(stop_reason="refusal", stop_details=why))

    assert (said.refusal, said.text, said.finish_reason) == ("Not that.", "", "content_filter")


@pytest.mark.parametrize(
    ("given", "usage"),
    [
        (
            {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
            Usage(129, 3, 100, 20),
        ),
        ({"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 0}, Usage(9, 3, 0)),
        ({"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": None}, Usage(9, 3)),
        (
            {"input_tokens": 9, "output_tokens": 8, "output_tokens_details": {"thinking_tokens": 5}},
            Usage(9, 8, reasoning_tokens=5),
        ),
    ],
)  # fmt: skip
async def test_usage_counts_the_whole_prompt(given, usage):
    assert (await read(reply(text("hi"), usage=given))).usage == usage


@pytest.mark.parametrize("given", [None, {}, {"service_tier": "standard"}])
async def test_usage_that_is_not_told_is_estimated(given):
    assert (await read(reply(text("hi"), usage=given))).usage.estimated


@pytest.mark.parametrize("content", [(), (text(""),)])
async def test_an_empty_reply_with_a_reason_is_an_answer(content):
    said = await read(reply(*content, stop_reason="max_tokens"))

    assert (said.finish_reason, said.text, said.parts) == ("length", "", ())


@pytest.mark.parametrize(
    "body",
    [
        reply(stop_reason=None),
        {"id": "msg_1", "stop_reason": "end_turn"},
        {},
        [],
        reply("a text"),
        reply({"type": "text", "text": 1}),
        reply({"type": "tool_use", "id": "a", "input": {}}),
        reply({"type": "tool_use", "id": "a", "name": 1, "input": {}}),
        reply({"type": "tool_use", "id": "a", "name": "now", "input": [1]}),
        reply(text("hi"), usage={"input_tokens": "many"}),
    ],
)
async def test_what_the_format_does_not_promise_is_not_taken_for_a_reply(body):
    with pytest.raises(ResponseDecodeError):
        await read(body)


async def test_an_error_that_comes_as_a_good_reply_is_that_error():
    with pytest.raises(OverloadedError):
        await read({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


# --- refusals -----------------------------------------------------------------------------------

SLOW_DOWN = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
RESETS = {
    "date": DATE,
    "anthropic-ratelimit-requests-remaining": "7",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:05Z",
    "anthropic-ratelimit-input-tokens-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:12Z",
}


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"retry-after": "7", **RESETS}, 7.0),
        (RESETS, 12.0),
        ({**RESETS, "anthropic-ratelimit-input-tokens-remaining": "9"}, 5.0),
        ({}, None),
    ],
)
async def test_a_limit_says_when_it_ends(headers, hint):
    error = await refused(SLOW_DOWN, 429, {**headers, "request-id": "req_1"}, model=CLAUDE)

    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.request_id, error.transient) == (hint, "req_1", True)


async def test_resets_are_no_hint_where_no_limit_is_why():
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    assert (await refused(busy, 529, RESETS, model=CLAUDE)).retry_after is None


@pytest.mark.parametrize(("says", "transient"), [("false", False), ("true", True)])
async def test_whether_to_ask_again_is_the_hosts_to_say(says, transient):
    sorry = {"type": "error", "error": {"type": "api_error", "message": "Sorry"}}
    error = await refused(sorry, 500, {"x-should-retry": says}, model=CLAUDE)

    assert isinstance(error, ServerError)
    assert error.transient is transient
