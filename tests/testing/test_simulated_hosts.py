"""How simulated hosts answer, and what each fault makes of it. In virtual time, and on trio too."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from random import Random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    AllAttemptsFailedError,
    AttemptError,
    AttemptTimeoutError,
    Call,
    ChatRequest,
    ChatResponse,
    ConnectError,
    Deadline,
    Deployment,
    Message,
    OverloadedError,
    RateLimitError,
    ReadError,
    Router,
    ServerError,
    StreamInterruptedError,
    Timeout,
)
from polyroute.testing import (
    BlackHole,
    BrownOut,
    CutStreams,
    Fault,
    Outage,
    SimulatedHost,
    SlowSpell,
)
from polyroute.testing.simulation.hosts import RunningHost, Window
from tests.virtual_time import anyio_backend  # noqa: F401

QUICK = {"latency": 1.0, "output_tokens": 10}


def running(*faults: Fault, **options: object) -> RunningHost:
    return RunningHost("h", SimulatedHost(faults=faults, **(QUICK | options)), Random(1))


def router(host: RunningHost, **options: object) -> Router:
    return Router([Deployment("h/m", id="a", provider=host)], retry=None, **options)


def call(**arguments: object) -> Call:
    request = ChatRequest(messages=(Message("user", "hi"),), **arguments)
    return Call(
        request=request, deployment=Deployment("h/m"), model="m", timeout=Timeout(), deadline=Deadline()
    )


async def outcome(host: RunningHost) -> ChatResponse | AttemptError:
    """The host's reply, or its error."""
    try:
        return await host.chat(call())
    except AttemptError as error:
        return error


async def streamed(host: RunningHost) -> str:
    """A stream's text, with `!` where it broke."""
    text = ""
    try:
        async with aclosing(host.stream(call())) as chunks:
            async for chunk in chunks:
                text += chunk.text
    except ReadError:
        return text + "!"
    return text


async def test_a_good_host_takes_its_time_and_says_what_was_used():
    host = running()
    async with router(host) as r:
        started = anyio.current_time()
        reply = await r.chat("hi")
        assert anyio.current_time() - started == pytest.approx(1.0)

    assert (reply.text, reply.model, reply.provider) == ("ok", "m", "h")
    assert reply.usage.output_tokens == 10
    assert reply.usage.input_tokens > 0
    assert not reply.usage.estimated
    assert (host.attempts, host.answered, host.in_flight, host.most_in_flight) == (1, 1, 0, 1)


async def test_a_reply_is_no_longer_than_was_asked_for():
    async with router(running(output_tokens=500)) as r:
        assert (await r.chat("hi", max_tokens=7)).usage.output_tokens == 7
        assert (await r.chat("hi", max_tokens=700)).usage.output_tokens == 500


async def test_a_stream_begins_at_its_first_token_and_ends_with_the_latency():
    async with router(running(latency=8.0, ttft=2.0)) as r:
        started = anyio.current_time()
        async with r.stream("hi") as stream:
            moments = [anyio.current_time() - started async for _ in stream]
            reply = await stream.response()

    assert moments == pytest.approx([2, 4, 6, 8, 8])
    assert (reply.text, reply.usage.output_tokens, reply.finish_reason) == ("ok ok ok ok ", 10, "stop")


async def test_a_long_stream_is_never_silent_for_long():
    async with router(running(latency=100.0, ttft=3.0), timeout=Timeout(between_tokens=6)) as r:
        async with r.stream("hi") as stream:
            moments = [anyio.current_time() async for _ in stream]

    assert max(later - sooner for sooner, later in pairwise(moments)) <= 5


async def test_without_a_time_for_the_first_token_a_stream_comes_at_once_at_its_end():
    async with router(running()) as r:
        async with r.stream("hi") as stream:
            await anext(stream)
            assert anyio.current_time() == pytest.approx(1.0)
            await stream.response()
            assert anyio.current_time() == pytest.approx(1.0)


async def test_no_first_token_comes_after_the_end():
    assert await streamed(running(ttft=5.0)) == "ok ok ok ok "
    assert anyio.current_time() == pytest.approx(1.0)


async def test_an_outage_refuses_at_once_and_resets_what_is_under_way():
    host = running(Outage(at=10, lasting=5))
    await anyio.sleep_until(9.5)
    assert isinstance(await outcome(host), ReadError)
    assert anyio.current_time() == pytest.approx(10)
    await anyio.sleep_until(14.9)
    error = await outcome(host)
    assert isinstance(error, ConnectError)
    assert not error.may_have_run
    assert anyio.current_time() == pytest.approx(14.9)
    await anyio.sleep_until(15)
    assert isinstance(await outcome(host), ChatResponse)

    assert host.failures == {"ReadError": 1, "ConnectError": 1}
    assert host.answered == 1


