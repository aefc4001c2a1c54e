"""A call may be cancelled at any moment, in any way, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random

import anyio
import pytest
import trio

from tests.transports.faulty_server import (
    CHAT,
    DONE,
    ROLE,
    STREAMING,
    TEXT,
    TOKENS,
    Do,
    FaultyServer,
    chunk,
    head,
    slowly,
)
from tests.transports.kinds import (
    KINDS,
    deployment,
    in_time,
    on_each_own_transport,
    on_each_transport,
    routing,
    settled,
)

Call = Callable[[], Awaitable[object]]
Moment = Callable[[], Awaitable[object]]

# --- ways to cancel: each runs *call* and cancels it when *moment* has come ----------------------


async def by_a_scope(call: Call, moment: Moment) -> None:
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def scoped() -> None:
            with scope:
                await call()

        group.start_soon(scoped)
        await moment()
        scope.cancel()


async def by_cancelling_its_task(call: Call, moment: Moment, *, again_after: int | None = None) -> None:
    task = asyncio.ensure_future(call())
    await moment()
    task.cancel()
    if again_after is not None:
        for _ in range(again_after):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() or task.exception() is None


def twice(rounds: int) -> Callable[[Call, Moment], Awaitable[None]]:
    async def by_cancelling_its_task_twice(call: Call, moment: Moment) -> None:
        await by_cancelling_its_task(call, moment, again_after=rounds)

    return by_cancelling_its_task_twice


async def by_wait_for(call: Call, moment: Moment) -> None:
    async def waited() -> None:
        await asyncio.wait_for(call(), 60)

    await by_cancelling_its_task(waited, moment)


async def by_a_timeout(call: Call, moment: Moment) -> None:
    timeout = asyncio.timeout(None)

    async def timed() -> None:
        with contextlib.suppress(TimeoutError):
            async with timeout:
                await call()

    task = asyncio.ensure_future(timed())
    await asyncio.sleep(0)
    await moment()
    if not task.done():
        timeout.reschedule(asyncio.get_running_loop().time())
    await task


async def by_trios_scope(call: Call, moment: Moment) -> None:
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await call()

        nursery.start_soon(scoped)
        await moment()
        scope.cancel()


WAYS = [
    ("asyncio", by_cancelling_its_task),
    *(("asyncio", twice(rounds)) for rounds in (0, 1, 3)),
    ("asyncio", by_wait_for),
    ("asyncio", by_a_timeout),
    ("asyncio", by_a_scope),
    ("trio", by_a_scope),
    ("trio", by_trios_scope),
]
in_each_way = pytest.mark.parametrize(
    ("anyio_backend", "cancelled"),
    WAYS,
    indirect=["anyio_backend"],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)

# What a second native cancellation does to httpx's own pool nobody outside of it can mend.
in_each_way_on_each_transport = pytest.mark.parametrize(
    ("anyio_backend", "cancelled", "kind"),
    [(*way, kind) for way in WAYS for kind in KINDS if kind.own or "twice" not in way[1].__name__],
    indirect=["anyio_backend"],
    ids=lambda each: getattr(each, "name", None) or getattr(each, "__name__", each),
)

# --- what a call may be doing at that moment -----------------------------------------------------

STALLS = {
    "before the head": (Do.STALL,),
    "within the head": (head()[:20], Do.STALL),
    "within the body": (head(content_length=len(CHAT)), CHAT[:20], Do.STALL),
    "before the first token": (STREAMING, chunk(ROLE), Do.STALL),
    "between tokens": (STREAMING, chunk(ROLE), chunk(TOKENS[0]), Do.STALL),
    "after the last word": (STREAMING, *map(chunk, (*TOKENS, DONE)), Do.STALL),
}
in_each_phase = pytest.mark.parametrize("stall", STALLS.values(), ids=STALLS.keys())


async def stalled(server: FaultyServer) -> None:
    """Until the server is silent, and its client has had time to read what came before."""
    while not server.stalling.is_set():  # noqa: ASYNC110 - it is set by a thread
        await anyio.sleep(0.001)
    await anyio.sleep(0.003)
    server.stalling.clear()


async def read(router) -> None:
    async with router.stream("hi") as stream:
        async for _ in stream:
            pass


@in_each_way_on_each_transport
@in_each_phase
async def test_a_call_that_is_cancelled_gives_everything_back(kind, cancelled, stall):
    with FaultyServer(stall, stall) as server:
        async with routing(kind, server) as router, in_time():
            await cancelled(lambda: router.chat("hi"), lambda: stalled(server))
            await cancelled(lambda: read(router), lambda: stalled(server))
            await anyio.sleep(0.01)  # An event loop closes a socket in its next round.
            assert server.open_connections() == 0


@on_each_own_transport
@in_each_way
async def test_a_call_that_is_cancelled_while_it_connects_gives_everything_back(kind, cancelled):
    with FaultyServer(greeting=(Do.STALL,)) as server:
        secure = deployment(server.url.replace("http:", "https:"))
        async with routing(kind, secure) as router, in_time():
            await cancelled(lambda: router.chat("hi"), lambda: stalled(server))
            await anyio.sleep(0.01)
            assert server.open_connections() == 0


@on_each_transport
async def test_who_leaves_a_stream_early_hangs_up_at_once(kind):
    with FaultyServer((STREAMING, chunk(TOKENS[0]), Do.STALL)) as server:
        async with routing(kind, server) as router, in_time():
            async with router.stream("hi") as stream:
                async for _ in stream:
                    break
            assert server.open_connections() == 0
            assert router.fleet["a"].in_flight == 0


# --- at every moment ------------------------------------------------------------------------------


async def rounds(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


@on_each_own_transport
@in_each_way
@pytest.mark.parametrize("warm", [False, True], ids=["a new connection", "a used connection"])
@pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])
async def test_cancelled_after_any_number_of_rounds_of_the_event_loop_it_leaves_nothing(
    kind, cancelled, warm, streams
):
    with FaultyServer() as server:
        async with routing(kind, server) as router, in_time(20):
            done = []

            async def call() -> None:
                await (read(router) if streams else router.chat("hi"))
                done.append(True)

            # The rounds in which it only waits for the server look alike, so few of these will do.
            for count in (*range(40), *range(40, 120, 5)):
                if warm:
                    await router.chat("hi")
                await cancelled(call, lambda count=count: rounds(count))
                transport = router._wiring.providers._own
                assert transport.connections[0] == 0
                assert router.fleet["a"].in_flight == 0
            assert (await router.chat("hi")).text == TEXT


@on_each_own_transport
@in_each_way
async def test_closing_closes_every_connection_though_it_is_cancelled_meanwhile(kind, cancelled):
    for count in range(6):
        with FaultyServer(slowly(0.01)) as server:
            async with routing(kind, server) as router, in_time():
                async with anyio.create_task_group() as group:
                    for _ in range(5):
                        group.start_soon(router.chat, "hi")
                transport = router._wiring.providers._own
                assert transport.connections == (0, 5)
                await cancelled(transport.aclose, lambda count=count: rounds(count))
                await settled()
                if count:
                    assert server.open_connections() == 0


# --- the storm ------------------------------------------------------------------------------------


async def stormed(call: Call, cancelled: Callable[[Call, Moment], Awaitable[None]]) -> None:
    """400 calls, ten at a time, each cancelled at a random moment."""
    chance = Random(7)
    for _ in range(40):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                moment = chance.uniform(0, 0.006)
                group.start_soon(cancelled, call, lambda moment=moment: anyio.sleep(moment))


@on_each_own_transport
@in_each_way
async def test_after_a_storm_of_cancellations_every_call_succeeds(kind, cancelled):
    """The same storm on a plain `httpx.AsyncClient` with five connections, asyncio and httpx 0.28.1:
    of the hundred calls after it none succeeds, each is a `PoolTimeout` (`benchmarks/storm.py`)."""
    chance = Random(3)
    with FaultyServer(slowly(0.001)) as server:
        named = deployment(server.url.replace("127.0.0.1", "localhost"))  # A name adds a thread and tasks.
        async with routing(kind, named) as router, in_time(30):

            async def call() -> None:
                await (router.chat("hi") if chance.random() < 0.5 else read(router))

            await stormed(call, cancelled)
            transport = router._wiring.providers._own
            assert transport.connections[0] == 0
            texts: list[str] = []

            async def answered() -> None:
                texts.append((await router.chat("hi")).text)

            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(answered)
            assert texts == [TEXT] * 100
            assert transport.connections[0] == 0
        assert server.open_connections() == 0
