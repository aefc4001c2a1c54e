"""How long a host asks to be left alone, in every form that hosts have for it."""

from __future__ import annotations

import time

import pytest

from polyroute import BadRequestError
from polyroute.providers.hints import duration, retry_after
from tests.providers.wire import refused

WEEK = 7 * 24 * 3600.0
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def now() -> float:
    return NOW


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": "1e400"}, WEEK),
        ({"retry-after": "99999999999"}, WEEK),
        ({"retry-after": "inf"}, WEEK),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "7, 8"}, None),
        # In milliseconds, which Azure sends as 0 beside seconds that mean something.
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "-5", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "garbage", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "1e400"}, WEEK),
        # As a date: against the reply's own clock, or ours where it has none.
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 01:00:30 GMT", "date": "Thu, 01 Jan 2026 01:00:00 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT", "date": "yesterday"}, 30.0),
        ({"retry-after": "Wed, 31 Dec 2025 23:59:30 GMT"}, 0.0),
        ({"retry-after": "Fri, 01 Jan 2027 00:00:00 GMT"}, WEEK),
        ({"retry-after": "2026-01-01T00:00:30Z"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 -0000"}, 30.0),
        ({"retry-after": "Thu, 32 Jan 2026 00:00:30 GMT"}, None),
        # The resets of limits, where nothing was said outright or nothing that can be read.
        ({"x-ratelimit-reset-requests": "12ms"}, 0.012),
        ({"x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "6m0s"}, 0.012),
        (
            {"x-ratelimit-reset-requests": "12ms", "x-ratelimit-remaining-requests": "4",
             "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"},
            360.0,
        ),
        (
            {"x-ratelimit-reset-requests": "12ms", "x-ratelimit-remaining-requests": "0",
             "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"},
            360.0,
        ),
        ({"retry-after": "soon", "x-ratelimit-reset-requests": "3s"}, 3.0),
        ({"retry-after": "9", "x-ratelimit-reset-requests": "3s"}, 9.0),
        ({"anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:30Z", "date": DATE}, 30.0),
        ({"x-ratelimit-reset": "30"}, 30.0),
        ({"x-reset": "30", "x-ratelimit-policy": "30"}, None),
        ({"x-ratelimit-reset-tokens": "never", "x-ratelimit-limit-tokens": "9"}, None),
        ({"x-ratelimit-reset-tokens": "400h0m0s"}, WEEK),
    ],
)  # fmt: skip
def test_a_hint_is_seconds_whatever_its_form_and_garbage_is_none(headers, seconds):
    assert retry_after(headers, clock=now) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("12ms", 0.012),
        ("8.64s", 8.64),
        ("0s", 0.0),
        ("1m30s", 90.0),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("2m59.56s", 179.56),
        ("1d2h", 93600.0),
        ("7", 7.0),
        ("7.5", 7.5),
        (" 500 ", 500.0),
        (" 6m0s ", 360.0),
        (str(NOW + 30), 30.0),
        (str(int((NOW + 30) * 1000)), 30.0),
        (str(NOW - 30), 0.0),
        ("1e400", WEEK),
        ("2026-01-01T00:00:30Z", 30.0),
        ("2026-01-01T01:00:30+01:00", 30.0),
        ("2026-01-01T00:00:30", 30.0),
        ("5 minutes", None),
        ("12 ms", None),
        ("-3", None),
        ("s", None),
        ("", None),
    ],
)
def test_a_reset_is_a_length_a_moment_or_a_date(value, seconds):
    assert retry_after({"x-ratelimit-reset-tokens": value}, clock=now) == (
        seconds if seconds is None else pytest.approx(seconds, abs=1e-3)
    )


def test_a_date_without_a_zone_is_taken_for_utc_wherever_we_are(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:30 -0000"}, clock=now) == 30.0
        assert retry_after({"x-ratelimit-reset": "2026-01-01T00:00:30"}, clock=now) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_length_can_be_read_by_itself():
    assert duration("1m", {}) == 60.0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
async def test_what_may_pass_bears_the_hint(status):
    assert (await refused(b"", status, {"retry-after": "3"})).retry_after == 3.0


@pytest.mark.parametrize("status", [401, 403, 404, 405, 409])
async def test_a_refusal_for_good_bears_none(status):
    assert (await refused(b"", status, {"retry-after": "3"})).retry_after is None


@pytest.mark.parametrize(("status", "again"), [(402, "true"), (404, "true"), (429, "false"), (503, "false")])
async def test_a_hint_is_kept_whether_or_not_the_host_wants_to_be_tried_again(status, again):
    headers = {"retry-after": "3", "x-should-retry": again}

    assert (await refused(b"", status, headers)).retry_after == 3.0


async def test_a_bad_request_has_no_place_for_one():
    refusal = await refused(b"", 400, {"retry-after": "3"})

    assert type(refusal) is BadRequestError
    assert not hasattr(refusal, "retry_after")


async def test_a_limit_that_is_told_with_another_status_bears_the_hint_too():
    too_large = {"error": {"message": "Request too large", "type": "tokens", "code": "rate_limit_exceeded"}}
    at_capacity = {"error": {"message": "flex tier at capacity", "code": "capacity_exceeded"}}

    assert (await refused(too_large, 413, {"retry-after": "3"})).retry_after == 3.0
    assert (await refused(too_large, 413, {"x-ratelimit-reset-tokens": "3s"})).retry_after == 3.0
    assert (await refused(at_capacity, 498, {"retry-after": "3"})).retry_after == 3.0


async def test_the_reset_of_a_limit_is_a_hint_only_where_the_limit_is_why():
    headers = {"x-ratelimit-reset-requests": "3h0m0s"}

    assert (await refused(b"", 429, headers)).retry_after == 3 * 3600.0
    assert (await refused(b"", 409, {"retry-after": "3", "x-should-retry": "true"})).retry_after == 3.0
    assert (await refused(b"", 503, headers)).retry_after is None
