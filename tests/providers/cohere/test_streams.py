"""What is made of streams of Cohere's chat."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    ChatChunk,
    ContextWindowExceededError,
    Opaque,
    ReadError,
    ResponseDecodeError,
    ServerError,
    StreamInterruptedError,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from tests.providers.cohere.wire import USAGE, call, event, reply, streamed, text, thinking, told

START = {"type": "message-start", "id": "r-1", "delta": {"message": {"role": "assistant"}}}
HEAD = {"id": "r-1", "deployment": "cohere/command-a-03-2025"}


def says(words, index=0):
    return event("content-delta", index, content={"text": words})


def end(reason="COMPLETE", **fields):
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **fields}}


async def test_words_come_as_they_are_said_and_the_usage_at_the_end():
    stream = await told(
        streamed(
            START,
            event("content-start", content=text("")),
            says("Be"),
            says("cause."),
            event("content-end"),
            end(),
        )
    )

    assert stream.chunks == [
        ChatChunk("Be", **HEAD),
        ChatChunk("cause.", **HEAD),
        ChatChunk(finish_reason="stop", usage=Usage(9, 3), **HEAD),
    ]
    assert stream.response.drained


async def test_thoughts_come_as_they_are_thought_and_are_kept_whole():
    stream = await told(
        streamed(
            START,
            event("content-start", content=thinking("H")),
            event("content-delta", content={"thinking": "m."}),
            event("content-end"),
            says("Yes.", 1),
            end(),
        )
    )

    assert [(chunk.reasoning, chunk.opaque, chunk.text) for chunk in stream.chunks[:-1]] == [
        ("H", None, ""),
        ("m.", None, ""),
        (None, Opaque("cohere", thinking("Hm.")), ""),
        (None, None, "Yes."),
    ]


async def test_a_block_whose_end_is_not_told_ends_with_the_message():
    stream = await told(streamed(START, event("content-delta", content={"thinking": "Hm."}), end()))

    assert stream.chunks[1].opaque == Opaque("cohere", thinking("Hm."))


async def test_a_plan_is_handed_on_whole_before_the_calls_and_is_no_token():
    stream = await told(
        streamed(
            START,
            event("tool-plan-delta", tool_plan="I will "),
            event("tool-plan-delta", tool_plan="look."),
            event("tool-call-start", 3, tool_calls=call("now_1", "now", "")),
            event("tool-call-delta", 3, tool_calls={"function": {"arguments": '{"a":'}}),
            event("tool-call-delta", 3, tool_calls={"function": {"arguments": " 1}"}}),
            event("tool-call-end", 3),
            event("tool-call-start", 4, tool_calls=call("now_2", "now", "{}")),
            end("TOOL_CALL"),
        )
    )

    assert stream.chunks[0].opaque == Opaque("cohere", {"tool_plan": "I will look."})
    assert not stream.chunks[0].has_token
    assert [chunk.tool_call_delta for chunk in stream.chunks[1:-1]] == [
        ToolCallDelta(0, "now_1", "now", ""),
        ToolCallDelta(0, None, None, '{"a":'),
        ToolCallDelta(0, None, None, " 1}"),
        ToolCallDelta(1, "now_2", "now", "{}"),
    ]
    assert stream.reply.finish_reason == "tool_calls"
    assert [each.arguments for each in stream.reply.tool_calls] == [{"a": 1}, {}]


async def test_a_plan_without_a_call_is_kept_too():
    stream = await told(streamed(START, event("tool-plan-delta", tool_plan="Hm."), end()))

    assert stream.chunks[0].opaque == Opaque("cohere", {"tool_plan": "Hm."})


async def test_citations_and_what_is_new_are_passed_over():
    citation = event("citation-start", citations={"start": 0, "end": 2, "text": "Be"})
    stream = await told(
        streamed(START, says("Be"), citation, {"type": "citation-end"}, {"type": "debug"}, end())
    )

    assert [chunk.text for chunk in stream.chunks] == ["Be", ""]


async def test_log_probabilities_come_with_the_words():
    delta = {
        "message": {"content": {"text": "Hi"}},
        "logprobs": {"text": "Hi", "token_ids": [1], "logprobs": [-0.5]},
    }
    stream = await told(streamed(START, {"type": "content-delta", "index": 0, "delta": delta}, end()))

    assert stream.reply.logprobs == (TokenLogprob("Hi", -0.5),)


async def test_a_host_that_gives_up_breaks_the_stream_with_its_own_words():
    failed = end("ERROR", error="invalid tool generation", error_type="INVALID_TOOL_GENERATION")
    stream = await told(streamed(START, says("Once"), failed))

    assert isinstance(stream.error, StreamInterruptedError)
    assert stream.error.partial == "Once"
    assert type(stream.cause) is ServerError
    assert "invalid tool generation" in str(stream.cause)
    assert stream.cause.transient


async def test_a_host_may_give_up_without_a_word():
    stream = await told(streamed(START, end("TIMEOUT")))

    assert type(stream.cause) is ServerError
    assert "TIMEOUT" in str(stream.cause)


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"id": "e-1", "message": "too many tokens: size limit exceeded"}\n\n',
        b'event: error\ndata: {"error": {"message": "too many tokens"}}\n\n',
        b'event: error\ndata: {"message": "too many tokens"}\n\n',
    ],
)
async def test_an_error_in_the_midst_is_that_error(error):
    stream = await told(streamed(START, says("Once"), done=False) + error)

    assert isinstance(stream.error, StreamInterruptedError)
    assert type(stream.cause) is ContextWindowExceededError


async def test_an_event_named_error_is_one_whatever_it_says():
    stream = await told(streamed(START, says("Once"), done=False) + b"event: error\ndata: {}\n\n")

    assert type(stream.cause) is ServerError


@pytest.mark.parametrize("done", [True, False])
async def test_a_stream_without_its_message_s_end_is_broken(done):
    stream = await told(streamed(START, says("Once"), done=done))

    assert isinstance(stream.error, StreamInterruptedError)
    assert isinstance(stream.cause, ReadError | ResponseDecodeError)


async def test_a_stream_that_is_cut_is_broken():
    stream = await told(streamed(START, says("Once"), end())[:-60])

    assert isinstance(stream.cause, ReadError)


async def test_a_stream_with_nothing_in_it_is_no_reply():
    stream = await told(streamed(START, end(None)))

    assert type(stream.cause) is ResponseDecodeError
    assert "nothing in it" in str(stream.cause)


@pytest.mark.parametrize(
    ("said", "finish"),
    [(says("Once"), "other"), (event("tool-call-start", tool_calls=call("now_1", "now")), "tool_calls")],
)
async def test_a_reason_that_is_not_told_is_another_one(said, finish):
    stream = await told(streamed(START, said, end(None)))

    assert stream.reply.finish_reason == finish


async def test_an_empty_answer_is_one():
    stream = await told(streamed(START, end("MAX_TOKENS")))

    assert (stream.reply.text, stream.reply.finish_reason) == ("", "length")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (reply(text("ok")), ResponseDecodeError, "a whole reply came instead of a stream"),
        ({"id": "e-1", "message": "internal error"}, ServerError, "internal error"),
        ({"hello": "world"}, ResponseDecodeError, "nothing in it"),
    ],
)
async def test_a_plain_body_is_no_stream(body, kind, words):
    stream = await told(json.dumps(body).encode())

    assert type(stream.cause) is kind
    assert words in str(stream.cause)


async def test_an_event_of_another_shape_is_refused():
    stream = await told(streamed(START, says("Once"), {"type": "content-delta", "index": 0, "delta": None}))

    assert isinstance(stream.error, StreamInterruptedError)
    assert type(stream.cause) is ResponseDecodeError
