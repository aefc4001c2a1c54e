"""Deployments asked now and then how they are: what a failed probe does, and for how long. In virtual time."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    ChatResponse,
    ConfigurationError,
    Deployment,
    NoDeploymentAvailableError,
    PartFailed,
    ProbeEnded,
    Probes,
    Router,
    ServerError,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.virtual_time import anyio_backend  # noqa: F401


class Listed(FakeProvider):
    """One whose models can be listed, while it is *well*; each listing takes *seconds*."""

    def __init__(self, *, well=True, seconds=0.0):
        super().__init__(["ok"])
        self.well = well
        self.seconds = seconds
        self.asked = []

    async def models(self, deployment, deadline):
        self.asked.append(anyio.current_time())
        await anyio.sleep(self.seconds)
        if not self.well:
            raise ServerError("down", status=503)
        return ["a"]


async def test_one_that_fails_its_probe_is_left_out_until_it_passes_one():
    ill, well = Listed(well=False), Listed()
    router = Router([deployment("a", ill), deployment("b", well)], probes=Probes(every=10), rng=Random(1))
    async with router:
        assert (await router.chat("hi")).deployment == "a"
        await anyio.sleep(13)
        assert (await router.chat("hi")).deployment == "b"
        assert "it failed its last probe" in str(await router.explain("hi"))
        ill.well = True
        await anyio.sleep(12.5)
        assert (await router.chat("hi")).deployment == "a"


async def test_a_verdict_that_finds_all_unwell_is_void():
    two = [deployment("a", Listed(well=False)), deployment("b", Listed(well=False))]
    async with Router(two, probes=Probes(every=10)) as router:
        await anyio.sleep(13)
        assert (await router.chat("hi")).deployment == "a"


async def test_a_verdict_holds_for_no_longer_than_two_intervals():
    ill, hanging = Listed(well=False), Listed()
    two = [deployment("a", ill), deployment("b", hanging)]
    async with Router(two, probes=Probes(every=10, timeout=1_000), rng=Random(1)) as router:
        await anyio.sleep(13)
        assert (await router.chat("hi")).deployment == "b"
        hanging.seconds = 900  # No round comes to its end any more.
        await anyio.sleep(21)
        assert (await router.chat("hi")).deployment == "a"


async def test_where_nobody_else_is_left_it_is_asked_all_the_same():
    ill = Listed(well=False)
    async with Router(
        [deployment("a", ill), deployment("b", Listed(), tags=["x"])], probes=Probes(every=10)
    ) as router:
        await anyio.sleep(13)
        reply = await router.chat("hi", tags=["!x"])

    assert reply.deployment == "a"
    assert "nobody else is left" in reply.trace.attempts[0].reason


async def test_silence_fails_a_probe_at_its_own_limit_and_a_chat_may_be_one():
    silent = FakeProvider(latency=1_000)
    quick = FakeProvider(["ok"])
    two = [deployment("a", silent), deployment("b", quick)]
    async with Router(two, probes=Probes(every=10, by="chat", timeout=3)) as router:
        async with router.events() as events:
            await anyio.sleep(16)
            assert (await router.chat("hi", timeout=5)).deployment == "b"
            told = [await anext(events), await anext(events)]

    assert {type(event) for event in told} == {ProbeEnded}
    errors = {event.deployment: event.error for event in told}
    assert errors["b"] is None
    assert errors["a"].phase == "attempt"
    assert quick.calls[0].request.max_tokens == 16


async def test_probes_come_about_every_so_often_and_not_in_step():
    listed = Listed()
    async with Router([deployment("a", listed)], probes=Probes(every=10), rng=Random(2)):
        await anyio.sleep(200)

    pauses = [after - before for before, after in zip(listed.asked, listed.asked[1:], strict=False)]
    assert 15 <= len(listed.asked) <= 25
    assert all(8 <= pause <= 12 for pause in pauses)
    assert len({round(pause, 6) for pause in pauses}) > 10


async def test_they_end_with_the_block_and_with_a_cancellation():
    listed = Listed(seconds=5)
    async with Router([deployment("a", listed)], probes=Probes(every=10)):
        await anyio.sleep(11)
    rounds = len(listed.asked)
    with anyio.move_on_after(11):
        async with Router([deployment("a", listed)], probes=Probes(every=10)):
            await anyio.sleep_forever()
    rounds = len(listed.asked)
    await anyio.sleep(100)
    assert len(listed.asked) == rounds


async def test_a_bug_of_a_providers_ends_no_probing_and_is_told():
    class Broken(Listed):
        async def models(self, deployment, deadline):
            self.asked.append(0)
            raise KeyError("bug")

    broken = Broken()
    async with Router(
        [deployment("a", broken), deployment("b", Listed())], probes=Probes(every=10)
    ) as router:
        async with router.events() as events:
            await anyio.sleep(40)
            told = [await anext(events) for _ in range(4)]
        assert (await router.chat("hi")).deployment == "a"

    assert len(broken.asked) >= 3
    (failure, *_) = [event for event in told if isinstance(event, PartFailed)]
    assert isinstance(failure.error, KeyError)
    assert "a" in failure.part


async def test_who_cannot_be_probed_is_let_alone():
    unlisted, any_of_them = FakeProvider(["ok"]), Listed()
    none_of_them = [Deployment("fake/*", provider=any_of_them), deployment("a", unlisted)]
    async with Router(none_of_them, probes=Probes(every=1)) as router:
        await anyio.sleep(10)
        assert (await router.chat("hi")).deployment == "a"
    assert len(unlisted.calls) == 1
    assert not any_of_them.asked


async def test_without_a_block_there_is_no_task_to_probe_in_and_the_first_call_says_so():
    router = Router([deployment("a")], probes=Probes())
    with pytest.raises(ConfigurationError, match=r"probes= needs a task.*async with"):
        await router.chat("hi")
    await router.aclose()


def test_a_synchronous_router_probes_too():
    import time

    listed = Listed()
    with Router([deployment("a", listed)], probes=Probes(every=0.01)).sync() as client:
        assert client.chat("hi").text == "ok"
        until = time.monotonic() + 10
        while not listed.asked and time.monotonic() < until:
            client.chat("hi")
    assert listed.asked


@pytest.mark.parametrize("options", [{"every": 0}, {"timeout": -1}, {"by": "ping"}, {"every": "x"}])
def test_probes_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigurationError, match="Probes"):
        Probes(**options)
    with pytest.raises(ConfigurationError, match="probes"):
        Router(["openai/gpt-5-mini"], probes=30)


async def test_what_a_probe_shows_is_no_failure_of_a_call():
    ill = Listed(well=False)
    only = [deployment("a", ill), deployment("b", FakeProvider(script=[ServerError("down", status=500)]))]
    async with Router(only, probes=Probes(every=10), retry=None) as router:
        await anyio.sleep(100)
        assert router.fleet["a"].error_rate == 0.0
        assert router.fleet["a"].breaker == "closed"
        with pytest.raises((AllAttemptsFailedError, NoDeploymentAvailableError)):
            await router.chat("hi", model="b", fallbacks=False)
        assert isinstance(await router.chat("hi", model="a"), ChatResponse)
