"""The fault scenarios 29 to 38: what may be wrong with a reply whose head is good."""

from __future__ import annotations

import gzip
import json
from itertools import chain

import anyio
import pytest

from polyroute import (
    AttemptTimeoutError,
    DeadlineExceededError,
    OverloadedError,
    RateLimitError,
    ReadError,
    ResponseDecodeError,
    ServerError,
    Timeout,
)
from tests.faults.asking import AT_ONCE, by, chatted, failure, hung_up, streamed
from tests.transports.faulty_server import (
    CHAT,
    STREAMING,
    TEXT,
    Do,
    FaultyServer,
    Pause,
    by_the_byte,
    fine,
    head,
    sized,
)
from tests.transports.floods import TOO_MUCH
from tests.transports.kinds import (
    AIOHTTP,
    KEY,
    POOLED,
    deployment,
    in_time,
    on_each_own_transport,
    on_each_transport,
    routing,
)


async def tried_again(kind, act, call=chatted):
    """The error of a lone deployment's first attempt, after which it answers."""
    with FaultyServer(act, fine) as server:
        async with routing(kind, server, retry=AT_ONCE) as router, in_time():
            reply = await call(router)
            assert reply.text == TEXT
    assert by(reply) == ["a", "a"]
    return reply.trace.attempts[0].error


async def left(kind, act, call=chatted):
    """The error of a deployment that is left for the next one."""
    with FaultyServer(act) as server, FaultyServer() as sound:
        async with routing(kind, server, sound, retry=AT_ONCE) as router, in_time():
            reply = await call(router)
            assert reply.text == TEXT
    assert by(reply) == ["a", "b"]
    return reply.trace.attempts[0].error


@on_each_transport
@pytest.mark.parametrize("call", [chatted, streamed])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "busy", "type": "overloaded_error"}, OverloadedError),
        ({"message": "later", "code": 429}, RateLimitError),
        ({"message": "it broke", "type": "server_error"}, ServerError),
    ],
    ids=["overloaded", "limited", "broken"],
)
async def test_29_an_error_in_a_good_reply_is_the_error_that_it_names(kind, call, error, expected):
    assert type(await left(kind, (sized(json.dumps({"error": error}).encode()),), call)) is expected


@on_each_transport
@pytest.mark.parametrize("call", [chatted, streamed])
async def test_30_a_web_page_is_no_reply_and_the_error_says_how_it_began_without_the_key(kind, call):
    page = f"<html><h1>Sign in to the Wi-Fi</h1> {KEY} {'x' * 9000} the end</html>".encode()
    act = (sized(page, content_type="text/html"),)

    for error in (await left(kind, act, call), await tried_again(kind, act, call)):
        assert type(error) is ResponseDecodeError
        assert "Sign in to the Wi-Fi" in str(error)
        assert "the end" not in str(error)
        assert len(str(error)) < 400
        assert KEY not in str(error)


@pytest.mark.parametrize(
    "body",
    [CHAT[:-9], CHAT + b"}", CHAT.replace(b"6", b"NaN"), b"{'single': 'quotes'}", b"\x80\x81"],
    ids=["cut", "too much", "NaN", "no JSON", "no UTF-8"],
)
async def test_31_malformed_json_is_no_reply(body):
    assert type(await tried_again(POOLED, (sized(body),))) is ResponseDecodeError


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbf" + CHAT, TEXT),
        (CHAT.replace(b"Rayleigh", rb"\ud83d"), TEXT.replace("Rayleigh", "?")),
    ],
    ids=["a byte order mark", "half a surrogate pair"],
)
async def test_31_a_byte_order_mark_is_passed_over_and_half_a_character_replaced(body, text):
    with FaultyServer((sized(body),)) as server:
        async with routing(POOLED, server, retry=None) as router, in_time():
            assert (await router.chat("hi")).text == text


_HALF = (head(content_length=len(CHAT)), CHAT[: len(CHAT) // 2], Pause(0.02))


@on_each_transport
@pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])
async def test_32_a_body_that_is_cut_may_have_run_and_is_tried_again(kind, end):
    error = await tried_again(kind, (*_HALF, end))

    assert type(error) is ReadError
    assert (error.transient, error.may_have_run) == (True, True)


