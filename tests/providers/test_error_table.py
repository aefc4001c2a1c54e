"""What a host's refusal means: by status, unless code and words say more."""

from __future__ import annotations

import json

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
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    Router,
    ServerError,
)
from tests.providers.wire import KEY, Response, Scripted, refused


@pytest.mark.parametrize(
    ("status", "error", "transient"),
    [
        (300, ProviderError, False),
        (302, ProviderError, False),
        (400, BadRequestError, None),
        (401, AuthenticationError, False),
        (402, QuotaExhaustedError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (405, ProviderError, False),
        (408, ServerError, True),
        (409, ProviderError, False),
        (413, ContextWindowExceededError, None),
        (418, ProviderError, False),
        (422, BadRequestError, None),
        (425, ServerError, True),
        (429, RateLimitError, True),
        (498, ProviderError, False),
        (500, ServerError, True),
        (501, ServerError, False),
        (502, ServerError, True),
        (503, OverloadedError, True),
        (504, ServerError, True),
        (505, ServerError, False),
        (520, ServerError, True),
        (529, OverloadedError, True),
        (599, ServerError, True),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"error": {"message": "no"}}'])
async def test_a_status_alone_says_what_it_is(status, error, transient, body):
    refusal = await refused(body, status)

    assert type(refusal) is error
    assert (refusal.status, refusal.provider, refusal.deployment) == (status, "openai", "openai/gpt-5-mini")
    assert str(refusal).startswith((str(status), f"status {status}"))
    assert getattr(refusal, "transient", None) is transient


def openai(message: str, *, code: object = None, type: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


LONG = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        # The window.
        (400, openai(LONG, code="context_length_exceeded"), ContextWindowExceededError),
        (400, openai(LONG), ContextWindowExceededError),
        (400, {"object": "error", "message": LONG, "type": "BadRequestError", "code": 400}, ContextWindowExceededError),
        (413, openai("too large"), ContextWindowExceededError),
        (422, {"detail": [{"loc": ["body"], "msg": "prompt is too long"}]}, ContextWindowExceededError),
        (400, openai("x", type="too_many_prompt_tokens"), ContextWindowExceededError),
        (400, {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"},
         ContextWindowExceededError),
        (400, {"id": "x", "message": "too many tokens: total"}, ContextWindowExceededError),
        (400, {"error": "prompt too long; exceeded max context length by 3 tokens"}, ContextWindowExceededError),
        (400, openai("The input token count (9) exceeds the maximum number of tokens allowed (8)"),
         ContextWindowExceededError),
        (400, openai("Input is too long for requested model"), ContextWindowExceededError),
        (400, openai("INPUT TOKENS EXCEED the limit"), ContextWindowExceededError),
        (400, openai("exceeds the model's limit of 8 tokens"), ContextWindowExceededError),
        (400, {"error": {"code": 400, "message": "Provider returned error",
                         "metadata": {"provider_name": "X", "raw": '{"error": "maximum context length is 8"}'}}},
         ContextWindowExceededError),
        *[
            (400, openai(words), ContextWindowExceededError)
            for words in (
                "the context length is 8", "longer than the context window", "exceeds context_window",
                "prompt is too long", "Prompt too long", "the maximum context is 8",
                "the input token count (9) exceeds what is left", "too many input tokens", "too many tokens",
                "input is too long", "input tokens exceed", "9 is too large for model x",
                "it exceeds the maximum of 8 tokens", "it exceeds the model's 8 tokens",
            )
        ],
        (400, openai("x", code="context_length_exceeded"), ContextWindowExceededError),
        (500, openai(LONG), ServerError),
        # The filter.
        (400, openai("filtered", code="content_filter"), ContentFilterError),
        (400, {"error": {"message": "filtered", "code": "400",
                         "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, ContentFilterError),
        (400, {"error": {"message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
         ContentFilterError),
        (400, openai("no", code="content_policy_violation"), ContentFilterError),
        (400, openai("no", type="image_generation_user_error", code="moderation_blocked"), ContentFilterError),
        (403, {"error": {"code": 403, "message": "Your input was flagged",
                         "metadata": {"reasons": ["violence"]}}}, ContentFilterError),
        (403, openai("chosen model requires moderation"), ContentFilterError),
        (400, openai("the image was flagged"), BadRequestError),
        # The key.
        (400, openai("API key not valid. Please pass a valid API key."), AuthenticationError),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided."}, AuthenticationError),
        (400, openai("x", type="API_KEY_INVALID"), AuthenticationError),
        (400, openai("no", code="invalid_api_key"), AuthenticationError),
        (401, openai("no", type="authentication_error", code="invalid_request_error"), AuthenticationError),
        (401, {"detail": "Invalid API Key"}, AuthenticationError),
        # Money.
        (402, openai("Insufficient Balance"), QuotaExhaustedError),
        (429, openai("You exceeded your current quota, please check", code="insufficient_quota"), QuotaExhaustedError),
        (429, openai("You exceeded your current quota, please check"), QuotaExhaustedError),
        (400, openai("billing", code="billing_hard_limit_reached"), QuotaExhaustedError),
        (400, openai("Your credit balance is too low to access the API"), QuotaExhaustedError),
        (403, openai("Insufficient credits"), QuotaExhaustedError),
        # The pace.
        (429, openai("Rate limit reached", code="rate_limit_exceeded", type="tokens"), RateLimitError),
        (413, openai("Request too large", code="rate_limit_exceeded", type="tokens"), RateLimitError),
        (429, {"error": {"code": "RateLimitReached", "message": "retry after 7 seconds"}}, RateLimitError),
        (429, {"message": "Requests rate limit exceeded"}, RateLimitError),
        (498, openai("flex tier at capacity", code="capacity_exceeded"), OverloadedError),
        # The model.
        (404, openai("no such model", code="model_not_found"), NotFoundError),
        (400, openai("no such model", code="model_not_found"), NotFoundError),
        (404, {"error": "model 'x' not found"}, NotFoundError),
        (404, {"error": {"code": "DeploymentNotFound", "message": "no"}}, NotFoundError),
        # The host's own.
        (400, openai("Failed to call a function", code="tool_use_failed", type="invalid_request_error"), ServerError),
        (500, openai("x", code="rate_limit_exceeded"), ServerError),
    ],
)  # fmt: skip
async def test_a_code_or_the_words_say_more_than_the_status(status, body, error):
    refusal = await refused(body, status)

    assert type(refusal) is error
    assert refusal.status == status
    assert refusal.body == body


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "no such thing"}}, "400: no such thing"),
        ({"error": "no such thing"}, "400: no such thing"),
        ({"detail": "no such thing"}, "400: no such thing"),
        ({"detail": {"message": "no such thing"}}, "400: no such thing"),
        ({"message": "no such thing", "request_id": "r"}, "400: no such thing"),
        ({"msg": "no such thing"}, "400: no such thing"),
        ([{"error": {"message": "no such thing"}}], "400: no such thing"),
        ({"error": ["one", "two"]}, "400: one; two"),
        ({"error": None, "message": "no such thing"}, "400: no such thing"),
        ({"error": {}, "message": "no such thing"}, "400: no such thing"),
        (
            {"detail": [{"loc": ["body", "n"], "msg": "too many"}, {"msg": "and more"}, "even more"]},
            "400: body.n: too many; and more; even more",
        ),
        ({"detail": [{"loc": 7, "msg": "no"}, {"loc": [], "msg": "no"}]}, "400: no; no"),
        ({"error": {"message": {"deep": 1}}}, "400: {'deep': 1}"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "upstream said no"}}},
            "400: Provider returned error: upstream said no",
        ),
        ({"error": {"message": "x", "metadata": {"raw": None}}}, "400: x"),
        ({"error": {"message": "x", "metadata": "none"}}, "400: x"),
        ("no such thing", "400: no such thing"),
        ({}, "status 400, without a word"),
        ([], "status 400, without a word"),
        (None, "status 400, without a word"),
        (7, "status 400, without a word"),
        (b"no such thing \n", "400: no such thing"),
        (
            b"\xef\xbb\xbf" + json.dumps({"error": {"message": "no such thing"}}).encode(),
            "400: no such thing",
        ),
        (rb'{"error": {"message": "no \ud83d thing"}}', "400: no ? thing"),
        (b"\xff\xfe", "400: \ufffd\ufffd"),
        (b"[" * 100_000, "400: " + "[" * 200),
    ],
)
async def test_what_the_host_said_is_read_from_each_shape(body, text):
    assert str(await refused(body, 400)) == text


