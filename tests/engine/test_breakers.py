"""Who fails is left alone, and who counts as failed: the circuit breaker as calls meet it. In virtual time."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from polyroute import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    CircuitBreaker,
    ConnectError,
    ContentFilterError,
    DeadlineExceededError,
    ExponentialBackoff,
    Router,
    ServerError,
    Strategy,
    StreamInterruptedError,
    Timeout,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, broken_then_well, deployment, down, outcome, streamed, times
from tests.virtual_time import anyio_backend  # noqa: F401


class TestOpening:
    async def test_who_failed_five_times_in_a_row_is_left_alone(self):
        broken = down()
        async with Router([deployment("a", broken), deployment("b")]) as router:
            replies = await times(8, router)
            assert [reply.text for reply in replies] == ["b"] * 8
            assert len(broken.calls) == 5
            assert router.fleet["a"].breaker == "open"
            assert router.fleet["a"].share == 0.0
            assert [asked(reply) for reply in replies[-2:]] == [["b"], ["b"]]

    async def test_every_attempt_counts_for_its_own_deployment(self):
        async with Router([deployment("a", down())]) as router:
            error, *_ = await times(1, router)
            assert asked(error) == ["a"] * 3
            await times(1, router)
            assert router.fleet["a"].breaker == "open"

    async def test_it_comes_back_by_one_probe_and_then_step_by_step(self):
        flaky = broken_then_well(5)
        async with Router([deployment("a", flaky), deployment("b")], rng=Random(1)) as router:
            await times(5, router)
            await anyio.sleep(4.9)
            assert asked((await times(1, router))[0]) == ["b"]
            await anyio.sleep(0.2)
            assert router.fleet["a"].breaker == "half_open"
            assert asked((await times(1, router))[0]) == ["a"]
            assert router.fleet["a"].breaker == "closed"
            for share in (0.01, 0.1, 0.5):
                assert router.fleet["a"].share == share
                served = [asked(reply)[0] for reply in await times(400, router)].count("a")
                assert 400 * share - 40 * share**0.5 <= served <= 400 * share + 40 * share**0.5
                await anyio.sleep(5)
            assert router.fleet["a"].share == 1.0
            assert {asked(reply)[0] for reply in await times(20, router)} == {"a"}

    async def test_half_open_lets_one_probe_through_however_many_call(self):
        slow = FakeProvider(script=[*[ServerError("down")] * 5, "well"], latency=3)
        async with Router([deployment("a", slow), deployment("b")]) as router:
            await times(5, router)
            await anyio.sleep(6)
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(router.chat, "hi")
            assert len(slow.calls) == 6
            assert router.fleet["a"].breaker == "closed"

    async def test_a_probe_that_fails_doubles_the_wait(self):
        broken = down()
        async with Router([deployment("a", broken), deployment("b")], rng=Random(1)) as router:
            await times(5, router)
            for asked_before, wait in [(5, 5.1), (6, 11.1), (7, 22.1)]:
                await anyio.sleep(wait * 0.9)
                await times(2, router)
                assert len(broken.calls) == asked_before
                await anyio.sleep(wait * 0.1)
                await times(2, router)
                assert len(broken.calls) == asked_before + 1

    async def test_a_share_of_failures_opens_it_too(self):
        def every_other(call):
            if len(flaky.calls) % 2:
                raise ServerError("now and then")
            return "ok"

        flaky = FakeProvider(script=[every_other])
        async with Router([deployment("a", flaky), deployment("b")]) as router:
            await times(50, router)
            assert len(flaky.calls) == 21
            assert "of 21 attempts failed within 30 s" in str(await router.explain("hi"))

    async def test_a_stream_that_breaks_after_its_first_token_counts(self):
        breaks = FakeProvider(script=[("Once upon", ServerError("cut"))])
        async with Router([deployment("a", breaks), deployment("b")]) as router:
            for _ in range(5):
                assert isinstance(await outcome(streamed(router)), StreamInterruptedError)
            assert (await streamed(router)).deployment == "b"

    async def test_embeddings_count_as_well(self):
        async with Router([deployment("a", down()), deployment("b")]) as router:
            for _ in range(6):
                vectors = await router.embed(["x"])
            assert [attempt.deployment for attempt in vectors.trace.attempts] == ["b"]


class TestWhoNeverCounts:
    @pytest.mark.parametrize(
        "error", [BadRequestError("what?", status=400), ContentFilterError("no", status=400)]
    )
    async def test_a_callers_own_mistakes(self, error):
        picky = FakeProvider(script=[error])
        async with Router([deployment("a", picky), deployment("b")]) as router:
            assert {type(each) for each in await times(30, router)} == {type(error)}
            assert router.fleet["a"].breaker == "closed"

    async def test_calls_that_were_cancelled(self):
        slow = FakeProvider(latency=60)
        async with Router([deployment("a", slow), deployment("b")]) as router:
            for _ in range(30):
                with anyio.move_on_after(1):
                    await router.chat("hi")
            assert len(slow.calls) == 30
            assert router.fleet["a"] == type(router.fleet["a"])()

    @pytest.mark.parametrize(
        "given", [1, Timeout(total=1), Timeout(attempt=1), Timeout(first_token=1), Timeout(attempt=119)]
    )
    async def test_callers_who_have_less_time_than_the_deployment_has(self, given):
        slow = FakeProvider(latency=119.5)
        async with Router([deployment("a", slow), deployment("b", slow)]) as router:
            for _ in range(6):
                await outcome(router.chat("hi", timeout=given))
            vitals = router.fleet["a"]
            assert (vitals.breaker, vitals.error_rate, vitals.latency) == ("closed", 0.0, None)
            assert len(slow.calls) >= 6

    @pytest.mark.parametrize("given", [None, Timeout(attempt=120), Timeout(attempt=300), Timeout(total=500)])
    async def test_but_silence_to_its_own_limit_does_count(self, given):
        hung = FakeProvider(latency=10_000)
        arguments = {} if given is None else {"timeout": given}
        async with Router([deployment("a", hung), deployment("b")]) as router:
            for reply in await times(5, router, **arguments):
                assert asked(reply) == ["a", "b"]
            assert router.fleet["a"].breaker == "open"

    async def test_a_stream_that_was_left_alone_by_its_reader(self):
        async with Router([deployment("a", FakeProvider(["one two"]))]) as router:
            for _ in range(10):
                async with router.stream("hi") as stream:
                    await anext(stream)
            assert router.fleet["a"].error_rate == 0.0

    async def test_what_a_judge_did_not_like(self):
        class Picky(Strategy):
            async def accept(self, request, response):
                return response.text == "good"

        async with Router(
            [deployment("a", FakeProvider(["bad"])), deployment("b", FakeProvider(["good"]))],
            strategy=Picky(),
        ) as router:
            await times(30, router)
            assert router.fleet["a"].breaker == "closed"

    async def test_nobody_where_there_is_no_breaker(self):
        broken, other = down(), down()
        deployments = [
            deployment("a", broken),
            deployment("b", other, breaker=CircuitBreaker(1)),
            deployment("c"),
        ]
        async with Router(deployments, breaker=None) as router:
            await times(9, router)
            assert (len(broken.calls), len(other.calls)) == (9, 1)
        broken = down()
        async with Router([deployment("a", broken, breaker=None), deployment("b")]) as router:
            await times(9, router)
            assert len(broken.calls) == 9


class TestAProbe:
    """Each way out of a probe lets the next one through."""

    async def opened(self, *steps, **options):
        provider = FakeProvider(script=[*[ServerError("down")] * 5, *steps, "well"], **options)
        router = Router([deployment("a", provider), deployment("b")])
        await times(5, router)
        await anyio.sleep(6)
        assert router.fleet["a"].breaker == "half_open"
        return router

    async def test_that_was_cancelled(self):
        router = await self.opened(latency=2)
        with anyio.move_on_after(1):
            await router.chat("hi")
        assert router.fleet["a"].share == 1.0
        assert (await router.chat("hi")).deployment == "a"

    async def test_that_was_cancelled_while_a_second_one_made_in_need_goes_on(self):
        router = await self.opened(latency=3)
        router.pause("b")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.chat, "hi")
            await anyio.sleep(1)
            with anyio.move_on_after(1):
                await router.chat("hi")  # There is nobody else.
            assert router.fleet["a"].share == 0.0

    @pytest.mark.parametrize("error", [BadRequestError("what?", status=400), KeyError("a bug")])
    async def test_that_came_to_the_callers_mistake_or_a_bug(self, error):
        router = await self.opened(error)
        assert isinstance(await outcome(router.chat("hi")), type(error))
        assert (await router.chat("hi")).deployment == "a"

    async def test_that_ran_out_of_the_callers_time(self):
        router = await self.opened(latency=2)
        assert isinstance(await outcome(router.chat("hi", timeout=1)), DeadlineExceededError)
        assert (await router.chat("hi")).deployment == "a"

    async def test_that_its_caller_gave_less_time_than_it_has(self):
        router = await self.opened(latency=2)
        assert (await router.chat("hi", timeout=Timeout(attempt=1))).deployment == "b"
        assert (await router.chat("hi")).deployment == "a"

    async def test_whose_request_could_not_be_made(self, monkeypatch):
        router = await self.opened()
        with monkeypatch.context() as patched:
            patched.setattr("polyroute._engine.attempt.adapt", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await router.chat("hi")
        assert (await router.chat("hi")).deployment == "a"

    async def test_that_is_a_stream_which_its_reader_left(self):
        router = await self.opened()
        async with router.stream("hi"):
            assert router.fleet["a"].share == 0.0
        assert router.fleet["a"].breaker == "half_open"
        assert (await router.chat("hi")).deployment == "a"

    async def test_that_failed_in_a_rehearsal(self):
        router = await self.opened()
        assert (await router.rehearse(fail=["a"])).deployment == "b"
        assert (await router.chat("hi")).deployment == "a"

    async def test_that_was_refused_for_good(self):
        router = await self.opened(AuthenticationError("no", status=401))
        assert asked(await router.chat("hi")) == ["a", "b"]
        await anyio.sleep(290)
        assert asked(await router.chat("hi")) == ["b"]
        await anyio.sleep(11)
        assert asked(await router.chat("hi")) == ["a"]


class TestWhatIsTold:
    async def test_explain_says_who_is_left_out_why_and_for_how_long(self):
        async with Router([deployment("a", down()), deployment("b")]) as router:
            await times(5, router)
            await anyio.sleep(2)
            decision = await router.explain("hi")
            assert [each.deployment for each in decision.ranking] == ["b"]
            assert [(each.deployment, each.cause) for each in decision.excluded] == [("a", "breaker")]
            assert "its circuit breaker is open for 3.0 s more: 5 failures in a row" in str(decision)

    async def test_and_who_is_on_its_way_back(self):
        async with Router([deployment("a", broken_then_well(5)), deployment("b")], rng=Random(1)) as router:
            await times(5, router)
            await anyio.sleep(6)
            await router.chat("hi")
            assert "it is on its way back, with 1% of its calls" in str(await router.explain("hi"))

    async def test_and_that_a_probe_is_under_way(self):
        slow = FakeProvider(script=[*[ServerError("down")] * 5, "well"], latency=3)
        async with Router([deployment("a", slow), deployment("b")]) as router:
            await times(5, router)
            await anyio.sleep(6)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(router.chat, "hi")
                await anyio.sleep(1)
                assert "half-open, and a probe is under way" in str(await router.explain("hi"))

    async def test_explaining_takes_no_probe_and_no_chance(self):
        async with Router([deployment("a", broken_then_well(5)), deployment("b")]) as router:
            await times(5, router)
            await anyio.sleep(6)
            for _ in range(3):
                assert (await router.explain("hi")).ranking[0].deployment == "a"
            assert (await router.chat("hi")).deployment == "a"


async def test_a_connection_that_cannot_be_made_and_a_silence_count_like_any_failure():
    for error in (ConnectError("refused"), AttemptTimeoutError("silent", phase="connect")):
        async with Router([deployment("a", FakeProvider(script=[error])), deployment("b")]) as router:
            await times(6, router)
            assert router.fleet["a"].breaker == "open"


async def test_second_tries_count_for_the_breaker_as_first_ones_do():
    broken = down()
    policy = ExponentialBackoff(max_retries=9)
    async with Router([deployment("a", broken)], retry=policy) as router:
        await outcome(router.chat("hi"))
        assert len(broken.calls) == 10
        assert router.fleet["a"].breaker == "open"