_SPOILT = gzip.compress(CHAT)[:40] + b"\xff" * 20 + gzip.compress(CHAT)[60:]
_WRONG = {
    "a size that is no number": (STREAMING, b"zz\r\nhello\r\n"),
    "a chunk longer than it says": (STREAMING, b"3\r\nhello\r\n"),
    "gzip that is spoilt": (sized(_SPOILT, content_encoding="gzip"),),
    "gzip that is none": (sized(CHAT, content_encoding="gzip"),),
}


@on_each_transport
@pytest.mark.parametrize("act", _WRONG.values(), ids=_WRONG.keys())
async def test_33_a_body_that_is_framed_or_packed_wrongly_is_no_reply_and_is_tried_again(kind, act):
    error = await tried_again(kind, act)

    assert type(error) is ResponseDecodeError
    assert (error.transient, error.may_have_run) == (True, True)


_NOTHING = {
    "no body": b"",
    "no choices": b'{"id": "c", "choices": []}',
    "null choices": b'{"choices": null}',
    "nothing in it and no finish reason": b'{"choices": [{"message": {"content": null}}]}',
}


@pytest.mark.parametrize("body", _NOTHING.values(), ids=_NOTHING.keys())
async def test_34_a_reply_with_nothing_in_it_is_tried_again_or_left_for_the_next_one(body):
    for error in (await tried_again(POOLED, (sized(body),)), await left(POOLED, (sized(body),))):
        assert type(error) is ResponseDecodeError
        assert error.transient


async def test_34_no_text_and_a_finish_reason_are_a_reply():
    body = b'{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'
    with FaultyServer((sized(body),)) as server:
        async with routing(POOLED, server, retry=None) as router, in_time():
            reply = await router.chat("hi")

    assert (reply.text, reply.finish_reason) == ("", "length")


@on_each_transport
async def test_35_a_body_of_a_gigabyte_is_refused_and_its_connection_closed(kind):
    with FaultyServer((head(content_length=2**30), b" " * 2**20, Do.STALL)) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            error = await failure(router.chat("hi"))
            assert type(error) is ResponseDecodeError
            assert "larger than" in str(error)
            assert await hung_up(server)


@pytest.mark.parametrize("kind", [POOLED, AIOHTTP], ids=lambda kind: kind.name)
async def test_36_a_body_that_unpacks_to_too_much_is_refused_while_it_arrives(kind):
    with FaultyServer(TOO_MUCH["a bomb"]) as server:
        async with routing(kind, server, retry=None) as router, in_time(20):
            error = await failure(router.chat("hi"))
            assert type(error) is ResponseDecodeError
            assert "unpacks to more" in str(error)
            assert await hung_up(server)


_BY_THE_BYTE = {
    "the head": lambda _: by_the_byte(head(x_long="x" * 9000), 0.01),
    "the body": lambda _: chain((head(content_length=10**6),), by_the_byte(CHAT * 99, 0.01)),
}


@on_each_transport
@pytest.mark.parametrize("act", _BY_THE_BYTE.values(), ids=_BY_THE_BYTE.keys())
async def test_37_who_speaks_by_the_byte_runs_out_the_attempts_limit_or_the_calls_own(kind, act):
    with FaultyServer(act) as slow, FaultyServer() as sound:
        both = (deployment(slow, "a", timeout=Timeout(attempt=0.1)), deployment(sound, "b"))
        async with routing(kind, *both) as router, in_time():
            reply = await router.chat("hi")
            assert by(reply) == ["a", "b"]
            error = reply.trace.attempts[0].error
            assert type(error) is AttemptTimeoutError
            assert (error.phase, error.may_have_run) == ("attempt", True)
            with pytest.raises(DeadlineExceededError) as caught:
                await router.chat("hi", model="a", timeout=0.1)
            assert len(caught.value.attempts) == 1
            assert await hung_up(slow)


@on_each_own_transport
@pytest.mark.parametrize("call", [chatted, streamed])
@pytest.mark.parametrize("late", [False, True], ids=["in the same read", "late"])
async def test_38_what_comes_after_a_reply_never_answers_another_call(kind, call, late):
    somebodys = sized(CHAT.replace(b"Rayleigh", b"somebody else's"))

    def act(asked):
        whole = b"".join(fine(asked))
        return (whole, Pause(0.02), somebodys, Do.STALL) if late else (whole + somebodys, Do.STALL)

    with FaultyServer(act, fine) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            assert (await call(router)).text == TEXT
            if late:
                await anyio.to_thread.run_sync(server.stalling.wait, 5)
                await anyio.sleep(0.01)
            assert (await router.chat("hi")).text == TEXT
        assert server.accepted == 2
