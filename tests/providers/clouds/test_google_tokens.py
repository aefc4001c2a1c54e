"""Who asks Vertex: a token from the application, or Google's own, found and renewed on a thread."""

from __future__ import annotations

import json
import sys
import threading
import time

import anyio
import pytest

from polyroute import (
    AttemptTimeoutError,
    AuthenticationError,
    ConnectError,
    Deployment,
    NoDeploymentAvailableError,
    Router,
    Timeout,
)
from polyroute.deadlines import Deadline
from polyroute.providers.credentials import GoogleToken
from polyroute.wire import HTTPRequest
from tests.providers.gemini.wire import candidate, reply
from tests.providers.wire import Response, Scripted
from tests.wire_server import Answer, WireServer

MODEL = "vertex/gemini-2.5-flash"
OK = reply(candidate("ok"))


class Lent:
    """Credentials whose token is good for so many looks at it."""

    def __init__(self, token, looks=10**6):
        self.token = token
        self._looks = looks

    @property
    def valid(self):
        self._looks -= 1
        return self._looks >= 0


def request(seconds=30.0):
    return HTTPRequest(
        method="POST", url="https://x.example", headers=(), body=b"",
        deadline=Deadline(anyio.current_time() + seconds),
    )  # fmt: skip


async def shown(google):
    return dict((await google.prove(request())).headers)[b"authorization"]


async def test_a_token_is_renewed_only_when_it_is_no_longer_good():
    lent = iter([Lent("first-token-01", looks=1), Lent("second-token-02")])
    renewed = []

    def renew(credentials):
        renewed.append(credentials and credentials.token)
        return next(lent)

    google = GoogleToken(renew)

    assert [await shown(google) for _ in range(4)] == [
        b"Bearer first-token-01", b"Bearer first-token-01", b"Bearer second-token-02", b"Bearer second-token-02"
    ]  # fmt: skip
    assert renewed == [None, "first-token-01"]


async def test_however_many_ask_at_once_it_is_renewed_once_and_on_another_thread():
    threads = []

    def renew(_):
        threads.append(threading.current_thread())
        time.sleep(0.02)  # A thread's own, in which the loop goes on.
        return Lent("token-0123")

    google = GoogleToken(renew)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(shown, google)

    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_a_token_that_takes_too_long_is_a_timeout_before_anything_was_sent():
    go_on = threading.Event()
    google = GoogleToken(lambda _: go_on.wait(10) and Lent("late-0123456"))
    try:
        with pytest.raises(AttemptTimeoutError, match="Google's token took too long") as caught:
            await google.prove(request(0.05))
    finally:
        go_on.set()

    assert caught.value.may_have_run is False


async def test_what_renewing_fails_with_comes_out_and_the_next_call_tries_again():
    outcomes = iter([ConnectError("nobody there"), None])

    def renew(_):
        if (error := next(outcomes)) is not None:
            raise error
        return Lent("token-0123")

    google = GoogleToken(renew)
    with pytest.raises(ConnectError):
        await shown(google)

    assert await shown(google) == b"Bearer token-0123"


@pytest.mark.parametrize("key", ["ya29.static-token", lambda: "ya29.static-token"])
async def test_a_token_of_the_applications_own_is_sent_as_bearer(key):
    transport = Scripted(Response(OK))
    deployment = Deployment(MODEL, api_key=key, base_url="https://x.example/google")
    await Router([deployment], transport=transport).chat("hi")

    assert dict(transport.sent[0].headers)[b"authorization"] == b"Bearer ya29.static-token"
    assert b"x-goog-api-key" not in dict(transport.sent[0].headers)


@pytest.mark.parametrize("missing", ["google", "google.auth"])
async def test_without_the_library_and_without_a_token_it_is_no_candidate(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)  # which is how Python notes that there is none
    router = Router([Deployment(MODEL, region="global")], transport=Scripted(Response(OK)))

    with pytest.raises(NoDeploymentAvailableError) as caught:
        await router.chat("hi")
    assert caught.value.reasons == {MODEL: "no token: install polyroute[vertex], or give api_key= a callable"}


# --- the library itself, where it is installed ---------------------------------------------------


@pytest.fixture
def service_account(monkeypatch, tmp_path):
    """Credentials of a service account, whose tokens a server on loopback gives."""
    pytest.importorskip("google.auth.transport.requests", reason="google-auth is not installed here")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def written(url):
        account = {
            "type": "service_account", "client_email": "a@x.example", "private_key": key.decode(),
            "token_uri": f"{url}/token", "project_id": "p",
        }  # fmt: skip
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))

    return written


async def chatted(**more):
    transport = Scripted(Response(OK))
    deployment = Deployment(MODEL, base_url="https://x.example/google")
    reply = await Router([deployment], transport=transport, retry=None, **more).chat("hi")
    return reply, dict(transport.sent[0].headers)


async def test_googles_library_finds_who_asks_and_gets_a_token(service_account):
    with WireServer(Answer.of({"access_token": "ya29.lent", "expires_in": 3_600})) as server:
        service_account(server.url)
        _, headers = await chatted(timeout=Timeout(attempt=30))

    assert headers[b"authorization"] == b"Bearer ya29.lent"
    assert b"assertion=" in server.asked[0].body


async def test_who_was_found_once_is_not_looked_for_again(service_account):
    tokens = iter(["ya29.first", "ya29.second"])
    with WireServer(lambda _: Answer.of({"access_token": next(tokens), "expires_in": 1})) as server:
        service_account(server.url)
        google = GoogleToken()
        assert await shown(google) == b"Bearer ya29.first"
        service_account("http://127.0.0.1:1")
        assert await shown(google) == b"Bearer ya29.second"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Answer.of({"error": "invalid_grant"}, 400), AuthenticationError), (None, ConnectError)],
)
async def test_where_google_gives_none_it_is_an_error_of_the_deployment(service_account, answer, kind):
    with WireServer(answer or Answer()) as server:
        service_account(server.url if answer else "http://127.0.0.1:1")
        with pytest.raises(kind):
            await GoogleToken().prove(request())
