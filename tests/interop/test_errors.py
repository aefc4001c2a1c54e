"""What goes wrong, as OpenAI's SDK understands it: a status, a code, and never a reason to ask again."""

from __future__ import annotations

import httpx
import pytest

from polyroute import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextWindowExceededError,
    Deployment,
    GuardError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    ResponseDecodeError,
    Router,
    ServerError,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import BASE, posted, routed
from tests.wire_server import Answer, WireServer


async def failing(error, **body):
    """The response of a router whose one deployment fails with *error*."""
    here = deployment("a", FakeProvider(script=[error]))
    async with routed(here, retry=None) as client:
        return await posted(client, model="a", **body)


@pytest.mark.parametrize(
    ("error", "status", "type", "code"),
    [
        (BadRequestError("x"), 400, "invalid_request_error", None),
        (ContextWindowExceededError("x"), 400, "invalid_request_error", "context_length_exceeded"),
        (ContentFilterError("x"), 400, "invalid_request_error", "content_filter"),
        (BudgetExceededError("x"), 400, "invalid_request_error", None),
        (GuardError("x"), 400, "invalid_request_error", None),
        (AuthenticationError("x"), 401, "authentication_error", "invalid_api_key"),
        (PermissionDeniedError("x"), 403, "permission_error", None),
        (NotFoundError("x"), 404, "not_found_error", None),
        (RateLimitError("x"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (QuotaExhaustedError("x"), 429, "insufficient_quota", "insufficient_quota"),
        (ServerError("x", status=500), 502, "server_error", None),
        (OverloadedError("x", status=503), 502, "server_error", None),
        (ProviderError("x", status=418), 502, "server_error", None),
        (ResponseDecodeError("x"), 502, "server_error", None),
        (ConnectError("x"), 502, "server_error", None),
        (ReadError("x"), 502, "server_error", None),
        (AttemptTimeoutError("x", phase="attempt"), 502, "server_error", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_has_the_status_the_type_and_the_code_that_openai_gives_it(
    error, status, type, code, stream
):
    response = await failing(error, stream=stream)

    told = response.json()["error"]
    assert (response.status_code, told["type"], told["code"]) == (status, type, code)
    assert told["message"].endswith("x") or "x)" in told["message"]
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["content-type"] == "application/json"


async def test_an_error_about_the_request_names_the_field():
    async with routed(deployment("a")) as client:
        response = await posted(client, model="a", messages=[{"role": "owl", "content": "hoo"}])

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages[0].role"


async def test_an_argument_that_nobody_can_honour_is_named():
    here = Deployment("openai/m", api_key="k", base_url="http://localhost:1")
    async with routed(here) as client:
        response = await posted(client, model="m", top_k=3)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "top_k")


async def test_a_hosts_own_code_is_handed_on_and_its_key_is_not():
    key = "sk-proj-0123456789abcdef0123456789"
    said = {"error": {"message": f"Unsupported, {key}", "code": "unsupported_value", "param": "messages"}}
    with WireServer(Answer.of(said, status=400)) as server:
        here = Deployment("openai/m", api_key=key, base_url=server.url)
        async with routed(here) as client:
            response = await posted(client, model="m")

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_value"
    assert key not in response.text


@pytest.mark.parametrize("body", ["odd", {"error": "odd"}, {"error": {"code": 400}}, {}, None, [1]])
async def test_what_a_host_says_otherwise_is_no_code(body):
    response = await failing(BadRequestError("x", status=400, body=body))

    assert response.json()["error"]["code"] is None


@pytest.mark.parametrize(("seconds", "told"), [(30, "30"), (0.2, "1"), (1.5, "2"), (0, "0")])
async def test_when_to_ask_again_is_told_in_whole_seconds(seconds, told):
    response = await failing(RateLimitError("busy", status=429, retry_after=seconds))

    assert response.headers["retry-after"] == told


async def test_what_is_not_known_is_not_told():
    assert "retry-after" not in (await failing(RateLimitError("busy"))).headers
    assert "retry-after" not in (await failing(BadRequestError("no"))).headers


async def test_who_was_asked_last_and_how_often_is_told_of_a_failure_too():
    async with routed(deployment("a", down()), deployment("b", down()), retry=None) as client:
        response = await posted(client, model=["a", "b"])

    assert response.headers["x-polyroute-attempts"] == "2"
    assert response.headers["x-polyroute-deployment"] == "b"


async def test_nobody_to_ask_is_a_503(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with routed("openai/m") as client:
        response = await posted(client, model="openai/m")

    assert response.status_code == 503
    assert "OPENAI_API_KEY" in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"


async def test_a_reply_that_is_not_of_its_schema_is_the_deployments_failure():
    shape = {"type": "json_schema", "json_schema": {"name": "City", "schema": {"type": "object"}}}
    async with routed(deployment("a", FakeProvider(["Rome!"])), retry=None) as client:
        response = await posted(client, model="a", response_format=shape)

    assert response.status_code == 502
    assert "City" in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_bugs_pass_untouched(stream):
    with pytest.raises(ZeroDivisionError):
        await failing(ZeroDivisionError(), stream=stream)


async def test_wiring_that_is_wrong_passes_as_itself():
    router = Router([deployment("a")])
    async with httpx.AsyncClient(transport=router.openai_transport(), base_url=BASE) as client:
        await router.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await posted(client, model="a")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/responses/resp_1"),
        ("POST", "/completions"),
        ("GET", "/chat/completions"),
        ("POST", "/models"),
        ("DELETE", "/models/a"),
        ("GET", "/files"),
        ("POST", "/chat/completions/"),
        ("POST", "/../chat/completions"),
    ],
)
async def test_what_is_not_served_is_a_404_that_lists_what_is(method, path):
    async with routed(deployment("a")) as client:
        response = await client.request(method, path)

    error = response.json()["error"]
    assert response.status_code == 404
    assert error["code"] == "unknown_url"
    for served in (
        "POST /v1/chat/completions",
        "POST /v1/responses",
        "POST /v1/embeddings",
        "GET /v1/models",
        "GET /v1/models/{id}",
    ):
        assert served in error["message"]
    assert response.headers["x-should-retry"] == "false"
