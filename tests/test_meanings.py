"""What each error means for where a call goes next: a fixture for each row of the table, as a call meets it."""

from __future__ import annotations

import pytest

from polyroute import (
    MEANINGS,
    AllAttemptsFailedError,
    AttemptError,
    AttemptTimeoutError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextWindowExceededError,
    Deployment,
    ExponentialBackoff,
    Fallback,
    NotFoundError,
    OutputValidationError,
    OverloadedError,
    PermissionDeniedError,
    PolyrouteError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    RejectedError,
    RequestError,
    ResponseDecodeError,
    Route,
    Router,
    ServerError,
)
from polyroute.meanings import meaning_of
from polyroute.testing import FakeProvider

ROWS: list[tuple[PolyrouteError, str, list[str]]] = [
    # The error, what it means, and who is asked after `first` has failed with it, and `second` and so on too.
    (ContextWindowExceededError("long", status=413), "larger window", ["first", "key", "unknown"]),
    (ContentFilterError("no", status=400), "other provider", ["first", "provider"]),
    (RequestError("yours"), "stop", ["first"]),
    (AuthenticationError("no", status=401), "next key", ["first", "key", "host", "unknown", "provider"]),
    (QuotaExhaustedError("no", status=429), "next key", ["first", "key", "host", "unknown", "provider"]),
    (PermissionDeniedError("no", status=403), "elsewhere", ["all"]),
    (NotFoundError("no", status=404), "elsewhere", ["all"]),
    (RateLimitError("busy", status=429), "again", ["first", "model", "key", "host", "unknown", "provider"]),
    (ServerError("down", status=500), "again", ["all"]),
    (ResponseDecodeError("what?"), "again", ["all"]),
    (ConnectError("refused"), "again", ["all"]),
    (ReadError("cut"), "again", ["all"]),
    (AttemptTimeoutError("silent", phase="attempt"), "elsewhere", ["all"]),
    (RejectedError("meh"), "elsewhere", ["all"]),
    (AttemptError("odd", transient=True), "again", ["all"]),
]


class Failing(FakeProvider):
    """It fails with *error*, and adds to *asked* who was to answer."""

    def __init__(self, error: PolyrouteError, asked: list[str]) -> None:
        super().__init__(script=[error])
        self.asked = asked

    async def chat(self, call):
        self.asked.append(call.deployment.id)
        return await super().chat(call)


def fleet(error: PolyrouteError, asked: list[str]) -> list[Deployment]:
    """Everybody fails with *error*; each differs from `first` in what it is called by."""
    base = {"provider": Failing(error, asked), "api_key": "sk-one", "context_window": 1_000}
    return [
        Deployment("fake/m", id="first", **base),
        Deployment("fake/other", id="model", **base),
        Deployment("fake/m", id="key", **(base | {"api_key": "sk-two", "context_window": 2_000})),
        Deployment("fake/m", id="host", **(base | {"base_url": "https://x.example"})),
        Deployment("fake/m", id="unknown", **(base | {"api_key": "sk-four", "context_window": None})),
        Deployment("fake/m", id="provider", **(base | {"provider": Failing(error, asked)})),
    ]


ALL = ["first", "model", "key", "host", "unknown", "provider"]


async def failed(router: Router) -> PolyrouteError:
    with pytest.raises(PolyrouteError) as caught:
        await router.chat("hi")
    return caught.value


def test_every_row_has_its_fixture():
    assert [type(error) for error, _, _ in ROWS] == [kind for kind, _ in MEANINGS]
    assert [meaning for _, meaning, _ in ROWS] == [meaning for _, meaning in MEANINGS]


@pytest.mark.parametrize(("error", "meaning", "way"), ROWS, ids=lambda each: type(each).__name__)
async def test_where_a_call_goes(error, meaning, way):
    seen: list[str] = []
    routes = {"default": Route(ALL, after_content_filter="fallback")}
    async with Router(fleet(error, seen), routes=routes, retry=None, breaker=None) as router:
        await failed(router)
    assert seen == (ALL if way == ["all"] else way)


@pytest.mark.parametrize(("error", "meaning", "way"), ROWS, ids=lambda each: type(each).__name__)
async def test_whether_the_same_one_is_asked_again(error, meaning, way):
    provider = FakeProvider(script=[error])
    policy = ExponentialBackoff(max_retries=2, base=0)
    async with Router([Deployment("fake/m", provider=provider)], retry=policy) as router:
        await failed(router)
    assert len(provider.calls) == (3 if meaning == "again" else 1)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (None, "stop"),
        (OverloadedError("full"), "again"),  # as its parent
        (OutputValidationError("not the schema"), "again"),
        (ServerError("never", transient=False), "elsewhere"),  # 501
        (ConnectError("bad certificate", transient=False), "elsewhere"),
        (ProviderError("teapot", status=418), "elsewhere"),
        (AttemptTimeoutError("silent", transient=False), "elsewhere"),
        (ConfigurationError("wiring"), "stop"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_has_no_row_of_its_own_means_what_its_kind_does(error, meaning):
    assert meaning_of(error) == meaning


class TestRowsOfOnesOwn:
    @pytest.mark.parametrize(
        ("meaning", "way"),
        [
            ("again", ALL),
            ("elsewhere", ALL),
            ("next key", ["first", "key", "host", "unknown", "provider"]),
            ("other host", ["first", "host", "provider"]),
            ("other model", ["first", "model"]),
        ],
    )
    async def test_come_before_the_usual_ones(self, meaning, way):
        policy = ExponentialBackoff(max_retries=0, meanings=((ServerError, meaning), *MEANINGS))
        seen: list[str] = []
        async with Router(fleet(ServerError("down"), seen), retry=policy, breaker=None) as router:
            assert isinstance(await failed(router), AllAttemptsFailedError)
        assert seen == way

    async def test_may_speak_of_errors_of_ones_own(self):
        class MeltedError(ServerError):
            """A host of ours has melted."""

        policy = ExponentialBackoff(max_retries=3, base=0, meanings=[(MeltedError, "elsewhere"), *MEANINGS])
        for error, count in ((MeltedError("drip"), 1), (ServerError("down"), 4)):
            provider = FakeProvider(script=[error])
            async with Router([Deployment("fake/m", provider=provider)], retry=policy) as router:
                await failed(router)
            assert len(provider.calls) == count

    def test_decide_without_a_call_too(self):
        from polyroute import Attempt

        policy = ExponentialBackoff(meanings=[(ServerError, "other host"), *MEANINGS])
        failure = Attempt("a", 0.0, 1.0, ServerError("down"))
        assert policy.decide([failure], remaining=60, others=2) == Fallback("host")
        assert policy.decide([failure], remaining=60, others=0) == Fallback()

    @pytest.mark.parametrize(
        "rows",
        [
            [(ServerError, "sideways")],
            [(ServerError, "stop")],  # what is about the deployment never ends the call
            [(ServerError, "larger window")],
            [(RequestError, "elsewhere")],
            [(KeyError, "again")],
            [ServerError],
            [("ServerError", "again")],
            [(ServerError, "again", "twice")],
        ],
    )
    def test_that_make_no_sense_are_refused(self, rows):
        with pytest.raises(ConfigurationError, match=r"ExponentialBackoff: a row"):
            ExponentialBackoff(meanings=[*rows, *MEANINGS])
