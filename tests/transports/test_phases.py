"""Each phase of an attempt has its own limit, and only silence runs it out."""

from __future__ import annotations

import sys
from itertools import chain

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    DeadlineExceededError,
    StreamInterruptedError,
    Timeout,
)
from tests.transports.faulty_server import (
    CHAT,
    DONE,
    LAST,
    ROLE,
    STOP,
    STREAMING,
    TEXT,
    TOKENS,
    WORDS,
    Do,
    FaultyServer,
    Pause,
    by_the_byte,
    chunk,
    for_ever,
    head,
    slowly,
    streamed,
)
from tests.transports.kinds import SESSION, deployment, in_time, on_each_transport, routing
from tests.transports.loopback import black_hole

_LIMIT = 0.1
_PING = chunk(b": ping\n\n")
_STALLED = (Do.STALL,)
_TRICKLES = {
    "silence": _STALLED,
    "a head by the byte": lambda _: by_the_byte(head(x_long="x" * 9000), 0.005),
    "early hints": lambda _: for_ever(b"HTTP/1.1 103 Early Hints\r\n\r\n", seconds=0.005),
    "a flood of early hints": lambda _: for_ever(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 99),
}
_EMPTY_STREAMS = {
    "comments": lambda _: chain((STREAMING,), for_ever(_PING, seconds=0.005)),
    "a flood of comments": lambda _: chain((STREAMING,), for_ever(_PING * 99)),
    "role chunks": lambda _: chain((STREAMING,), for_ever(chunk(ROLE), seconds=0.005)),
    "an event by the byte": lambda _: chain((STREAMING,), by_the_byte(b"1\r\n:\r\n" * 9000, 0.005)),
}


async def timed_out(call) -> AttemptTimeoutError:
    """The error of the only attempt of *call*, which ran out of its own time."""
    async with in_time():
        with pytest.raises(AllAttemptsFailedError) as caught:
            await call
    error = caught.value.__cause__
    assert type(error) is AttemptTimeoutError
    return error


async def entered(stream) -> None:
    async with stream:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="how a full backlog is treated differs")
@on_each_transport
async def test_a_host_that_answers_no_packet_runs_out_the_limit_for_connecting(kind):
    with black_hole() as authority:
        url = f"http://{authority}/v1"
        async with routing(kind, deployment(url), timeout=Timeout(connect=_LIMIT)) as router:
            for call in (router.chat("hi"), entered(router.stream("hi"))):
                error = await timed_out(call)
                assert (error.phase, error.may_have_run) == ("connect", False)


@on_each_transport
async def test_a_handshake_that_stalls_runs_out_the_limit_for_connecting(kind):
    with FaultyServer(greeting=_STALLED) as server:
        url = server.url.replace("http:", "https:")
        async with routing(kind, deployment(url), timeout=Timeout(connect=_LIMIT)) as router:
            for call in (router.chat("hi"), entered(router.stream("hi"))):
                error = await timed_out(call)
                assert (error.phase, error.may_have_run) == ("connect", False)
        assert server.open_connections() == 0


@on_each_transport
async def test_the_limit_for_connecting_ends_with_the_connection(kind):
    with FaultyServer(slowly(0.3)) as server:
        async with routing(kind, server, timeout=Timeout(connect=0.2), retry=None) as router, in_time():
            assert (await router.chat("hi")).text == TEXT


@on_each_transport
async def test_the_attempts_own_limit_holds_while_connecting_too(kind):
    with FaultyServer(greeting=_STALLED) as server, FaultyServer() as sound:
        stalling = deployment(server.url.replace("http:", "https:"), "a")
        timeout = Timeout(attempt=_LIMIT, connect=5)
        async with routing(kind, stalling, deployment(sound, "b"), timeout=timeout) as router, in_time():
            reply = await router.chat("hi")

    error = reply.trace.attempts[0].error
    assert (error.phase, error.may_have_run) == ("attempt", False)


@on_each_transport
@pytest.mark.parametrize(
    "act", (_TRICKLES | _EMPTY_STREAMS).values(), ids=(_TRICKLES | _EMPTY_STREAMS).keys()
)
async def test_a_stream_without_a_token_runs_out_the_limit_for_the_first_one(kind, act):
    with FaultyServer(act) as server:
        async with routing(kind, server, timeout=Timeout(first_token=_LIMIT)) as router:
            error = await timed_out(entered(router.stream("hi")))

    assert (error.phase, error.may_have_run) == ("first_token", True)


@on_each_transport
@pytest.mark.parametrize("act", _TRICKLES.values(), ids=_TRICKLES.keys())
async def test_a_chat_waits_so_long_for_its_head_where_that_was_said(kind, act):
    with FaultyServer(act) as server:
        async with routing(kind, server, timeout=Timeout(first_token=_LIMIT)) as router:
            error = await timed_out(router.chat("hi"))

    assert (error.phase, error.may_have_run) == ("first_token", True)


@on_each_transport
async def test_once_its_head_has_come_a_chat_may_take_longer(kind):
    body = (CHAT[:9], Pause(0.6), CHAT[9:])
    with FaultyServer((head(content_length=len(CHAT)), *body)) as server:
        async with routing(kind, server, timeout=Timeout(first_token=0.4)) as router, in_time():
            assert (await router.chat("hi")).text == TEXT


