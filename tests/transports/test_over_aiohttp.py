"""What is aiohttp's own: its connector, sessions of one's own, and one timer for all waits."""

from __future__ import annotations

import asyncio
import time
from weakref import WeakSet

import aiohttp
import anyio
import pytest
from aiohttp.client_proto import ResponseHandler

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    DeadlineExceededError,
    ProviderError,
    Router,
    Timeout,
)
from polyroute.deadlines import Deadline
from polyroute.transports.asking import address_of
from polyroute.transports.borrowed_session import _Question
from polyroute.transports.over_aiohttp import AiohttpTransport
from polyroute.wire import HTTPRequest
from tests.transports.faulty_server import (
    CHAT,
    STREAMING,
    TEXT,
    Do,
    FaultyServer,
    Pause,
    chunk,
    fine,
    for_ever,
    head,
    sized,
    slowly,
)
from tests.transports.kinds import AIOHTTP, OVER_AIOHTTP, SESSION, deployment, in_time, routing

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

on_both = pytest.mark.parametrize("kind", OVER_AIOHTTP, ids=lambda kind: kind.name)


@on_both
async def test_a_size_that_never_ends_is_ended_by_the_limits(kind):
    def act(_):
        yield STREAMING
        yield from for_ever(b"0" * 1000, seconds=0.005)

    with FaultyServer(act) as server, FaultyServer() as sound:
        async with routing(kind, server, sound, timeout=Timeout(attempt=0.06)) as router, in_time():
            reply = await router.chat("hi")

    assert type(reply.trace.attempts[0].error) is AttemptTimeoutError


async def test_deployments_of_one_address_send_each_its_own_key():
    with FaultyServer() as server:
        one, two = (deployment(server, id=name, api_key=f"sk-of-{name}") for name in ("one", "two"))
        async with Router([one, two], transport="aiohttp") as router, in_time():
            for name in ("one", "two", "one", "one", "two"):
                await router.chat("hi", model=name)
        sent = [each.headers["authorization"] for each in server.asked]

    assert sent == [f"Bearer sk-of-{name}" for name in ("one", "two", "one", "one", "two")]


# --- its connections ------------------------------------------------------------------------------


async def test_a_connection_into_which_nobody_can_look_is_used_once():
    transport = AiohttpTransport()
    with FaultyServer() as server:
        async with Router([deployment(server)], transport=transport) as router, in_time():
            await router.chat("hi")
            connector = transport._home.stock.connector
            connector._factory = lambda: ResponseHandler(asyncio.get_running_loop())
            for count in (1, 2, 3):  # The first of these still uses the one that was opened before.
                assert (await router.chat("hi")).text == TEXT
                assert server.accepted == count
                for line in connector._lines:
                    line.close()
                await asyncio.sleep(0)
            await transport.aclose()
        assert server.open_connections() == 0


class Changed:
    """A parser of which something is left that does not end well."""

    def feed_eof(self):
        raise ValueError("half a head")


@pytest.mark.parametrize("parser", [None, Changed()], ids=["another name", "half a head"])
async def test_a_connection_whose_parser_cannot_say_that_it_is_done_is_used_once(parser):
    with FaultyServer() as server:
        async with routing(AIOHTTP, server) as router, in_time():
            await router.chat("hi")
            for line in router._wiring.providers._own._home.stock.connector._lines:
                line._parser = parser
            await router.chat("hi")
        assert server.accepted == 2


@pytest.mark.parametrize("late", [b"H", sized(b"{}"), b"\r\n"], ids=["a byte", "a reply", "a line"])
async def test_what_comes_after_a_reply_is_noticed_though_the_event_loop_had_no_time_to_read_it(late):
    """It is in the socket when the next call begins, and nobody has read it."""
    with FaultyServer(lambda asked: (*fine(asked), Pause(0.02), late), fine) as server:
        async with routing(AIOHTTP, server) as router, in_time():
            await router.chat("hi")
            time.sleep(0.06)  # noqa: ASYNC251 - the event loop is busy with other things
            assert (await router.chat("hi")).text == TEXT
        assert server.accepted == 2


async def test_a_connection_does_not_remember_the_streams_that_it_carried():
    with FaultyServer(slowly(0.001)) as server:
        async with routing(AIOHTTP, server) as router, in_time():
            for _ in range(5):
                async with router.stream("hi") as stream:
                    await stream.response()
            (line,) = router._wiring.providers._own._home.stock.connector._lines
            assert not line.closed._callbacks
        assert server.accepted == 1


async def test_a_head_of_many_long_lines_is_read():
    value = "x" * 20_000
    with FaultyServer(
        lambda asked: (sized(fine(asked)[0].split(b"\r\n\r\n", 1)[1], x_long=value),)
    ) as server:
        async with routing(AIOHTTP, server) as router, in_time():
            assert (await router.chat("hi")).text == TEXT


async def test_an_idle_connection_is_closed_when_its_time_is_over():
    transport = AiohttpTransport(keepalive=0.05)
    with FaultyServer() as server:
        async with Router([deployment(server)], transport=transport) as router, in_time():
            await router.chat("hi")
            await anyio.sleep(0.15)
            assert transport.connections == (0, 0)
            assert server.open_connections() == 0
            await transport.aclose()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("http://x/v1/a%3Ab%2Fc?d=%41", "/v1/a%3Ab%2Fc?d=%41"),
        ("http://x/v1/models/a:b", "/v1/models/a:b"),
        ("http://x/v1/a b\u00fc", "/v1/a%20b%C3%BC"),
    ],
)
def test_an_address_goes_out_as_it_was_written(text, sent, anyio_backend):
    assert address_of(text).raw_path_qs == sent


