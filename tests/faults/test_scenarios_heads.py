"""The fault scenarios 9 to 14: what may come in place of a reply's head, over each transport."""

from __future__ import annotations

import pytest

from polyroute import (
    AttemptTimeoutError,
    Price,
    ProviderError,
    ReadError,
    ResponseDecodeError,
    Timeout,
)
from tests.faults.asking import AT_ONCE, by, chatted, failure, hung_up, streamed
from tests.transports.faulty_server import (
    CHAT,
    LAST,
    TEXT,
    Do,
    FaultyServer,
    chunk,
    fine,
    for_ever,
    head,
    sized,
)
from tests.transports.kinds import KEY, POOLED, deployment, in_time, on_each_transport, routing


@on_each_transport
async def test_09_a_reset_after_the_request_may_have_run_and_counts_as_paid_for(kind):
    with FaultyServer((Do.RESET,), fine) as server:
        priced = deployment(server, "a", price=Price(input=1, output=1))
        async with routing(kind, priced, retry=AT_ONCE) as router, in_time():
            reply = await router.chat("hi")

    lost, answered = reply.trace.attempts
    assert type(lost.error) is ReadError
    assert (lost.error.transient, lost.error.may_have_run) == (True, True)
    assert lost.usage.estimated
    assert reply.text == TEXT
    assert reply.cost == lost.cost + answered.cost > answered.cost
    assert reply.cost_estimated


@on_each_transport
async def test_10_who_says_no_head_is_left_at_its_limit_and_hung_up_on(kind):
    with FaultyServer((Do.STALL,)) as silent, FaultyServer() as sound:
        limited = deployment(silent, "a", timeout=Timeout(first_token=0.1))
        async with routing(kind, limited, deployment(sound, "b")) as router, in_time():
            for call in (chatted, streamed):
                reply = await call(router)
                assert by(reply) == ["a", "b"]
                error = reply.trace.attempts[0].error
                assert type(error) is AttemptTimeoutError
                assert (error.phase, error.may_have_run) == ("first_token", True)
            assert await hung_up(silent)


@on_each_transport
async def test_11_what_is_said_in_advance_is_passed_over(kind):
    def act(asked):
        yield b"HTTP/1.1 100 Continue\r\n\r\n"
        yield b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
        yield from fine(asked)

    with FaultyServer(act) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            for call in (streamed, chatted, streamed):
                assert (await call(router)).text == TEXT
        assert server.accepted == 1


_TOO_MUCH = {
    "a header of 300 KB": (head(x_big="x" * 300_000),),
    "a thousand headers": (head(**{f"x_{number}": "y" * 70 for number in range(1000)}), CHAT),
    "headers without an end": lambda _: for_ever(b"x-more: and more of it\r\n" * 500),
}


@on_each_transport
@pytest.mark.parametrize("act", _TOO_MUCH.values(), ids=_TOO_MUCH.keys())
async def test_12_a_head_that_is_too_large_is_refused_and_its_connection_closed(kind, act):
    with FaultyServer(act) as server, FaultyServer() as sound:
        async with routing(kind, server, sound) as router, in_time():
            for call in (chatted, streamed):
                reply = await call(router)
                assert by(reply) == ["a", "b"]
                assert type(reply.trace.attempts[0].error) is ResponseDecodeError
            assert await hung_up(server)


_AMBIGUOUS = {
    "two lengths": (head(content_length="5\r\ncontent-length: 6") + b"hello!",),
    "a length and chunks": (head(content_length=5, transfer_encoding="chunked") + chunk(CHAT) + LAST,),
}


@on_each_transport
@pytest.mark.parametrize("act", _AMBIGUOUS.values(), ids=_AMBIGUOUS.keys())
async def test_13_a_reply_whose_end_is_told_in_two_ways_is_refused_and_its_connection_closed(kind, act):
    with FaultyServer(act) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            error = await failure(router.chat("hi"))
            assert type(error) is ResponseDecodeError
            assert error.transient
            assert await hung_up(server)


@on_each_transport
@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_14_no_redirect_is_followed_and_the_error_names_the_host_it_points_to(kind, status):
    with FaultyServer() as elsewhere, FaultyServer() as sound:
        location = f"http://{elsewhere.authority}/v1?key={KEY}"
        with FaultyServer((sized(b"", status, location=location),)) as server:
            async with routing(kind, server, sound, retry=AT_ONCE) as router, in_time():
                error = await failure(router.chat("hi", model="a"), attempts=1)
                assert type(error) is ProviderError
                assert (error.status, error.transient) == (int(status[:3]), False)
                assert f"it redirects to {elsewhere.host}" in str(error)
                assert "base_url" in str(error)
                assert by(await router.chat("hi")) == ["a", "b"]
        assert elsewhere.accepted == 0


@pytest.mark.parametrize("location", [None, "/v2/chat/completions", "http://[half-an-address"])
async def test_14_where_no_host_is_named_the_error_says_that_it_redirects(location):
    with FaultyServer((sized(b"", "308 Permanent", location=location),)) as server:
        async with routing(POOLED, server, retry=None) as router, in_time():
            error = await failure(router.chat("hi"))

    assert str(error) == "308: it redirects, which is never followed; correct base_url"
