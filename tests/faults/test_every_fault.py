"""Whatever happens on the wire, a call ends in the next deployment's reply or in the error that it is,
in time and leaving nothing behind, and the router that met it serves on."""

from __future__ import annotations

from contextlib import ExitStack

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    PolyrouteError,
    StreamInterruptedError,
    Timeout,
)
from tests.faults.asking import (
    CALLS,
    by,
    chatted,
    embedded,
    expect,
    hung_up,
    knows_no_end_of,
    streamed,
    well_again,
)
from tests.faults.faults import FAULTS, LATE_FAULTS, LATE_SILENCES, LIMITS, SILENCES
from tests.transports.faulty_server import TEXT, WORDS, FaultyServer, fine
from tests.transports.kinds import SESSION, deployment, in_time, on_each_transport, routing

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


def skip_what_never_ends(kind, fault):
    if knows_no_end_of(fault, kind):
        pytest.skip("its parser waits for the size's end, as for any silence")


def skip_what_is_lost(kind, fault):
    if kind is SESSION and fault.name.startswith("bad framing"):  # which may come in the same read
        pytest.skip("aiohttp loses the head that comes with bad framing in one read")


@on_each_transport
@each_fault
async def test_the_next_deployment_answers_in_its_place_and_a_mended_one_serves_again(kind, fault):
    skip_what_never_ends(kind, fault)
    with fault.server() as broken, FaultyServer() as sound:
        async with routing(kind, broken, sound) as router, in_time():
            for call in CALLS:
                reply = await call(router)
                assert reply.deployment == "b"
                failed, answered = reply.trace.attempts
                expect(failed.error, fault)
                assert answered.error is None
            broken.mend()
            await well_again(router)


@on_each_transport
@each_fault
async def test_alone_it_ends_in_the_error_that_the_fault_is(kind, fault):
    skip_what_never_ends(kind, fault)
    warm = 0 if fault.greeting or not fault.listening else 1
    with fault.server(after=warm) as broken:
        async with routing(kind, broken, retry=None) as router, in_time():
            if warm:
                await chatted(router)  # What follows meets a connection that was used before.
            for call in CALLS:
                with pytest.raises(AllAttemptsFailedError, match=fault.says or None) as caught:
                    await call(router)
                expect(caught.value.__cause__, fault)
                assert len(caught.value.attempts) == 1
            broken.mend()
            assert (await chatted(router)).text == TEXT


@on_each_transport
async def test_who_keeps_a_call_waiting_is_left_for_the_next_deployment(kind):
    with ExitStack() as stack:
        sound = stack.enter_context(FaultyServer())
        servers = {each: stack.enter_context(FaultyServer(each.act)) for each in SILENCES}
        slow = [deployment(server, each.name, timeout=LIMITS) for each, server in servers.items()]
        async with routing(kind, *slow, deployment(sound, "sound")) as router, in_time():
            phases = {}

            async def ask(call, silence) -> None:
                reply = await call(router, model=[silence.name, "sound"])
                assert by(reply) == [silence.name, "sound"]
                error = reply.trace.attempts[0].error
                assert type(error) is AttemptTimeoutError
                assert error.may_have_run
                phases[silence, call] = error.phase

            # All at once, since each takes its time.
            async with anyio.create_task_group() as group:
                for silence in SILENCES:
                    for call in CALLS:
                        group.start_soon(ask, call, silence)
            for silence, server in servers.items():
                assert await hung_up(server)
                assert phases[silence, streamed] == "first_token"
                assert phases[silence, chatted] == phases[silence, embedded] == silence.phase
                server.mend()
                await well_again(router, model=[silence.name, "sound"], first=None)


@on_each_transport
@pytest.mark.parametrize("fault", LATE_FAULTS, ids=lambda fault: fault.name)
async def test_what_breaks_a_stream_after_its_first_token_interrupts_it(kind, fault):
    skip_what_is_lost(kind, fault)
    with fault.server() as broken, FaultyServer() as sound:
        async with routing(kind, broken, sound) as router, in_time():
            error = await interrupted(router)
            assert error.deployment == "a"
            expect(error.__cause__, fault)
            assert not sound.asked
            broken.mend()
            await well_again(router)


