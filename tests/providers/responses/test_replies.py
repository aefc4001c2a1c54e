"""What is made of replies of OpenAI's Responses, whole ones, and of refusals."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    Message,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Reasoning,
    ResponseDecodeError,
    ServerError,
    Text,
    TokenLogprob,
    Usage,
)
from tests.conformance.openai_responses import message, reply
from tests.providers.responses.wire import GPT, called, kept, read
from tests.providers.wire import refused

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}


async def test_a_reply_says_what_it_says():
    body = reply(message("Hello."))
    said = await read(body)

    assert (said.text, said.message, said.id, said.model) == snapshot(
        ("Hello.", Message(role="assistant", content="Hello."), "resp_1", "gpt-5-mini-2025-08-07")
    )
    assert (said.finish_reason, said.usage, said.reasoning, said.refusal) == snapshot(
        ("stop", Usage(input_tokens=9, output_tokens=3), None, None)
    )
    assert (said.provider, said.raw, said.tool_calls) == ("openai-responses", body, [])


async def test_the_texts_of_all_messages_are_the_text():
    said = await read(reply(message("It ", "is "), message("12.")))

    assert (said.text, said.message) == ("It is 12.", Message("assistant", "It is 12."))


async def test_a_call_bears_the_id_that_its_answer_names():
    said = await read(reply(called('{"a": 1}'), called("", call_id="call_2")))

    assert [(call.id, call.arguments) for call in said.tool_calls] == [("call_1", {"a": 1}), ("call_2", {})]
    assert said.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "item", [called(name=""), {"type": "function_call"}, {"type": "message", "content": None}]
)
async def test_an_item_that_says_nothing_is_nothing(item):
    said = await read(reply(item, message("12.")))

    assert (said.text, said.tool_calls, said.parts) == ("12.", [], ())


async def test_arguments_that_come_as_an_object_are_read_all_the_same():
    assert (await read(reply(called({"a": 1})))).tool_calls[0].arguments == {"a": 1}


async def test_what_was_reasoned_is_told_in_words_and_kept_whole():
    said = await read(reply(THOUGHT, message("12.")))

    assert said.reasoning == "Hm."
    assert said.parts == (Reasoning("Hm."), kept(**THOUGHT), Text("12."), kept(type="message", id="msg_1"))


async def test_the_parts_of_a_summary_stand_on_lines_of_their_own_and_words_as_they_were_come_first():
    summary = [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]
    words = [{"type": "reasoning_text", "text": "So."}]

    assert (await read(reply({**THOUGHT, "summary": summary}, message("")))).reasoning == "One.\nTwo."
    assert (await read(reply({**THOUGHT, "summary": summary, "content": words}))).reasoning == "So."


async def test_tools_of_the_host_are_no_calls_and_are_kept():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    said = await read(reply(search, message("12.", phase=None)))

    assert (said.tool_calls, said.finish_reason) == ([], "stop")
    assert said.parts[0] == kept(**search)


async def test_a_refusal_is_no_text():
    content = [{"type": "refusal", "refusal": "Not that."}]
    said = await read(reply({**message(), "content": content}))

    assert (said.text, said.refusal, said.finish_reason) == ("", "Not that.", "stop")
    assert said.message == Message("assistant", "Not that.")


async def test_log_probabilities_are_there():
    given = [{"token": "a", "bytes": [97], "logprob": -1, "top_logprobs": [{"token": "b", "logprob": -2}]}]
    body = message("a")
    body["content"][0]["logprobs"] = given

    assert (await read(reply(body))).logprobs == (
        TokenLogprob("a", -1.0, bytes=(97,), top=(TokenLogprob("b", -2.0),)),
    )


@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (reply(message("hi")), "stop"),
        (reply(called(), status=None), "tool_calls"),
        (reply(message("hi"), status=None), "other"),
        (reply(called(), status="cancelled"), "other"),
        (reply(called(), status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (reply(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (reply(status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (reply(status="incomplete", incomplete_details={"reason": "max_tool_calls"}), "other"),
        (reply(status="incomplete", incomplete_details=None), "other"),
        (reply(), "stop"),
    ],
)
async def test_how_a_reply_ended_is_one_of_our_words(reply, finish):
    assert (await read(reply)).finish_reason == finish


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        (
            {
                "input_tokens": 9,
                "output_tokens": 5,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, cached_input_tokens=4, cache_write_tokens=0, reasoning_tokens=3),
        ),
        ({"input_tokens": 9, "output_tokens": 5, "input_tokens_details": None}, Usage(9, 5)),
        ({"output_tokens": 5}, Usage(0, 5)),
        ({"input_tokens": 9, "output_tokens": None}, Usage(9, 0)),
    ],
)
async def test_usage_is_what_the_host_counted(usage, read_as):
    assert (await read(reply(message("hi"), usage=usage))).usage == read_as


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": None}])
async def test_where_the_host_counted_nothing_it_is_our_guess(usage):
    assert (await read(reply(message("hi"), usage=usage))).usage.estimated


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "nothing in it"),
        ({"output": []}, "nothing in it"),
        ({"status": "completed"}, "nothing in it"),
        (reply(status="queued"), "still queued"),
        (reply(message("hi"), status="in_progress"), "still in_progress"),
        ([1], "an object was promised"),
        (reply({**message(), "content": [{"type": "output_text", "text": 1}]}), "shape"),
        (reply("hi"), "shape"),
        (b"<html>", "no JSON"),
    ],
)
async def test_what_is_no_reply_is_said_to_be_none(body, what):
    with pytest.raises(ResponseDecodeError, match=what):
        await read(body)


# --- refusals, whatever their status says -------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("server_error", ServerError),
        ("rate_limit_exceeded", RateLimitError),
        ("invalid_prompt", ContentFilterError),
        ("image_content_policy_violation", ContentFilterError),
        ("failed_to_download_image", BadRequestError),
        ("vector_store_timeout", ServerError),
    ],
)
async def test_a_reply_that_failed_is_the_error_that_it_names(code, error):
    body = reply(status="failed", error={"code": code, "message": "Sorry."})

    with pytest.raises(error, match=r"Sorry\.") as caught:
        await read(body)
    assert type(caught.value) is error


async def test_a_reply_that_failed_without_a_word_is_an_error():
    with pytest.raises(ServerError, match="does not say why"):
        await read(reply(message("hi"), status="failed"))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": {"code": "model_not_found", "message": "No such model."}}, NotFoundError),
        (
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided: xa***."},
            AuthenticationError,
        ),
        (
            400,
            {"error": {"code": "invalid_encrypted_content", "message": "Not yours."}},
            PermissionDeniedError,
        ),
        (400, {"error": {"code": "unsupported_file", "message": "Send a PDF."}}, BadRequestError),
    ],
)
async def test_a_refusal_is_known_by_its_code_and_in_xais_words_too(status, body, error):
    assert type(await refused(body, status, model=GPT)) is error
