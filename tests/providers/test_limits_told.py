"""What hosts say of their limits: every form of it, and the way from a response's head to who asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    ChatRequest,
    Deployment,
    EmbedRequest,
    HTTPProvider,
    Message,
    PolyrouteError,
    RateLimits,
    RateWindow,
    Timeout,
)
from polyroute.deadlines import Deadline
from polyroute.deployments import Call, EmbedCall
from polyroute.health import headroom_of
from polyroute.providers import HOSTS
from polyroute.providers.limits_told import limits_told
from tests.conformance.recorded import DATA, load
from tests.providers.wire import OK, Response, Scripted, delta

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
DAY = 86_400.0


def read(headers: Mapping[str, str]) -> tuple[RateWindow, ...]:
    told = limits_told(headers, clock=lambda: NOW)
    return () if told is None else told.windows


FORMS = {
    "OpenAI": (
        {
            "x-ratelimit-limit-requests": "5000", "x-ratelimit-limit-tokens": "800000",
            "x-ratelimit-remaining-requests": "4999", "x-ratelimit-remaining-tokens": "799945",
            "x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "6m0s",
        },
        [RateWindow("requests", 5_000, 4_999, 0.012), RateWindow("tokens", 800_000, 799_945, 360.0)],
    ),
    "Groq": (
        {
            "x-ratelimit-limit-requests": "14400", "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-requests": "14370", "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-requests": "2m59.56s", "x-ratelimit-reset-tokens": "1.5",
        },
        [RateWindow("requests", 14_400, 14_370, 179.56), RateWindow("tokens", 30_000, 0, 1.5)],
    ),
    "xAI, which has no resets": (
        {
            "x-ratelimit-limit-tokens": "10000000", "x-ratelimit-remaining-tokens": "9999",
            "x-ratelimit-limit-requests": "1800", "x-ratelimit-remaining-requests": "7",
        },
        [RateWindow("tokens", 10_000_000, 9_999), RateWindow("requests", 1_800, 7)],
    ),
    "Azure, in milliseconds": (
        {
            "x-ratelimit-limit-requests": "120", "x-ratelimit-remaining-requests": "119",
            "x-ratelimit-renewalperiod-requests": "60", "x-ratelimit-reset-requests": "500",
        },
        [RateWindow("requests", 120, 119, 60.0, 60.0)],
    ),
    "Azure, in seconds": (
        {
            "x-ratelimit-key": "gpt-5.6-luna", "x-ratelimit-limit-tokens": "50000",
            "x-ratelimit-remaining-tokens": "100", "x-ratelimit-renewalperiod-tokens": "60",
            "x-ratelimit-reset-tokens": "59",
        },
        [RateWindow("tokens", 50_000, 100, 59.0, 60.0)],
    ),
    "Azure, of old": (
        {"x-ratelimit-remaining-requests": "117", "x-ratelimit-remaining-tokens": "119952"},
        [RateWindow("requests", None, 117), RateWindow("tokens", None, 119_952)],
    ),
    "Anthropic": (
        {
            "date": DATE,
            "anthropic-ratelimit-requests-limit": "4000", "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:01Z",
            "anthropic-ratelimit-tokens-limit": "2400000", "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": "2026-01-01T00:01:00Z",
            "anthropic-ratelimit-input-tokens-limit": "2000000",
            "anthropic-ratelimit-input-tokens-remaining": "1998000",
            "anthropic-ratelimit-input-tokens-reset": "2025-12-31T23:59:59Z",
            "anthropic-ratelimit-output-tokens-limit": "400000",
            "anthropic-ratelimit-output-tokens-remaining": "399000",
            "anthropic-ratelimit-output-tokens-reset": "2026-01-01T00:00:00Z",
        },
        [
            RateWindow("requests", 4_000, 3_999, 1.0), RateWindow("tokens", 2_400_000, 0, 60.0),
            RateWindow("input_tokens", 2_000_000, 1_998_000, 0.0),
            RateWindow("output_tokens", 400_000, 399_000, 0.0),
        ],
    ),
    "Cerebras": (
        {
            "x-ratelimit-limit-requests-day": "14400", "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-requests-day": "12", "x-ratelimit-remaining-tokens-minute": "59000",
            "x-ratelimit-reset-requests-day": "33011.382867097855",
            "x-ratelimit-reset-tokens-minute": "11.382867097854614",
        },
        [
            RateWindow("requests", 14_400, 12, 33011.382867097855, DAY),
            RateWindow("tokens", 60_000, 59_000, 11.382867097854614, 60.0),
        ],
    ),
    "SambaNova, with moments": (
        {
            "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "42",
            "x-ratelimit-reset-requests": str(int(NOW) + 30), "x-ratelimit-limit-requests-day": "12000",
            "x-ratelimit-remaining-requests-day": "900",
            "x-ratelimit-reset-requests-day": str(int(NOW) + 7_200),
        },
        [RateWindow("requests", 60, 42, 30.0), RateWindow("requests", 12_000, 900, 7_200.0, DAY)],
    ),
    "Mistral": (
        {
            "x-ratelimit-limit-req-10-second": "60", "x-ratelimit-remaining-req-10-second": "53",
            "x-ratelimit-limit-req-minute": "100", "x-ratelimit-remaining-req-minute": "97",
            "x-ratelimit-limit-tokens-minute": "2000000", "x-ratelimit-remaining-tokens-minute": "1999370",
            "x-ratelimit-limit-tokens-month": "10000000000",
            "x-ratelimit-remaining-tokens-month": "9999999370", "x-ratelimit-tokens-query-cost": "110",
        },
        [
            RateWindow("requests", 60, 53, None, 10.0), RateWindow("requests", 100, 97, None, 60.0),
            RateWindow("tokens", 2_000_000, 1_999_370, None, 60.0),
            RateWindow("tokens", 10_000_000_000, 9_999_999_370, None, 30 * DAY),
        ],
    ),
    "Mistral, of old": (
        {
            "ratelimitbysize-limit": "500000", "ratelimitbysize-remaining": "499900",
            "ratelimitbysize-reset": "12", "ratelimitbysize-query-cost": "32",
            "x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "0",
            "x-ratelimitbysize-limit-month": "1000000000", "x-ratelimitbysize-remaining-month": "5",
        },
        [
            RateWindow("tokens", 500_000, 499_900, 12.0), RateWindow("tokens", 500_000, 0, None, 60.0),
            RateWindow("tokens", 1_000_000_000, 5, None, 30 * DAY),
        ],
    ),
    "OpenRouter and GitHub, with a moment in milliseconds": (
        {
            "x-ratelimit-limit": "50", "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(NOW + 3_600) * 1_000),
        },
        [RateWindow("requests", 50, 0, 3_600.0)],
    ),
    "Together": (
        {
            "retry-after": "2", "x-ratelimit-limit": "10", "x-ratelimit-remaining": "19",
            "x-ratelimit-reset": "2", "x-tokenlimit-limit": "3000", "x-tokenlimit-remaining": "2900",
        },
        [RateWindow("requests", 10, 19, 2.0), RateWindow("tokens", 3_000, 2_900)],
    ),
    "Fireworks": (
        {
            "x-ratelimit-limit-tokens-prompt": "11250000", "x-ratelimit-remaining-tokens-prompt": "9",
            "x-ratelimit-limit-tokens-generated": "36000",
        },
        [RateWindow("input_tokens", 11_250_000, 9), RateWindow("output_tokens", 36_000)],
    ),
    "Cohere, on trial": (
        {"x-trial-endpoint-call-limit": "40", "x-trial-endpoint-call-remaining": "31"},
        [RateWindow("requests", 40, 31, None, 60.0)],
    ),
    "the drafts of a standard": (
        {"ratelimit-limit": "300", "ratelimit-remaining": "280", "ratelimit-reset": "53"},
        [RateWindow("requests", 300, 280, 53.0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_hosts_form_is_read(form):
    headers, windows = FORMS[form]
    noise = {"content-type": "application/json", "x-request-id": "r-1", "x-ratelimit-policy": "60"}
    assert read(noise | headers) == tuple(windows)


@pytest.mark.parametrize(
    ("headers", "windows"),
    [
        ({}, []),
        ({"date": DATE, "retry-after": "3"}, []),
        ({"x-ratelimit-limit-requests": "many", "x-ratelimit-remaining-requests": "few"}, []),
        ({"x-ratelimit-reset-requests": "3s"}, []),  # of what, it does not say
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, []),  # it stands for none
        ({"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "-1"}, [(9, None, None)]),
        ({"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "1e999"}, [(9, None, None)]),
        ({"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": " 7 "}, [(None, 7, None)]),
        ({"x-ratelimit-limit-requests": "100, 100;w=60", "x-ratelimit-remaining-requests": "7"}, [(None, 7, None)]),
        ({"x-ratelimit-remaining-requests": "7.0", "x-ratelimit-reset-requests": "soon"}, [(None, 7, None)]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_not_said(headers, windows):
    assert read(headers) == tuple(RateWindow("requests", *window) for window in windows)


def test_a_date_is_read_against_the_replys_own_clock():
    headers = {
        "date": "Thu, 01 Jan 2026 05:00:00 GMT",
        "anthropic-ratelimit-requests-remaining": "1",
        "anthropic-ratelimit-requests-reset": "2026-01-01T05:00:20Z",
    }
    assert read(headers) == (RateWindow("requests", None, 1, 20.0),)


NAMES = st.sampled_from([name for headers, _ in FORMS.values() for name in headers]) | st.text()
NUMBERS = st.integers().map(str) | st.floats().map(str)
VALUES = st.text() | NUMBERS | st.from_regex(r"\d{1,400}(ms|s|m|h|d)?\d*[smhd]?\s?") | st.dates().map(str)


@given(st.dictionaries(NAMES, VALUES))
def test_no_headers_can_break_it(headers):
    for window in read(headers):
        for count in (window.limit, window.remaining):
            assert count is None or count >= 0
        assert window.limit != 0
        assert window.reset is None or window.reset >= 0
        assert 0.0 <= headroom_of(RateLimits((window,)), 1.0) <= 1.0


@pytest.mark.skipif(not DATA.exists(), reason="the recorded exchanges are not here")
def test_all_that_hosts_were_recorded_to_say_is_read():
    read_of: dict[str, int] = {}
    for exchange in load().values():
        headers = {name.lower(): value for name, value in exchange["response_headers_subset"].items()}
        said = [name for name in headers if "remaining" in name and not name.endswith("-images")]
        windows = read(headers)
        assert len([each for each in windows if each.remaining is not None]) == len(said), headers
        if windows:
            read_of[exchange["provider"]] = read_of.get(exchange["provider"], 0) + 1
    hosts = {"anthropic", "azure", "cohere", "groq", "mistral", "openai", "together", "xai"}
    assert read_of.keys() >= hosts


class TestHeadroom:
    def test_is_the_share_that_is_left_of_the_scarcest(self):
        told = RateLimits((RateWindow("requests", 100, 50, 9.0), RateWindow("tokens", 1_000, 100, 9.0)))
        assert headroom_of(told, 1.0) == 0.1

    def test_is_whole_where_nothing_is_known(self):
        assert headroom_of(RateLimits(()), 0.0) == 1.0
        assert headroom_of(RateLimits((RateWindow("tokens", 9), RateWindow("tokens", None, 9))), 0.0) == 1.0

    def test_is_whole_again_once_it_was_reset(self):
        told = RateLimits((RateWindow("requests", 100, 0, 9.0), RateWindow("tokens", 100, 50, 90.0)))
        assert headroom_of(told, 8.9) == 0.0
        assert headroom_of(told, 9.0) == 0.5
        assert headroom_of(told, 90.0) == 1.0

    @pytest.mark.parametrize(("span", "lasts"), [(None, 60.0), (10.0, 10.0), (DAY, DAY)])
    def test_lasts_as_long_as_the_limit_spans_where_no_reset_is_said(self, span, lasts):
        told = RateLimits((RateWindow("requests", 100, 30, None, span),))
        assert headroom_of(told, lasts - 0.1) == 0.3
        assert headroom_of(told, lasts) == 1.0

    def test_is_nothing_where_nothing_is_left_of_an_unknown_limit(self):
        assert headroom_of(RateLimits((RateWindow("requests", None, 0, 9.0),)), 1.0) == 0.0

    def test_is_never_more_than_the_whole(self):
        assert headroom_of(RateLimits((RateWindow("requests", 10, 19, 2.0),)), 0.0) == 1.0


LEFT = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "4"}
SAID = RateLimits((RateWindow("requests", 10, 4),))


class TestACall:
    """Who wants to know gives the call an ear, and reads what it hears when it likes."""

    def addressed(
        self, hear: Callable[..., object] | None, model: str = "openai/m", **options: str
    ) -> dict[str, Any]:
        deployment = Deployment(model, id="d", api_key="k-0123456789", **options)
        return {
            "deployment": deployment,
            "model": deployment.name,
            "timeout": Timeout(),
            "deadline": Deadline(),
            "hear": hear,
        }

    def call(self, hear: Callable[..., object] | None) -> Call:
        return Call(request=ChatRequest(messages=(Message("user", "hi"),)), **self.addressed(hear))

    @pytest.mark.parametrize("headers", [LEFT, {}])
    async def test_hears_what_an_answer_says(self, headers):
        heard: list[Callable[[], RateLimits | None]] = []
        provider = HTTPProvider(HOSTS["openai"], Scripted(Response(OK, headers=headers)))
        await provider.chat(self.call(heard.append))
        assert [tell() for tell in heard] == [SAID if headers else None]

    async def test_hears_what_a_refusal_says(self):
        heard: list[Callable[[], RateLimits | None]] = []
        provider = HTTPProvider(HOSTS["openai"], Scripted(Response({}, 429, LEFT)))
        with pytest.raises(PolyrouteError):
            await provider.chat(self.call(heard.append))
        assert [tell() for tell in heard] == [SAID]

    async def test_hears_what_the_head_of_a_stream_says_before_its_first_chunk(self):
        heard: list[Callable[[], RateLimits | None]] = []
        event = f"data: {json.dumps(delta('hi', finish_reason='stop'))}\n\n".encode()
        provider = HTTPProvider(HOSTS["openai"], Scripted(Response(event, headers=LEFT)))
        chunks = provider.stream(self.call(heard.append))
        await anext(chunks)
        assert [tell() for tell in heard] == [SAID]
        await chunks.aclose()

    async def test_hears_each_of_several_batches(self):
        heard: list[Callable[[], RateLimits | None]] = []
        body = {"embedding": [1.0], "inputTextTokenCount": 1}
        provider = HTTPProvider(HOSTS["bedrock"], Scripted(Response(body, headers=LEFT)))
        addressed = self.addressed(heard.append, "bedrock/amazon.titan-embed-text-v2:0", region="us-east-1")
        await provider.embed(EmbedCall(request=EmbedRequest(input=("hi", "ho")), **addressed))
        assert [tell() for tell in heard] == [SAID, SAID]

    async def test_without_an_ear_reads_nothing(self):
        class Unread(dict[str, str]):
            def items(self) -> object:
                raise AssertionError("it was read")

        provider = HTTPProvider(HOSTS["openai"], Scripted(Response(OK, headers=Unread(LEFT))))
        assert (await provider.chat(self.call(None))).text == "ok"
        assert (await provider.chat(self.call(lambda tell: None))).text == "ok"

    @pytest.mark.parametrize("stream", [False, True])
    async def test_closes_the_response_where_the_ear_is_broken(self, stream):
        def broken(tell: object) -> None:
            raise ZeroDivisionError

        response = Response(OK)
        provider = HTTPProvider(HOSTS["openai"], Scripted(response))
        with pytest.raises(ZeroDivisionError):
            if stream:
                await anext(provider.stream(self.call(broken)))
            else:
                await provider.chat(self.call(broken))
        assert response.closed

    def test_shows_no_ear(self):
        assert "hear" not in repr(self.call(print))
