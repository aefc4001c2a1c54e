"""What is made of whole replies of Cohere's chat, and of its errors."""

from __future__ import annotations

import pytest

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    Message,
    Opaque,
    OverloadedError,
    QuotaExhaustedError,
    RateLimitError,
    Reasoning,
    ResponseDecodeError,
    ServerError,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from tests.providers.cohere.wire import call, read, refused, reply, text, thinking


async def test_a_reply_says_what_came():
    body = reply(text("Be"), text("cause."), text(""))
    said = await read(body)

    assert (said.id, said.text, said.finish_reason, said.message) == (
        "r-1",
        "Because.",
        "stop",
        Message("assistant", "Because."),
    )
    assert said.raw == body
    assert said.usage == Usage(9, 3)


async def test_thoughts_are_told_apart_from_words_and_kept_as_they_came():
    said = await read(reply(thinking("Hm."), text("Yes."), reason="MAX_TOKENS"))

    assert (said.reasoning, said.text, said.finish_reason) == ("Hm.", "Yes.", "length")
    assert said.message == Message(
        "assistant", [Reasoning("Hm."), Opaque("cohere", thinking("Hm.")), Text("Yes.")]
    )


async def test_a_plan_is_no_part_of_the_text():
    said = await read(reply(call("now_1", "now", '{"a": 1}'), plan="I will look.", reason="TOOL_CALL"))

    assert (said.text, said.reasoning, said.finish_reason) == ("", None, "tool_calls")
    assert said.tool_calls == [ToolCall("now_1", "now", {"a": 1}, '{"a": 1}')]
    assert Opaque("cohere", {"tool_plan": "I will look."}) in said.message.parts


async def test_a_content_that_is_null_is_none():
    body = reply(call("now_1", "now"))
    body["message"]["content"] = None

    assert (await read(body)).tool_calls == [ToolCall("now_1", "now", {})]


@pytest.mark.parametrize(
    ("reason", "calls", "finish"),
    [
        ("COMPLETE", False, "stop"),
        ("COMPLETE", True, "tool_calls"),
        ("STOP_SEQUENCE", False, "stop"),
        ("MAX_TOKENS", True, "length"),
        ("TOOL_CALL", False, "tool_calls"),
        ("ERROR_TOXIC", False, "content_filter"),
        ("NEW", True, "other"),
        (None, True, "tool_calls"),
        (None, False, "other"),
    ],
)
async def test_the_finish_reason_is_in_our_words(reason, calls, finish):
    said = await read(reply(text("ok"), *([call("now_1", "now")] if calls else []), reason=reason))

    assert said.finish_reason == finish


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # What is billed is less than what was read and written.
        (
            {
                "billed_units": {"input_tokens": 5, "output_tokens": 2},
                "tokens": {"input_tokens": 496.0, "output_tokens": 11.0},
            },
            Usage(496, 11),
        ),
        ({"tokens": {"input_tokens": 503, "output_tokens": 35}, "cached_tokens": 480}, Usage(503, 35, 480)),
        (
            {"tokens": {"input_tokens": 510, "output_tokens": 99, "reasoning_tokens": 29, "image_tokens": 7}},
            Usage(510, 99, reasoning_tokens=29),
        ),
        ({"tokens": {"input_tokens": 5}, "cached_tokens": 0}, Usage(5, 0, 0)),
    ],
)
async def test_usage_is_in_tokens_whatever_is_billed(usage, expected):
    assert (await read(reply(text("ok"), usage=usage))).usage == expected


@pytest.mark.parametrize("usage", [None, {}, {"billed_units": {"input_tokens": 5, "output_tokens": 2}}])
async def test_usage_that_is_not_told_is_our_estimate(usage):
    assert (await read(reply(text("ok"), usage=usage))).usage.estimated


async def test_the_log_probability_of_a_piece_of_text_is_that_of_all_its_tokens():
    told = [
        {"text": "Hi", "token_ids": [1], "logprobs": [-0.5]},
        {"text": " you", "token_ids": [2, 3], "logprobs": [-1, -0.25]},
    ]

    said = await read(reply(text("Hi you"), logprobs=told), logprobs=True)

    assert said.logprobs == (TokenLogprob("Hi", -0.5), TokenLogprob(" you", -1.25))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (reply(reason=None), "nothing in it"),
        ({}, "nothing in it"),
        (b"[]", "object was promised"),
        (b"<html>", "no JSON"),
        (reply({"type": "text", "text": 7}), "a text was promised"),
        (reply({"type": "function"}), "shape"),
        ({"message": [], "finish_reason": "COMPLETE"}, None),
        ({"message": [7]}, "object was promised"),
    ],
)
async def test_what_is_no_reply_is_refused(body, words):
    if words is None:
        assert (await read(body)).text == ""
        return
    with pytest.raises(ResponseDecodeError, match=words):
        await read(body)


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
async def test_a_host_that_gave_up_has_not_answered(reason):
    with pytest.raises(ServerError, match=reason) as caught:
        await read(reply(text("Once"), reason=reason))

    assert caught.value.transient


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        (
            {"error": "invalid tool generation", "error_type": "INVALID_TOOL_GENERATION"},
            ServerError,
            "invalid tool",
        ),
        ({"error": "too long", "error_type": "TOO_MANY_TOKENS"}, ContextWindowExceededError, "too long"),
    ],
)
async def test_why_a_host_gave_up_is_what_it_says(fields, kind, words):
    with pytest.raises(kind, match=words):
        await read(reply(reason="ERROR", **fields))


async def test_an_error_is_one_whatever_its_status_said():
    with pytest.raises(ContextWindowExceededError):
        await read({"id": "e-1", "message": "too many tokens: size limit exceeded by 7 tokens"})


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "invalid request: at least one message is required", BadRequestError),
        (400, "too many tokens: size limit exceeded by 7 tokens", ContextWindowExceededError),
        (401, "invalid api token", AuthenticationError),
        (429, "You are using a Trial key, which is limited to 10 API calls / minute.", RateLimitError),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", QuotaExhaustedError),
        (498, "invalid token", AuthenticationError),
        (499, "request was cancelled", ServerError),
        (503, "busy", OverloadedError),
    ],
)
async def test_errors_are_flat_and_told_apart(status, message, kind):
    error = await refused({"id": "e-1", "message": message}, status)

    assert type(error) is kind
    assert str(error) == f"{status}: {message}"
