"""One connection: what goes over it in one piece, and what becomes of it where nobody can look into it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import httpcore
import pytest

from polyroute.transports.corked import CorkedNetwork
from polyroute.transports.lines import Line
from tests.transports.faulty_server import CHAT, FaultyServer, head, sized


def question(url: str) -> httpcore.Request:
    headers = [("host", "x"), ("content-length", "4")]
    return httpcore.Request("POST", url, headers=headers, content=b"[{}]")


async def answered(line: Line, url: str) -> bytes:
    answer = await line.ask(question(url))
    body = b"".join([data async for data in answer.stream])
    await answer.stream.aclose()
    return body


class Closed(httpcore.AsyncHTTPConnection):
    """A connection whose insides go by other names, and that tells of its socket only where it is asked to."""

    def __init__(self, opener: httpcore.AsyncHTTPConnection, *, tells: bool):
        self._open = opener
        self._tells = tells

    async def handle_async_request(self, request):
        response = await self._open.handle_async_request(request)
        if not self._tells:
            del response.extensions["network_stream"]
        return response

    async def aclose(self):
        await self._open.aclose()


@asynccontextmanager
async def connected_to(url: str, network: CorkedNetwork | None = None, wrapped=lambda opener: opener):
    network = network or CorkedNetwork(httpcore, lambda: None)
    opener = httpcore.AsyncHTTPConnection(httpcore.URL(url).origin, network_backend=network)
    line = Line(wrapped(opener), network, forwarded=False)
    yield line
    await line.aclose()


@pytest.mark.parametrize("tells", [True, False])
async def test_a_connection_into_which_nobody_can_look_is_used_once(tells):
    with FaultyServer((sized(b"{}"),)) as server:
        async with connected_to(server.url, wrapped=lambda opener: Closed(opener, tells=tells)) as line:
            assert await answered(line, server.url) == b"{}"
            assert line.used
            assert line.is_dead() is not tells
            assert not line.can_serve_again()


async def test_a_connection_that_was_used_is_asked_itself_and_not_what_opened_it():
    """Where this fails, httpcore has other insides, and no connection is used twice."""
    with FaultyServer() as server:
        async with connected_to(server.url) as line:
            opener = line._opener
            for _ in range(2):
                assert await answered(line, server.url) == CHAT
                assert line.can_serve_again()
                line._opener = None
            line._opener = opener


class Recorded(httpcore.AsyncMockStream):
    """A stream that keeps what was written to it, each piece by itself, and with which timeout."""

    def __init__(self, said: list[bytes], *, breaks: bool = False):
        super().__init__(said)
        self.written: list[tuple[bytes, float | None]] = []
        self._breaks = breaks

    async def write(self, buffer, timeout=None):
        self.written.append((buffer, timeout))
        if self._breaks:
            raise httpcore.WriteError

    async def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        return self


class Network:
    def __init__(self, stream: Recorded):
        self.stream = stream

    async def connect_tcp(self, host, port, timeout, local_address, socket_options):
        return self.stream


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("breaks", [False, True])
async def test_a_request_is_written_in_one_piece_and_its_answer_read_though_that_broke(scheme, breaks):
    stream = Recorded([head(content_length=2) + b"{}"], breaks=breaks)
    network = CorkedNetwork(httpcore, lambda: None)
    network._network = Network(stream)
    async with connected_to(f"{scheme}://x/v1", network) as line:
        request = question(f"{scheme}://x/v1")
        request.extensions = {"timeout": {"write": 7.0}}
        answer = await line.ask(request)

        assert [data async for data in answer.stream] == [b"{}"]
        assert [(piece[:4], piece[-4:], timeout) for piece, timeout in stream.written] == [
            (b"POST", b"[{}]", 7.0)
        ]
