"""Thousands of calls at once: never over a limit, next to nothing of it unused, and no work that grows with
the square of them. In virtual time."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import accumulate
from random import Random

import anyio
import pytest

from polyroute import Limits, LimitTimeoutError, Router, Usage
from polyroute.limits import LocalLimiter
from polyroute.testing import FakeProvider
from polyroute.tokens import estimate_prompt
from tests.doubles import deployment
from tests.virtual_time import anyio_backend  # noqa: F401


class Host(FakeProvider):
    """It keeps when it was asked, and for how many tokens that were used in truth."""

    def __init__(self, seed: int) -> None:
        self.asked: list[tuple[float, int]] = []
        self._rng = Random(seed)
        super().__init__(latency=lambda: self._rng.uniform(0.2, 8))

    async def chat(self, call):
        used = Usage(estimate_prompt(call.request, call.model), self._rng.randint(1, call.request.max_tokens))
        self.asked.append((anyio.current_time(), used.total_tokens))
        reply = await super().chat(call)
        return replace(reply, usage=used)

    def most_in_a_minute(self) -> tuple[int, int]:
        """The most requests and the most tokens in any sixty seconds; the fullest begins with a request."""
        moments = [at for at, _ in self.asked]
        sums = [0, *accumulate(tokens for _, tokens in self.asked)]
        ends = [bisect_left(moments, at + 60.0) for at in moments]
        return (
            max(end - begin for begin, end in enumerate(ends)),
            max(sums[end] - sums[begin] for begin, end in enumerate(ends)),
        )


class Counting(LocalLimiter):
    """How often it was asked for room."""

    def __init__(self) -> None:
        super().__init__(anyio.current_time)
        self.count = 0

    async def reserve(self, request, deployment, estimate):
        self.count += 1
        return await super().reserve(request, deployment, estimate)


@pytest.mark.parametrize("longest", [100, 600])
async def test_two_thousand_calls_at_once_keep_to_every_limit_and_use_it_up(longest):
    host, rng = Host(1), Random(2)
    limits = Limits(rpm=600, tpm=100_000)
    async with Router([deployment("a", host, limits=limits)]) as router:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(2_000):
                words, most = "word " * rng.randint(1, 60), rng.randint(1, longest)
                tasks.start_soon(lambda w=words, m=most: router.chat(w, max_tokens=m, timeout=None))
        assert router._core.plan.limiter.idle
        assert router._core.fleet.queues == {}
    assert len(host.asked) == 2_000

    requests, tokens = host.most_in_a_minute()
    assert requests <= 600
    assert tokens <= 100_000
    minutes = int((host.asked[-1][0] - began) // 60)
    served = [tokens for at, tokens in host.asked if at < began + minutes * 60]
    assert minutes >= 2
    assert max(len(served) / (600 * minutes), sum(served) / (100_000 * minutes)) >= 0.98


async def test_two_deployments_of_one_limit_never_exceed_it_together():
    hosts = Host(1), Host(2)
    limits = Limits(rpm=60)
    deployments = [deployment(name, host, limits=limits) for name, host in zip("ab", hosts, strict=True)]
    async with Router(deployments) as router, anyio.create_task_group() as tasks:
        for number in range(300):
            model = "ab"[number % 2]
            tasks.start_soon(lambda model=model: router.chat("hi", model=model, max_tokens=5))
    both = Host(0)
    both.asked = sorted([*hosts[0].asked, *hosts[1].asked])
    assert len(both.asked) == 300
    assert both.most_in_a_minute()[0] == 60


async def test_five_thousand_waiting_calls_cost_no_more_each_than_a_few():
    limiter = Counting()
    host = FakeProvider(latency=1)
    async with Router([deployment("a", host, limits=Limits(concurrency=10))], limiter=limiter) as router:
        async with anyio.create_task_group() as tasks:
            for number in range(5_000):
                tasks.start_soon(lambda p=number % 3: router.chat("hi", priority=p, timeout=None))
            await anyio.sleep(0.5)
            assert router.fleet["a"].waiting == 4_990
    assert len(host.calls) == 5_000
    assert limiter.count <= 4 * 5_000


async def test_five_thousand_that_give_up_cost_no_more_each_than_a_few():
    limiter = Counting()
    host = FakeProvider(latency=1_000)
    async with Router([deployment("a", host, limits=Limits(concurrency=1))], limiter=limiter) as router:

        async def call(patience):
            with pytest.raises(LimitTimeoutError):
                await router.chat("hi", timeout=patience)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: router.chat("hi", timeout=None))
            await anyio.sleep(0.1)
            for number in range(5_000):
                tasks.start_soon(call, 1 + number % 7)
            await anyio.sleep(10)
            assert router.fleet["a"].waiting == 0
            assert limiter.count <= 3 * 5_000
            tasks.cancel_scope.cancel()


async def test_nobody_asks_again_and_again_while_there_is_no_room():
    limiter = Counting()
    async with Router([deployment("a", limits=Limits(rpm=100))], limiter=limiter) as router:
        await router.chat_many(["hi"] * 100)
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(router.chat, "hi")
            await anyio.sleep(1)
            before = limiter.count
            await anyio.sleep(58)
            assert limiter.count == before
