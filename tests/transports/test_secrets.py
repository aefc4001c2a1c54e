"""A key goes to its deployment's origin and nowhere else: no other host, no error, no log."""

from __future__ import annotations

import logging

import httpx
import pytest

from polyroute import PolyrouteError, ProviderError, Router, Timeout
from tests.transports.faulty_server import (
    STREAMING,
    TOKENS,
    Do,
    FaultyServer,
    chunk,
    head,
    sized,
)
from tests.transports.kinds import BORROWED, KEY, deployment, in_time, on_each_transport, routing
from tests.transports.telling import told


async def failures(router) -> list[PolyrouteError]:
    """What a chat and a stream fail with."""
    errors = []
    for streams in (False, True):
        try:
            if streams:
                async with router.stream("hi") as stream:
                    await stream.response()
            else:
                await router.chat("hi")
        except PolyrouteError as error:
            errors.append(error)
    assert errors
    return errors


async def asked_for_each_attempt() -> str:
    return KEY


KEYS = {
    "its own": {"api_key": KEY},
    "asked for": {"api_key": asked_for_each_attempt},
    "in a header": {"api_key": "another-key-of-nobody", "headers": {"x-api-key": KEY}},
}
_SAID = KEY.encode()
ECHOES = {
    "in the status line": (b"HTTP/1.1 " + _SAID + b" OK\r\n\r\n",),
    "in place of a head": (b"authorization: Bearer " + _SAID + b"\r\n\r\n",),
    "in a header without a name": (b"HTTP/1.1 200 OK\r\n: " + _SAID + b"\r\n\r\n",),
    "in a header that is none": (b"HTTP/1.1 200 OK\r\n" + _SAID + b"\r\n\r\n",),
    "as a length": (head(content_length=KEY),),
    "as a transfer coding": (head(transfer_encoding=KEY),),
    "as a content coding": (sized(b"x", content_encoding=KEY),),
    "as the size of a chunk": (STREAMING, _SAID + b"\r\n"),
    "after a chunk": (STREAMING, b"1\r\nx" + _SAID + b"\r\n"),
    "in a reason phrase": (sized(b"", f"500 {KEY}"),),
    "in where to go": (sized(b"", "307 Temporary Redirect", location=f"http://127.0.0.1:9/?key={KEY}"),),
    "in a stream": (STREAMING, chunk(TOKENS[0]), _SAID + b"\r\n"),
}


@on_each_transport
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("act", ECHOES.values(), ids=ECHOES.keys())
async def test_no_error_tells_a_key_that_the_host_echoes(kind, act, key, caplog):
    caplog.set_level(logging.DEBUG)
    with FaultyServer(act) as server:
        async with routing(kind, deployment(server, **key), retry=None) as router, in_time():
            for error in await failures(router):
                assert KEY not in told(error)
    # httpcore's own log, where somebody asks for it, holds what the host said, word for word.
    assert KEY not in "".join(each.getMessage() for each in caplog.records if each.name == "polyroute")
    assert KEY in "".join(str(asked.headers) for asked in server.asked)


@on_each_transport
@pytest.mark.parametrize("limits", [{"first_token": 0.03}, {"total": 0.03}], ids=str)
async def test_no_error_of_a_limit_tells_a_key(kind, limits):
    with FaultyServer((Do.STALL,)) as server:
        async with routing(kind, server, retry=None, timeout=Timeout(**limits)) as router, in_time():
            for error in await failures(router):
                assert KEY not in told(error)


REDIRECTS = (
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "307 Temporary Redirect",
    "308 Permanent Redirect",
)


@on_each_transport
@pytest.mark.parametrize("status", REDIRECTS)
async def test_no_redirect_is_followed(kind, status):
    with FaultyServer() as elsewhere:
        with FaultyServer((sized(b"", status, location=f"{elsewhere.url}/chat/completions"),)) as server:
            async with routing(kind, server, retry=None) as router, in_time():
                for error in await failures(router):
                    assert type(error.__cause__) is ProviderError
                    assert error.__cause__.status == int(status[:3])
                    assert not error.__cause__.transient

        assert elsewhere.accepted == 0


async def test_no_redirect_is_followed_by_a_client_whose_owner_let_it():
    with FaultyServer() as elsewhere:
        with FaultyServer((sized(b"", REDIRECTS[3], location=f"{elsewhere.url}/x"),)) as server:
            async with httpx.AsyncClient(follow_redirects=True) as client:
                async with Router([deployment(server)], transport=client, retry=None) as router, in_time():
                    await failures(router)

        assert elsewhere.accepted == 0


async def test_a_clients_own_headers_go_along_and_its_codings_do_not():
    with FaultyServer() as server:
        async with BORROWED.opened() as client:
            client.headers["x-of-the-owner"] = "yes"
            async with Router(
                [deployment(server, headers={"User-Agent": "mine"})], transport=client
            ) as router:
                await router.chat("hi")

    (asked,) = server.asked
    assert asked.headers["x-of-the-owner"] == "yes"
    assert asked.headers["user-agent"] == "mine"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
