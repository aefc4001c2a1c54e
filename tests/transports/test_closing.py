"""A connection that is to be closed is closed, however its library takes it."""

from __future__ import annotations

import anyio
import httpcore
import pytest

from polyroute.transports.corked import CorkedNetwork
from polyroute.transports.lines import Line, close
from tests.virtual_time import anyio_backend  # noqa: F401 - nobody waits for real


class Socket:
    """What remembers whether it was shut down."""

    ended = False

    def shutdown(self, how):
        self.ended = True
        raise OSError("it was closed already")


class Stream:
    """What httpcore calls a network stream."""

    def __init__(self):
        self.socket = Socket()

    def get_extra_info(self, what):
        return self.socket if what == "socket" else None

    async def aclose(self): ...


def line(closing) -> tuple[Line, Socket]:
    class Opener:
        async def aclose(self):
            await closing()

    network = CorkedNetwork(httpcore, lambda: None)
    network.stream = stream = Stream()
    return Line(Opener(), network, forwarded=False), stream.socket


async def fails():
    raise RuntimeError("no")


async def well():
    await anyio.sleep(0.1)


@pytest.mark.parametrize("closing", [anyio.sleep_forever, fails])
async def test_one_that_does_not_close_is_hung_up_and_the_others_are_closed(closing):
    lines, sockets = zip(*[line(each) for each in (closing, well, closing)], strict=True)
    began = anyio.current_time()
    await close(*lines)

    assert [socket.ended for socket in sockets] == [True, False, True]
    assert anyio.current_time() - began < 11


async def test_closing_is_shielded_from_cancellation():
    each, _ = line(well)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await close(each)

    assert anyio.current_time() >= 0.1


def test_hanging_up_what_was_never_connected_does_nothing():
    Line(None, CorkedNetwork(httpcore, lambda: None), forwarded=False).hang_up()