# --- a session of one's own -----------------------------------------------------------------------


async def refuse(response):
    raise AssertionError("the session's own raise_for_status was asked")


@pytest.mark.parametrize("raising", [True, refuse])
async def test_a_session_raises_nothing_for_a_status(raising):
    body = b'{"error": {"message": "no such thing"}}'
    with FaultyServer((sized(body, "404 Not Found"),)) as server:
        async with aiohttp.ClientSession(raise_for_status=raising) as session:
            async with Router([deployment(server)], transport=session, retry=None) as router, in_time():
                with pytest.raises(AllAttemptsFailedError, match="no such thing") as caught:
                    await router.chat("hi")

    assert isinstance(caught.value.__cause__, ProviderError)
    assert caught.value.__cause__.status == 404


async def test_a_sessions_own_settings_hold_and_its_timeout_stands_back():
    session = aiohttp.ClientSession(
        headers={"x-of-the-owner": "yes"},
        cookies={"of": "the-owner"},
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        timeout=aiohttp.ClientTimeout(total=0.05),
        connector=aiohttp.TCPConnector(limit=1),
    )
    with FaultyServer(slowly(0.05)) as server:
        async with session, in_time():
            async with Router([deployment(server)], transport=session) as router:
                async with anyio.create_task_group() as group:
                    for _ in range(3):
                        group.start_soon(router.chat, "hi")
        assert server.accepted == 1

    for asked in server.asked:
        assert asked.headers["x-of-the-owner"] == "yes"
        assert asked.headers["cookie"] == "of=the-owner"
        assert asked.headers["accept-encoding"] == "identity"


async def test_a_connection_of_a_sessions_that_was_lost_before_it_was_written_to_is_no_stale_one():
    class Lost:
        transport = None

        async def write(self, data):
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    question = _Question(b"{}", WeakSet())
    with pytest.raises(aiohttp.ClientConnectionResetError) as caught:
        await question.write(Lost())
    assert not question.went_stale(caught.value)
    question.hang_up()


async def test_a_session_follows_no_redirect():
    with FaultyServer() as elsewhere:
        act = (sized(b"", "307 Temporary Redirect", location=f"{elsewhere.url}/chat/completions"),)
        with FaultyServer(act) as server:
            async with routing(SESSION, server, retry=None) as router, in_time():
                with pytest.raises(AllAttemptsFailedError):
                    await router.chat("hi")
        assert not elsewhere.accepted


async def test_the_error_of_a_sessions_own_middleware_comes_out_as_itself():
    async def broken(request, handler):
        raise KeyError("a bug")

    with FaultyServer() as server:
        async with aiohttp.ClientSession(middlewares=[broken]) as session:
            async with Router([deployment(server)], transport=session) as router, in_time():
                with pytest.raises(KeyError, match="a bug"):
                    await router.chat("hi")
                assert router.fleet["a"].in_flight == 0


async def test_a_session_that_keeps_a_call_waiting_for_a_connection_is_within_the_limits():
    with FaultyServer((Do.STALL,)) as server:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            timeout = Timeout(attempt=0.1, connect=None)
            twice = [deployment(server, "a"), deployment(server, "b")]
            async with Router(twice, transport=session, timeout=timeout, retry=None) as router, in_time():
                errors: list[BaseException] = []

                async def call() -> None:
                    try:
                        await router.chat("hi", timeout=0.3)
                    except Exception as error:
                        errors.append(error)

                async with anyio.create_task_group() as group:
                    for _ in range(2):
                        group.start_soon(call)
                assert len(errors) == 2


# --- more than the buffers hold -------------------------------------------------------------------


async def test_a_body_that_waits_for_its_reader_is_read_whole():
    """aiohttp stops reading where its buffer is full, and goes on where there is room again."""
    body = bytes(range(256)) * 16_384  # 4 MiB
    transport = AiohttpTransport()
    with FaultyServer((head(content_length=len(body)), body), fine) as server:
        deadline = Deadline(anyio.current_time() + 5)
        for expected in (body, CHAT):
            request = HTTPRequest(
                method="POST", url=server.url, headers=(), body=b"{}", deadline=deadline, connect=1
            )
            received = await transport.send(request)
            await anyio.sleep(0.1)
            assert await received.read() == expected
            await received.aclose()
        assert server.accepted == 1
    await transport.aclose()


@on_both
@pytest.mark.parametrize("begun", [False, True], ids=["before the head", "within the body"])
async def test_who_hangs_up_does_not_wait_for_the_rest_of_the_prompt_to_be_written(kind, begun):
    """The host reads none of it, so that closing the connection as one should would take for ever."""
    greeting = (*((STREAMING, chunk(b": ping\n\n")) if begun else ()), Pause(0.6))
    with FaultyServer(greeting=greeting) as server:
        async with routing(kind, server, timeout=Timeout(total=0.2), retry=None) as router, in_time(4):
            with pytest.raises(DeadlineExceededError):
                await router.chat("x" * 30_000_000)
            await asyncio.sleep(0)
            own = router._wiring.providers._own
            left = (
                own._seen
                if kind is SESSION
                else [line.transport for line in own._home.stock.connector._lines]
            )
            for transport in filter(None, left):
                assert transport.get_extra_info("socket").fileno() == -1
