"""What goes over the wire, and where to."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import anyio
import httpx
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    ConfigurationError,
    ConnectError,
    ReadError,
    ResponseDecodeError,
    Router,
    Timeout,
)
from polyroute.deadlines import Deadline
from polyroute.transports.faults import translated
from polyroute.transports.pooled import PooledTransport, _Stock
from tests.transports.faulty_server import TEXT, FaultyServer
from tests.transports.kinds import (
    KEY,
    deployment,
    in_time,
    on_each_own_transport,
    on_each_transport,
    on_httpx_and_httpx2,
    routing,
)


@on_each_transport
async def test_a_request_says_what_it_must_and_its_body_is_whole(kind):
    with FaultyServer() as server:
        async with routing(kind, server) as router, in_time():
            await router.chat("ü" * 100_000)

    (asked,) = server.asked
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.headers["host"] == server.authority
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert int(asked.headers["content-length"]) == len(asked.body)
    assert asked.body.decode().count("ü") == 100_000


@on_each_own_transport
async def test_the_default_transport_sends_nothing_of_its_own(kind):
    with FaultyServer() as server:
        async with routing(kind, server) as router, in_time():
            await router.chat("hi")

    (asked,) = server.asked
    assert sorted(asked.headers) == ["authorization", "content-length", "content-type", "host", "user-agent"]


@on_each_transport
async def test_a_deployments_own_headers_stand_in_for_ours(kind):
    own = {
        "Host": "behind.example",
        "USER-AGENT": "mine/1",
        "Content-Type": "application/json; charset=utf-8",
    }
    with FaultyServer() as server:
        async with routing(kind, deployment(server, headers=own)) as router, in_time():
            assert (await router.chat("hi")).text == TEXT

    (asked,) = server.asked
    for name, value in own.items():
        assert asked.headers[name.lower()] == value


@on_each_transport
@pytest.mark.parametrize("own", [{"Content-Length": "3"}, {"transfer-encoding": "chunked"}], ids=str)
async def test_how_a_body_is_framed_is_nobody_elses_business(kind, own):
    with FaultyServer() as server:
        async with routing(kind, deployment(server, headers=own)) as router, in_time():
            assert (await router.chat("hi")).text == TEXT

    (asked,) = server.asked
    assert int(asked.headers["content-length"]) == len(asked.body)
    assert "transfer-encoding" not in asked.headers


def _has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not _has_ipv6(), reason="there is no IPv6 here")
@on_each_transport
async def test_a_host_may_be_an_ipv6_address(kind):
    with FaultyServer(host="::1") as server:
        async with routing(kind, server) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT

    assert server.asked[0].headers["host"] == server.authority
    assert server.accepted == 1


@on_each_transport
async def test_two_deployments_of_one_host_share_its_connections(kind):
    with FaultyServer() as server:
        both = [deployment(server, "a"), deployment(server.url.replace("/v1", "/v2"), "b", api_key="other")]
        async with routing(kind, *both) as router, in_time():
            for id in ("a", "b", "a"):
                await router.chat("hi", model=id)

    assert server.accepted == 1
    assert [asked.headers["authorization"] for asked in server.asked] == [
        f"Bearer {KEY}", "Bearer other", f"Bearer {KEY}"
    ]  # fmt: skip


@on_each_transport
@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example", "no-such-host.invalid"])
async def test_a_name_that_does_not_resolve_is_no_connection(kind, name):
    async with routing(kind, deployment(f"http://{name}/v1"), retry=None) as router, in_time(10):
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

    error = caught.value.__cause__
    assert type(error) is ConnectError
    assert "its name" in str(error)
    assert not error.may_have_run


@on_httpx_and_httpx2
async def test_an_address_that_is_too_long_is_a_matter_of_configuration(kind):
    async with routing(kind, deployment(f"http://127.0.0.1:9/{'x' * 70_000}")) as router:
        with pytest.raises(ConfigurationError, match="address"):
            await router.chat("hi")


async def test_however_many_addresses_are_asked_few_are_remembered():
    transport, stock = PooledTransport(), _Stock()
    for number in range(3_000):
        transport._read(f"http://127.0.0.1:9/{number}", stock)

    assert len(stock.addresses) <= 1_024
    assert len(stock.places) == 1


class NamedError(Exception):
    """The base of errors that are known by their names, whosever they are."""


def named(*names: str, text: str = "", cause: BaseException | None = None) -> Exception:
    base: type[Exception] = NamedError
    for name in reversed(names):
        base = type(name, (base,), {})
    error = base(text)
    error.__cause__ = cause
    return error


_NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
_NO_ANSWER = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(
    ("exc", "sent", "error", "transient"),
    [
        (named("ConnectError", cause=_NO_NAME), False, ConnectError, False),
        (named("ConnectError", cause=_NO_ANSWER), False, ConnectError, True),
        (named("ConnectError", cause=ssl.SSLError("alert")), False, ConnectError, True),
        (named("ConnectError", cause=ssl.SSLCertVerificationError("no")), False, ConnectError, False),
        (named("ConnectTimeout", "TimeoutException"), False, AttemptTimeoutError, True),
        (named("PoolTimeout", "TimeoutException"), False, AttemptTimeoutError, True),
        (named("WriteTimeout", "TimeoutException"), True, AttemptTimeoutError, True),
        (named("ReadError", "NetworkError"), True, ReadError, True),
        (named("WriteError", "NetworkError"), False, ConnectError, True),
        (named("ProxyError", text="407 Who are you?"), False, ConnectError, False),
        (named("ProxyError", text="503 Later"), False, ConnectError, True),
        (named("RemoteProtocolError", text="Server disconnected without …"), True, ReadError, True),
        (named("RemoteProtocolError", text="peer closed connection"), True, ReadError, True),
        (named("RemoteProtocolError", text="illegal status line"), True, ResponseDecodeError, True),
        (named("RemoteProtocolError", text="illegal status line"), False, ResponseDecodeError, True),
        (named("DecodingError"), True, ResponseDecodeError, True),
        (named("LocalProtocolError", "ProtocolError"), False, ConnectError, False),
        (named("UnsupportedProtocol"), False, ConnectError, False),
        (named("ConnectionNotAvailable"), False, ConnectError, True),
        (ssl.SSLError("bad record"), True, ReadError, True),
        (ConnectionResetError(), False, ConnectError, True),
        (UnicodeError("label too long"), False, ConnectError, False),
        (ReadError("as it is"), True, ReadError, True),
        (ValueError("a bug"), True, type(None), None),
        (KeyError("a bug"), False, type(None), None),
    ],
    ids=lambda each: repr(each)[:40],
)
async def test_a_librarys_error_is_one_of_ours_or_a_bug(exc, sent, error, transient):
    ours = translated(exc, sent=sent, deadline=Deadline())

    assert type(ours) is error
    assert getattr(ours, "transient", None) is transient
    if ours is not None:
        assert ours.may_have_run is (sent and not isinstance(ours, ConnectError))


async def test_a_bug_in_a_clients_own_hook_comes_out_as_itself():
    async def broken(request):
        raise KeyError("a bug")

    with FaultyServer() as server:
        async with httpx.AsyncClient(event_hooks={"request": [broken]}) as client:
            async with Router([deployment(server)], transport=client) as router:
                with pytest.raises(KeyError, match="a bug"):
                    await router.chat("hi")
                assert router.fleet["a"].in_flight == 0


# --- a transport of one's own ---------------------------------------------------------------------


class Reply:
    """A response that is there already."""

    headers: dict[str, str] = {}

    def __init__(self, status, body):
        self.status, self._body = status, body

    async def read(self):
        return self._body

    async def __aiter__(self):
        yield self._body

    async def drain(self): ...
    async def aclose(self): ...


class ByHttpx:
    """A transport in a few lines; it keeps no time of its own."""

    async def send(self, request):
        async with httpx.AsyncClient(timeout=None) as client:
            headers, body = list(request.headers), request.body
            response = await client.request(request.method, request.url, headers=headers, content=body)
            return Reply(response.status_code, response.content)

    async def aclose(self): ...


async def test_a_transport_of_ones_own_serves_a_router():
    with FaultyServer() as server:
        async with Router([deployment(server)], transport=ByHttpx()) as router, in_time():
            assert (await router.chat("hi")).text == TEXT
            async with router.stream("hi") as stream:
                assert (await stream.response()).text == TEXT


class Silent(ByHttpx):
    async def send(self, request):
        await anyio.sleep_forever()


async def test_the_time_that_a_transport_does_not_keep_is_kept_for_it():
    router = Router(
        [deployment("http://127.0.0.1:9/v1")], transport=Silent(), timeout=Timeout(first_token=0.03)
    )
    async with router, in_time():
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

    assert caught.value.__cause__.phase == "first_token"