@on_each_transport
@pytest.mark.parametrize("fault", LATE_FAULTS, ids=lambda fault: fault.name)
async def test_where_the_caller_allows_it_another_deployment_ends_what_broke(kind, fault):
    skip_what_is_lost(kind, fault)
    with fault.server() as broken, FaultyServer() as sound:
        async with routing(kind, broken, sound) as router, in_time():
            for on_break in ("restart", "resume"):
                async with router.stream("hi", on_break=on_break) as stream:
                    said = [chunk async for chunk in stream]
                    reply = await stream.response()
                begun_anew = [place for place, chunk in enumerate(said) if chunk.restarted]
                heard = said[begun_anew[-1] :] if begun_anew else said
                assert "".join(chunk.text for chunk in heard) == reply.text == TEXT
                assert by(reply) == ["a", "b"]
                expect(reply.trace.attempts[0].error, fault)


@on_each_transport
async def test_silence_after_a_streams_first_token_interrupts_it(kind):
    limits = Timeout(between_tokens=0.2)
    with ExitStack() as stack:
        sound = stack.enter_context(FaultyServer())
        servers = {name: stack.enter_context(FaultyServer(act)) for name, act in LATE_SILENCES.items()}
        slow = [deployment(server, name, timeout=limits) for name, server in servers.items()]
        async with routing(kind, *slow, deployment(sound, "sound")) as router, in_time():

            async def ask(name) -> None:
                error = await interrupted(router, model=[name, "sound"])
                assert error.deployment == name
                assert type(error.__cause__) is AttemptTimeoutError
                assert error.__cause__.phase == "between_tokens"

            async with anyio.create_task_group() as group:
                for name in LATE_SILENCES:
                    group.start_soon(ask, name)
            assert not sound.asked
            for name, server in servers.items():
                assert await hung_up(server)
                server.mend()
                await well_again(router, model=[name, "sound"], first=None)


async def interrupted(router, **arguments) -> StreamInterruptedError:
    """The error of a stream that breaks after its first word, with what it is to tell."""
    said = []
    with pytest.raises(StreamInterruptedError) as caught:
        async with router.stream("hi", **arguments) as stream:
            async for chunk in stream:
                said.append(chunk.text)
    error = caught.value
    assert error.partial == "".join(said) == WORDS[0]
    assert error.usage.estimated
    assert error.usage.input_tokens > 0
    assert 0 < error.usage.output_tokens < 10
    return error


_SOME = {"closed within the body", "bytes that are nothing", "a web page", "gzip that is cut", "two lengths"}
some_faults = pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.name in _SOME], ids=lambda fault: fault.name
)


@on_each_transport
@some_faults
async def test_of_many_calls_at_once_each_meets_its_own_fate(kind, fault):
    acts = [fault.act, fine, fine, fine] * 3
    with FaultyServer(*acts) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            outcomes = await router.chat_many(["hi"] * len(acts), concurrency=6)
    failures = [each for each in outcomes if isinstance(each, PolyrouteError)]
    assert len(failures) == 3
    for each in failures:
        expect(each.__cause__, fault)
    assert [each.text for each in outcomes if each not in failures] == [TEXT] * 9


@on_each_transport
async def test_of_many_calls_at_once_that_meet_all_faults_in_turn_each_is_answered_by_the_next_deployment(
    kind,
):
    acts = [fault.act for fault in FAULTS if fault.act]
    with FaultyServer(*acts) as broken, FaultyServer() as sound:
        failing = deployment(broken, "a", timeout=LIMITS)
        async with routing(kind, failing, deployment(sound, "b"), breaker=None) as router, in_time():
            answered = []

            async def ask(call) -> None:
                answered.append(by(await call(router)))

            async with anyio.create_task_group() as group:
                for place in range(len(acts)):
                    group.start_soon(ask, CALLS[place % len(CALLS)])
            assert answered == [["a", "b"]] * len(acts)
            assert len(broken.asked) == len(acts)
            broken.mend()
            await well_again(router, first=None)