async def test_an_outage_resets_a_stream_after_its_first_token():
    host = running(Outage(at=10, lasting=5), latency=8.0, ttft=2.0)
    await anyio.sleep_until(5)
    assert await streamed(host) == "ok ok !"
    assert anyio.current_time() == pytest.approx(10)


async def test_of_several_breaks_the_first_counts():
    host = running(
        Outage(at=12, lasting=1), Outage(at=10, lasting=1), SlowSpell(at=9, lasting=1, factor=1), latency=8.0
    )
    await anyio.sleep_until(8)
    assert isinstance(await outcome(host), ReadError)
    assert anyio.current_time() == pytest.approx(10)


async def test_a_black_hole_is_silent_to_what_it_takes_and_to_what_is_under_way():
    host = running(BlackHole(at=10, lasting=5))
    ended: list[object] = []

    async def asks(begin: float) -> None:
        await anyio.sleep_until(begin)
        with anyio.move_on_after(3_600):
            ended.append(await outcome(host))

    async with anyio.create_task_group() as group:
        for begin in (9.5, 10, 14, 15):
            group.start_soon(asks, begin)
        await anyio.sleep_until(20)
        assert (host.in_flight, len(ended)) == (3, 1)

    assert (host.in_flight, len(ended)) == (0, 1)
    assert (host.attempts, host.answered, host.failures) == (4, 1, {})


async def test_a_routers_own_limit_ends_the_silence():
    async with router(running(BlackHole(at=0, lasting=5)), timeout=Timeout(first_token=60)) as r:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await r.chat("hi")

    assert isinstance(caught.value.__cause__, AttemptTimeoutError)
    assert anyio.current_time() == pytest.approx(60)


@pytest.mark.parametrize(
    ("status", "kind"), [(500, ServerError), (503, OverloadedError), (529, OverloadedError)]
)
async def test_a_brown_out_fails_its_share_of_requests(status, kind):
    host = running(BrownOut(at=0, lasting=inf, share=0.3, status=status), latency=0.0)
    outcomes = [await outcome(host) for _ in range(2_000)]

    errors = [each for each in outcomes if isinstance(each, AttemptError)]
    assert 0.27 < len(errors) / 2_000 < 0.33
    assert {type(error) for error in errors} == {kind}
    assert {error.status for error in errors} == {status}


async def test_a_slow_spell_makes_everything_so_many_times_as_long():
    host = running(SlowSpell(at=0, lasting=60, factor=3), ttft=0.5)
    await outcome(host)
    assert anyio.current_time() == pytest.approx(3)
    async with aclosing(host.stream(call())) as chunks:
        await anext(chunks)
        assert anyio.current_time() == pytest.approx(4.5)
    await anyio.sleep_until(10)
    await streamed(host)
    assert anyio.current_time() == pytest.approx(13)
    await anyio.sleep_until(60)
    await outcome(host)
    assert anyio.current_time() == pytest.approx(61)


async def test_more_requests_than_it_lets_in_in_a_minute_are_told_when_to_come_back():
    host = running(rpm=3, latency=0.0)
    told: list[float | None] = []
    for moment in (0, 10, 20, 30, 59.9, 60, 65, 70):
        await anyio.sleep_until(moment)
        answer = await outcome(host)
        assert isinstance(answer, ChatResponse | RateLimitError)
        told.append(answer.retry_after if isinstance(answer, RateLimitError) else None)

    assert told == [None, None, None, pytest.approx(30), pytest.approx(0.1), None, pytest.approx(5), None]
    assert host.failures == {"RateLimitError": 3}
    assert host.came.most_requests == 6
    assert host.let_in.most_requests == 3


async def test_tokens_are_limited_as_requests_are():
    host = running(tpm=100, output_tokens=40, latency=0.0)
    answers = [await outcome(host) for _ in range(3)]
    used = answers[0].usage.input_tokens + 40
    assert 2 * used <= 100 < 3 * used
    assert isinstance(answers[1], ChatResponse)
    assert (answers[2].status, answers[2].retry_after) == (429, pytest.approx(60))
    await anyio.sleep_until(60)
    assert isinstance(await outcome(host), ChatResponse)
    assert host.let_in.most_tokens == 2 * used


async def test_a_host_may_keep_to_itself_when_to_come_back_or_not_know_it():
    for host in (running(rpm=0), running(tpm=1), running(rpm=0, retry_after=False)):
        assert (await outcome(host)).retry_after is None
    host = running(rpm=1, retry_after=False)
    assert isinstance(await outcome(host), ChatResponse)
    assert (await outcome(host)).retry_after is None


