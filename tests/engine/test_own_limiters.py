"""A limiter of the application's own in the place of the deployments' limits. In virtual time."""

from __future__ import annotations

from math import inf

import anyio
import pytest

from polyroute import (
    BadRequestError,
    ConnectError,
    Limits,
    NoDeploymentAvailableError,
    Refusal,
    Router,
    ServerError,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down, outcome, seconds
from tests.virtual_time import anyio_backend  # noqa: F401


class Doorman:
    """A limiter that admits, or gives the refusals that it was told; it keeps what was said to it."""

    def __init__(self, **refusals) -> None:
        self.refusals = {id: list(each) for id, each in refusals.items()}
        self.reserved: list[str] = []
        self.estimates: list[Usage] = []
        self.settled: list[Usage | None] = []

    async def reserve(self, request, deployment, estimate):
        self.reserved.append(deployment.id)
        self.estimates.append(estimate)
        refusals = self.refusals.get(deployment.id)
        return refusals.pop(0) if refusals else self

    def settle(self, usage):
        self.settled.append(usage)


class TestALimiterOfOnesOwn:
    async def test_is_asked_for_every_attempt_with_what_it_may_take(self):
        doorman = Doorman()
        broken = down()
        async with Router([deployment("a", broken), deployment("b")], limiter=doorman) as router:
            await router.chat("x" * 400, max_tokens=77)
            await router.chat("x" * 400, max_tokens=70, n=2)
        assert doorman.reserved == ["a", "b"] * 2
        assert [each.output_tokens for each in doorman.estimates] == [77, 77, 140, 140]
        assert doorman.estimates[0].input_tokens > 80

    @pytest.mark.parametrize(
        ("step", "settled"),
        [
            ("ok", Usage(10, 20)),
            (ConnectError("refused"), None),  # nothing ran
            (BadRequestError("what?", status=400), Usage()),  # the host has counted it
            (BadRequestError("never sent"), None),
            (ServerError("down", status=500), Usage()),
        ],
    )
    async def test_is_told_once_what_was_used(self, step, settled):
        doorman = Doorman()
        provider = FakeProvider(script=[step], usage=Usage(10, 20))
        async with Router([deployment("a", provider)], limiter=doorman, retry=None) as router:
            await outcome(router.chat("hi"))
            assert doorman.settled == [settled]
            assert router.fleet["a"].in_flight == 0

    async def test_is_told_of_calls_that_are_cancelled_streamed_or_go_wrong(self, monkeypatch):
        doorman = Doorman()
        async with Router([deployment("a", FakeProvider(["a b"], latency=3))], limiter=doorman) as router:
            with anyio.move_on_after(1):
                await router.chat("hi")
            assert [each is not None and each.estimated for each in doorman.settled] == [True]
            async with router.stream("hi") as stream:
                await anext(stream)
                assert len(doorman.settled) == 1
            assert len(doorman.settled) == 2
            with monkeypatch.context() as patched:
                patched.setattr("polyroute._engine.attempt.adapt", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    await router.chat("hi")
            assert doorman.settled[2] is None

    async def test_a_refusal_in_passing_is_waited_out_and_a_final_one_is_not(self):
        doorman = Doorman(a=[Refusal(3.0, "a while"), Refusal(2.0)])
        async with Router([deployment("a")], limiter=doorman) as router:
            reply, took = await seconds(router.chat("hi"))
            assert (reply.text, took) == ("a", 2)
        doorman = Doorman(a=[Refusal(3.0, "a while"), Refusal(None, "not any more")])
        async with Router([deployment("a")], limiter=doorman) as router:
            error, took = await seconds(router.chat("hi"))
            assert isinstance(error, NoDeploymentAvailableError)
            assert (error.reasons, took) == ({"a": "not any more"}, 0)
        doorman = Doorman(a=[Refusal(None, "never here")])
        async with Router([deployment("a")], limiter=doorman) as router:
            error, took = await seconds(router.chat("hi"))
            assert isinstance(error, NoDeploymentAvailableError)
            assert (error.reasons, took) == ({"a": "never here"}, 0)

    async def test_a_lease_that_is_settled_anywhere_wakes_every_queue(self):
        """What room means there, only the limiter knows."""

        class OneAtATime(Doorman):
            taken = False

            async def reserve(self, request, deployment, estimate):
                if self.taken:
                    return Refusal(inf, "one at a time")
                self.taken = True
                return self

            def settle(self, usage):
                self.taken = False

        deployments = [deployment(name, FakeProvider(latency=5)) for name in "ab"]
        async with Router(deployments, limiter=OneAtATime()) as router:
            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for model in ("a", "b", "b", "a"):
                    tasks.start_soon(lambda model=model: router.chat("hi", model=model))
            assert anyio.current_time() - began == pytest.approx(20)

    async def test_stands_in_the_place_of_the_deployments_own_limits(self):
        doorman = Doorman()
        async with Router([deployment("a", limits=Limits(rpm=1))], limiter=doorman) as router:
            _, took = await seconds(router.chat_many(["hi"] * 3))
            assert took == 0
            assert router.fleet["a"].headroom == 1.0