@on_each_transport
@pytest.mark.parametrize(
    "after",
    [
        _STALLED,
        lambda: for_ever(_PING, seconds=0.005),
        lambda: for_ever(_PING * 99),
        lambda: for_ever(chunk(ROLE), seconds=0.005),
        lambda: by_the_byte(b"1\r\n:\r\n" * 9000, 0.005),
    ],
    ids=["silence", "comments", "a flood of comments", "empty deltas", "an event by the byte"],
)
async def test_silence_between_tokens_interrupts_a_stream(kind, after):
    def act(_):
        yield from (STREAMING, chunk(TOKENS[0]))
        yield from after() if callable(after) else after

    with FaultyServer(act) as server:
        async with routing(kind, server, timeout=Timeout(between_tokens=_LIMIT)) as router, in_time():
            with pytest.raises(StreamInterruptedError) as caught:
                async with router.stream("hi") as stream:
                    await stream.response()

    assert caught.value.partial == WORDS[0]
    assert caught.value.__cause__.phase == "between_tokens"


@on_each_transport
async def test_each_token_begins_the_wait_for_the_next_one(kind):
    def act(_):
        yield STREAMING
        for piece in (*TOKENS, STOP, DONE):
            yield Pause(0.06)
            yield chunk(piece)
        yield LAST

    with FaultyServer(act) as server:
        timeout = Timeout(first_token=0.3, between_tokens=0.3)
        async with routing(kind, server, timeout=timeout) as router, in_time():
            async with router.stream("hi") as stream:
                assert (await stream.response()).text == TEXT


@on_each_transport
async def test_a_slow_consumer_is_not_taken_for_a_slow_host(kind):
    with FaultyServer(slowly(0.005)) as server:
        timeout = Timeout(between_tokens=0.2)
        async with routing(kind, server, timeout=timeout) as router, in_time():
            async with router.stream("hi") as stream:
                for _ in range(2):
                    await anext(stream)
                    await anyio.sleep(0.3)
                assert (await stream.response()).text == TEXT


_SLOW = {
    "before the head": _STALLED,
    "within the head": (head()[:9], Do.STALL),
    "within the body": (head(content_length=len(CHAT)), CHAT[:9], Do.STALL),
    "a body by the byte": lambda _: chain((head(content_length=10**6),), by_the_byte(CHAT * 99, 0.005)),
    "a flood without an end": lambda _: chain((STREAMING,), for_ever(b"1\r\nx\r\n" * 999)),
}


@on_each_transport
@pytest.mark.parametrize("act", _SLOW.values(), ids=_SLOW.keys())
async def test_an_attempt_is_limited_while_another_deployment_is_left(kind, act):
    with FaultyServer(act) as slow, FaultyServer() as sound:
        async with routing(kind, slow, sound, timeout=Timeout(attempt=_LIMIT)) as router, in_time():
            reply = await router.chat("hi")

    assert reply.text == TEXT
    error = reply.trace.attempts[0].error
    assert (type(error), error.phase, error.may_have_run) == (AttemptTimeoutError, "attempt", True)


@on_each_transport
async def test_the_last_deployment_left_may_take_longer_than_an_attempts_limit(kind):
    with FaultyServer(slowly(0.1)) as server:
        async with routing(kind, server, timeout=Timeout(attempt=_LIMIT)) as router, in_time():
            assert (await router.chat("hi")).text == TEXT


@on_each_transport
@pytest.mark.parametrize("act", _SLOW.values(), ids=_SLOW.keys())
async def test_the_calls_own_time_ends_it_and_counts_for_nobody(kind, act):
    with FaultyServer(act) as slow, FaultyServer() as sound:
        async with routing(kind, slow, sound, timeout=Timeout(total=_LIMIT)) as router, in_time():
            with pytest.raises(DeadlineExceededError):
                await router.chat("hi")
            with pytest.raises(DeadlineExceededError):
                await entered(router.stream("hi"))
            assert router.fleet["a"].error_rate == 0

    assert not sound.asked


@on_each_transport
async def test_the_calls_own_time_interrupts_a_stream_and_counts_for_nobody(kind):
    with FaultyServer((STREAMING, chunk(TOKENS[0]), Do.STALL)) as server:
        async with routing(kind, server, timeout=Timeout(total=0.1)) as router, in_time():
            with pytest.raises(StreamInterruptedError) as caught:
                async with router.stream("hi") as stream:
                    await stream.response()
            assert router.fleet["a"].error_rate == 0

    assert isinstance(caught.value.__cause__, DeadlineExceededError)


_UNREAD = (Pause(0.5), Do.RESET)


@on_each_transport
async def test_a_prompt_that_the_host_does_not_read_ends_with_the_attempt(kind):
    with FaultyServer(greeting=_UNREAD) as slow, FaultyServer() as sound:
        timeout = Timeout(attempt=0.2)
        async with routing(kind, slow, sound, timeout=timeout) as router, in_time():
            reply = await router.chat("x" * 8_000_000)

    assert reply.trace.attempts[0].error.phase == "attempt"


@on_each_transport
@pytest.mark.parametrize(
    "after",
    [
        (Do.STALL,),
        lambda: for_ever(_PING, seconds=0.005),
        lambda: for_ever(_PING * 99),
        (Do.RESET,),
        (b"zz\r\n",),
    ],
    ids=["silence", "comments", "a flood of comments", "a reset", "bad framing"],
)
async def test_a_stream_that_has_said_its_last_word_ends_at_once(kind, after):
    if kind is SESSION and after == (b"zz\r\n",):
        pytest.skip("aiohttp loses the head that comes with bad framing in one read")

    def act(_):
        yield streamed()[: -len(LAST)]
        yield from after() if callable(after) else after

    with FaultyServer(act) as server:
        async with routing(kind, server) as router, in_time():
            async with router.stream("hi") as stream:
                assert (await stream.response()).text == TEXT
            assert router.fleet["a"].error_rate == 0