async def test_at_capacity_it_is_overloaded():
    host = running(capacity=2)
    outcomes: list[object] = []

    async def asks() -> None:
        outcomes.append(await outcome(host))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(asks)
    assert isinstance(await outcome(host), ChatResponse)

    assert [type(each) for each in outcomes[:3]] == [OverloadedError] * 3
    assert {each.status for each in outcomes[:3]} == {503}
    assert host.answered == 3
    assert host.most_in_flight == 3


async def test_it_has_been_well_where_no_fault_held_and_nobody_found_it_full():
    host = running(Outage(at=100, lasting=10), capacity=0)
    assert host.has_been_well(0, 99)
    assert not host.has_been_well(0, 100)
    assert not host.has_been_well(109, 120)
    assert host.has_been_well(110, 120)
    await anyio.sleep_until(50)
    await outcome(host)
    assert not host.has_been_well(40, 60)
    assert not host.has_been_well(50, 60)
    assert host.has_been_well(51, 60)
    host = running(rpm=0)
    await outcome(host)
    assert not host.has_been_well(40, 60)


async def test_streams_are_cut_after_so_many_chunks_or_before_the_last():
    for after, text in [(0, "!"), (1, "ok !"), (3, "ok ok ok !"), (99, "ok ok ok !")]:
        host = running(CutStreams(at=0, lasting=inf, after=after))
        assert await streamed(host) == text
        assert isinstance(await outcome(host), ChatResponse)
        assert (host.answered, host.failures) == (1, {"ReadError": 1})


async def test_a_cut_reaches_the_caller_of_a_router_as_any_other():
    async with router(running(CutStreams(at=0, lasting=inf))) as r:
        with pytest.raises(StreamInterruptedError) as caught:
            async with r.stream("hi") as stream:
                await stream.response()
    assert caught.value.partial == "ok ok "


async def test_a_share_of_streams_is_cut():
    host = running(CutStreams(at=0, lasting=inf, share=0.25), latency=0.0)
    texts = [await streamed(host) for _ in range(1_000)]

    assert set(texts) == {"ok ok !", "ok ok ok ok "}
    assert 200 < texts.count("ok ok !") < 300


async def test_a_stream_that_is_left_early_is_not_in_flight_any_more_and_no_answer():
    host = running()
    async with aclosing(host.stream(call())) as chunks:
        await anext(chunks)
        assert host.in_flight == 1

    assert (host.in_flight, host.attempts, host.answered, host.failures) == (0, 1, 0, {})


async def test_a_fault_of_ones_own_is_a_class_with_one_method():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Flapping(Fault):
        period: float

        def worsen(self, conditions, now):
            return replace(conditions, down=now % self.period >= self.period / 2)

    host = running(Flapping(at=0, lasting=inf, period=10), latency=0.0)
    for moment, fails in [(1, False), (6, True), (11, False), (17, True)]:
        await anyio.sleep_until(moment)
        assert isinstance(await outcome(host), ConnectError) is fails

    class Silent(Fault):
        pass

    with pytest.raises(TypeError, match="worsen"):
        Silent(at=0, lasting=1)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=60))
def test_a_window_holds_what_came_in_the_last_minute(steps):
    window, events, now = Window(), [], 0.0
    most_requests = most_tokens = 0
    for gap, tokens in steps:
        now += gap
        window.add(now, tokens)
        events.append((now, tokens))
        last = [tokens for moment, tokens in events if moment + 60 > now]
        assert (window.requests, window.tokens) == (len(last), sum(last))
        most_requests, most_tokens = max(most_requests, len(last)), max(most_tokens, sum(last))
        assert (window.most_requests, window.most_tokens) == (most_requests, most_tokens)
        oldest = min(moment for moment, _ in events if moment + 60 > now)
        assert window.frees_in(now) == oldest + 60 - now
    assert Window().frees_in(now) is None


@given(
    at=st.floats(0, 100),
    lasting=st.floats(0.1, 100),
    begin=st.floats(0, 300),
    took=st.floats(0, 100),
)
def test_a_host_is_well_where_no_moment_of_a_fault_falls_in_between(at, lasting, begin, took):
    host = SimulatedHost(faults=[Outage(at=at, lasting=lasting)])
    moments = [begin + took * share / 50 for share in range(51)] + [at]
    down = any(host.conditions(moment).down for moment in moments if begin <= moment <= begin + took)
    assert host.is_well(begin, begin + took) is not down
