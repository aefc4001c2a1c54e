"""The fault scenarios 1 to 8: what may happen before a request is sent."""

from __future__ import annotations

import base64
import datetime as dt
import socket
import sys

import anyio
import pytest
import trustme

from polyroute import AllAttemptsFailedError, AttemptTimeoutError, ConnectError, Timeout
from tests.faults.asking import AT_ONCE, by, chatted, failure, streamed
from tests.transports.faulty_server import TEXT, Do, FaultyServer, Pause, fine
from tests.transports.kinds import (
    KEY,
    deployment,
    in_time,
    on_each_own_transport,
    on_each_transport,
    routing,
)
from tests.transports.loopback import black_hole, secured
from tests.transports.proxy_server import ProxyServer
from tests.transports.telling import told


@on_each_transport
async def test_01_a_refused_connection_is_free_of_the_question_what_ran_and_may_be_tried_again(kind):
    with FaultyServer(listening=False) as refusing, FaultyServer() as sound:
        async with routing(kind, refusing, retry=AT_ONCE) as router, in_time():
            error = await failure(router.chat("hi"), attempts=3)
            assert type(error) is ConnectError
            assert (error.transient, error.may_have_run) == (True, False)
        async with routing(kind, refusing, sound, retry=AT_ONCE) as router, in_time():
            reply = await router.chat("hi")
            assert by(reply) == ["a", "b"]
            assert reply.trace.attempts[0].usage is None
            refusing.mend()
            assert by(await router.chat("hi")) == ["a"]


@pytest.fixture
def resolver(monkeypatch):
    """The system's resolver, which fails as the test says for one name."""

    class Resolver:
        failure = socket.EAI_NONAME
        asked = 0

        def __call__(self, host, *args, **kwargs):
            if host not in ("failing.example", b"failing.example"):
                return genuine(host, *args, **kwargs)
            self.asked += 1
            raise socket.gaierror(self.failure, "as the resolver says")

    genuine, resolver = socket.getaddrinfo, Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return resolver


@on_each_transport
@pytest.mark.parametrize(
    ("says", "passing"),
    [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)],
    ids=["no such name", "the resolver failed"],
)
async def test_02_a_name_that_does_not_exist_is_not_asked_for_again_and_a_resolver_that_failed_is(
    kind, resolver, says, passing
):
    resolver.failure = says
    failing = deployment("http://failing.example/v1", "a")
    with FaultyServer() as sound:
        async with routing(kind, failing, deployment(sound, "b"), retry=AT_ONCE) as router, in_time():
            error = await failure(router.chat("hi", model="a"), attempts=3 if passing else 1)
            assert type(error) is ConnectError
            assert (error.transient, error.may_have_run) == (passing, False)
            assert "as the resolver says" in str(error)
            assert by(await router.chat("hi")) == ["a", "b"]
    assert resolver.asked >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="how a full backlog is treated differs")
@on_each_transport
async def test_03_a_host_that_answers_no_packet_is_left_when_the_limit_for_connecting_is_over(kind):
    with black_hole() as authority, FaultyServer() as sound:
        silent = deployment(f"http://{authority}/v1", "a", timeout=Timeout(connect=0.1))
        async with routing(kind, silent, deployment(sound, "b")) as router, in_time():
            for call in (chatted, streamed):
                reply = await call(router)
                assert (reply.text, by(reply)) == (TEXT, ["a", "b"])
                error = reply.trace.attempts[0].error
                assert type(error) is AttemptTimeoutError
                assert (error.phase, error.may_have_run) == ("connect", False)


_YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
_DISTRUSTED = {
    "expired": lambda ca: ca.issue_cert("127.0.0.1", not_after=_YESTERDAY),
    "for another host": lambda ca: ca.issue_cert("elsewhere.example"),
    "signed by itself": lambda ca: trustme.CA().issue_cert("127.0.0.1"),
}


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("issue", _DISTRUSTED.values(), ids=_DISTRUSTED.keys())
async def test_04_a_certificate_that_does_not_verify_is_refused_for_good_and_says_so(kind, authority, issue):
    with FaultyServer(tls=secured(issue(authority))) as server, FaultyServer() as sound:
        async with routing(kind, server, sound, retry=AT_ONCE) as router, in_time():
            error = await failure(router.chat("hi", model="a"), attempts=1)
            assert type(error) is ConnectError
            assert (error.transient, error.may_have_run) == (False, False)
            assert "its certificate does not verify" in str(error)
            assert by(await router.chat("hi")) == ["a", "b"]
        assert not server.asked


_HANDSHAKES = {
    "an alert": (b"\x15\x03\x03\x00\x02\x02\x28", Do.FIN),
    "plain text": (b"HTTP/1.1 400 Bad Request\r\n\r\n", Do.FIN),
    "nothing": (Do.FIN,),
    "a reset": (Pause(0.01), Do.RESET),
}


@on_each_own_transport
@pytest.mark.parametrize("greeting", _HANDSHAKES.values(), ids=_HANDSHAKES.keys())
async def test_05_a_handshake_that_breaks_off_is_no_connection_and_may_be_tried_again(kind, greeting):
    with FaultyServer(greeting=greeting) as server, FaultyServer() as sound:
        broken = deployment(server.url.replace("http:", "https:"), "a")
        async with routing(kind, broken, deployment(sound, "b"), retry=AT_ONCE) as router, in_time():
            error = await failure(router.chat("hi", model="a"), attempts=3)
            assert type(error) is ConnectError
            assert (error.transient, error.may_have_run) == (True, False)
            assert server.accepted == 3
            assert by(await router.chat("hi")) == ["a", "b"]
        assert server.open_connections() == 0


_USER, _PASSWORD = "user-of-the-proxy", "password-of-the-proxy"
_BASIC = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()


@on_each_own_transport
@pytest.mark.parametrize("listening", [True, False], ids=["that wants other credentials", "that is dead"])
async def test_06_a_proxy_is_not_asked_twice_for_one_deployment_and_its_credentials_are_not_told(
    kind, listening, monkeypatch
):
    with ProxyServer(credentials="other", listening=listening) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{_USER}:{_PASSWORD}@{proxy.authority}")
        both = [deployment("http://127.0.0.1:9/v1", id) for id in "ab"]
        async with routing(kind, *both, retry=AT_ONCE) as router, in_time():
            with pytest.raises(AllAttemptsFailedError, match="2 attempts failed") as caught:
                await router.chat("hi")
        assert len(proxy.asked) == (2 if listening else 0)
    for past in caught.value.attempts:
        assert type(past.error) is ConnectError
        assert (past.error.transient, past.error.may_have_run) == (False, False)
        assert "its proxy" in str(past.error)
    for secret in (_PASSWORD, _BASIC, KEY):
        assert secret not in told(caught.value)


@on_each_transport
@pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("when", ["while it was idle", "as it was asked again"])
async def test_08_a_stale_keep_alive_connection_is_tried_once_more_on_a_fresh_one(kind, end, when):
    last = (lambda asked: (*fine(asked), end), fine) if when == "while it was idle" else (fine, (end,), fine)
    with FaultyServer(*last) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            for call in (chatted, streamed):
                reply = await call(router)
                assert (reply.text, by(reply)) == (TEXT, ["a"])
                await anyio.sleep(0.02)
            assert router.fleet["a"].error_rate == 0
        assert server.accepted == 2
        assert len(server.asked) == len(last)
