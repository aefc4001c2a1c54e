"""What Google's errors mean."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from tests.providers.gemini.wire import refused
from tests.providers.wire import KEY

EXCEEDED = "You exceeded your current quota, please check your plan and billing details."


def failure(code, status, message, *details):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def reason(word):
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word, "domain": "googleapis.com"}


def quotas(*ids):
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": each} for each in ids],
    }


def delay(length):
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": length}


MINUTE = "GenerateContentPaidTierInputTokensPerModelPerMinute"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [body]], ids=["plain", "in an array"])
@pytest.mark.parametrize(
    ("code", "status", "message", "details", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Bad field", (), BadRequestError),
        (400, "INVALID_ARGUMENT", "API key expired.", (reason("API_KEY_INVALID"),), AuthenticationError),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass one.", (), AuthenticationError),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
            (),
            ContextWindowExceededError,
        ),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            (),
            PermissionDeniedError,
        ),
        (400, "FAILED_PRECONDITION", "The file is not active.", (), BadRequestError),
        (401, "UNAUTHENTICATED", "Expected OAuth 2 access token", (), AuthenticationError),
        (
            403,
            "PERMISSION_DENIED",
            "The API is disabled",
            (reason("SERVICE_DISABLED"),),
            PermissionDeniedError,
        ),
        (404, "NOT_FOUND", "models/x is not found", (), NotFoundError),
        (429, "RESOURCE_EXHAUSTED", EXCEEDED, (quotas(MINUTE),), RateLimitError),
        (429, "RESOURCE_EXHAUSTED", EXCEEDED, (quotas(MINUTE, DAY),), QuotaExhaustedError),
        (429, "RESOURCE_EXHAUSTED", EXCEEDED, (), QuotaExhaustedError),
        (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Try again later.", (), RateLimitError),
        (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", (), QuotaExhaustedError),
        (499, "CANCELLED", "The operation was cancelled.", (), ServerError),
        (500, "INTERNAL", "An internal error has occurred.", (), ServerError),
        (503, "UNAVAILABLE", "The model is overloaded.", (), OverloadedError),
        (504, "DEADLINE_EXCEEDED", "Deadline expired.", (), ServerError),
    ],
)
async def test_errors_are_told_apart(code, status, message, details, kind, wrap):
    error = await refused(wrap(failure(code, status, message, *details)), code)

    assert type(error) is kind
    assert str(error) == f"{code}: {message}"


@pytest.mark.parametrize(
    ("message", "details", "seconds"),
    [
        ("Slow down", (delay("48s"),), 48),
        ("Slow down.\nPlease retry in 48.939935699s.", (delay("48s"),), 48.939935699),
        ("Please retry in 1m0.5s.", (), 60.5),
        ("Please retry in 500.5ms.", (), 0.5005),
        ("Slow down", (delay("0.2s"), delay("nonsense"), reason("x")), 0.2),
        ("Please retry in 9999h.", (), 7 * 24 * 3600),
        ("Please retry in a while", (), None),
        ("Slow down", (), None),
    ],
)
async def test_how_long_to_wait_is_told_in_the_body(message, details, seconds):
    error = await refused(failure(429, "RESOURCE_EXHAUSTED", message, *details), 429)

    assert isinstance(error, RateLimitError)
    assert error.retry_after == (pytest.approx(seconds) if seconds is not None else None)


async def test_an_overloaded_host_may_say_how_long_to_wait_too():
    error = await refused(failure(503, "UNAVAILABLE", "Busy", delay("3s")), 503)

    assert isinstance(error, OverloadedError)
    assert error.retry_after == 3


async def test_a_header_beats_the_body():
    body = failure(429, "RESOURCE_EXHAUSTED", "Slow down", delay("48s"))
    error = await refused(body, 429, {"retry-after": "5"})

    assert isinstance(error, RateLimitError)
    assert error.retry_after == 5


async def test_a_wait_of_seconds_is_no_hint_where_a_day_s_quota_is_used_up():
    error = await refused(failure(429, "RESOURCE_EXHAUSTED", EXCEEDED, quotas(DAY), delay("20s")), 429)

    assert isinstance(error, QuotaExhaustedError)
    assert (error.retry_after, error.transient) == (None, False)


async def test_a_refusal_for_good_has_no_wait():
    error = await refused(failure(403, "PERMISSION_DENIED", "No", delay("20s")), 403)

    assert isinstance(error, PermissionDeniedError)
    assert error.retry_after is None


@pytest.mark.parametrize(
    "details", [7, "x", {"reason": 1}, [None, "x", {"violations": 3}], [{"retryDelay": []}]]
)
async def test_details_in_any_shape_are_read_or_passed_over(details):
    error = await refused({"error": {"code": 429, "message": 7, "details": details}}, 429)

    assert type(error) is RateLimitError


async def test_an_error_holds_no_key_where_the_host_echoes_it():
    error = await refused(failure(400, "INVALID_ARGUMENT", f"API key not valid: {KEY}"), 400)

    assert KEY not in f"{error}{error.body}"
    assert str(error) == snapshot("400: API key not valid: ***")
