"""What is made of streams of OpenAI's Responses, event by event."""

from __future__ import annotations

import json

import pytest
from inline_snapshot import snapshot

from polyroute import (
    ChatChunk,
    OverloadedError,
    RateLimitError,
    ReadError,
    Reasoning,
    ResponseDecodeError,
    ServerError,
    StreamInterruptedError,
    Text,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.conformance.openai_responses import message, reply
from tests.providers.responses.wire import called, done, events, kept, told


def begun(index: int, **item: object) -> dict[str, object]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def more(kind: str, delta: object, index: int = 0, **fields: object) -> dict[str, object]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": delta, **fields}


def ended(index: int, item: object) -> dict[str, object]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def text(delta: str, index: int = 0, **fields: object) -> dict[str, object]:
    return more("output_text", delta, index, **fields)


CREATED = {"type": "response.created", "response": reply(status="in_progress")}
HELLO = [text("Hel"), text("lo."), ended(0, message("Hello."))]


async def test_a_stream_is_told_piece_by_piece_and_ends_with_its_usage():
    said = await told(events(CREATED, begun(0, type="message", content=[]), *HELLO, done(message("Hello."))))

    known = {"id": "resp_1", "model": "gpt-5-mini-2025-08-07", "deployment": "openai-responses/gpt-5-mini"}
    assert said.chunks == [
        ChatChunk("Hel", **known),
        ChatChunk("lo.", **known),
        ChatChunk(finish_reason="stop", usage=Usage(9, 3), **known),
    ]
    assert said.reply.text == "Hello."


async def test_pieces_belong_to_the_item_of_their_place_whatever_its_id():
    said = await told(
        events(
            begun(0, **called("")),
            begun(1, **called("", name="then", call_id="call_2")),
            more("function_call_arguments", '{"a"', 0, item_id="x1"),
            more("function_call_arguments", '{"b"', 1, item_id="x2"),
            more("function_call_arguments", ": 1}", 0, item_id="x3"),
            more("function_call_arguments", ": 2}", 1, item_id="x4"),
            ended(0, called('{"a": 1}')),
            ended(1, called('{"b": 2}', name="then", call_id="call_2")),
            done(),
        )
    )

    assert [chunk.tool_call_delta for chunk in said.chunks[:3]] == [
        ToolCallDelta(0, "call_1", "now"),
        ToolCallDelta(1, "call_2", "then"),
        ToolCallDelta(0, arguments='{"a"'),
    ]
    assert len(said.chunks) == 7  # and nothing is told twice
    assert said.reply.tool_calls == [
        ToolCall("call_1", "now", {"a": 1}, '{"a": 1}'),
        ToolCall("call_2", "then", {"b": 2}, '{"b": 2}'),
    ]
    assert said.reply.finish_reason == "tool_calls"


async def test_a_call_whose_name_comes_last_is_a_call():
    said = await told(events(more("function_call_arguments", "{}"), ended(0, called("{}")), done()))

    assert said.reply.tool_calls == [ToolCall("call_1", "now", {}, "{}")]


async def test_a_call_that_is_never_named_is_none():
    said = await told(events(more("function_call_arguments", "{}"), done(message("12."))))

    assert (said.reply.tool_calls, said.reply.finish_reason) == ([], "stop")


async def test_the_input_of_a_custom_tool_comes_in_pieces_too():
    item = {"type": "custom_tool_call", "call_id": "call_3", "name": "run", "input": "ls"}
    pieces = [more("custom_tool_call_input", "l"), more("custom_tool_call_input", "s")]

    said = await told(events(begun(0, **{**item, "input": ""}), *pieces, ended(0, item), done()))

    assert said.reply.tool_calls == [ToolCall("call_3", "run", raw_arguments="ls")]
    assert said.reply.parts[1] == kept(type="custom_tool_call", call_id="call_3")


async def test_the_parts_of_a_summary_stand_on_lines_of_their_own_and_the_whole_is_kept():
    summary = [{"type": "summary_text", "text": each} for each in ("One.", "Two.")]
    thought = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gA=="}
    pieces = [("One", 0), (".", 0), ("Two.", 1)]

    said = await told(
        events(
            begun(0, type="reasoning", summary=[]),
            *(more("reasoning_summary_text", piece, summary_index=part) for piece, part in pieces),
            ended(0, thought),
            text("12.", 1),
            ended(1, message("12.")),
            done(),
        )
    )

    assert said.reply.parts == (
        Reasoning("One.\nTwo."),
        kept(**thought),
        Text("12."),
        kept(type="message", id="msg_1"),
    )


async def test_of_two_ways_to_tell_what_was_reasoned_the_first_is_told():
    pieces = [
        more("reasoning_text", "So."),
        more("reasoning_summary_text", "In short."),
        more("reasoning_text", "!"),
    ]
    whole = {"type": "reasoning", "content": [{"text": "So.!"}], "summary": [{"text": "In short."}]}

    assert (await told(events(*pieces, ended(0, whole), done()))).reply.reasoning == "So.!"


async def test_a_refusal_comes_in_pieces_too():
    whole = {**message(), "content": [{"type": "refusal", "refusal": "Not that."}]}

    said = await told(events(more("refusal", "Not "), more("refusal", "that."), ended(0, whole), done()))

    assert [chunk.refusal for chunk in said.chunks[:2]] == ["Not ", "that."]
    assert said.reply.refusal == "Not that."


async def test_log_probabilities_come_with_their_pieces():
    given = [{"token": "a", "logprob": -1, "top_logprobs": []}]
    said = await told(events(text("a", logprobs=given), text("b", logprobs=[]), done()))

    assert [chunk.logprobs for chunk in said.chunks[:2]] == [(TokenLogprob("a", -1.0),), None]


# --- servers that leave something out -----------------------------------------------------------


async def test_events_need_no_names():
    data = events(CREATED, *HELLO, done())
    unnamed = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"event:"))

    assert (await told(unnamed)).reply.text == "Hello."


