"""A router serves one event loop at a time, and each loop, thread and process has connections of its own."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from polyroute import ConfigurationError, Router
from polyroute.deadlines import Deadline
from polyroute.transports.pooled import PooledTransport
from polyroute.wire import HTTPRequest
from tests.transports.faulty_server import STREAMING, TEXT, TOKENS, Do, FaultyServer, chunk, fine, slowly
from tests.transports.kinds import (
    RUNS,
    SESSION,
    deployment,
    in_time,
    on_each_borrowed_client,
    on_each_own_transport,
    on_each_transport,
    routing,
)
from tests.transports.programs import FORKED_BETWEEN_TWO_LOOPS, run_alone

one_after_another = pytest.mark.parametrize(
    ("transport", "first", "then"),
    [
        *(
            (transport, *loops)
            for transport in ("httpx", "httpx2")
            for loops in (("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio"), ("trio", "asyncio"))
        ),
        ("aiohttp", "asyncio", "asyncio"),
    ],
)
then_another = pytest.mark.parametrize(
    ("transport", "run"),
    [("httpx", asyncio.run), ("httpx", RUNS["trio"]), ("httpx2", asyncio.run), ("aiohttp", asyncio.run)],
    ids=["httpx-asyncio", "httpx-trio", "httpx2-asyncio", "aiohttp-asyncio"],
)
over_each = pytest.mark.parametrize("transport", ["httpx", "httpx2", "aiohttp"])


async def asked(router: Router) -> str:
    return (await router.chat("hi")).text


@one_after_another
def test_after_a_loop_has_ended_the_next_one_gets_new_connections(transport, first, then):
    with FaultyServer() as server:
        router = Router([deployment(server)], transport=transport)

        async def twice() -> None:
            for _ in range(2):
                assert await asked(router) == TEXT

        RUNS[first](twice())
        # The loop closed its connections as it ended, though nobody closed the router.
        assert server.open_connections() == 0
        RUNS[then](twice())
        assert server.accepted == 2
        RUNS[then](router.aclose())
        assert server.open_connections() == 0


@then_another
def test_a_stream_that_its_loop_left_open_is_no_concern_of_the_next_one(transport, run):
    stalled = (STREAMING, chunk(TOKENS[0]), Do.STALL)
    with FaultyServer(stalled, stalled) as server:
        router = Router([deployment(server)], transport=transport)
        left = []

        async def opened() -> None:
            left.append(router.stream("hi"))
            await left[0].__aenter__()

        async def closed() -> None:
            async with router.stream("hi"):
                await left[0].aclose()
                assert router._wiring.providers._own.connections == (1, 0)
            assert router._wiring.providers._own.connections == (0, 0)
            await router.aclose()

        asyncio.run(opened())
        run(closed())
        assert server.open_connections() == 0


# asyncio warns of the sockets of a loop whose owner did not end it as one should.
without_its_warning = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@without_its_warning
@then_another
def test_a_loop_that_ends_without_ado_leaves_connections_that_the_next_one_hangs_up(transport, run):
    loop = asyncio.new_event_loop()
    with FaultyServer() as server:
        router: Router | None = Router([deployment(server)], transport=transport)
        try:
            loop.run_until_complete(asked(router))
        finally:
            loop.close()  # without `shutdown_asyncgens`
        assert server.open_connections(within=0.01) == 1

        async def again() -> None:
            assert await asked(router) == TEXT
            await router.aclose()

        run(again())
        assert server.open_connections() == 0
        router = None
        gc.collect()


@without_its_warning
@over_each
def test_so_does_one_that_ends_with_a_stream_open(transport):
    loop = asyncio.new_event_loop()
    stalled = (STREAMING, chunk(TOKENS[0]), Do.STALL)
    with FaultyServer(stalled, fine) as server:
        router: Router | None = Router([deployment(server)], transport=transport)
        stream = None

        async def opened() -> None:
            nonlocal stream
            stream = router.stream("hi")
            await stream.__aenter__()

        loop.run_until_complete(opened())
        loop.close()
        assert asyncio.run(asked(router)) == TEXT
        assert server.open_connections() == 0
        router = stream = None
        gc.collect()


@without_its_warning
def test_a_connection_given_back_after_its_loop_was_left_is_closed():
    first, then = asyncio.new_event_loop(), asyncio.new_event_loop()
    transport = PooledTransport()
    with FaultyServer() as server:

        async def received():
            deadline = Deadline(anyio.current_time() + 5)
            request = HTTPRequest(method="POST", url=server.url, headers=(), body=b"", deadline=deadline)
            received = await transport.send(request)
            await received.read()
            return received

        first.run_until_complete(first.run_until_complete(received()).aclose())
        late = first.run_until_complete(received())
        (line,) = transport._home.stock.busy
        then.run_until_complete(then.run_until_complete(received()).aclose())
        first.run_until_complete(late.aclose())
        first.run_until_complete(asyncio.sleep(0))
        assert line._network.stream.get_extra_info("socket").fileno() == -1
        assert transport.connections == (0, 1)
        then.run_until_complete(transport.aclose())
    for loop in (first, then):
        loop.close()


async def in_another_thread(call) -> Exception | None:
    """What *call* raises on a loop of its own, in a thread of its own."""

    def run() -> None:
        asyncio.run(call())

    try:
        await anyio.to_thread.run_sync(run)
    except Exception as exc:
        return exc
    return None


@on_each_own_transport
async def test_a_loop_in_another_thread_is_refused_while_calls_are_under_way(kind):
    with FaultyServer(slowly(0.1)) as server:
        async with routing(kind, server) as router, in_time():
            async with anyio.create_task_group() as group:
                group.start_soon(router.chat, "hi")
                await anyio.sleep(0.05)
                refused = await in_another_thread(functools.partial(router.chat, "hi"))
            assert isinstance(refused, ConfigurationError)
            assert "another event loop" in str(refused)
            assert await asked(router) == TEXT
            assert len(server.asked) == 2


@on_each_own_transport
async def test_a_loop_in_another_thread_is_served_while_none_are(kind):
    with FaultyServer() as server:
        async with routing(kind, server) as router, in_time():
            await asked(router)
            assert await in_another_thread(functools.partial(router.chat, "hi")) is None
            assert await asked(router) == TEXT
        assert server.accepted == 3


@on_each_transport
async def test_after_the_router_was_closed_a_call_is_a_matter_of_configuration(kind):
    with FaultyServer() as server:
        async with kind.opened() as transport:
            router = Router([deployment(server)], transport=transport)
            stream = router.stream("hi")
            await asked(router)
            for _ in range(2):
                await router.aclose()
            with pytest.raises(ConfigurationError, match="closed"):
                await asked(router)
            if not kind.own:
                async with stream:  # Its client is not ours to close, and this call was begun before.
                    pass


@on_each_own_transport
async def test_so_is_one_on_a_transport_that_was_closed(kind):
    with FaultyServer() as server:
        async with kind.opened() as transport, Router([deployment(server)], transport=transport) as router:
            await asked(router)
            for _ in range(2):
                await transport.aclose()
            with pytest.raises(ConfigurationError, match="closed"):
                await asked(router)


@on_each_borrowed_client
async def test_so_is_one_on_a_client_that_its_owner_has_closed(kind):
    with FaultyServer() as server:
        async with kind.opened() as client:
            async with Router([deployment(server)], transport=client) as router:
                await (client.close() if kind is SESSION else client.aclose())
                with pytest.raises(ConfigurationError, match="closed"):
                    await asked(router)


@over_each
def test_many_threads_share_the_connections_of_a_sync_router(transport):
    with FaultyServer(slowly(0.01)) as server:
        with (
            Router([deployment(server)], transport=transport).sync() as client,
            ThreadPoolExecutor(8) as pool,
        ):
            replies = list(pool.map(lambda _: client.chat("hi").text, range(40)))
            with client.stream("hi") as stream:
                assert "".join(each.text for each in stream) == TEXT
        assert replies == [TEXT] * 40
        assert server.accepted <= 8
        assert server.open_connections() == 0


@over_each
async def test_a_sync_router_serves_where_a_loop_is_running(transport):
    with FaultyServer() as server:
        with Router([deployment(server)], transport=transport).sync() as client:
            assert client.chat("hi").text == TEXT
        assert server.open_connections() == 0


_FORKING = """
    import asyncio, os, sys
    from polyroute import Deployment, Router

    router = Router([Deployment("openai/m", base_url=sys.argv[1], api_key="k")], transport=sys.argv[2])

    async def parent():
        assert (await router.chat("hi")).text
        busy = asyncio.ensure_future(router.chat("slow")) if {busy} else None
        await asyncio.sleep(0.02)
        child = os.fork()
        if not child:
            os._exit(in_child())
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        if busy is not None:
            assert (await busy).text
        assert (await router.chat("hi")).text
        await router.aclose()

    def in_child():
        import threading
        code = []

        async def main():
            assert (await router.chat("hi")).text
            {close}

        def run():
            asyncio.run(main())
            code.append(0)

        # The loop of the parent's is this thread's as well; a new thread has none.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        import gc
        gc.collect()
        return code[0] if code else 1

    asyncio.run(parent())
"""


@over_each
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    ("busy", "close"),
    [(False, "pass"), (True, "await router.aclose()")],
    ids=["idle, and left", "with a call under way, and closed"],
)
def test_a_forked_process_leaves_its_parents_connections_alone(transport, busy, close):
    with FaultyServer(slowly(0.05)) as server:
        run_alone(_FORKING.format(busy=busy, close=close), server.url, transport)
        assert server.accepted == 2
        assert sorted(asked.connection for asked in server.asked) == [1] * (3 if busy else 2) + [2]


@over_each
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_so_does_one_that_is_forked_between_two_loops(transport):
    with FaultyServer() as server:
        run_alone(FORKED_BETWEEN_TWO_LOOPS, server.url, transport)
        assert [asked.connection for asked in server.asked] == [1, 2, 1]


@over_each
def test_two_routers_on_two_loops_do_not_know_of_each_other(transport):
    with FaultyServer(slowly(0.01)) as server:
        failures: list[BaseException] = []

        def run() -> None:
            async def main() -> None:
                async with Router([deployment(server)], transport=transport) as router:
                    for _ in range(5):
                        assert await asked(router) == TEXT

            try:
                asyncio.run(main())
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert server.accepted == 4
