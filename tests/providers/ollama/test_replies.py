"""What is made of Ollama's replies, whole and in lines, and of its errors."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ChatChunk,
    ContextWindowExceededError,
    Message,
    NotFoundError,
    OverloadedError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    ResponseDecodeError,
    ServerError,
    StreamInterruptedError,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from tests.providers.ollama.wire import call, line, lines, read, refused, reply, told

HEAD = {"model": "qwen3", "deployment": "ollama/qwen3"}


async def test_a_reply_says_what_came():
    body = reply("Because.", thinking="Hm.")
    said = await read(body)

    assert (said.text, said.reasoning, said.finish_reason, said.model) == ("Because.", "Hm.", "stop", "qwen3")
    assert (said.usage, said.raw) == (Usage(9, 3), body)


async def test_a_reply_of_words_alone_is_words_alone():
    assert (await read(reply("Because."))).message == Message("assistant", "Because.")


@pytest.mark.parametrize(
    ("reason", "calls", "finish"),
    [
        ("stop", [], "stop"),
        ("stop", [call("now")], "tool_calls"),
        ("length", [call("now")], "length"),
        ("load", [], "other"),
        ("unload", [], "other"),
        (None, [call("now")], "tool_calls"),
        (None, [], "other"),
    ],
)
async def test_the_finish_reason_is_in_our_words(reason, calls, finish):
    assert (await read(reply("ok", reason=reason, tool_calls=calls))).finish_reason == finish


async def test_arguments_come_as_an_object_and_by_some_as_its_text():
    said = await read(reply(tool_calls=[call("now", {"a": "é"}), call("now", '{"a": 1}'), call("now", None)]))

    assert [each.arguments for each in said.tool_calls] == [{"a": "é"}, {"a": 1}, {}]
    assert said.tool_calls[0].raw_arguments == '{"a": "é"}'
    assert [each.id for each in said.tool_calls] == ["call_1_0", "call_1_1", "call_1_2"]


@pytest.mark.parametrize(
    ("usage", "expected"), [({"eval_count": 3}, Usage(0, 3)), ({"prompt_eval_count": 9}, Usage(9, 0))]
)
async def test_usage_leaves_out_what_is_zero(usage, expected):
    assert (await read(reply("ok", usage=usage))).usage == expected


async def test_usage_that_is_not_told_is_our_estimate():
    assert (await read(reply("ok", usage={}))).usage.estimated


async def test_log_probabilities_are_read_in_both_forms():
    told_of = [
        {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Ho", "logprob": -1}]}
    ]
    expected = (TokenLogprob("Hi", -0.5, (72, 105), (TokenLogprob("Ho", -1.0),)),)

    whole = await read({**reply("Hi"), "logprobs": told_of})
    stream = await told(lines({**line("Hi"), "logprobs": told_of}, reply()))

    assert whole.logprobs == stream.reply.logprobs == expected


async def test_log_probabilities_may_come_without_words():
    stream = await told(lines(line("Hi"), {**line(), "logprobs": [{"token": "", "logprob": -1}]}, reply()))

    assert stream.reply.logprobs == (TokenLogprob("", -1.0),)


async def test_a_call_is_an_answer_although_no_reason_is_told():
    said = await read(reply(reason=None, tool_calls=[call("now")]))

    assert (said.text, said.finish_reason) == ("", "tool_calls")


async def test_words_come_line_by_line_and_the_usage_at_the_end():
    stream = await told(lines(line(thinking="Hm."), line("Be"), line("cause."), reply()))

    assert stream.chunks == [
        ChatChunk(reasoning="Hm.", **HEAD),
        ChatChunk("Be", **HEAD),
        ChatChunk("cause.", **HEAD),
        ChatChunk(finish_reason="stop", usage=Usage(9, 3), **HEAD),
    ]
    assert stream.response.drained


async def test_a_line_that_says_nothing_is_passed_over():
    stream = await told(lines({"model": "qwen3"}, line("Once"), {"model": "qwen3", "done": False}, reply()))

    assert [chunk.text for chunk in stream.chunks] == ["Once", ""]


async def test_calls_come_whole_and_each_has_its_place():
    stream = await told(
        lines(
            line(tool_calls=[call("now", {"a": 1}), call("now", id="call_x")]),
            line(tool_calls=[call("now")]),
            reply(),
        )
    )

    assert [chunk.tool_call_delta for chunk in stream.chunks[:-1]] == [
        ToolCallDelta(0, "call_1_0", "now", '{"a": 1}'),
        ToolCallDelta(1, "call_x", "now", "{}"),
        ToolCallDelta(2, "call_1_2", "now", "{}"),
    ]
    assert stream.reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b" \n"])
async def test_lines_are_read_however_they_are_cut_and_ended(end):
    data = lines(line("é🙂\u2028"), line("\\n\n"), reply("!")).replace(b"\n{", end + b"{")
    stream = await told([data[place : place + 1] for place in range(len(data))])

    assert stream.reply.text == "é🙂\u2028\\n\n!"


async def test_a_last_line_without_its_line_feed_is_whole():
    stream = await told(lines(line("Once"), reply())[:-1])

    assert stream.reply.text == "Once"


@pytest.mark.parametrize(
    "data",
    [
        lines(line("Once")),
        lines(line("Once"), line(" upon")),
        lines(line("Once"), reply())[:-20],
        lines(line("Once"), {"model": "qwen3", "done": False}),
    ],
)
async def test_a_stream_without_its_last_line_is_broken(data):
    stream = await told(data)

    assert isinstance(stream.error, StreamInterruptedError)
    assert isinstance(stream.cause, ReadError)
    assert stream.error.partial.startswith("Once")


async def test_a_stream_that_is_cut_in_its_first_line_is_broken():
    assert isinstance((await told(lines(line("Once"))[:30])).cause, ReadError)
    assert isinstance((await told(b"")).cause, ReadError)


async def test_an_error_comes_after_the_words_before_it():
    stream = await told(lines(line("Once"), {"error": "llama runner process has terminated"}))

    assert [chunk.text for chunk in stream.chunks] == ["Once"]
    assert isinstance(stream.error, StreamInterruptedError)
    assert type(stream.cause) is ServerError
    assert "llama runner" in str(stream.cause)


async def test_an_error_in_place_of_a_stream_is_that_error():
    stream = await told(
        json.dumps({"error": "prompt too long; exceeded max context length by 7 tokens"}).encode()
    )

    assert type(stream.error) is ContextWindowExceededError


async def test_a_page_in_place_of_a_stream_is_no_reply():
    for page in (b"<html>", b"<html>\n</html>\n"):
        assert type((await told(page)).cause) is ResponseDecodeError


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({**reply(), "done_reason": None}, "nothing in it"),
        (line("Once"), "not at its end"),
        ({}, "not at its end"),
        (b"[]", "object was promised"),
        (b"<html>", "no JSON"),
        (reply(7), "a text was promised"),
        (reply(tool_calls=[{}]), "without a name"),
        ({**reply(), "message": []}, None),
        ({**reply(), "message": "hi"}, "object was promised"),
    ],
)
async def test_what_is_no_reply_is_refused(body, words):
    if words is None:
        assert (await read(body)).text == ""
        return
    with pytest.raises(ResponseDecodeError, match=words):
        await read(body)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "invalid options: num_ctx", BadRequestError),
        (
            400,
            "prompt too long; exceeded max context length by 7 tokens (ref: x)",
            ContextWindowExceededError,
        ),
        (401, "unauthorized", AuthenticationError),
        (404, "model 'x' not found", NotFoundError),
        (429, "too many concurrent requests", RateLimitError),
        (
            429,
            "you've reached your hourly usage limit, please wait or upgrade to continue",
            QuotaExhaustedError,
        ),
        (
            429,
            "you (ann) have reached your weekly usage limit, upgrade for higher limits",
            QuotaExhaustedError,
        ),
        (500, "llama runner process has terminated: exit status 2", ServerError),
        (503, "server busy, please try again.  maximum pending requests exceeded", OverloadedError),
    ],
)
async def test_errors_are_words_alone_and_told_apart(status, message, kind):
    error = await refused({"error": message}, status)

    assert type(error) is kind
    assert str(error) == f"{status}: {message}"
