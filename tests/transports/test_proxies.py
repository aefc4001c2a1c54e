"""Proxies hold as in httpx itself."""

from __future__ import annotations

import base64
import os
import ssl
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import AllAttemptsFailedError, AttemptTimeoutError, ConfigurationError, ConnectError, Timeout
from polyroute.transports.over_aiohttp import AiohttpTransport
from polyroute.transports.proxies import Proxies
from tests.transports.faulty_server import CHAT, TEXT, Do, FaultyServer, sized
from tests.transports.kinds import deployment, in_time, on_each_own_transport, routing
from tests.transports.loopback import secured
from tests.transports.proxy_server import ProxyServer
from tests.transports.telling import told

_USED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@contextmanager
def environment(**variables: str):
    """The proxies' variables as they are given, and no others."""
    before = {
        name: os.environ.pop(name) for each in _USED for name in (each, each.lower()) if name in os.environ
    }
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


_VERIFY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def as_httpx_has_it(url: str) -> str | None:
    client = httpx.AsyncClient(verify=_VERIFY)
    pool = client._transport_for_url(httpx.URL(url))._pool
    proxy = getattr(pool, "_proxy_url", None)
    return None if proxy is None else f"{proxy.scheme.decode()}://{proxy.host.decode()}:{proxy.port}"


def as_we_have_it(url: str) -> str | None:
    parsed = httpx.URL(url)
    proxy = Proxies().of(parsed.scheme, parsed.host, parsed.port)
    return proxy and str(httpx.URL(proxy)).rstrip("/")


_PROXIES = {"HTTP_PROXY": "http://one:1", "HTTPS_PROXY": "two:2", "ALL_PROXY": "http://three:3"}
_URLS = (
    "http://example.com/v1",
    "https://example.com/v1",
    "https://example.com:8443/v1",
    "https://api.example.com/v1",
    "https://notexample.com/v1",
    "http://localhost:11434/v1",
    "http://sub.localhost/v1",
    "http://127.0.0.1:8000/v1",
    "http://[::1]:8000/v1",
    "https://192.168.0.0/v1",
    "https://192.168.0.7/v1",
    "https://EXAMPLE.com/v1",
)
_ENTRIES = (
    "", "*", "example.com", ".example.com", "*.example.com", "Example.COM", "example.com:8443", "example.com:443",
    "localhost", "LOCALHOST", "localhost:11434", "127.0.0.1", "127.0.0.1:8000", "::1", "192.168.0.0/16",
    "https://example.com", "http://example.com:80", "all://example.com", "http://", "https://", "all://",
    "https://*.example.com", "https://*example.com", "com", "example.com/v1", ":8443", "https://:8443",
)  # fmt: skip


@pytest.mark.parametrize("entry", _ENTRIES)
@pytest.mark.parametrize(
    "proxies",
    [{}, _PROXIES, {"ALL_PROXY": "http://three:3"}, {"HTTPS_PROXY": "https://two:2"}],
    ids=["none", "of each kind", "for all", "for https"],
)
def test_an_address_goes_where_httpx_sends_it(proxies, entry):
    with environment(**proxies, NO_PROXY=f" , {entry} ,"):
        assert {url: as_we_have_it(url) for url in _URLS} == {url: as_httpx_has_it(url) for url in _URLS}


_HOSTS = st.from_regex(r"(\*?\.?)?([a-c]{1,2}\.){0,2}[a-c]{1,2}(:(80|443|8443))?", fullmatch=True)
_EXEMPT = st.lists(
    st.one_of(_HOSTS, _HOSTS.map("https://".__add__), st.sampled_from(_ENTRIES[2:])), min_size=1, max_size=4
)


@given(
    entries=_EXEMPT,
    scheme=st.sampled_from(["http", "https"]),
    host=st.from_regex(r"([a-c]{1,2}\.){0,2}[a-c]{1,2}", fullmatch=True),
    port=st.sampled_from(["", ":80", ":443", ":8443"]),
)
def test_so_does_any_other(entries, scheme, host, port):
    with environment(**_PROXIES, NO_PROXY=",".join(entries)):
        url = f"{scheme}://{host}{port}/v1"
        assert as_we_have_it(url) == as_httpx_has_it(url)


@pytest.mark.parametrize("entry", ["example.com:443", "example.com:80", "example.com:8443", "[::1]"])
def test_over_aiohttp_an_address_goes_there_too(entry):
    with environment(**_PROXIES, NO_PROXY=entry):
        transport = AiohttpTransport()
        for url in (*_URLS, "https://example.com:443/v1", "http://example.com:80/v1", "https://ü.example/v1"):
            proxy = transport._read(url).options.get("proxy")
            assert (None if proxy is None else str(proxy).rstrip("/")) == as_we_have_it(url)


def test_an_address_in_brackets_is_understood_where_httpx_gives_up():
    with environment(**_PROXIES, NO_PROXY="[::1]"):
        assert as_we_have_it("http://[::1]:8000/v1") is None


def test_an_entry_that_cannot_be_read_is_a_matter_of_configuration():
    with (
        environment(**_PROXIES, NO_PROXY="example.com:http"),
        pytest.raises(ConfigurationError, match="example.com:http"),
    ):
        Proxies()


# --- through a proxy ------------------------------------------------------------------------------


@pytest.fixture
def server_tls(authority, trusted) -> ssl.SSLContext:
    """The server's side of TLS, for a client that trusts its authority."""
    return secured(authority.issue_cert("127.0.0.1"))


