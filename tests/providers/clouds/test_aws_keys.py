"""Who asks Bedrock: a key as bearer, or a signature with the keys that AWS's own tools use."""

from __future__ import annotations

import re

import pytest

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    Deployment,
    ExponentialBackoff,
    NoDeploymentAvailableError,
    Router,
)
from polyroute.providers.aws_signature import AWSKeys, signature
from polyroute.providers.credentials import AWSSignature
from polyroute.settings import Secret
from tests.providers.bedrock.wire import reply, text
from tests.providers.test_secrets import failed, told_everywhere
from tests.providers.wire import Response, Scripted

MODEL = "bedrock/us.amazon.nova-2-lite-v1:0"
OK = reply(text("ok"))
SECRET, TOKEN = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "lent-0123456789/abc=="


def keyed(monkeypatch, token=None):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", " AKIDEXAMPLE\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}\n")
    if token is not None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)


async def sent(**options):
    transport = Scripted(Response(OK))
    await Router([Deployment(MODEL, **{"region": "us-east-1", **options})], transport=transport).chat("hi")
    return transport.sent[0], {name.decode(): value.decode() for name, value in transport.sent[0].headers}


async def test_a_key_from_the_environment_is_sent_as_bearer_even_where_there_are_others(monkeypatch):
    keyed(monkeypatch)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key-0123")
    _, headers = await sent()

    assert headers["authorization"] == "Bearer bedrock-key-0123"
    assert "x-amz-date" not in headers


async def test_without_one_the_request_is_signed_as_it_is_sent(monkeypatch):
    keyed(monkeypatch, TOKEN)
    request, headers = await sent(headers={"X-Amz-Trace": "t", "x-team": "blue"})

    signed = {
        name: headers[name] for name in ("content-type", "x-amz-date", "x-amz-security-token", "x-amz-trace")
    }
    assert headers["x-amz-security-token"] == TOKEN
    assert headers["authorization"] == signature(
        AWSKeys("AKIDEXAMPLE", Secret(SECRET)),
        method="POST", url=request.url, headers=signed.items(), body=request.body,
        region="us-east-1", service="bedrock", moment=headers["x-amz-date"],
    )  # fmt: skip


async def test_the_moment_is_now(monkeypatch):
    keyed(monkeypatch)
    _, headers = await sent()
    assert re.fullmatch(r"20\d{6}T\d{6}Z", headers["x-amz-date"])

    request, _ = await sent()
    proof = await AWSSignature("us-east-1", clock=lambda: 1_440_938_160.0).prove(request)
    assert dict(proof.headers)[b"x-amz-date"] == b"20150830T123600Z"


async def test_each_attempt_is_signed_anew_with_the_keys_of_its_time(monkeypatch):
    keyed(monkeypatch)
    transport = Scripted(Response({}, 503), Response(OK))

    class Renewing(Scripted):
        async def send(self, request, /):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDANOTHER")
            return await transport.send(request)

    router = Router([Deployment(MODEL, region="us-east-1")], transport=Renewing())
    await router.chat("hi", retry=ExponentialBackoff(base=0))

    asked = [dict(request.headers)[b"authorization"].decode() for request in transport.sent]
    assert ["AKIDEXAMPLE" in asked[0], "AKIDANOTHER" in asked[1]] == [True, True]


async def test_keys_may_stand_in_the_file_that_is_shared(monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s%1\n"
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s2\naws_session_token = t2\n"
    )
    _, headers = await sent()
    assert "Credential=AKIDDEFAULT/" in headers["authorization"]

    monkeypatch.setenv("AWS_PROFILE", "work")
    _, headers = await sent()
    assert "Credential=AKIDWORK/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "t2"

    keyed(monkeypatch)
    _, headers = await sent()
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]


@pytest.mark.parametrize(
    "held", [b"", b"[work]\n", b"no section", b"[default]\naws_access_key_id = x\n", b"\xff\xfe[default]"]
)
async def test_a_file_that_holds_none_is_none(held, tmp_path):
    (tmp_path / "credentials").write_bytes(held)

    with pytest.raises(NoDeploymentAvailableError) as caught:
        await sent()
    assert caught.value.reasons[MODEL].startswith(
        "no key: set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID"
    )


async def test_who_is_to_sign_must_know_the_region_wherever_it_is(monkeypatch):
    keyed(monkeypatch)
    for options in ({}, {"base_url": "https://proxy.example"}):
        with pytest.raises(NoDeploymentAvailableError) as caught:
            await sent(region=None, **options)
        assert caught.value.reasons == {MODEL: "no region: give region= or set AWS_REGION"}

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    request, headers = await sent(region=None)
    assert request.url.startswith("https://bedrock-runtime.eu-west-3.amazonaws.com/model/")
    assert "/eu-west-3/bedrock/aws4_request" in headers["authorization"]

    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    request, headers = await sent(region=None, base_url="https://proxy.example/bedrock/")
    assert request.url.startswith("https://proxy.example/bedrock/model/")
    assert "/eu-west-1/bedrock/aws4_request" in headers["authorization"]


async def test_a_key_needs_no_region_where_the_address_is_given():
    request, _ = await sent(region=None, api_key="bedrock-key-0123", base_url="https://proxy.example")

    assert request.url == "https://proxy.example/model/us.amazon.nova-2-lite-v1%3A0/converse"


async def test_keys_that_have_gone_are_a_refusal_and_the_call_goes_on(monkeypatch):
    keyed(monkeypatch)
    transport = Scripted(Response(OK))
    deployments = [
        Deployment(MODEL, id="signed", region="us-east-1"),
        Deployment(MODEL, id="keyed", region="us-east-1", api_key="bedrock-key-0123"),
    ]
    router = Router(deployments, transport=transport)
    assert (await router.chat("hi")).deployment == "signed"
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    reply = await router.chat("hi")

    assert reply.deployment == "keyed"
    assert isinstance(reply.trace.attempts[0].error, AuthenticationError)
    assert "gone" in str(reply.trace.attempts[0].error)
    assert len(transport.sent) == 2


@pytest.mark.parametrize("echoed", [SECRET, TOKEN, TOKEN[:6] + "..."])
async def test_neither_the_secret_nor_the_sessions_token_is_told_by_an_echo(echoed, monkeypatch):
    keyed(monkeypatch, TOKEN)
    body = {"message": f"The canonical string should have been: x-amz-security-token:{echoed}"}
    response = Response(body, 403, {"x-amzn-errortype": "InvalidSignatureException"})
    router = Router([Deployment(MODEL, region="us-east-1")], transport=Scripted(response), retry=None)
    error = await failed(router, stream=False)

    assert isinstance(error, AllAttemptsFailedError)
    assert echoed not in told_everywhere(error)
