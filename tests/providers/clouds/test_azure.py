"""Azure's OpenAI: keys and tokens, its filter, its limits and its refusals."""

from __future__ import annotations

import pytest

from polyroute import (
    AuthenticationError,
    ContentFilterError,
    Deployment,
    NotFoundError,
    RateLimitError,
    Router,
)
from tests.providers.wire import OK, Response, Scripted, choice, completion, read, refused

AZURE = "azure/gpt-5-mini"
KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJodHRwczovL2NvZ25pdGl2ZXNlcnZpY2VzIn0.c2lnbmVk-0123_x"


async def awaited():
    return TOKEN


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (KEY, (b"api-key", KEY)),
        (lambda: KEY, (b"api-key", KEY)),
        ("eyJ" + KEY, (b"api-key", "eyJ" + KEY)),
        (TOKEN, (b"authorization", f"Bearer {TOKEN}")),
        (lambda: TOKEN, (b"authorization", f"Bearer {TOKEN}")),
        (awaited, (b"authorization", f"Bearer {TOKEN}")),
    ],
)
async def test_an_entra_token_is_told_from_a_key_by_its_form(key, header):
    transport = Scripted(Response(OK))
    deployment = Deployment(AZURE, api_key=key, base_url="https://mine.openai.azure.com/openai/v1")
    await Router([deployment], transport=transport).chat("hi")

    headers = dict(transport.sent[0].headers)
    assert {name: headers.get(name) for name in (b"api-key", b"authorization")} == {
        b"api-key": None, b"authorization": None, header[0]: header[1].encode()
    }  # fmt: skip


@pytest.mark.parametrize("key", [KEY, lambda: KEY])
async def test_a_header_of_the_deployments_own_has_the_last_word(key):
    transport = Scripted(Response(OK))
    deployment = Deployment(
        AZURE, api_key=key, base_url="https://proxy.example", headers={"Api-Key": "of-the-proxy"}
    )
    await Router([deployment], transport=transport).chat("hi")

    assert [value for name, value in transport.sent[0].headers if name == b"api-key"] == [b"of-the-proxy"]


async def test_an_answer_that_the_filter_took_is_a_reply_without_a_word():
    said = await read(
        completion({"index": 0, "finish_reason": "content_filter", "content_filter_results": {}}), model=AZURE
    )

    assert (said.text, said.finish_reason) == ("", "content_filter")


FILTERED = {
    "error": {
        "code": "content_filter", "message": "The response was filtered", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
    }
}  # fmt: skip


@pytest.mark.parametrize("status", [200, 400])
async def test_a_question_that_the_filter_took_is_an_error_whatever_its_status(status):
    with pytest.raises(ContentFilterError):
        await read(FILTERED, status=status, model=AZURE)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "401", AuthenticationError),
        (404, "DeploymentNotFound", NotFoundError),
        (429, "RateLimitReached", RateLimitError),
        (429, "429", RateLimitError),
    ],
)
async def test_its_refusals_are_told_apart(status, code, kind):
    error = await refused(
        {"error": {"code": code, "message": "no"}}, status, {"apim-request-id": "a-1"}, model=AZURE
    )

    assert type(error) is kind
    assert error.request_id == "a-1"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"retry-after": "7", "retry-after-ms": "6500"}, 6.5),
        ({"x-ratelimit-reset-tokens": "7", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-requests": "500"}, 7.0),
        ({"x-ratelimit-reset-requests": "0", "x-ratelimit-renewalperiod-requests": "60"}, 0.0),
        ({}, 12.0),
    ],
)  # fmt: skip
async def test_how_long_to_wait_is_told_in_whole_seconds_by_header_or_in_words(headers, seconds):
    message = "Rate limit is exceeded. Please retry after 12 seconds."
    error = await refused({"error": {"code": "429", "message": message}}, 429, headers, model=AZURE)

    assert error.retry_after == seconds


async def test_choices_may_come_with_what_the_filter_thought_of_them():
    body = completion(choice({"content": "hi"}, content_filter_results={"hate": {"filtered": False}}))

    assert (await read({**body, "prompt_filter_results": []}, model=AZURE)).text == "hi"
