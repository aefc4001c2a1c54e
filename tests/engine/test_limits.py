"""Is there room? Elsewhere first, then in a queue: limits as calls meet them. In virtual time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    DeadlineExceededError,
    Limits,
    LimitTimeoutError,
    NoDeploymentAvailableError,
    RateLimitError,
    Route,
    Router,
    ServerError,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, busy, deployment, down, outcome, seconds
from tests.virtual_time import anyio_backend  # noqa: F401


class TestElsewhereFirst:
    async def test_a_call_goes_to_a_sibling_with_room_before_it_waits(self):
        async with Router([deployment("a", limits=Limits(rpm=1)), deployment("b")]) as router:
            replies = [await router.chat("hi") for _ in range(3)]
            assert [reply.deployment for reply in replies] == ["a", "b", "b"]
            assert "rpm 1 is used up" in str(replies[1].trace.decision)

    async def test_and_to_a_fallback(self):
        routes = {"default": Route(["a"], fallbacks=["b"])}
        async with Router([deployment("a", limits=Limits(rpm=1)), deployment("b")], routes=routes) as router:
            served = [(await router.chat("hi")).deployment for _ in range(3)]
            assert served == ["a", "b", "b"]
            _, took = await seconds(router.chat("hi", fallbacks=False))
            assert took == 60

    async def test_what_can_never_fit_goes_elsewhere_or_fails_at_once(self):
        small = deployment("a", limits=Limits(tpm=100))
        async with Router([small, deployment("b")]) as router:
            assert (await router.chat("hi", max_tokens=200)).deployment == "b"
            error, took = await seconds(router.chat("hi", max_tokens=200, model="a"))
            assert took == 0
            assert isinstance(error, NoDeploymentAvailableError)
            assert "tpm 100 is less than this call's" in error.reasons["a"]
            assert error.retry_after is None
            assert (await router.chat("hi", max_tokens=50)).deployment == "a"

    async def test_what_can_never_fit_is_told_so_at_once_though_others_wait(self):
        limits = Limits(tpm=100, concurrency=1)
        async with Router([deployment("a", FakeProvider(latency=9), limits=limits)]) as router:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(lambda: router.chat("hi", max_tokens=5))
                await anyio.sleep(1)
                error, took = await seconds(router.chat("hi", max_tokens=200))
                assert isinstance(error, NoDeploymentAvailableError)
                assert took == 0
                await anyio.sleep(1)
                assert router.fleet["a"].waiting == 2
            assert router.fleet["a"].headroom > 0.2  # What was asked and not used takes no room.

    async def test_one_that_can_never_take_it_stands_in_the_way_of_no_second_try(self):
        flaky = FakeProvider(script=[ServerError("down"), "well"])
        deployments = [deployment("a", limits=Limits(tpm=100)), deployment("b", flaky)]
        async with Router(deployments) as router:
            assert asked(await router.chat("hi", max_tokens=200)) == ["b", "b"]

    async def test_one_that_failed_is_asked_again_before_a_call_queues_for_another(self):
        flaky = FakeProvider(script=[ServerError("down"), "well"])
        deployments = [deployment("a", limits=Limits(rpm=1)), deployment("b", flaky)]
        async with Router(deployments) as router:
            await router.chat("hi")
            reply, took = await seconds(router.chat("hi"))
            assert asked(reply) == ["b", "b"]
            assert took != 60

    async def test_where_all_have_failed_it_queues_for_one_that_had_no_room_and_asks_it_once(self):
        broken = FakeProvider(script=["first", ServerError("down")])
        deployments = [
            deployment("a", broken, limits=Limits(rpm=1)),
            deployment("b", down()),
            deployment("c", down()),
        ]
        async with Router(deployments, retry=None) as router:
            await router.chat("hi")
            error, took = await seconds(router.chat("hi"))
            assert asked(error) == ["b", "c", "a"]
            assert took == 60

    async def test_one_that_had_no_room_at_first_and_has_failed_since_is_not_waited_for(self):
        limited = FakeProvider(script=["slow", ServerError("down")], latency=1)
        slow = FakeProvider(script=[ServerError("down")], latency=2)
        deployments = [deployment("a", limited, limits=Limits(concurrency=1)), deployment("b", slow)]
        async with Router(deployments, retry=None) as router, anyio.create_task_group() as tasks:
            tasks.start_soon(router.chat, "hi")
            await anyio.sleep(0.1)
            assert asked(await outcome(router.chat("hi"))) == ["b", "a"]

    async def test_after_a_wait_those_that_had_failed_are_not_asked_again(self):
        deployments = [
            deployment("a", FakeProvider(script=["first", ServerError("down")]), limits=Limits(rpm=1)),
            deployment("b", FakeProvider(script=[ServerError("down"), "never"])),
            deployment("c", FakeProvider(script=["c"]), limits=Limits(concurrency=1)),
        ]
        async with Router(deployments, retry=None) as router:
            await router.chat("hi", model="a")
            async with router.stream("hi", model="c"):
                error = await outcome(router.chat("hi", timeout=80))
            assert isinstance(error, LimitTimeoutError)
            assert asked(error) == ["b", "a"]

    async def test_the_record_tells_of_the_wait(self):
        async with Router([deployment("a", limits=Limits(rpm=1))]) as router:
            await router.chat("hi")
            reply, took = await seconds(router.chat("hi"))
            assert took == 60
            assert reply.trace.attempts[0].reason == "there is room, after a wait"
            assert reply.trace.attempts[0].kind == "first"
            assert reply.trace.attempts[0].latency == 0

    async def test_the_time_in_a_queue_is_not_the_attempts(self):
        """With somebody else left an attempt has 120 seconds, of which the queue takes none."""
        latencies = iter([0, 100])
        slow = FakeProvider(latency=lambda: next(latencies))
        deployments = [deployment("a", slow, limits=Limits(rpm=1)), deployment("b", limits=Limits(rpm=1))]
        async with Router(deployments) as router:
            await router.chat("hi", model="a")
            await anyio.sleep(20)
            await router.chat("hi", model="b")
            reply, took = await seconds(router.chat("hi"))
            assert (asked(reply), took) == (["a"], 140)
            assert router.fleet["a"].latency == pytest.approx(100)


class TestADeadline:
    async def test_that_cannot_be_met_is_told_at_once(self):
        async with Router([deployment("a", limits=Limits(rpm=1))]) as router:
            await router.chat("hi")
            error, took = await seconds(router.chat("hi", timeout=59))
            assert isinstance(error, LimitTimeoutError)
            assert str(error) == "a: no room before the call's deadline: rpm 1 is used up for 60 s"
            assert error.attempts == ()
            assert took == 0

    async def test_that_can_be_met_is(self):
        async with Router([deployment("a", limits=Limits(rpm=1))]) as router:
            await router.chat("hi")
            await anyio.sleep(30)
            reply, took = await seconds(router.chat("hi", timeout=31))
            assert reply.text == "a"
            assert took == 30

    async def test_is_not_given_up_while_a_call_may_turn_out_smaller_than_what_it_holds(self):
        """Each call holds its `max_tokens`, and uses next to nothing of them."""
        provider = FakeProvider(latency=1, usage=Usage(10, 20))
        async with Router([deployment("a", provider, limits=Limits(tpm=100_000))]) as router:
            replies, took = await seconds(
                router.chat_many(["hi"] * 200, concurrency=200, max_tokens=4_000, timeout=30)
            )
            assert {getattr(reply, "text", reply) for reply in replies} == {"ok"}
            assert took == 9

    async def test_cannot_be_met_behind_one_that_waits_for_longer(self):
        async with Router([deployment("a", limits=Limits(rpm=1))]) as router:
            await router.chat("hi")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(router.chat, "hi")
                await anyio.sleep(1)
                error, took = await seconds(router.chat("hi", timeout=30))
                assert isinstance(error, LimitTimeoutError)
                assert "another call waits for it" in str(error)
                assert took == 0
                tasks.cancel_scope.cancel()

    async def test_may_turn_out_in_the_queue_not_to_be_met(self):
        async with Router([deployment("a", limits=Limits(rpm=1))]) as router:
            await router.chat("hi")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(router.chat, "hi")
                await anyio.sleep(1)
                error, took = await seconds(router.chat("hi", timeout=100))
                assert isinstance(error, LimitTimeoutError)
                assert "after 59.00 s in its queue: rpm 1 is used up for 60 s" in str(error)
                assert took == 59

    async def test_that_passes_in_the_queue_is_a_limit_timeout_too(self):
        provider = FakeProvider(latency=100)
        async with Router([deployment("a", provider, limits=Limits(concurrency=1))]) as router:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(router.chat, "hi")
                await anyio.sleep(1)
                error, took = await seconds(router.chat("hi", timeout=7))
                assert isinstance(error, LimitTimeoutError)
                assert isinstance(error, DeadlineExceededError)
                assert took == 7
                assert str(error).startswith(
                    "a: no room before the call's deadline, after 7.00 s in its queue: "
                )
                assert router.fleet["a"].waiting == 0
                tasks.cancel_scope.cancel()

    async def test_that_one_place_cannot_meet_another_may(self):
        limits = Limits(rpm=1), Limits(rpm=1)
        deployments = [deployment(name, limits=each) for name, each in zip("ab", limits, strict=True)]
        async with Router(deployments) as router:
            await router.chat("hi", model="b")
            await anyio.sleep(40)
            await router.chat("hi", model="a")
            reply, took = await seconds(router.chat("hi", timeout=30))
            assert (reply.deployment, took) == ("b", 20)

    async def test_is_measured_from_when_the_room_was_asked_for(self):
        """While another deployment took its time to fail, the wait became shorter."""
        slow = FakeProvider(script=[ServerError("down")], latency=45)
        deployments = [deployment("a", limits=Limits(rpm=1)), deployment("b", slow)]
        routes = {"default": Route(["a"], fallbacks=["b"])}
        async with Router(deployments, routes=routes, retry=None) as router:
            await router.chat("hi")
            reply, took = await seconds(router.chat("hi", timeout=70))
            assert (asked(reply), took) == (["b", "a"], 60)

    async def test_that_no_room_comes_before_leaves_the_error_of_what_was_tried(self):
        async with Router(
            [deployment("a", limits=Limits(rpm=1)), deployment("b", down())], retry=None
        ) as router:
            await router.chat("hi")
            error, took = await seconds(router.chat("hi", timeout=30))
            assert isinstance(error, AllAttemptsFailedError)
            assert (asked(error), took) == (["b"], 0)

    async def test_without_one_a_call_waits_for_as_long_as_it_takes(self):
        async with Router([deployment("a", limits=Limits(rpd=1))]) as router:
            await router.chat("hi")
            _, took = await seconds(router.chat("hi", timeout=None))
            assert took == 86_400


class TestABar:
    async def test_a_fresh_call_goes_elsewhere_or_waits_it_out(self):
        provider = FakeProvider(script=[RateLimitError("busy", status=429, retry_after=9), "ok"])
        async with Router([deployment("a", provider), deployment("b")]) as router:
            assert asked(await router.chat("hi")) == ["a", "b"]
            assert asked(await router.chat("hi")) == ["b"]
            await anyio.sleep(2)
            reply, took = await seconds(router.chat("hi", model="a"))
            assert (reply.text, took) == ("ok", 7)

    async def test_a_queue_that_is_too_long_is_not_joined_and_the_error_says_when_it_may_be(
        self, monkeypatch
    ):
        monkeypatch.setattr("polyroute._engine.admission._FULL", 2)
        async with Router([deployment("a", busy(30))], retry=None, breaker=None) as router:
            await outcome(router.chat("hi"))
            async with anyio.create_task_group() as tasks:
                for _ in range(2):
                    tasks.start_soon(router.chat, "hi")
                await anyio.sleep(1)
                error, took = await seconds(router.chat("hi"))
                assert isinstance(error, NoDeploymentAvailableError)
                assert error.reasons == {"a": "2 calls wait for it already"}
                assert (error.retry_after, took) == (pytest.approx(29), 0)
                tasks.cancel_scope.cancel()

    async def test_or_says_at_once_that_its_time_does_not_last_until_then(self):
        async with Router([deployment("a", busy(9))], retry=None) as router:
            await outcome(router.chat("hi"))
            error, took = await seconds(router.chat("hi", timeout=8))
            assert isinstance(error, LimitTimeoutError)
            assert str(error) == (
                "a: no room before the call's deadline: its host asked to be left alone for 9.0 s more"
            )
            assert took == 0

    async def test_without_a_word_of_how_long_it_backs_off_and_forgets_that_with_an_answer(self):
        provider = FakeProvider(
            script=[*[RateLimitError("busy", status=429)] * 6, "ok", RateLimitError("busy")]
        )
        bars = []
        async with Router([deployment("a", provider)], retry=None, breaker=None) as router:
            for _ in range(8):
                await outcome(router.chat("hi"))
                bars.append(router.fleet["a"].barred)
        assert bars == [0.5, 1, 2, 4, 8, 8, 0, 0.5]

    async def test_many_that_wait_go_when_it_ends_and_not_before(self):
        provider = FakeProvider(script=[RateLimitError("busy", status=429, retry_after=30), "ok"])
        async with Router([deployment("a", provider)], retry=None) as router:
            await outcome(router.chat("hi"))
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(router.chat, "hi")
                await anyio.sleep(29.9)
                assert len(provider.calls) == 1
                assert router.fleet["a"].waiting == 50
                await anyio.sleep(0.2)
                assert len(provider.calls) == 51

    async def test_a_longer_one_is_not_shortened_by_a_later_word(self):
        errors = [RateLimitError("x", retry_after=60), RateLimitError("x", retry_after=1)]
        latencies = iter([1, 2])
        provider = FakeProvider(script=errors, latency=lambda: next(latencies))
        async with Router([deployment("a", provider)], retry=None) as router:
            async with anyio.create_task_group() as tasks:
                for _ in range(2):
                    tasks.start_soon(outcome, router.chat("hi"))
            assert router.fleet["a"].barred == pytest.approx(59)
