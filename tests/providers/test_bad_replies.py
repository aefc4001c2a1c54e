"""Replies that are not what the API promises: each is an error of ours, and never a KeyError."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    Deployment,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ResponseDecodeError,
    Router,
    ServerError,
)
from polyroute.providers import HOSTS, ErrorRow, HTTPProvider
from tests.providers.wire import OK, Response, Scripted, choice, completion, embedded, read

WHOLE = json.dumps(OK).encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"  \n\n", id="white space"),
        pytest.param(b"<html><body>Sign in</body></html>", id="a page"),
        pytest.param(WHOLE[:-9], id="truncated"),
        pytest.param(WHOLE + b"}", id="too much"),
        pytest.param(b'{"choices": [', id="the beginning"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"ok"', id="a text"),
        pytest.param(b"7", id="a number"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b'{"choices": []}', id="no choices"),
        pytest.param(b'{"choices": null}', id="null choices"),
        pytest.param(b'{"choices": {}}', id="choices are an object"),
        pytest.param(b'{"choices": 7}', id="choices are a number"),
        pytest.param(b'{"choices": [null]}', id="a null choice"),
        pytest.param(b'{"choices": [{}]}', id="nothing in it, and no finish reason"),
        pytest.param(b'{"choices": [{"message": {"content": ""}, "finish_reason": ""}]}', id="nothing in it"),
        pytest.param(b'{"choices": [{"message": "hi"}]}', id="the message is a text"),
        pytest.param(b'{"choices": [{"message": {"content": 7}}]}', id="the content is a number"),
        pytest.param(b'{"choices": [{"message": {"content": [7]}}]}', id="a part is a number"),
        pytest.param(
            b'{"choices": [{"message": {"content": {"text": "x"}}}]}', id="the content is an object"
        ),
        pytest.param(
            b'{"choices": [{"message": {"reasoning": {}, "reasoning_content": 7}}]}', id="reasoning"
        ),
        pytest.param(b'{"choices": [{"message": {"reasoning_details": 7}}]}', id="details are a number"),
        pytest.param(b'{"choices": [{"message": {"tool_calls": 7}}]}', id="calls are a number"),
        pytest.param(b'{"choices": [{"message": {"tool_calls": ["now"]}}]}', id="a call is a text"),
        pytest.param(b'{"choices": [{"message": {"tool_calls": [{"function": {"name": 7}}]}}]}', id="a name"),
        pytest.param(b'{"choices": [{"message": {"refusal": []}}, {}], "usage": 7}', id="usage is a number"),
        pytest.param(WHOLE.replace(b"9", b'"nine"'), id="tokens are a text"),
        pytest.param(WHOLE.replace(b"9", b"1e999"), id="more tokens than can be counted"),
        pytest.param(WHOLE.replace(b"9", b"NaN"), id="NaN"),
        pytest.param(b'{"choices": [{"message": {"content": "x"}, "n": NaN}]}', id="NaN where nobody looks"),
        pytest.param(b'{"choices": [{"message": {"content": "x"}, "n": -Infinity}]}', id="no number"),
        pytest.param(b'{"a": ' * 100_000, id="nested without an end"),
        pytest.param(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested deeply"),
        pytest.param(
            b'{"error": {"message": ' + b"[" * 700 + b"]" * 700 + b"}}", id="an error nested deeply"
        ),
        pytest.param(b"\x80\x81\x82", id="no UTF-8"),
        pytest.param(json.dumps(OK).encode("utf-16"), id="UTF-16"),
        pytest.param(b"data: " + WHOLE + b"\n\ndata: [DONE]\n\n", id="a stream"),
        pytest.param(
            b'{"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{}]}}]}', id="logprobs"
        ),
    ],
)
async def test_what_is_no_reply_is_an_error_that_may_pass(body):
    with pytest.raises(ResponseDecodeError) as caught:
        await read(body)

    error = caught.value
    assert error.transient
    assert error.may_have_run
    assert error.deployment == "openai/gpt-5-mini"
    assert error.provider == "openai"
    assert len(str(error)) < 1_000


async def test_the_error_says_what_is_missing():
    with pytest.raises(ResponseDecodeError, match="the reply has no choices: .*c-1"):
        await read({**OK, "choices": []})
    with pytest.raises(ResponseDecodeError, match="the reply has nothing in it: .*c-1"):
        await read(completion(choice({"content": ""}, None)))
    with pytest.raises(ResponseDecodeError, match="no JSON came: the body is empty"):
        await read(b"")
    with pytest.raises(ResponseDecodeError, match="1 vectors were asked for and 0 came"):
        await embedded({"data": []})


async def test_the_error_says_how_the_reply_began():
    with pytest.raises(ResponseDecodeError, match="no JSON came.*Sign in") as caught:
        await read(b"<html>Sign in" + b"." * 10_000)

    assert len(str(caught.value)) < 300
    assert caught.value.body.startswith("<html>Sign in")


async def test_a_byte_order_mark_is_passed_over():
    assert (await read(b"\xef\xbb\xbf" + WHOLE)).text == "ok"


async def test_white_space_before_a_reply_is_passed_over():
    assert (await read(b"\n\n \r\n" * 50 + WHOLE)).text == "ok"


async def test_half_a_surrogate_pair_is_replaced():
    assert (await read(WHOLE.replace(b'"ok"', rb'"a\ud83d\u00e9"'))).text == "a?é"


async def test_bytes_that_are_no_utf8_inside_of_a_text_are_replaced():
    assert (await read(WHOLE.replace(b'"ok"', b'"a\xffb"'))).text == "a\ufffdb"


@pytest.mark.parametrize(
    ("body", "error", "status"),
    [
        ({"error": {"message": "no", "type": "server_error", "code": None}}, ServerError, 500),
        ({"error": {"message": "later", "code": 429}}, RateLimitError, 429),
        ({"error": {"message": "later", "code": "429"}}, RateLimitError, 429),
        ({"error": {"message": "busy", "type": "overloaded_error"}}, OverloadedError, 529),
        *[
            ({"error": {"message": "x", "type": type, "code": None}}, error, status)
            for type, error, status in [
                ("invalid_request_error", BadRequestError, 400), ("authentication_error", AuthenticationError, 401),
                ("permission_error", PermissionDeniedError, 403), ("not_found_error", NotFoundError, 404),
                ("rate_limit_error", RateLimitError, 429), ("api_error", ServerError, 500),
                ("server_error", ServerError, 500), ("overloaded_error", OverloadedError, 529),
            ]
        ],
        ({"error": {"message": "x", "type": "tokens", "code": "rate_limit_exceeded"}}, RateLimitError, 429),
        # One that names its kind is not judged by its words.
        ({"error": {"message": "at capacity", "type": "server_error"}}, ServerError, 500),
        ({"error": {"message": "at capacity", "type": "api_error"}}, ServerError, 500),
        ({"error": {"message": "at capacity"}}, OverloadedError, 500),
        ({"error": {"message": "no", "status_code": 503}}, OverloadedError, 503),
        ({"error": "everything is on fire"}, ServerError, 500),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, QuotaExhaustedError, 500),
        ({"error": {"message": "x", "code": "invalid_api_key"}}, AuthenticationError, 500),
        ({"error": {"message": "Incorrect API key provided"}}, AuthenticationError, 500),
        ({"error": {"message": "the maximum context length is 8 tokens"}}, ContextWindowExceededError, 500),
        (
            {"error": {"code": "content_filter", "status": 400, "message": "filtered",
                       "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            ContentFilterError, 400,
        ),
        ([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}], OverloadedError, 503),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, BadRequestError, 400),
        ({"detail": "Internal error"}, ServerError, 500),
        ({"choices": [], "error": {"message": "no", "code": 502}}, ServerError, 502),
        (
            completion(choice({"content": "hal"}, "error", error={"message": "gone", "code": 503})),
            OverloadedError, 503,
        ),
    ],
)  # fmt: skip
async def test_an_error_in_a_good_reply_is_the_error_that_it_names(body, error, status):
    with pytest.raises(error) as caught:
        await read(body)

    assert type(caught.value) is error
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("row", "error"),
    [
        # A row of nothing but a status says nothing of an error that names none.
        (ErrorRow(RateLimitError, statuses=frozenset({420})), ServerError),
        (ErrorRow(RateLimitError, statuses=frozenset({420}), codes=frozenset({"calm"})), RateLimitError),
        (ErrorRow(RateLimitError, statuses=frozenset({420}), pattern="enhance"), RateLimitError),
        (ErrorRow(RateLimitError, statuses=frozenset({420}), pattern="excite"), ServerError),
        # A row of one's own comes before the table's.
        (ErrorRow(OverloadedError, pattern="context length"), OverloadedError),
    ],
)
async def test_rows_of_ones_own_are_asked_first_and_go_by_code_and_words_where_there_is_no_status(row, error):
    host = replace(HOSTS["compatible"], errors=(row,))
    body = {"error": {"message": "Enhance your context length", "code": "calm"}}
    if error is ServerError:
        body["error"]["message"] = "Enhance your calm"
    provider = HTTPProvider(host, Scripted(Response(body)))
    deployment = Deployment("compatible/any", provider=provider, base_url="http://10.0.0.1")

    with pytest.raises(AllAttemptsFailedError) as caught:
        await Router([deployment], retry=None).chat("hi")

    assert type(caught.value.__cause__) is error


# --- vectors -----------------------------------------------------------------------------------


async def test_vectors_come_in_the_order_of_the_inputs():
    rows = [{"index": 1, "embedding": [2, 2.5]}, {"index": 0, "embedding": [1, 1.5]}]
    reply = await embedded({"data": rows, "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4}}, 2)

    assert list(reply) == [[1.0, 1.5], [2.0, 2.5]]
    assert (reply.model, reply.usage.input_tokens, reply.usage.estimated) == ("m", 4, False)
    assert reply.raw["data"] == rows


async def test_vectors_without_an_index_come_as_they_are():
    reply = await embedded({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, 2)

    assert list(reply) == [[1.0], [2.0]]
    assert reply.usage.estimated


async def test_a_vector_in_base64_is_read_as_the_floats_that_it_spells():
    reply = await embedded({"data": [{"embedding": "AACAPwAAAMA="}], "usage": {"total_tokens": 3}})

    assert list(reply) == [[1.0, -2.0]]
    assert reply.usage.input_tokens == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        {},
        {"data": None},
        {"data": []},
        {"data": 7},
        {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]},
        {"data": [{}]},
        {"data": ["x"]},
        {"data": [{"embedding": None}]},
        {"data": [{"embedding": ["x"]}]},
        {"data": [{"embedding": "not base64!"}]},
        {"data": [{"embedding": "AACAPwAA"}]},
        {"data": [{"embedding": "AACA!PwAAAMA="}]},
        {"data": [{"embedding": {"float": [1.0]}}]},
    ],
)
async def test_what_are_no_vectors_is_an_error_that_may_pass(body):
    with pytest.raises(ResponseDecodeError):
        await embedded(body)


async def test_an_error_instead_of_vectors_is_the_error_that_it_names():
    with pytest.raises(RateLimitError):
        await embedded({"error": {"message": "later", "type": "rate_limit_exceeded"}})