async def answered_twice(router) -> None:
    for _ in range(2):
        assert (await router.chat("hi")).text == TEXT
        async with router.stream("hi") as stream:
            assert (await stream.response()).text == TEXT


@on_each_own_transport
async def test_https_goes_through_a_tunnel_and_uses_it_again(kind, server_tls, monkeypatch):
    with ProxyServer() as proxy, FaultyServer(tls=server_tls) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.authority}")
        async with routing(kind, server) as router, in_time():
            await answered_twice(router)

    assert proxy.asked == [f"CONNECT {server.authority} HTTP/1.1"]
    assert "proxy-authorization" not in str(server.asked).lower()


@on_each_own_transport
async def test_http_is_forwarded_and_uses_its_connection_again(kind, monkeypatch):
    with ProxyServer() as proxy, FaultyServer() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.authority}")
        async with routing(kind, server) as router, in_time():
            await answered_twice(router)

    assert proxy.asked == [f"POST {server.url}/chat/completions HTTP/1.1"]
    assert {asked.connection for asked in server.asked} == {1}


@on_each_own_transport
async def test_who_is_exempt_is_asked_directly(kind, monkeypatch):
    with ProxyServer() as proxy, FaultyServer() as server:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.authority}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with routing(kind, server) as router, in_time():
            await answered_twice(router)

    assert not proxy.asked


_USER, _PASSWORD = "user-of-the-proxy", "password-of-the-proxy"
_BASIC = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()


@on_each_own_transport
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_told_the_credentials_that_it_wants(kind, scheme, server_tls, monkeypatch):
    with (
        ProxyServer(credentials=_BASIC) as proxy,
        FaultyServer(tls=server_tls if scheme == "https" else None) as server,
    ):
        monkeypatch.setenv("ALL_PROXY", f"http://{_USER}:{_PASSWORD}@{proxy.authority}")
        async with routing(kind, server) as router, in_time():
            await answered_twice(router)


async def no_connection(router, *, passing: bool = False) -> ConnectError:
    with pytest.raises(AllAttemptsFailedError) as caught:
        await router.chat("hi")
    error = caught.value.__cause__
    assert type(error) is ConnectError
    assert error.transient is passing
    assert not error.may_have_run
    for secret in (_PASSWORD, _BASIC, deployment("http://x").api_key.get_secret_value()):
        assert secret not in told(caught.value)
    return error


@on_each_own_transport
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_other_credentials_is_no_connection_for_good(kind, scheme, monkeypatch):
    with ProxyServer(credentials="other") as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{_USER}:{_PASSWORD}@{proxy.authority}")
        async with routing(kind, deployment(f"{scheme}://127.0.0.1:9/v1")) as router, in_time():
            assert "407" in str(await no_connection(router))

    assert len(proxy.asked) == 1


@on_each_own_transport
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dead_proxy_is_no_connection_for_good(kind, scheme, monkeypatch):
    with ProxyServer() as proxy:
        pass
    monkeypatch.setenv("ALL_PROXY", f"http://{_USER}:{_PASSWORD}@{proxy.authority}")
    async with routing(kind, deployment(f"{scheme}://127.0.0.1:9/v1")) as router, in_time():
        assert "its proxy cannot be reached" in str(await no_connection(router))


@on_each_own_transport
@pytest.mark.parametrize(
    ("refusal", "passing"),
    [
        (b"HTTP/1.1 403 Not allowed\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.1 502 The host is away\r\ncontent-length: 0\r\n\r\n", True),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_no_connection(kind, refusal, passing, monkeypatch):
    with ProxyServer(refusal=refusal) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{_USER}:{_PASSWORD}@{proxy.authority}")
        async with routing(kind, deployment("https://127.0.0.1:9/v1"), retry=None) as router, in_time():
            await no_connection(router, passing=passing)


@on_each_own_transport
@pytest.mark.parametrize("act", [(Do.FIN,), (Do.RESET,)], ids=["closed", "reset"])
async def test_a_proxy_that_hangs_up_is_no_connection(kind, act, monkeypatch):
    with FaultyServer(act) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.authority}")
        async with routing(kind, deployment("https://127.0.0.1:9/v1"), retry=None) as router, in_time():
            await no_connection(router, passing=True)
        assert proxy.open_connections() == 0


@on_each_own_transport
async def test_a_proxy_that_stalls_runs_out_the_limit_for_connecting(kind, monkeypatch):
    with FaultyServer((Do.STALL,)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.authority}")
        timeout = Timeout(connect=0.05)
        async with (
            routing(kind, deployment("https://127.0.0.1:9/v1"), timeout=timeout) as router,
            in_time(),
        ):
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")
        assert proxy.open_connections() == 0

    error = caught.value.__cause__
    assert type(error) is AttemptTimeoutError
    assert (error.phase, error.may_have_run) == ("connect", False)


@on_each_own_transport
async def test_surplus_bytes_through_a_proxy_never_answer_another_call(kind, monkeypatch):
    somebodys = sized(CHAT.replace(b"Rayleigh", b"somebody else's"))
    with FaultyServer((sized(CHAT) + somebodys,), (sized(CHAT),)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.authority}")
        async with routing(kind, deployment("http://127.0.0.1:9/v1"), retry=None) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT
        assert proxy.accepted == 2


@on_each_own_transport
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9", "http://127.0.0.1:x"])
async def test_a_proxy_that_cannot_be_used_is_a_matter_of_configuration(kind, proxy, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with routing(kind, deployment("https://127.0.0.1:9/v1")) as router, in_time():
        with pytest.raises(ConfigurationError, match="proxy"):
            await router.chat("hi")
