"""What goes wrong over aiohttp, and what we make of it."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import anyio
import pytest
import yarl
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from polyroute import (
    AttemptTimeoutError,
    ConfigurationError,
    ConnectError,
    ReadError,
    ResponseDecodeError,
)
from polyroute.deadlines import Deadline
from polyroute.transports.aiohttp_faults import translated
from polyroute.transports.connector import DirectQuestion
from polyroute.transports.over_aiohttp import AiohttpTransport
from polyroute.wire import HTTPRequest
from tests.transports.faulty_server import (
    STREAMING,
    Do,
    FaultyServer,
    Pause,
    chunk,
)

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


_KEY = aiohttp.client_reqrep.ConnectionKey("x", 443, True, True, None, None, None)
_ABOUT = aiohttp.RequestInfo(yarl.URL("http://x"), "POST", CIMultiDictProxy(CIMultiDict()))
_REFUSED = OSError(111, "Connection refused")


@pytest.mark.parametrize(
    ("exc", "sent", "error", "says", "transient"),
    [
        (ReadError("as it is"), True, ReadError, "as it is", True),
        (TimeoutError(), True, AttemptTimeoutError, "silent to its limit", True),
        (aiohttp.ConnectionTimeoutError(), False, AttemptTimeoutError, "no connection", True),
        (aiohttp.ClientConnectorError(_KEY, _REFUSED), False, ConnectError, "no connection", True),
        (
            aiohttp.ClientProxyConnectionError(_KEY, _REFUSED),
            False,
            ConnectError,
            "proxy cannot be reached: Connection refused",
            False,
        ),
        (
            aiohttp.ClientHttpProxyError(_ABOUT, (), status=407),
            False,
            ConnectError,
            r"refused \(407\)",
            False,
        ),
        (aiohttp.ClientHttpProxyError(_ABOUT, (), status=503), False, ConnectError, r"refused \(503\)", True),
        (UnicodeError("label too long"), False, ConnectError, "its name", False),
        (aiohttp.InvalidURL("http://"), False, ConnectError, "its address", False),
        (aiohttp.ServerDisconnectedError(), True, ReadError, "the server disconnected", True),
        (aiohttp.ClientOSError(104, "reset by peer"), True, ReadError, "broke: reset by peer", True),
        (aiohttp.ClientConnectionError("closed"), False, ConnectError, "no connection", True),
        (ConnectionResetError(), True, ReadError, "ConnectionResetError", True),
        (aiohttp.ClientPayloadError("not completed: …"), True, ReadError, "incomplete", True),
        (aiohttp.ClientPayloadError("zz"), True, ResponseDecodeError, "framed wrongly", True),
        (aiohttp.ClientResponseError(_ABOUT, (), status=400), True, ResponseDecodeError, "no HTTP", True),
        (HttpProcessingError(code=400), True, ResponseDecodeError, "no HTTP: HttpProcessingError", True),
        (aiohttp.NonHttpUrlClientError("ftp://x"), False, ConnectError, "cannot be asked", False),
        (ValueError("a bug"), True, type(None), "", None),
        (RuntimeError("a bug"), False, type(None), "", None),
    ],
    ids=lambda each: repr(each)[:40],
)
async def test_an_error_of_aiohttps_is_one_of_ours_or_a_bug(exc, sent, error, says, transient):
    ours = translated(exc, sent=sent, deadline=Deadline())

    assert type(ours) is error
    assert getattr(ours, "transient", None) is transient
    assert re.search(says, str(ours))


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("http://" + "\u00fc" * 64 + ".example/v1", ConnectError),
        ("http://127.1/v1", ConnectError),
        ("http://x:99999/v1", ConfigurationError),
        ("http://[::1/v1", ConfigurationError),
    ],
)
async def test_an_address_that_is_none_is_no_connection_or_a_matter_of_configuration(address, error):
    transport = AiohttpTransport()
    request = HTTPRequest(method="POST", url=address, headers=(), body=b"{}", deadline=Deadline())
    with pytest.raises(error) as caught:
        await transport.send(request)
    assert not getattr(caught.value, "transient", False)
    await transport.aclose()


async def test_a_request_that_cannot_be_sent_comes_out_as_the_bug_that_it_is_and_leaves_nothing():
    transport = AiohttpTransport()
    with FaultyServer() as server:
        broken = HTTPRequest(
            method="POST", url=server.url, headers=((b"x", b"a\r\nb"),), body=b"{}", deadline=Deadline()
        )
        with pytest.raises(ValueError, match="header"):
            await transport.send(broken)
        await asyncio.sleep(0)
        assert transport.connections == (0, 0)
        assert server.open_connections() == 0
    await transport.aclose()


async def test_bad_framing_is_told_to_who_begins_to_read_after_it_came():
    transport = AiohttpTransport()
    with FaultyServer((STREAMING, Pause(0.02), b"zz\r\n")) as server:
        deadline = Deadline(anyio.current_time() + 5)
        request = HTTPRequest(method="POST", url=server.url, headers=(), body=b"{}", deadline=deadline)
        received = await transport.send(request)
        await anyio.sleep(0.1)
        with pytest.raises(ResponseDecodeError, match="framed wrongly"):
            await received.read()
        await received.aclose()
        assert transport.connections == (0, 0)
    await transport.aclose()


async def test_what_came_before_the_connection_broke_is_read_first():
    transport = AiohttpTransport()
    with FaultyServer((STREAMING, chunk(b"good "), Pause(0.02), Do.RESET)) as server:
        deadline = Deadline(anyio.current_time() + 5)
        request = HTTPRequest(method="POST", url=server.url, headers=(), body=b"{}", deadline=deadline)
        received = await transport.send(request)
        await anyio.sleep(0.1)
        assert await anext(received) == b"good "
        with pytest.raises(ReadError):
            await anext(received)
        await received.aclose()
    await transport.aclose()


async def test_however_many_addresses_are_asked_few_are_remembered():
    transport = AiohttpTransport()
    for number in range(3_000):
        transport._read(f"https://127.0.0.1:9/{number}")

    assert len(transport._addresses) <= 1_024
    assert len({id(address.options["ssl"]) for address in transport._addresses.values()}) == 1


def test_a_question_is_a_payload_that_others_can_read(anyio_backend):
    assert DirectQuestion("ü".encode(), fresh=False).decode() == "ü"
