"""The fault scenarios 15 to 28: what a host's own refusal leads to, whichever transport brought it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

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
    ServerError,
    Timeout,
)
from tests.faults.asking import AT_ONCE, by, chatted, failure, streamed
from tests.transports.faulty_server import FaultyServer, fine, sized
from tests.transports.kinds import POOLED, deployment, in_time, routing


def refusal(status: int, message: str = "no", /, code: str | None = None, **headers: object) -> tuple[bytes]:
    """An act that refuses as OpenAI would."""
    body = json.dumps({"error": {"message": message, "type": "refused", "code": code}}).encode()
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unheard Of"
    return (sized(body, f"{status} {phrase}", **headers),)


async def refused(act, **options: object):
    """The error of a lone deployment that refuses so once and for all, and how often it was asked."""
    with FaultyServer(act) as server:
        async with routing(POOLED, server, **{"retry": AT_ONCE, **options}) as router, in_time():
            error = await failure(router.chat("hi"))
    return error, len(server.asked)


async def in_its_place(act, *, barred: bool = False) -> None:
    """The next deployment answers chats and streams, and who refused so was asked once for each. *barred*:
    it is not asked again by the calls that follow either, until it has been seen to be well."""
    for call in (chatted, streamed):
        with FaultyServer(act) as server, FaultyServer() as sound:
            async with routing(POOLED, server, sound, retry=AT_ONCE) as router, in_time():
                assert by(await call(router)) == ["a", "b"]
                assert by(await call(router)) == (["b"] if barred else ["a", "b"])
        assert len(server.asked) == (1 if barred else 2)


async def second_try(act) -> list[Exception | None]:
    """The errors of the attempts of a call whose lone deployment refuses so once, and then answers."""
    with FaultyServer(act, fine) as server:
        async with routing(POOLED, server, retry=AT_ONCE) as router, in_time():
            reply = await router.chat("hi")
    assert by(reply) == ["a", "a"]
    return [past.error for past in reply.trace.attempts]


@pytest.mark.parametrize(("status", "expected"), [(401, AuthenticationError), (403, PermissionDeniedError)])
async def test_15_a_key_that_is_refused_is_not_tried_again_and_the_next_deployment_answers(status, expected):
    error, asked = await refused(refusal(status, "Incorrect API key provided"))

    assert type(error) is expected
    assert (error.transient, asked) == (False, 1)
    await in_its_place(refusal(status), barred=True)


async def test_16_a_model_that_is_not_there_is_not_asked_for_again_and_the_next_deployment_answers():
    error, asked = await refused(refusal(404, "The model does not exist", "model_not_found"))

    assert type(error) is NotFoundError
    assert (error.transient, asked) == (False, 1)
    await in_its_place(refusal(404), barred=True)


_TOO_LONG = refusal(
    400, "This model's maximum context length is 8192 tokens, but you sent 9001.", "context_length_exceeded"
)


async def test_17_a_context_that_is_too_long_goes_to_larger_windows_alone():
    with FaultyServer(_TOO_LONG) as server, FaultyServer() as small, FaultyServer() as large:
        windows = [
            deployment(server, "a", context_window=8192),
            deployment(small, "b", context_window=4096),
            deployment(large, "c", context_window=100_000),
        ]
        async with routing(POOLED, *windows, retry=AT_ONCE) as router, in_time():
            assert by(await router.chat("hi")) == ["a", "c"]
            with pytest.raises(ContextWindowExceededError, match=r"8192 tokens.*9001"):
                await router.chat("hi", model=["a", "b"])
    assert not small.asked


@pytest.mark.parametrize("status", [400, 422])
async def test_18_a_bad_request_is_the_callers_and_is_asked_of_nobody_else(status):
    with FaultyServer(refusal(status, "temperature is too high")) as server, FaultyServer() as sound:
        async with routing(POOLED, server, sound, retry=AT_ONCE) as router, in_time():
            for call in (chatted, streamed):
                with pytest.raises(BadRequestError, match="temperature is too high") as caught:
                    await call(router)
                assert type(caught.value) is BadRequestError
                assert caught.value.status == status
            assert router.fleet["a"].error_rate == 0
    assert len(server.asked) == 2
    assert not sound.asked


@pytest.mark.parametrize(
    "act",
    [
        refusal(402),
        refusal(429, "You exceeded your current quota", "insufficient_quota", retry_after=0),
        refusal(400, "Your credit balance is too low"),
    ],
    ids=["402", "429", "400"],
)
async def test_19_a_quota_that_is_used_up_is_not_tried_again_and_the_next_deployment_answers(act):
    error, asked = await refused(act)

    assert type(error) is QuotaExhaustedError
    assert (error.transient, asked) == (False, 1)
    await in_its_place(act, barred=True)


@pytest.mark.parametrize(
    "act",
    [refusal(408), refusal(409, x_should_retry="true"), refusal(425)],
    ids=["408", "409 that says so", "425"],
)
async def test_20_what_passes_by_itself_is_tried_again(act):
    first, second = await second_try(act)

    assert type(first) is ServerError
    assert first.transient
    assert second is None


async def test_20_a_conflict_that_does_not_say_so_is_not_tried_again():
    error, asked = await refused(refusal(409))

    assert (error.transient, asked) == (False, 1)


async def test_21_a_request_that_is_too_large_goes_to_larger_windows_alone():
    act = refusal(413, "Request Entity Too Large")
    with FaultyServer(act) as server, FaultyServer() as small, FaultyServer() as large:
        windows = [
            deployment(server, "a", context_window=8192),
            deployment(small, "b", context_window=8192),
            deployment(large, "c", context_window=8193),
        ]
        async with routing(POOLED, *windows, retry=AT_ONCE) as router, in_time():
            assert by(await router.chat("hi")) == ["a", "c"]
    assert (len(server.asked), len(small.asked)) == (1, 0)


async def test_22_retry_after_is_waited_out_where_nobody_else_is_left_and_it_fits():
    with FaultyServer(refusal(429, retry_after="0.2"), fine) as server:
        async with routing(POOLED, server, retry=AT_ONCE) as router, in_time():
            reply = await router.chat("hi")

    limited, answered = reply.trace.attempts
    assert type(limited.error) is RateLimitError
    assert limited.error.retry_after == 0.2
    assert answered.started - limited.ended >= 0.2


async def test_22_retry_after_that_does_not_fit_ends_the_call_at_once():
    error, asked = await refused(refusal(429, retry_after=9), timeout=Timeout(total=5))

    assert (error.retry_after, asked) == (9, 1)


async def test_22_retry_after_is_waited_out_for_nobody_while_another_can_answer():
    await in_its_place(refusal(429, retry_after=9), barred=True)


def dated(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


_NOW = datetime.now(UTC).replace(microsecond=0)
_HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("date", "until", "seconds"),
    [
        (_NOW + _HOUR, _NOW + _HOUR + timedelta(seconds=7), 7),
        (_NOW - _HOUR, _NOW - _HOUR + timedelta(seconds=7), 7),
        (_NOW, _NOW - _HOUR, 0),
    ],
    ids=["a clock that is fast", "a clock that is slow", "the past"],
)
async def test_23_a_date_to_retry_after_is_read_against_the_hosts_own_clock(date, until, seconds):
    error, _ = await refused(refusal(429, date=dated(date), retry_after=dated(until)), retry=None)

    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after_ms": "1500", "retry_after": "2"}, 1.5),
        ({"retry_after": "1.5"}, 1.5),
        ({"x_ratelimit_reset_requests": "6m0s", "x_ratelimit_remaining_requests": "0"}, 360),
        ({"x_ratelimit_reset_tokens": "1.5", "x_ratelimit_remaining_tokens": "0"}, 1.5),
        ({"x_ratelimit_reset_tokens": "120ms", "x_ratelimit_remaining_tokens": "0"}, 0.12),
    ],
)
async def test_24_each_way_to_say_how_long_to_wait_is_understood(headers, seconds):
    error, _ = await refused(refusal(429, **headers), retry=None)

    assert error.retry_after == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["soon", "-1", "NaN", "", "0x10"])
async def test_26_what_is_no_length_of_time_is_no_hint(value):
    error, _ = await refused(refusal(429, retry_after=value), retry=None)

    assert error.retry_after is None
    await second_try(refusal(429, retry_after=value))


@pytest.mark.parametrize("value", ["86400", "1e400"])
async def test_26_who_asks_for_a_day_is_left_at_once_and_waited_for_by_nobody(value):
    error, asked = await refused(refusal(429, retry_after=value))

    assert 86_400 <= error.retry_after <= 7 * 86_400
    assert asked == 1
    await in_its_place(refusal(429, retry_after=value), barred=True)


@pytest.mark.parametrize("status", [500, 502, 503, 504, *range(520, 530)])
async def test_27_a_host_that_fails_is_tried_again_or_left_for_the_next_one(status):
    first, second = await second_try(refusal(status))

    assert type(first) is (OverloadedError if status in (503, 529) else ServerError)
    assert first.transient
    assert second is None
    await in_its_place(refusal(status))


@pytest.mark.parametrize("status", [501, 505])
async def test_27_a_host_that_will_never_do_it_is_left_for_good(status):
    error, asked = await refused(refusal(status))

    assert type(error) is ServerError
    assert (error.transient, asked) == (False, 1)
    await in_its_place(refusal(status))


async def test_28_a_host_that_says_not_to_try_again_is_obeyed():
    act = refusal(500, x_should_retry="false")
    error, asked = await refused(act)

    assert type(error) is ServerError
    assert (error.transient, asked) == (False, 1)
    await in_its_place(act)
