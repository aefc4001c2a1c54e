"""Whole replies of Bedrock, and its refusals."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
    ToolCall,
    Usage,
)
from polyroute.types import Opaque
from tests.providers.bedrock.wire import read, refused, reply, text


async def test_a_reply_is_read():
    said = await read(
        reply(
            {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "Eq=="}}},
            text("Let me "), text("look."),
            {"toolUse": {"toolUseId": "t", "name": "now", "input": {"zone": "UTC"}}},
            stopReason="tool_use",
            usage={"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokens": 7, "cacheWriteInputTokens": 2,
                   "cacheReadInputTokenCount": 7, "cacheWriteInputTokenCount": 2, "totalTokens": 17},
        )
    )  # fmt: skip

    assert (said.text, said.reasoning, said.finish_reason) == ("Let me look.", "Hm.", "tool_calls")
    assert said.tool_calls == [ToolCall("t", "now", {"zone": "UTC"})]
    assert said.usage == Usage(14, 3, 7, 2)
    assert (said.id, said.model, said.provider) == (None, None, "bedrock")


async def test_where_the_host_is_silent_of_its_cache_so_are_we():
    said = await read(reply(text("hi")))

    assert said.usage == Usage(9, 3)
    assert said.usage.cached_input_tokens is None
    for silent in ({}, None, {"totalTokens": 12}):
        assert (await read(reply(text("hi"), usage=silent))).usage.estimated


async def test_thoughts_without_a_signature_are_words_and_no_more():
    said = await read(reply({"reasoningContent": {"reasoningText": {"text": "Hm."}}}, text("Hi")))

    assert (said.reasoning, said.text, said.parts) == ("Hm.", "Hi", ())


async def test_words_on_which_citations_stand_are_words():
    cited = {"citationsContent": {"content": [text("It is "), text("noon")], "citations": [{"title": "a"}]}}
    said = await read(reply(text("So: "), cited, text(".")))

    assert said.text == "So: It is noon."
    assert said.raw["output"]["message"]["content"][1] == cited


async def test_what_the_host_called_itself_is_nothing_for_the_caller_to_answer():
    call = {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}
    result = {"toolResult": {"toolUseId": "s", "content": []}}
    said = await read(reply(call, result, text("Done.")))

    assert (said.tool_calls, said.finish_reason, said.text) == ([], "stop", "Done.")
    assert [part.data for part in said.parts if isinstance(part, Opaque)] == [call, result]


@pytest.mark.parametrize(
    ("reason", "calls", "finish"),
    [
        ("end_turn", 0, "stop"), ("end_turn", 1, "tool_calls"), ("stop_sequence", 0, "stop"),
        ("max_tokens", 0, "length"), ("max_tokens", 1, "length"), ("tool_use", 1, "tool_calls"),
        ("guardrail_intervened", 0, "content_filter"), ("content_filtered", 0, "content_filter"),
        ("model_context_window_exceeded", 0, "length"), ("malformed_model_output", 0, "other"),
        ("malformed_tool_use", 0, "other"), (None, 0, "other"), (None, 1, "tool_calls"),
    ],
)  # fmt: skip
async def test_the_reason_is_told_in_our_words(reason, calls, finish):
    call = {"toolUse": {"toolUseId": "t", "name": "now", "input": {}}}

    assert (await read(reply(text("hi"), *[call] * calls, stopReason=reason))).finish_reason == finish


async def test_an_empty_answer_with_a_reason_is_an_answer():
    assert (await read(reply(stopReason="max_tokens"))).text == ""


@pytest.mark.parametrize(
    "body",
    [
        {}, {"output": {}}, {"output": {"message": {"content": []}}}, {"message": "what?"}, [], b"<html>",
        {"output": {"message": {"content": [7]}}, "stopReason": 7}, {"output": 3},
        reply({"toolUse": {"toolUseId": "t", "input": {}}}), reply({"toolUse": 7}), reply(text(7)),
        reply({"citationsContent": {}}), reply(text("x"), usage={"inputTokens": "many"}),
    ],
)  # fmt: skip
async def test_what_is_no_reply_is_refused(body):
    if (
        isinstance(body, dict) and body.get("stopReason") == 7
    ):  # It has a reason, and a block that nobody knows.
        assert (await read(body)).finish_reason == "other"
        return
    with pytest.raises(ResponseDecodeError):
        await read(body)


@pytest.mark.parametrize(
    "body",
    [
        {"__type": "ThrottlingException", "message": "Slow down"},
        {"Output": {"__type": "com.amazon.coral.service#ThrottlingException", "message": "Slow down"}, "Version": "1.0"},
    ],
)  # fmt: skip
async def test_an_error_in_place_of_a_reply_is_that_error(body):
    with pytest.raises(RateLimitError, match="429: Slow down"):
        await read(body)


def named(kind):
    return {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (400, "ValidationException", "Bad field", BadRequestError),
        (400, "ValidationException", "prompt is too long: 9 tokens > 8 maximum", ContextWindowExceededError),
        (400, "ValidationException", "Input is too long for requested model.", ContextWindowExceededError),
        (
            400,
            "ValidationException",
            "Invocation with on-demand throughput isn't supported.",
            BadRequestError,
        ),
        (400, "ServiceQuotaExceededException", "No more", RateLimitError),
        (403, "AccessDeniedException", "No access to the model", PermissionDeniedError),
        (403, "UnrecognizedClientException", "The token is invalid", AuthenticationError),
        (403, "InvalidSignatureException", "The signature does not match", AuthenticationError),
        (403, "ExpiredTokenException", "It has expired", AuthenticationError),
        (404, "ResourceNotFoundException", "No such model", NotFoundError),
        (408, "ModelTimeoutException", "Too slow", ServerError),
        (424, "ModelErrorException", "It stumbled", ServerError),
        (429, "ThrottlingException", "Too many tokens, please wait", RateLimitError),
        (429, "ThrottlingException", "Too many tokens per day, please wait", QuotaExhaustedError),
        (429, "ModelNotReadyException", "Being loaded", OverloadedError),
        (500, "InternalServerException", "Sorry", ServerError),
        (503, "ServiceUnavailableException", "Later", OverloadedError),
    ],
)
async def test_a_refusal_is_known_by_its_type_wherever_that_is_named(status, kind, message, error):
    shapes = [
        ({"message": message}, named(kind)),
        ({"Message": message}, named(kind)),
        ({"message": message, "__type": f"com.amazon.coral.service#{kind}"}, {}),
    ]
    for body, headers in shapes:
        refusal = await refused(body, status, headers)

        assert type(refusal) is error
        assert str(refusal) == f"{status}: {message}"


async def test_a_refusal_holds_the_id_by_which_the_host_finds_it():
    refusal = await refused({"message": "no"}, 500, {"x-amzn-requestid": "r-1"})

    assert refusal.request_id == "r-1"


@pytest.mark.parametrize("body", [b"", b"<html>", json.dumps(["x"]).encode(), b"7"])
async def test_a_refusal_may_say_anything_at_all(body):
    assert type(await refused(body, 503)) is OverloadedError