async def test_a_name_alone_will_do():
    said = await told(
        b'event: response.output_text.delta\ndata: {"delta": "Hi"}\n\n'
        b'event: response.completed\ndata: {"response": {}}\n\n'
    )

    assert (said.reply.text, said.reply.finish_reason) == ("Hi", "stop")


async def test_items_that_come_whole_and_at_once_are_told():
    output = [{"type": "reasoning", "summary": [{"text": "Hm."}]}, message("12."), called('{"a": 1}')]
    at_their_ends = events(*(ended(place, item) for place, item in enumerate(output)), done())

    for data in (at_their_ends, events(done(*output)), events(*(begun(0, **output[0]),), done(*output))):
        said = (await told(data)).reply
        assert (said.text, said.reasoning, said.tool_calls[0].arguments) == ("12.", "Hm.", {"a": 1})


async def test_what_was_told_is_not_told_again():
    said = await told(events(*HELLO, ended(0, message("Hello.")), done(message("Hello."), message("Hello."))))

    assert said.reply.text == "Hello."
    search = {"type": "web_search_call", "id": "ws_1"}
    found = await told(events(ended(0, search), ended(0, search), done()))
    assert found.reply.parts == (kept(**search),)


async def test_what_is_missing_of_an_item_at_its_end_is_told_and_what_differs_is_not():
    said = await told(events(text("Hel"), ended(0, message("Hello.")), done()))
    other = await told(events(text("Hel"), ended(0, message("Bye.")), done()))

    assert (said.reply.text, other.reply.text) == ("Hello.", "Hel")


async def test_a_server_may_say_only_that_it_is_done():
    said = await told(events(*HELLO) + b"data: [DONE]\n\n")
    call = await told(events(begun(0, **called("{}"))) + b"data: [DONE]\n\n")

    assert (said.reply.text, said.reply.finish_reason) == ("Hello.", "other")
    assert call.reply.finish_reason == "tool_calls"


async def test_what_comes_after_the_end_does_not_count():
    assert (await told(events(*HELLO, done(), text("!")) + b"data: [DONE]\n\n")).reply.text == "Hello."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("?", "other")],
)
async def test_a_stream_that_was_cut_says_why(reason, finish):
    said = await told(events(*HELLO, done(status="incomplete", incomplete_details={"reason": reason})))

    assert (said.reply.text, said.reply.finish_reason) == ("Hello.", finish)


# --- what goes wrong ----------------------------------------------------------------------------

ERRORS = {
    "as OpenAI writes it": {
        "type": "error",
        "code": "rate_limit_exceeded",
        "message": "Sorry",
        "param": None,
    },
    "in an object": {"type": "error", "error": {"type": "rate_limit_error", "message": "Sorry"}},
    "without a type": {"error": {"code": "rate_limit_exceeded", "message": "Sorry"}},
    "as a failure": done(status="failed", error={"code": "rate_limit_exceeded", "message": "Sorry"}),
}


@pytest.mark.parametrize("event", ERRORS.values(), ids=ERRORS)
async def test_an_error_in_a_stream_is_that_error_after_what_was_good(event):
    said = await told(events(CREATED, *HELLO[:2]) + f"data: {json.dumps(event)}\n\n".encode())

    assert [chunk.text for chunk in said.chunks] == ["Hel", "lo."]
    assert isinstance(said.error, StreamInterruptedError)
    assert (type(said.cause), said.error.partial) == (RateLimitError, "Hello.")


@pytest.mark.parametrize("data", [b"event: error\ndata: {}\n\n", events(done(status="failed"))])
async def test_an_error_that_says_nothing_is_one(data):
    assert isinstance((await told(data)).cause, ServerError)


async def test_a_stream_without_its_end_is_broken():
    said = await told(events(CREATED, *HELLO))

    assert (type(said.cause), said.error.partial) == (ReadError, "Hello.")


@pytest.mark.parametrize("data", [b"data: [DONE]\n\n", events(CREATED) + b"data: [DONE]\n\n"])
async def test_a_stream_with_nothing_in_it_is_no_reply(data):
    said = await told(data)

    assert isinstance(said.cause, ResponseDecodeError)
    assert "nothing in it" in str(said.cause)


@pytest.mark.parametrize(
    "event",
    [
        text(1),
        more("output_text", None, "one"),
        {"type": "response.output_text.delta"},
        ended(0, "hi"),
        ended(0, called(name=1)),
        ended(0, {**message(), "content": ["hi"]}),
        {"type": "response.completed"},
        {"type": "response.created", "response": 1},
    ],
)
async def test_what_the_format_does_not_promise_breaks_the_stream(event):
    assert isinstance((await told(events(event, done()))).cause, ResponseDecodeError)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"code": 503, "message": "Busy"}}', OverloadedError),
        (json.dumps(reply(message("hi"))).encode(), ResponseDecodeError),
        (b"<html>Busy</html>", ResponseDecodeError),
        (b"", ReadError),
    ],
)
async def test_a_plain_body_instead_of_a_stream_is_known_for_what_it_is(body, error):
    assert isinstance((await told(body)).cause, error)


async def test_the_wire_may_cut_anywhere():
    data = events(CREATED, text("é🙂"), done()).replace(b"\\u00e9\\ud83d\\ude42", "é🙂".encode())

    said = await told([data[place : place + 1] for place in range(len(data))])

    assert said.reply.text == snapshot("é🙂")
