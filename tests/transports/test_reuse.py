"""Connections serve call after call, are given up where they are of no more use, and keep replies apart."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest

from polyroute import AllAttemptsFailedError, ReadError, Router, Timeout
from polyroute.deadlines import Deadline
from polyroute.transports.pooled import PooledTransport
from polyroute.wire import HTTPRequest
from tests.transports.faulty_server import (
    CHAT,
    TEXT,
    Do,
    FaultyServer,
    Pause,
    fine,
    head,
    sized,
    slowly,
    streamed,
)
from tests.transports.kinds import (
    AIOHTTP,
    SESSION,
    deployment,
    in_time,
    on_each_own_transport,
    on_each_transport,
    on_httpx_and_httpx2,
    routing,
)


async def text_of(router, *, streams: bool) -> str:
    if not streams:
        return (await router.chat("hi")).text
    async with router.stream("hi") as stream:
        return (await stream.response()).text


async def at_once(router, count: int) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(router.chat, "hi")


chat_and_stream = pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])


@on_each_transport
async def test_one_connection_serves_call_after_call(kind):
    with FaultyServer() as server:
        async with routing(kind, server) as router, in_time():
            for streams in (False, True, True, False):
                assert await text_of(router, streams=streams) == TEXT
        assert server.accepted == 1


@on_each_own_transport
async def test_as_many_connections_are_opened_as_calls_are_made_at_once(kind):
    with FaultyServer(slowly(0.05)) as server:
        async with routing(kind, server) as router, in_time():
            await at_once(router, 20)
            await at_once(router, 20)
            assert router._wiring.providers._own.connections == (0, 20)
        assert server.accepted == 20


@on_httpx_and_httpx2
async def test_the_connection_used_last_is_used_next(kind):
    with FaultyServer(slowly(0.02)) as server:
        async with routing(kind, server) as router, in_time():
            await at_once(router, 5)
            for _ in range(3):
                await router.chat("hi")
        last = [asked.connection for asked in server.asked[-3:]]
        assert last == last[:1] * 3


async def test_no_more_connections_are_kept_than_allowed():
    with FaultyServer(slowly(0.02)) as server:
        transport = PooledTransport(most_idle=3)
        async with Router([deployment(server)], transport=transport) as router, in_time():
            await at_once(router, 8)
            assert transport.connections == (0, 3)
            await transport.aclose()
        assert server.open_connections() == 0


async def test_a_connection_that_lay_idle_for_too_long_is_closed_with_those_below_it():
    with FaultyServer(slowly(0.02)) as server:
        transport = PooledTransport(keepalive=0.1)
        async with Router([deployment(server)], transport=transport) as router, in_time():
            await at_once(router, 4)
            await anyio.sleep(0.15)
            await router.chat("hi")
            assert transport.connections == (0, 1)
            await transport.aclose()
        assert server.accepted == 5
        assert server.open_connections() == 0


async def test_giving_a_connection_back_closes_one_that_lay_idle_for_too_long():
    with FaultyServer(slowly(0.02)) as server:
        transport = PooledTransport(keepalive=0.15)
        async with Router([deployment(server)], transport=transport) as router, in_time():
            await at_once(router, 2)
            for _ in range(5):
                await anyio.sleep(0.05)
                await router.chat("hi")
            assert transport.connections == (0, 1)
            await transport.aclose()


@on_each_transport
@chat_and_stream
@pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("noticed", [True, False], ids=["before the next call", "by the next call"])
async def test_a_connection_that_the_server_closed_while_it_was_idle_counts_for_nobody(
    kind, streams, end, noticed
):
    def once(asked):
        return (*fine(asked), end) if noticed else fine(asked)

    acts = (once, fine) if noticed else (once, (end,), fine)
    with FaultyServer(*acts) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await text_of(router, streams=streams)
            await anyio.sleep(0.02)
            reply = await router.chat("hi")
            assert router.fleet["a"].error_rate == 0

        assert [attempt.error for attempt in reply.trace.attempts] == [None]
        assert server.accepted == 2
        assert len(server.asked) == len(acts)


@on_httpx_and_httpx2
@chat_and_stream
@pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])
async def test_so_does_one_that_is_closed_as_the_next_call_begins(kind, streams, end):
    with FaultyServer(lambda asked: (*fine(asked), end), fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await router.chat("hi")
            await anyio.sleep(0.02)
            for place in router._wiring.providers._own._home.stock.places.values():
                for line in place.idle:
                    line._readable = bool  # It looks alive, as it does a moment before the news arrives.
            assert await text_of(router, streams=streams) == TEXT
            assert router.fleet["a"].error_rate == 0


@on_each_own_transport
async def test_however_many_connections_have_been_closed_meanwhile_the_next_call_succeeds(kind):
    def act(asked):
        return (*slowly(0.02)(asked), Do.FIN)

    with FaultyServer(*[act] * 6, fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await at_once(router, 6)
            await anyio.sleep(0.02)
            assert (await router.chat("hi")).text == TEXT
            assert router._wiring.providers._own.connections == (0, 1)


@on_each_own_transport
async def test_the_second_try_is_on_a_connection_that_was_not_used_before(kind):
    def act(asked):
        return slowly(0.02)(asked) if asked.connection == 3 or len(server.asked) <= 2 else (Do.FIN,)

    with FaultyServer(act) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await at_once(router, 2)
            assert (await router.chat("hi")).text == TEXT
        assert [asked.connection for asked in server.asked][-1] == 3
        assert len(server.asked) == 4


@on_each_transport
async def test_a_second_connection_that_is_closed_is_a_failure(kind):
    with FaultyServer(fine, (Do.FIN,), (Do.FIN,), fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await router.chat("hi")
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")

        assert type(caught.value.__cause__) is ReadError
        assert len(server.asked) == 3


@on_each_transport
@pytest.mark.parametrize(
    "part",
    [head()[:10], head(content_length=5), b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["a part of the head", "the head", "a word in advance"],
)
async def test_a_connection_that_is_closed_after_a_part_of_the_reply_is_a_failure(kind, part):
    if kind is SESSION and b"100 Continue" in part:
        pytest.skip("aiohttp tells nobody of a word in advance")
    with FaultyServer(fine, (part, Pause(0.02), Do.FIN), fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            await router.chat("hi")
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.chat("hi")

        assert type(caught.value.__cause__) is ReadError
        assert len(server.asked) == 2


@on_each_transport
async def test_a_connection_that_stays_silent_on_its_second_request_is_not_tried_again(kind):
    with FaultyServer(fine, (Do.STALL,), fine) as server, FaultyServer() as sound:
        async with routing(kind, server, sound, timeout=0.3) as router, in_time():
            await router.chat("hi")
            reply = await router.chat("hi")

        assert reply.deployment == "b"
        assert len(server.asked) == 2


_SOMEBODYS = sized(CHAT.replace(b"Rayleigh", b"somebody else's"))


@on_each_own_transport
@chat_and_stream
@pytest.mark.parametrize(
    "surplus", [_SOMEBODYS, b"H", b"\r\n", b"\0" * 70_000], ids=["a reply", "a byte", "a line", "much"]
)
@pytest.mark.parametrize("late", [False, True], ids=["in the same read", "late"])
async def test_what_comes_after_a_reply_never_answers_another_call(kind, streams, surplus, late):
    if kind is AIOHTTP and surplus == b"\r\n" and not late:
        pytest.skip("an empty line before a reply is none of it (RFC 9112, 2.2), and answers nothing")
    reply = streamed() if streams else sized(CHAT)
    acts = (reply, Pause(0.02), surplus) if late else (reply + surplus,)
    with FaultyServer(acts, fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            assert await text_of(router, streams=streams) == TEXT
            await anyio.sleep(0.05 if late else 0)
            assert await text_of(router, streams=streams) == TEXT

        assert server.accepted == 2


async def test_a_call_that_ends_after_the_transport_was_closed_leaves_no_connection():
    with FaultyServer(slowly(0.05)) as server:
        transport = PooledTransport()
        async with Router([deployment(server)], transport=transport) as router, in_time():
            async with anyio.create_task_group() as group:
                group.start_soon(router.chat, "hi")
                await anyio.sleep(0.03)
                await transport.aclose()
            assert transport.connections == (0, 0)
            assert server.open_connections() == 0


@asynccontextmanager
async def received_whole(transport: PooledTransport, server: FaultyServer):
    """A response that was read to its end and not closed yet."""
    deadline = Deadline(anyio.current_time() + 5)
    request = HTTPRequest(method="POST", url=server.url, headers=(), body=b"", deadline=deadline)
    received = await transport.send(request)
    assert await received.read() == CHAT
    yield received


@pytest.mark.parametrize("rounds", range(4))
async def test_a_connection_given_back_while_the_transport_closes_is_closed(rounds):
    transport = PooledTransport()
    with FaultyServer() as server:
        async with received_whole(transport, server) as received, anyio.create_task_group() as group:
            group.start_soon(received.aclose)
            for _ in range(rounds):
                await anyio.lowlevel.checkpoint()
            await transport.aclose()
        assert transport.connections == (0, 0)
        assert server.open_connections() == 0


async def test_a_bug_comes_out_as_itself_and_leaves_nothing():
    transport = PooledTransport()
    with FaultyServer() as server:
        deadline = Deadline(anyio.current_time() + 5)
        broken = HTTPRequest(method="POST", url=server.url, headers=((b"x", 1),), body=b"", deadline=deadline)
        with pytest.raises(TypeError):
            await transport.send(broken)
        assert transport.connections == (0, 0)
        assert server.open_connections() == 0
    await transport.aclose()


async def test_a_whole_reply_is_one_whatever_becomes_of_its_connection():
    transport = PooledTransport()
    with FaultyServer() as server:
        async with received_whole(transport, server) as received:
            for _ in range(2):
                assert received.headers == {
                    "content-type": "application/json",
                    "content-length": str(len(CHAT)),
                }
            (line,) = transport._home.stock.busy
            line._connection._h11_state = None  # What httpcore does with it now fails.
            for _ in range(2):
                await received.aclose()
                assert transport.connections == (0, 0)
    await transport.aclose()


@on_each_transport
async def test_without_a_limit_for_connecting_the_deadline_holds(kind):
    with FaultyServer() as server:
        async with routing(kind, server, timeout=Timeout(connect=None)) as router, in_time():
            assert (await router.chat("hi")).text == TEXT


@on_each_own_transport
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_connection_is_watched_where_the_system_has_no_poll_too(kind, monkeypatch):
    monkeypatch.delattr("select.poll")  # as on Windows
    with FaultyServer(fine, lambda asked: (*fine(asked), Do.FIN), fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            for _ in range(3):
                assert (await router.chat("hi")).text == TEXT
                await anyio.sleep(0.02)
        assert server.accepted == 2
        assert len(server.asked) == 3
