"""Calls that wait for room: in which order, who wakes them, and how they leave. In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    CircuitBreaker,
    Limits,
    LimitTimeoutError,
    NoDeploymentAvailableError,
    ReadError,
    Router,
    ServerError,
    StreamInterruptedError,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment, outcome, seconds
from tests.virtual_time import anyio_backend  # noqa: F401


async def impatient(router, patience):
    with anyio.move_on_after(patience):
        await router.chat("hi")


async def served(router, provider, priorities, *, apart=0.0):
    """The priorities in the order in which they were served, of calls that come so many seconds *apart*."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.chat, "first")
        await anyio.sleep(0.1)
        for place, priority in enumerate(priorities):
            tasks.start_soon(lambda p=priority, n=place: router.chat(f"{p}", priority=p))
            await anyio.sleep(apart)
    return [int(call.request.messages[0].text) for call in provider.calls[1:]]


async def test_is_by_priority_and_then_by_arrival():
    provider = FakeProvider(latency=2)
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        assert await served(router, provider, [0, -1, 3, 0, 3, 1]) == [3, 3, 1, 0, 0, -1]


@pytest.mark.parametrize(("apart", "order"), [(6, [1, 2, 0, 1]), (11, [0, 1, 1, 2])])
async def test_a_low_priority_that_has_waited_long_goes_first(apart, order):
    provider = FakeProvider(latency=100)
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        assert await served(router, provider, [0, 1, 1, 2], apart=apart) == order


async def test_who_comes_later_does_not_pass_those_that_wait():
    provider = FakeProvider(latency=10)
    limits = Limits(tpm=1_000)
    order = []

    async def call(name, **arguments):
        await router.chat("hi", **arguments)
        order.append(name)

    async with Router([deployment("a", provider, limits=limits)]) as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call("large", max_tokens=900))
            await anyio.sleep(1)
            tasks.start_soon(lambda: call("larger", max_tokens=980))
            await anyio.sleep(1)
            tasks.start_soon(lambda: call("small", max_tokens=10))
            await anyio.sleep(1)
            tasks.start_soon(lambda: call("urgent", max_tokens=10, priority=1))
    assert order.index("small") > order.index("larger")
    assert order.index("urgent") < order.index("larger")
    assert router._core.plan.limiter.idle


async def test_a_call_that_ends_wakes_the_first_and_only_it():
    provider = FakeProvider(latency=1)
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        async with anyio.create_task_group() as tasks:
            began = anyio.current_time()
            for _ in range(5):
                tasks.start_soon(router.chat, "hi")
            await anyio.sleep(0.5)
            assert router.fleet["a"].waiting == 4
            assert router.fleet["a"].headroom == 0.0
        assert anyio.current_time() - began == pytest.approx(5)
        assert router.fleet["a"].waiting == 0
        assert router.fleet["a"].headroom == 1.0


async def test_one_that_gives_up_makes_way_whether_or_not_it_was_first():
    provider = FakeProvider(latency=10)
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.chat, "first")
            await anyio.sleep(1)
            for patience in (3, 100, 4):
                tasks.start_soon(impatient, router, patience)
                await anyio.sleep(0.1)
            await anyio.sleep(5)
            assert router.fleet["a"].waiting == 1
        assert len(provider.calls) == 2
        assert router.fleet["a"].waiting == 0


async def test_a_cancelled_call_gives_its_room_to_the_first():
    provider = FakeProvider(latency=1_000)
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(impatient, router, 5)
            await anyio.sleep(1)
            tasks.start_soon(impatient, router, 100)
            await anyio.sleep(4.5)
            assert len(provider.calls) == 2
            tasks.cancel_scope.cancel()


async def test_a_stream_holds_its_place_until_it_is_closed():
    provider = FakeProvider(["a b c"])
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        async with router.stream("hi") as stream:
            await anext(stream)
            assert isinstance(await outcome(router.chat("hi", timeout=50)), LimitTimeoutError)
        _, took = await seconds(router.chat("hi"))
        assert took == 0


async def test_a_stream_that_breaks_gives_its_place_back():
    provider = FakeProvider(script=[("a", ReadError("cut"))])
    async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
        for _ in range(3):
            with pytest.raises(StreamInterruptedError):
                async with router.stream("hi", timeout=1) as stream:
                    await stream.response()


async def test_one_object_given_to_several_is_one_limit_and_one_queue():
    shared = Limits(concurrency=1)
    providers = FakeProvider(latency=2), FakeProvider(latency=2)
    deployments = [deployment(name, each, limits=shared) for name, each in zip("ab", providers, strict=True)]
    async with Router(deployments) as router:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for model in ("a", "b", "a", "b"):
                tasks.start_soon(lambda model=model: router.chat("hi", model=model))
        assert anyio.current_time() - began == pytest.approx(8)
    assert [len(each.calls) for each in providers] == [2, 2]


async def test_two_objects_that_say_the_same_are_two():
    deployments = [deployment(name, limits=Limits(rpm=1)) for name in "ab"]
    async with Router(deployments) as router:
        assert [(await router.chat("hi")).deployment for _ in range(2)] == ["a", "b"]


async def test_a_call_waits_where_the_queue_is_shortest():
    providers = FakeProvider(latency=100), FakeProvider(latency=100)
    deployments = [
        deployment(n, p, limits=Limits(concurrency=1)) for n, p in zip("ab", providers, strict=True)
    ]
    async with Router(deployments) as router, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(router.chat, "hi")
        await anyio.sleep(1)
        assert [router.fleet[id].waiting for id in "ab"] == [3, 3]
        tasks.cancel_scope.cancel()


async def test_one_that_is_paused_while_calls_wait_lets_them_go_at_once():
    provider = FakeProvider()
    async with Router([deployment("a", provider, limits=Limits(rpm=1))]) as router:
        await router.chat("hi")
        results = []

        async def call():
            results.append(await seconds(router.chat("hi")))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
            await anyio.sleep(5)
            router.pause("a")
    assert len(provider.calls) == 1
    for error, took in results:
        assert isinstance(error, NoDeploymentAvailableError)
        assert error.reasons == {"a": "it is paused"}
        assert took == 5


async def test_one_whose_breaker_opens_while_calls_wait_is_not_asked_by_all_of_them():
    broken = FakeProvider(script=[ServerError("down")], latency=1)
    guarded = deployment("a", broken, limits=Limits(concurrency=1), breaker=CircuitBreaker(2))
    async with Router([guarded], retry=None) as router:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(outcome, router.chat("hi"))
        assert len(broken.calls) <= 4


async def test_nothing_is_kept_of_a_queue_that_is_empty():
    async with Router([deployment("a", FakeProvider(latency=1), limits=Limits(concurrency=1))]) as router:
        await router.chat_many(["hi"] * 5)
        assert router._core.fleet.queues == {}
