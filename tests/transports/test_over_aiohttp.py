"""What is aiohttp's own: its connector, sessions of one's own, and one timer for all waits."""

from __future__ import annotations

import asyncio
import re
import time
from math import inf
from weakref import WeakSet

import aiohttp
import anyio
import pytest
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    ConfigurationError,
    ConnectError,
    ProviderError,
    ReadError,
    ResponseDecodeError,
    Router,
    Timeout,
)
from polyroute.deployments import Deadline
from polyroute.protocols import HTTPRequest
from polyroute.transports.aiohttp_faults import translated
from polyroute.transports.asking import address_of
from polyroute.transports.borrowed_session import _Question
from polyroute.transports.connector import DirectQuestion
from polyroute.transports.over_aiohttp import AiohttpTransport
from polyroute.transports.watch import Watch
from tests.transports.faulty_server import (
    STREAMING,
    TEXT,
    Do,
    FaultyServer,
    Pause,
    chunk,
    fine,
    for_ever,
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
            for line in router._http._own._home.stock.connector._lines:
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
            (line,) = router._http._own._home.stock.connector._lines
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
                assert router._core.fleet["a"].in_flight == 0


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


# --- one timer for all waits ----------------------------------------------------------------------


async def waited(watch: Watch, ends: float, *, seconds: float = 60.0) -> str:
    try:
        with watch.until(ends):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "rung"
    return "over"


async def test_each_wait_ends_at_its_own_moment():
    watch, loop = Watch(), asyncio.get_running_loop()
    began = loop.time()
    lengths = [0.06, 0.02, 0.04, 0.02]
    ended = []

    async def wait(length: float) -> None:
        assert await waited(watch, began + length) == "rung"
        ended.append((length, loop.time() - began))

    async with anyio.create_task_group() as group:
        for length in lengths:
            group.start_soon(wait, length)

    assert [length for length, _ in ended] == sorted(lengths)
    assert all(length <= took < length + 0.5 for length, took in ended)
    assert watch._timer is None


async def test_a_wait_that_is_over_in_time_costs_no_timer_of_its_own():
    watch, loop = Watch(), asyncio.get_running_loop()
    timers = set()
    for _ in range(20):
        assert await waited(watch, loop.time() + 50, seconds=0) == "over"
        timers.add(watch._timer)
    assert len(timers) == 1
    watch.close()


async def test_a_wait_without_an_end_sets_no_timer():
    watch = Watch()
    assert await waited(watch, inf, seconds=0) == "over"
    assert watch._timer is None


async def test_a_wait_whose_end_has_passed_is_rung_at_once():
    watch, loop = Watch(), asyncio.get_running_loop()
    assert await waited(watch, loop.time() - 1) == "rung"


@pytest.mark.parametrize("moment", [0, 0.02], ids=["before", "at the same time"])
async def test_who_is_cancelled_is_not_taken_for_one_whose_time_has_come(moment):
    watch, loop = Watch(), asyncio.get_running_loop()
    task = asyncio.ensure_future(waited(watch, loop.time() + 0.02))
    await asyncio.sleep(0)
    if moment:
        watch._loop.call_at(watch._timer.when(), task.cancel)
    else:
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not watch._waits
    watch.close()


async def test_what_fails_as_its_time_comes_fails_as_it_does():
    watch, loop = Watch(), asyncio.get_running_loop()

    async def failing() -> None:
        with watch.until(loop.time() + 0.01):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise KeyError("a bug") from None

    with pytest.raises(KeyError, match="a bug"):
        await failing()
    assert asyncio.current_task().cancelling() == 0


async def test_a_scope_around_a_wait_is_heeded_though_its_time_came():
    watch, loop = Watch(), asyncio.get_running_loop()
    with anyio.move_on_after(0.02) as scope:
        await waited(watch, loop.time() + 60)
    assert scope.cancelled_caught
    assert not watch._waits
    watch.close()


# --- what its errors mean -------------------------------------------------------------------------

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
