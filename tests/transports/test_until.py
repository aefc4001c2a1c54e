"""A timeout that is asked anew at each wait, and what in httpcore that stands on.

Where one of these fails after an upgrade, httpcore no longer adds a timeout to the time at each wait:
then a stream's limits no longer move, and the transports must bound each wait themselves.
"""

from __future__ import annotations

from math import inf

import anyio
import pytest

from polyroute.deadlines import Deadline
from polyroute.transports.until import Until
from tests.transports.faulty_server import LAST, STREAMING, FaultyServer, Pause, chunk


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    return pytest.importorskip(request.param)


def asked_of(library, url: str, **timeouts: Until):
    return library.Request("POST", url, content=b"{}", extensions={"timeout": timeouts})


async def test_each_wait_asks_it_once(library):
    pieces = (
        STREAMING,
        *[each for number in b"abcd" for each in (Pause(0.01), chunk(bytes([number])))],
        LAST,
    )
    with FaultyServer(pieces) as server:
        timeouts = {name: Until.of(Deadline()) for name in ("connect", "read", "write", "pool")}
        async with library.AsyncHTTPTransport() as transport:
            response = await transport.handle_async_request(asked_of(library, server.url, **timeouts))
            before = timeouts["read"].asked
            body = b"".join([data async for data in response.stream])
            await response.aclose()

    assert body == b"abcd"
    assert timeouts["connect"].asked == 1
    assert timeouts["write"].asked >= 1
    assert before == 1
    assert timeouts["read"].asked - before >= 4


async def test_the_moment_that_it_names_then_is_the_one_that_holds(library):
    deadline = Deadline(anyio.current_time() + 60)
    with FaultyServer((STREAMING, chunk(b"a"), Pause(0.5), LAST)) as server:
        async with library.AsyncHTTPTransport() as transport:
            request = asked_of(library, server.url, read=Until.of(deadline))
            response = await transport.handle_async_request(request)
            stream = aiter(response.stream)
            assert await anext(stream) == b"a"
            deadline.at = anyio.current_time() + 0.03
            with pytest.raises(library.ReadTimeout):
                await anext(stream)
            assert deadline.at <= anyio.current_time() < deadline.at + 0.4
            await response.aclose()


def test_it_is_a_plain_number_to_anybody_else():
    until = Until.of(Deadline(5.0), seconds=3.0)

    assert until == 3.0
    assert until + 1.0 == 4.0
    assert 0 < Until.of(Deadline()) < inf


def test_it_adds_up_to_the_deadline_or_its_own_end_whichever_comes_first():
    deadline = Deadline(100.0, between_tokens=7.0)

    assert 50.0 + Until.of(deadline) == 100.0
    assert 50.0 + Until.of(deadline, margin=1.0) == 99.0
    assert 50.0 + Until.of(deadline, ends=60.0) == 60.0
    assert 50.0 + Until.of(deadline, ends=600.0) == 100.0

    deadline.token_passed()
    until = Until.of(deadline)
    assert [moment + until for moment in (50.0, 55.0)] == [57.0, 57.0]
    assert until.asked == 2


def test_where_its_end_is_not_known_it_begins_with_the_first_wait():
    until = Until.of(Deadline(), seconds=5.0, ends=None)

    assert [moment + until for moment in (50.0, 53.0)] == [55.0, 55.0]
