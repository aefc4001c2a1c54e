"""What is made of streams of Gemini's streamGenerateContent."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    AllAttemptsFailedError,
    ChatChunk,
    ContentFilterError,
    Opaque,
    OverloadedError,
    RateLimitError,
    ReadError,
    ResponseDecodeError,
    StreamInterruptedError,
    ToolCallDelta,
    Usage,
)
from tests.providers.gemini.wire import candidate, read, reply, streamed, told

PROMPT = {"promptTokenCount": 9, "totalTokenCount": 9}
NOW = {"functionCall": {"name": "now", "args": {"a": 1}}}
FRAMES = [streamed, lambda *values: json.dumps(values, indent=1).replace(",\n", "\n,\r\n").encode()]


def piece(*parts, usage=None, reason=None, **fields):
    return reply(candidate(*parts, reason=reason, **fields), usage=usage)


@pytest.fixture(params=FRAMES, ids=["events", "array"])
def framed(request):
    return request.param


async def test_words_come_as_they_are_said_and_the_usage_at_the_end(framed):
    stream = await told(framed(piece("Be", usage=PROMPT), piece("cause."), reply(candidate(reason="STOP"))))

    head = {"id": "r-1", "model": "gemini-2.5-flash-001", "deployment": "gemini/gemini-2.5-flash"}
    assert stream.chunks == [
        ChatChunk("Be", **head),
        ChatChunk("cause.", **head),
        ChatChunk(finish_reason="stop", usage=Usage(9, 3), **head),
    ]
    assert stream.reply is not None
    assert stream.reply.text == "Because."


async def test_what_is_told_once_of_the_reply_holds_for_what_follows(framed):
    bare = {"candidates": [candidate("cause.", reason="STOP")]}
    stream = await told(framed(piece("Be"), bare))

    assert {(chunk.id, chunk.model) for chunk in stream.chunks} == {("r-1", "gemini-2.5-flash-001")}


async def test_a_stream_gives_the_reply_that_comes_whole(framed):
    parts = [
        {"text": "Hm.", "thought": True},
        {"text": "é🙂", "thoughtSignature": "s1"},
        {"executableCode": {"code": "1"}},
        NOW | {"thoughtSignature": "s2"},
        NOW,
        "Done.",
    ]
    other = candidate("Or not.", reason="MAX_TOKENS", index=1)
    whole = await read(reply(candidate(*parts), other))
    stream = await told(framed(*map(piece, parts), reply(other, usage=None), reply(candidate())))

    assert stream.reply is not None
    for one, same in zip(whole.choices, stream.reply.choices, strict=True):
        assert (one.text, one.message, one.finish_reason) == (same.text, same.message, same.finish_reason)
    assert (stream.reply.reasoning, stream.reply.tool_calls) == (whole.reasoning, whole.tool_calls)
    assert (stream.reply.usage, stream.reply.id) == (whole.usage, whole.id)


async def test_a_call_comes_whole_with_its_signature(framed):
    stream = await told(framed(piece(NOW | {"thoughtSignature": "s1"}), piece(NOW, reason="STOP")))

    deltas = [chunk.tool_call_delta for chunk in stream.chunks if chunk.tool_call_delta]
    assert deltas == [
        ToolCallDelta(0, "call_r-1_0_0", "now", '{"a": 1}'),
        ToolCallDelta(1, "call_r-1_0_1", "now", '{"a": 1}'),
    ]
    assert stream.chunks[0].opaque == Opaque(
        "gemini", {"functionCall": "call_r-1_0_0", "thoughtSignature": "s1"}
    )
    assert stream.chunks[-1].finish_reason == "tool_calls"


async def test_counts_are_totals_and_one_that_is_left_out_stands(framed):
    stream = await told(
        framed(
            piece("a", usage={"trafficType": "ON_DEMAND"}),
            piece("b", usage={"promptTokenCount": 10, "totalTokenCount": 10}),
            piece("c", usage={"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 7}),
            piece("d", usage={"promptTokenCount": 9, "candidatesTokenCount": None}, reason="STOP"),
        )
    )

    # What tells nothing of the reply's own tokens yet is not taken for none.
    assert [chunk.usage for chunk in stream.chunks] == [
        None,
        None,
        Usage(9, 11, reasoning_tokens=7),
        None,
        Usage(9, 11, reasoning_tokens=7),
    ]


async def test_a_reply_of_no_tokens_has_its_usage_too(framed):
    stream = await told(framed(piece(reason="SAFETY", usage=PROMPT)))

    assert stream.reply is not None
    assert (stream.reply.finish_reason, stream.reply.usage) == ("content_filter", Usage(9, 0))


async def test_log_probabilities_come_with_the_words(framed):
    chosen = {"chosenCandidates": [{"token": "Hi", "logProbability": -0.5}]}
    stream = await told(
        framed(piece("Hi", logprobsResult=chosen), piece(logprobsResult=chosen, reason="STOP"))
    )

    assert [len(chunk.logprobs or ()) for chunk in stream.chunks] == [1, 1, 0]
    assert stream.reply is not None
    assert len(stream.reply.logprobs or ()) == 2


async def test_usage_is_told_of_the_first_candidate_only(framed):
    both = [candidate("a"), candidate("b", index=1)]
    stream = await told(framed(reply(*both)))

    assert [(chunk.index, chunk.usage) for chunk in stream.chunks] == [
        (0, None),
        (0, None),
        (1, None),
        (1, None),
        (0, Usage(9, 3)),
    ]


@pytest.mark.parametrize(
    "cut",
    [
        lambda data: data[:-1],
        lambda data: data[: data.rindex(b"Never") + 3],
        lambda data: data[: data.index(b"Never")],
    ],
)
async def test_a_stream_that_ends_before_its_last_word_is_broken(framed, cut):
    data = cut(framed(piece("Once"), piece("Never")))
    stream = await told(data)

    assert isinstance(stream.error, StreamInterruptedError | AllAttemptsFailedError)
    assert isinstance(stream.cause, ReadError)
    assert "OnceNever".startswith(getattr(stream.error, "partial", ""))


@pytest.mark.parametrize("lead", [b"", b"odd: 1\n\n"])
async def test_events_that_end_cleanly_without_a_finish_reason_are_broken(lead):
    stream = await told(lead + streamed(piece("Once")))

    assert isinstance(stream.error, StreamInterruptedError)
    assert isinstance(stream.cause, ReadError)
    assert stream.error.partial == "Once"


async def test_each_candidate_must_have_its_last_word():
    stream = await told(streamed(reply(candidate("a"), candidate("b", index=1, reason=None))))

    assert isinstance(stream.cause, ReadError)


async def test_an_array_that_is_closed_is_at_its_end_whatever_was_left_unsaid():
    stream = await told(FRAMES[1](piece("Once"), piece(NOW)) + b"<html>")
    assert stream.reply is not None
    assert (stream.reply.text, stream.reply.finish_reason) == ("Once", "tool_calls")
    assert stream.response is not None
    assert stream.response.drained

    stream = await told(FRAMES[1](piece("Once")))
    assert stream.reply is not None
    assert stream.reply.finish_reason == "other"


@pytest.mark.parametrize("data", [b"[]", b" [ ] ", b'[{"candidates": []}]', b'[{"candidates": [{}]}]'])
async def test_an_array_with_nothing_in_it_is_no_reply(data):
    stream = await told(data)

    assert type(stream.cause) is ResponseDecodeError
    assert "nothing in it" in str(stream.cause)


async def test_an_array_that_breaks_off_after_the_last_word_is_whole():
    stream = await told(FRAMES[1](piece("Once", reason="STOP"))[:-1])

    assert stream.reply is not None
    assert stream.reply.text == "Once"


async def test_an_error_comes_after_the_words_before_it(framed):
    error = {"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}}
    stream = await told(framed(piece("Once"), error))

    assert [chunk.text for chunk in stream.chunks] == ["Once"]
    assert isinstance(stream.error, StreamInterruptedError)
    assert type(stream.cause) is OverloadedError


async def test_good_parts_come_before_one_that_is_none(framed):
    stream = await told(framed(piece("Once", {"text": 7})))

    assert [chunk.text for chunk in stream.chunks] == ["Once"]
    assert type(stream.cause) is ResponseDecodeError


async def test_an_error_before_the_first_word_is_itself(framed):
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    error = {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED", "details": [delay]}
    stream = await told(framed({"error": error}))

    assert isinstance(stream.cause, RateLimitError)
    assert stream.cause.retry_after == 7


async def test_a_blocked_prompt_is_an_error(framed):
    stream = await told(framed({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": PROMPT}))

    assert type(stream.error) is ContentFilterError


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (reply(candidate("ok")), "a whole reply came instead of a stream"),
        ({"hello": "world"}, "no candidates"),
    ],
)
async def test_a_plain_body_is_no_stream(body, words):
    stream = await told(json.dumps(body).encode())

    assert type(stream.cause) is ResponseDecodeError
    assert words in str(stream.cause)


async def test_a_plain_error_in_place_of_a_stream_is_that_error():
    stream = await told(json.dumps({"error": {"code": 503, "message": "Busy"}}).encode())

    assert type(stream.cause) is OverloadedError


async def test_no_bytes_at_all_are_a_broken_stream():
    for nothing in ([], [b""], [b" "], [b"\xef", b"\xbb"]):
        assert isinstance((await told(nothing)).cause, ReadError)


@pytest.mark.parametrize("lead", [b"", b"\n\r\n ", b"\xef\xbb\xbf"])
async def test_what_stands_before_a_stream_does_not_matter_however_it_is_cut(framed, lead):
    data = lead + framed(piece("é🙂", reason="STOP"))
    stream = await told([data[place : place + 1] for place in range(len(data))])

    assert stream.reply is not None
    assert stream.reply.text == "é🙂"
