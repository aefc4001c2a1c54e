"""Over TLS: replies, certificates, and what may happen to a handshake."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from functools import partial

import anyio
import pytest
import trustme

from polyroute import AllAttemptsFailedError, ConfigurationError, ConnectError, ReadError
from tests.transports.faulty_server import (
    CHAT,
    STREAMING,
    TEXT,
    TOKENS,
    Do,
    FaultyServer,
    Pause,
    chunk,
    fine,
    sized,
)
from tests.transports.kinds import (
    Kind,
    deployment,
    in_time,
    on_each_own_transport,
    on_httpx_and_httpx2,
    routing,
)
from tests.transports.loopback import Loopback, secured


def issued(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """The server's side of TLS, as who is called *names*."""
    return secured(authority.issue_cert(*(names or ("127.0.0.1",))))


async def failure(router) -> Exception:
    with pytest.raises(AllAttemptsFailedError) as caught:
        await router.chat("hi")
    return caught.value.__cause__


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_chats_and_streams_go_over_one_connection_with_a_private_authority(kind, authority):
    with FaultyServer(tls=issued(authority)) as server:
        async with routing(kind, server) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT
                async with router.stream("hi") as stream:
                    assert (await stream.response()).text == TEXT
        assert server.accepted == 1


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_so_they_do_by_name(kind, authority):
    with FaultyServer(tls=issued(authority, "localhost")) as server:
        named = deployment(server.url.replace("127.0.0.1", "localhost"))
        async with routing(kind, named) as router, in_time():
            assert (await router.chat("hi")).text == TEXT


async def expect_no_trust(kind: Kind, server: FaultyServer, says: str) -> None:
    with FaultyServer() as sound:
        async with routing(kind, server, sound) as router, in_time():
            reply = await router.chat("hi")

    error = reply.trace.attempts[0].error
    assert type(error) is ConnectError
    assert not error.transient
    assert not error.may_have_run
    assert says in str(error)
    assert not server.asked


@on_each_own_transport
async def test_a_certificate_of_an_unknown_authority_is_refused_for_good(kind, authority):
    with FaultyServer(tls=issued(authority)) as server:
        await expect_no_trust(kind, server, "certificate does not verify")


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_host_is_refused_for_good(kind, authority):
    with FaultyServer(tls=issued(authority, "elsewhere.example")) as server:
        await expect_no_trust(kind, server, "127.0.0.1")


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_a_certificate_that_is_signed_by_itself_is_refused_for_good(kind):
    with FaultyServer(tls=issued(trustme.CA())) as server:
        await expect_no_trust(kind, server, "set SSL_CERT_FILE")


@on_each_own_transport
async def test_an_authority_that_cannot_be_read_is_a_matter_of_configuration(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing.pem"))
    async with routing(kind, deployment("https://127.0.0.1:9/v1")) as router, in_time():
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
            await router.chat("hi")


@on_each_own_transport
@pytest.mark.parametrize(
    "greeting", [(b"SSH-2.0-OpenSSH_9.7\r\n",), (Do.FIN,), (Do.RESET,)], ids=["plain text", "closed", "reset"]
)
async def test_a_handshake_that_fails_is_no_connection_and_may_be_tried_again(kind, greeting):
    with FaultyServer(greeting=(Pause(0.01), *greeting)) as server:
        url = server.url.replace("http:", "https:")
        async with routing(kind, deployment(url), retry=None) as router, in_time():
            error = await failure(router)
        assert server.open_connections() == 0

    assert type(error) is ConnectError
    assert error.transient
    assert not error.may_have_run


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_no_tls_version_in_common_is_no_connection(kind, authority):
    context = issued(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA")
    with FaultyServer(tls=context) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            assert type(await failure(router)) is ConnectError


@on_each_own_transport
async def test_plain_http_asked_of_a_tls_server_is_no_reply(kind, authority):
    with FaultyServer(tls=issued(authority)) as server:
        plain = deployment(server.url.replace("https:", "http:"))
        async with routing(kind, plain, retry=None) as router, in_time():
            error = await failure(router)

    assert error.transient


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])
async def test_a_connection_closed_while_it_was_idle_counts_for_nobody(kind, authority, end):
    with FaultyServer(lambda asked: (*fine(asked), end), fine, tls=issued(authority)) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await router.chat("hi")
            await anyio.sleep(0.02)
            reply = await router.chat("hi")

    assert [attempt.error for attempt in reply.trace.attempts] == [None]


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])
async def test_a_stream_that_is_cut_is_broken(kind, authority, end):
    act = (STREAMING, chunk(TOKENS[0])[:9], Pause(0.02), end)
    with FaultyServer(act, tls=issued(authority)) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            with pytest.raises(AllAttemptsFailedError) as caught:
                async with router.stream("hi"):
                    pass

    assert type(caught.value.__cause__) is ReadError


class Spoken(Loopback):
    """A server that says TLS records as the test puts them together, and answers one request a connection."""

    def __init__(
        self, context: ssl.SSLContext, said: list[bytes], *, raw: bytes = b"", farewell: bool = False
    ) -> None:
        super().__init__()
        self.url = f"https://{self.authority}/v1"
        self._context, self._said, self._raw, self._farewell = context, said, raw, farewell

    def serve(self, connection: socket.socket, number: int) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)

        def run(step):
            while True:
                try:
                    result = step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    received = connection.recv(65536)
                    if not received:
                        raise ConnectionError from None
                    incoming.write(received)
                else:
                    connection.sendall(outgoing.read())
                    return result

        run(tls.do_handshake)
        asked = b""
        while not asked.endswith(b"}"):
            asked += run(partial(tls.read, 65536))
        for said in self._said if number == 1 else self._said[:1]:
            tls.write(said)
        if self._farewell:
            with suppress(ssl.SSLWantReadError):
                tls.unwrap()
        # All records in one piece, so that one read has them all.
        connection.sendall(outgoing.read() + self._raw)
        while connection.recv(65536):
            pass


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_a_record_after_the_replys_last_never_answers_another_call(kind, authority):
    somebodys = sized(CHAT.replace(b"Rayleigh", b"somebody else's"))
    with Spoken(issued(authority), [sized(CHAT), somebodys]) as server:
        async with routing(kind, deployment(server.url), retry=None) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT
            await router._wiring.providers._own.aclose()
        assert server.accepted == 2


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_a_farewell_in_the_same_read_ends_the_connection(kind, authority):
    with Spoken(issued(authority), [sized(CHAT)], farewell=True) as server:
        async with routing(kind, deployment(server.url), retry=None) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT
                assert router._wiring.providers._own.connections == (0, 0)
        assert server.accepted == 2


@on_httpx_and_httpx2
@pytest.mark.usefixtures("trusted")
async def test_so_do_bytes_that_are_no_record_after_the_replys_last(kind, authority):
    with Spoken(issued(authority), [sized(CHAT)], raw=b"no record at all") as server:
        async with routing(kind, deployment(server.url), retry=None) as router, in_time():
            assert (await router.chat("hi")).text == TEXT
            assert router._wiring.providers._own.connections == (0, 0)


@on_each_own_transport
@pytest.mark.usefixtures("trusted")
async def test_bytes_that_are_no_record_break_the_connection(kind, authority):
    with Spoken(issued(authority), [STREAMING], raw=b"no record at all") as server:
        async with routing(kind, deployment(server.url), retry=None) as router, in_time():
            error = await failure(router)

    assert type(error) is ReadError
    assert error.may_have_run
