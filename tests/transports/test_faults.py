"""Whatever happens on the wire ends in the error that it is, or in the next deployment's reply."""

from __future__ import annotations

import socket

import pytest

from polyroute import AllAttemptsFailedError, ConnectError, StreamInterruptedError
from tests.transports.faults import FAULTS, GOOD, LATE_FAULTS
from tests.transports.faulty_server import TEXT, WORDS, FaultyServer
from tests.transports.kinds import KEY, OVER_AIOHTTP, SESSION, deployment, in_time, on_each_transport, routing
from tests.transports.telling import told

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


# aiohttp's parser takes any number of zeros for the beginning of a size; only a limit ends them.
_FOR_EVER_ON_AIOHTTP = "a size that never ends"


def skip_what_never_ends(kind, fault):
    if kind in OVER_AIOHTTP and fault.name == _FOR_EVER_ON_AIOHTTP:
        pytest.skip("its parser waits for the size's end, as for any silence")


def expect(raised, fault):
    error = raised.__cause__
    assert isinstance(error, fault.error)
    assert error.deployment == "a"
    assert error.transient is fault.passing
    if fault.ran is not None:
        assert error.may_have_run is fault.ran
    assert KEY not in told(raised)


@on_each_transport
@each_fault
async def test_a_chat_ends_in_the_error_that_the_fault_is(kind, fault):
    skip_what_never_ends(kind, fault)
    with fault.server() as server:
        async with routing(kind, server, retry=None) as router, in_time():
            with pytest.raises(AllAttemptsFailedError, match=fault.says or None) as caught:
                await router.chat("hi")

    expect(caught.value, fault)
    assert len(server.asked) <= 1


@on_each_transport
@each_fault
async def test_a_stream_ends_in_the_error_that_the_fault_is(kind, fault):
    skip_what_never_ends(kind, fault)
    with fault.server() as server:
        async with routing(kind, server, retry=None) as router, in_time():
            with pytest.raises(AllAttemptsFailedError, match=fault.says or None) as caught:
                async with router.stream("hi"):
                    pass

    expect(caught.value, fault)
    assert len(server.asked) <= 1


@on_each_transport
@each_fault
async def test_the_next_deployment_answers_in_its_place(kind, fault):
    skip_what_never_ends(kind, fault)
    with fault.server() as broken, FaultyServer() as sound:
        async with routing(kind, broken, sound) as router, in_time():
            reply = await router.chat("hi")
            async with router.stream("hi") as stream:
                streamed = await stream.response()

    for each in (reply, streamed):
        assert each.text == TEXT
        assert [attempt.deployment for attempt in each.trace.attempts] == ["a", "b"]


@on_each_transport
@pytest.mark.parametrize("fault", LATE_FAULTS, ids=lambda fault: fault.name)
async def test_what_breaks_a_stream_after_its_first_token_interrupts_it(kind, fault):
    if kind is SESSION and fault.name.startswith("bad framing"):  # which may come in the same read
        pytest.skip("aiohttp loses the head that comes with bad framing in one read")
    with fault.server() as broken, FaultyServer() as sound:
        async with routing(kind, broken, sound) as router, in_time(10):
            with pytest.raises(StreamInterruptedError) as caught:
                async with router.stream("hi") as stream:
                    said = [chunk.text async for chunk in stream]  # noqa: F841 - it breaks

    assert caught.value.partial == WORDS[0]
    expect(caught.value, fault)
    assert not sound.asked


@on_each_transport
@pytest.mark.parametrize("act", GOOD.values(), ids=GOOD.keys())
async def test_a_reply_may_come_in_unusual_ways(kind, act):
    if kind in OVER_AIOHTTP and act is GOOD["with the same length twice"]:
        pytest.skip("its parser takes no second length, though it is the same")
    with FaultyServer(act) as server:
        async with routing(kind, server) as router, in_time():
            for _ in range(2):
                assert (await router.chat("hi")).text == TEXT
                async with router.stream("hi") as stream:
                    assert [chunk.text async for chunk in stream if chunk.text] == list(WORDS)

    assert len(server.asked) == 4


@on_each_transport
async def test_nobody_listens(kind):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with routing(kind, deployment(f"http://127.0.0.1:{port}/v1"), retry=None) as router, in_time():
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi")

    error = caught.value.__cause__
    assert type(error) is ConnectError
    assert error.transient
    assert not error.may_have_run
