"""What is made of Anthropic's streams, event by event."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    ChatChunk,
    ContextWindowExceededError,
    Opaque,
    OverloadedError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    Reasoning,
    ResponseDecodeError,
    ServerError,
    StreamInterruptedError,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.conformance import driving
from tests.conformance.anthropic_messages import ANTHROPIC_MESSAGES, reply
from tests.providers.anthropic.wire import events, text, told

STOP = {"type": "message_stop"}


def start(**usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": reply(stop_reason=None, usage=usage)}


def begin(block: object, index: int = 0) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(kind: str, index: int = 0, **fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def end(index: int = 0) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def last(reason: str | None = "end_turn", **usage: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


HELLO = (begin(text("")), more("text_delta", text="Hel"), more("text_delta", text="lo."), end())


async def test_a_stream_is_told_as_it_comes():
    said = await told(events(start(input_tokens=9), {"type": "ping"}, *HELLO, last(output_tokens=3), STOP))

    head = {"id": "msg_1", "model": "claude-haiku-4-5-20251001", "deployment": "anthropic/claude-haiku-4-5"}
    assert said.chunks == [
        ChatChunk(text="Hel", **head),
        ChatChunk(text="lo.", **head),
        ChatChunk(finish_reason="stop", **head),
        ChatChunk(usage=Usage(9, 3), **head),
    ]
    assert said.reply.text == "Hello."
    assert said.response.drained


async def test_counts_are_totals_and_those_left_out_stand():
    first = {"input_tokens": 9, "cache_read_input_tokens": 100, "output_tokens": 1}
    said = await told(
        events(
            start(**first),
            *HELLO,
            last(None, output_tokens=2),
            last(output_tokens=3, input_tokens=None),
            STOP,
        )
    )

    assert said.reply.usage == Usage(109, 3, 100)


async def test_counts_that_are_only_told_at_the_end_beat_those_at_the_start():
    said = await told(events(start(input_tokens=9), *HELLO, last(input_tokens=12, output_tokens=3), STOP))

    assert said.reply.usage == Usage(12, 3)


async def test_counts_that_are_only_told_at_the_start_are_told_all_the_same():
    said = await told(events(start(input_tokens=9, output_tokens=3), *HELLO, {**last(), "usage": None}, STOP))

    assert said.reply.usage == Usage(9, 3)


async def test_what_is_thought_is_told_as_it_comes_and_kept_with_its_signature():
    block = {"type": "thinking", "thinking": "H", "signature": ""}
    said = await told(
        events(
            start(),
            begin(block),
            more("thinking_delta", thinking="m"),
            more("thinking_delta", thinking="."),
            more("signature_delta", signature="Eq"),
            more("signature_delta", signature="=="),
            end(),
            begin({"type": "redacted_thinking", "data": "Em=="}, 1),
            end(1),
            begin(text("12."), 2),
            end(2),
            last(),
            STOP,
        )
    )

    assert [chunk.reasoning for chunk in said.chunks[:3]] == ["H", "m", "."]
    assert said.reply.parts == (
        Reasoning("Hm."),
        Opaque("anthropic", {"type": "thinking", "thinking": "Hm.", "signature": "Eq=="}),
        Opaque("anthropic", {"type": "redacted_thinking", "data": "Em=="}),
        Text("12."),
    )


NOW = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}


async def test_calls_are_told_bit_by_bit_and_counted_among_themselves():
    said = await told(
        events(
            start(),
            begin(text("Wait.")),
            end(),
            begin(NOW, 1),
            more("input_json_delta", 1, partial_json=""),
            more("input_json_delta", 1, partial_json='{"zone"'),
            more("input_json_delta", 1, partial_json=': "utc"}'),
            end(1),
            begin({**NOW, "id": "toolu_2"}, 2),
            end(2),
            last("tool_use"),
            STOP,
        )
    )

    assert [chunk.tool_call_delta for chunk in said.chunks if chunk.tool_call_delta] == [
        ToolCallDelta(0, "toolu_1", "now"),
        ToolCallDelta(0, arguments='{"zone"'),
        ToolCallDelta(0, arguments=': "utc"}'),
        ToolCallDelta(1, "toolu_2", "now"),
        ToolCallDelta(1, arguments="{}"),
    ]
    assert said.reply.tool_calls == [
        ToolCall("toolu_1", "now", {"zone": "utc"}),
        ToolCall("toolu_2", "now", {}),
    ]
    assert said.reply.finish_reason == "tool_calls"


async def test_a_call_that_comes_at_once_is_whole():
    said = await told(
        events(start(), begin({**NOW, "input": {"zone": "utc"}}), end(), last("tool_use"), STOP)
    )

    assert said.reply.tool_calls == [ToolCall("toolu_1", "now", {"zone": "utc"})]


async def test_a_call_of_which_the_end_is_not_told_ends_with_the_message():
    said = await told(events(start(), begin(NOW), STOP))

    assert said.reply.tool_calls == [ToolCall("toolu_1", "now", {})]
    assert said.reply.finish_reason == "tool_calls"


async def test_the_order_of_calls_and_words_is_kept():
    said = await told(
        events(start(), begin(NOW), end(), begin(text("Wait."), 1), end(1), last("tool_use"), STOP)
    )

    assert said.reply.parts == (ToolCall("toolu_1", "now", {}), Text("Wait."))


async def test_tools_of_the_host_are_kept_with_what_they_were_given():
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    said = await told(
        events(
            start(),
            begin(search),
            more("input_json_delta", partial_json='{"query":'),
            more("input_json_delta", partial_json=' "é"}'),
            end(),
            begin(found, 1),
            end(1),
            begin(text(""), 2),
            more("citations_delta", 2, citation={"url": "https://a.example"}),
            more("text_delta", 2, text="12."),
            end(2),
            last("pause_turn"),
            STOP,
        )
    )

    assert said.reply.parts == (
        Opaque("anthropic", {**search, "input": {"query": "é"}}),
        Opaque("anthropic", found),
        Text("12."),
    )
    assert (said.reply.tool_calls, said.reply.finish_reason) == ([], "other")


async def test_what_was_compacted_is_kept():
    said = await told(
        events(start(), begin({"type": "compaction", "content": None}),
               more("compaction_delta", content="So far"), end(), *HELLO, last(), STOP)
    )  # fmt: skip

    assert said.reply.parts[0] == Opaque("anthropic", {"type": "compaction", "content": "So far"})


async def test_why_the_host_refuses_is_told():
    delta = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Not that."}}
    said = await told(events(start(), {"type": "message_delta", "delta": delta}, STOP))

    assert (said.reply.refusal, said.reply.finish_reason) == ("Not that.", "content_filter")


async def test_what_was_not_known_is_passed_over():
    said = await told(
        events(start(), {"type": "news"}, *HELLO[:2], more("news_delta", news=1), *HELLO[2:], last(), STOP)
    )

    assert said.reply.text == "Hello."


async def test_nothing_after_its_end_counts():
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    said = await told(events(start(), *HELLO, last(), STOP, busy))

    assert said.reply.text == "Hello."


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", OverloadedError),
        ("api_error", ServerError),
        ("timeout_error", ServerError),
        ("rate_limit_error", RateLimitError),
        ("billing_error", QuotaExhaustedError),
        ("request_too_large", ContextWindowExceededError),
        ("unheard_of_error", ServerError),
    ],
)
async def test_an_error_in_a_stream_is_that_error_after_what_was_good(kind, error):
    said = await told(
        events(start(), *HELLO[:2], {"type": "error", "error": {"type": kind, "message": "Sorry"}})
    )

    assert [chunk.text for chunk in said.chunks] == ["Hel"]
    assert isinstance(said.error, StreamInterruptedError)
    assert (type(said.cause), said.error.partial) == (error, "Hel")


async def test_an_error_that_says_nothing_is_one():
    said = await told(b"event: error\ndata: {}\n\n")

    assert isinstance(said.cause, ServerError)


@pytest.mark.parametrize("ended", [(), (last(None),)])
async def test_a_stream_without_its_end_is_broken(ended):
    said = await told(events(start(), *HELLO, *ended))

    assert isinstance(said.cause, ReadError)


async def test_a_reason_and_a_clean_end_are_an_end():
    said = await told(events(start(), *HELLO, last()))

    assert (said.reply.text, said.reply.finish_reason) == ("Hello.", "stop")


async def test_a_stream_with_nothing_in_it_is_no_reply():
    said = await told(events(start(), STOP))

    assert isinstance(said.cause, ResponseDecodeError)
    assert "nothing in it" in str(said.cause)


async def test_what_only_the_host_understands_is_something():
    said = await told(events(start(), begin({"type": "redacted_thinking", "data": "Em=="}), end(), STOP))

    assert said.reply.finish_reason == "other"
    assert said.reply.parts == (Opaque("anthropic", {"type": "redacted_thinking", "data": "Em=="}),)


def test_what_does_not_parse_at_the_very_end_is_an_error_of_the_stream():
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    data = events(start(), *HELLO, begin(search, 1), more("input_json_delta", 1, partial_json='{"q'), last())
    deployment, wire = ANTHROPIC_MESSAGES.wires()[0]

    chunks, error = driving.told(deployment, wire, [data])

    assert isinstance(error, ResponseDecodeError)
    assert "".join(chunk.text for chunk in chunks) == "Hello."


async def test_an_empty_answer_with_a_reason_is_one():
    assert (await told(events(start(), last("max_tokens"), STOP))).reply.finish_reason == "length"


@pytest.mark.parametrize(
    "event",
    [
        more("input_json_delta", partial_json="{"),
        more("thinking_delta", thinking="Hm."),
        more("text_delta", text=1),
        begin({"type": "tool_use", "id": "a"}),
        begin({"type": "tool_use", "id": "a", "name": 1}),
        begin({"type": "tool_use", "id": "a", "name": "now", "input": [1]}),
        begin(None),
        {"type": "content_block_start", "content_block": NOW},
        {"type": "message_start"},
    ],
)
async def test_what_the_format_does_not_promise_breaks_the_stream(event):
    said = await told(events(start(), event, STOP))

    assert isinstance(said.cause, ResponseDecodeError)


@pytest.mark.parametrize("ended", [(end(), last(), STOP), (last(), STOP), (last(),)])
async def test_what_a_host_tool_was_given_must_be_json(ended):
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    said = await told(events(start(), begin(search), more("input_json_delta", partial_json='{"q'), *ended))

    assert isinstance(said.cause, ResponseDecodeError)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}',
            OverloadedError,
        ),
        (b'{"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}', ResponseDecodeError),
        (b"<html>Busy</html>", ResponseDecodeError),
        (b"", ReadError),
    ],
)
async def test_a_plain_body_instead_of_a_stream_is_known_for_what_it_is(body, error):
    assert isinstance((await told(body)).cause, error)


async def test_the_wire_may_cut_anywhere():
    data = events(start(input_tokens=9), begin(text("")), more("text_delta", text="é🙂"), end(), last(), STOP)
    data = data.replace(b"\\u00e9\\ud83d\\ude42", "é🙂".encode())

    said = await told([data[place : place + 1] for place in range(len(data))])

    assert said.reply.text == snapshot("é🙂")
