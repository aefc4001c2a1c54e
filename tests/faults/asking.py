"""How the suite asks a router, and what it expects of the one that got over a fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from polyroute import (
    AllAttemptsFailedError,
    AttemptError,
    ChatResponse,
    EmbedResponse,
    ExponentialBackoff,
    Router,
)
from tests.doubles import streamed
from tests.faults.faults import Fault
from tests.transports.faulty_server import TEXT, WORDS, FaultyServer
from tests.transports.kinds import KEY, OVER_AIOHTTP, Kind, settled
from tests.transports.telling import told

__all__ = [
    "AT_ONCE",
    "CALLS",
    "by",
    "chatted",
    "embedded",
    "expect",
    "failure",
    "knows_no_end_of",
    "streamed",
    "well_again",
]

Reply = ChatResponse[object] | EmbedResponse

AT_ONCE = ExponentialBackoff(max_retries=2, base=0)
"""Second tries without a wait of our own making."""


async def chatted(router: Router, **arguments: object) -> ChatResponse[object]:
    return await router.chat("hi", **arguments)


async def embedded(router: Router, **arguments: object) -> EmbedResponse:
    return await router.embed(["hi"], **arguments)


CALLS: tuple[Callable[..., Awaitable[Reply]], ...] = (chatted, streamed, embedded)


async def failure(call: Awaitable[object], *, attempts: int | None = None) -> AttemptError:
    """The error of the last attempt of *call*, all of whose attempts failed; *attempts* is how many there were."""
    with pytest.raises(AllAttemptsFailedError) as caught:
        await call
    assert attempts is None or len(caught.value.attempts) == attempts
    error = caught.value.__cause__
    assert isinstance(error, AttemptError)
    assert KEY not in told(caught.value)
    return error


def by(reply: Reply) -> list[str]:
    """The deployments that were asked, one after another."""
    return [past.deployment for past in reply.trace.attempts]


async def well_again(router: Router, *, first: str | None = "a", **arguments: object) -> None:
    """Twenty more calls, one after another, are answered well; *first* answers them, whose host is good now."""
    for _ in range(10):
        reply = await chatted(router, **arguments)
        async with router.stream("hi", **arguments) as stream:
            assert [chunk.text async for chunk in stream if chunk.text] == list(WORDS)
        for each in (reply, await stream.response()):
            assert each.text == TEXT
            assert first is None or by(each) == [first]


async def hung_up(server: FaultyServer) -> bool:
    """Whether every connection to *server* has been closed, once what was to be closed has had its turn."""
    await settled()
    return server.open_connections() == 0


def expect(error: BaseException | None, fault: Fault) -> None:
    """*error* is what *fault* is, of the deployment that is called a."""
    assert isinstance(error, fault.error), repr(error)
    assert error.deployment == "a"
    assert error.transient is fault.passing
    if fault.ran is not None:
        assert error.may_have_run is fault.ran
    assert KEY not in told(error)


def knows_no_end_of(fault: Fault, kind: Kind) -> bool:
    """Whether *kind* takes it for silence: aiohttp's parser takes any number of zeros for the beginning
    of a chunk's size."""
    return kind in OVER_AIOHTTP and fault.name == "a size that never ends"