async def test_a_page_is_cut_and_so_is_a_message_without_an_end():
    page = await refused(b"<html>" + b"x" * 100_000, 500)
    message = await refused({"error": {"message": "y" * 100_000}}, 500)

    assert len(str(page)) < 300
    assert len(page.body) == 200
    assert len(str(message)) < 3_000
    assert len(message.body["error"]["message"]) == 100_000


@pytest.mark.parametrize(
    "name", ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "mistral-correlation-id"]
)
@pytest.mark.parametrize("status", [400, 500])
async def test_the_hosts_own_number_of_the_request_is_kept(name, status):
    assert (await refused(b"", status, {name: "r-1"})).request_id == "r-1"


@pytest.mark.parametrize(
    ("status", "said", "error", "transient"),
    [
        (500, "false", ServerError, False),
        (503, "FALSE", OverloadedError, False),
        (429, "false", RateLimitError, False),
        (409, "true", ServerError, True),
        (409, "false", ProviderError, False),
        (404, "true", NotFoundError, True),
        (501, "true", ServerError, True),
        (500, "perhaps", ServerError, True),
        (402, "true", QuotaExhaustedError, False),
        (400, "true", BadRequestError, None),
    ],
)
async def test_a_host_may_say_whether_to_try_again(status, said, error, transient):
    refusal = await refused(b"", status, {"x-should-retry": said})

    assert type(refusal) is error
    assert getattr(refusal, "transient", None) is transient


async def test_a_refusal_of_a_stream_is_the_same_as_of_a_plain_call():
    response = Response({"error": {"message": "no", "code": "model_not_found"}}, 400)
    router = Router([Deployment("openai/gpt-5", api_key=KEY)], transport=Scripted(response), retry=None)

    with pytest.raises(AllAttemptsFailedError) as caught:
        async with router.stream("hi"):
            pass

    assert type(caught.value.__cause__) is NotFoundError
    assert response.closed
