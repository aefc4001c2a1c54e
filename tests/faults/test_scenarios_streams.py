"""The fault scenarios 39 to 48: what may happen to a stream, before its first token and after it."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from polyroute import (
    AttemptTimeoutError,
    OverloadedError,
    ReadError,
    ResponseDecodeError,
    StreamInterruptedError,
    Timeout,
)
from tests.faults.asking import AT_ONCE, by, hung_up, streamed
from tests.transports.faulty_server import (
    DONE,
    LAST,
    ROLE,
    SSE,
    STOP,
    STREAMING,
    TEXT,
    TOKENS,
    WORDS,
    Do,
    FaultyServer,
    Pause,
    by_the_byte,
    chunk,
    delta,
    event,
    for_ever,
)
from tests.transports.faulty_server import (
    streamed as whole,
)
from tests.transports.kinds import deployment, in_time, on_each_transport, routing

_LIMITS = Timeout(first_token=0.1, between_tokens=0.1)
_WAITING = {"silence": lambda: (Do.STALL,), "comments": lambda: for_ever(chunk(b": ping\n\n"), seconds=0.01)}
_BUSY = event({"error": {"message": "busy", "type": "overloaded_error"}})

each_silence = pytest.mark.parametrize("silence", _WAITING.values(), ids=_WAITING.keys())
after_some = pytest.mark.parametrize("count", [1, len(TOKENS)])


def after(*events: bytes, then=()):
    """An act that streams *events* and goes on with what *then* gives."""
    return lambda _: chain((STREAMING, chunk(ROLE), *map(chunk, events)), then() if callable(then) else then)


async def unseen(kind, act, limits: Timeout = _LIMITS) -> Exception:
    """The error of a stream that fails before its first token, so that nobody sees it and another is asked."""
    with FaultyServer(act) as server, FaultyServer() as sound:
        both = (deployment(server, "a", timeout=limits), deployment(sound, "b"))
        async with routing(kind, *both) as router, in_time():
            async with router.stream("hi") as stream:
                assert [each.text async for each in stream if each.text] == list(WORDS)
                reply = await stream.response()
            error = reply.trace.attempts[0].error
            if isinstance(error, AttemptTimeoutError):
                assert await hung_up(server)
    assert by(reply) == ["a", "b"]
    return error


async def interrupted(kind, act, *words: str) -> StreamInterruptedError:
    """The error of a stream that breaks after these *words*, and is begun anew by nobody."""
    with FaultyServer(act) as server, FaultyServer() as sound:
        both = (deployment(server, "a", timeout=_LIMITS), deployment(sound, "b"))
        async with routing(kind, *both, retry=AT_ONCE) as router, in_time():
            said = []
            with pytest.raises(StreamInterruptedError) as caught:
                async with router.stream("hi") as stream:
                    async for each in stream:
                        said.append(each.text)
            if isinstance(caught.value.__cause__, AttemptTimeoutError):
                assert await hung_up(server)
    assert caught.value.partial == "".join(said) == "".join(words)
    assert caught.value.usage.estimated
    assert caught.value.usage.output_tokens >= 1
    assert len(server.asked) == 1
    assert not sound.asked
    return caught.value


async def read(kind, act):
    """The reply of a stream that is whole, from the deployment that was asked first."""
    with FaultyServer(act) as server:
        async with routing(kind, server, retry=None) as router, in_time():
            return await streamed(router)


@on_each_transport
@each_silence
async def test_39_silence_before_the_first_token_is_left_for_the_next_deployment(kind, silence):
    error = await unseen(kind, after(then=silence))

    assert type(error) is AttemptTimeoutError
    assert (error.phase, error.may_have_run) == ("first_token", True)


@on_each_transport
@after_some
async def test_40_silence_after_some_tokens_interrupts_the_stream_and_nothing_is_said_again(kind, count):
    error = await interrupted(kind, after(*TOKENS[:count], then=(Do.STALL,)), *WORDS[:count])

    assert type(error.__cause__) is AttemptTimeoutError
    assert error.__cause__.phase == "between_tokens"


@on_each_transport
async def test_40_who_gives_a_token_now_and_then_but_too_few_of_them_interrupts_the_stream_too(kind):
    act = after(then=lambda: for_ever(chunk(TOKENS[0]), seconds=0.02))
    with FaultyServer(act) as server:
        slow = deployment(server, "a", timeout=Timeout(between_tokens=0.2, min_rate=1_000))
        async with routing(kind, slow, retry=None) as router, in_time():
            with pytest.raises(StreamInterruptedError) as caught:
                await streamed(router)
            assert await hung_up(server)
    assert caught.value.partial.startswith(WORDS[0] * 2)
    assert caught.value.__cause__.phase == "between_tokens"


@on_each_transport
async def test_41_comments_are_no_tokens(kind):
    comments = _WAITING["comments"]

    assert (await unseen(kind, after(then=comments))).phase == "first_token"
    error = await interrupted(kind, after(TOKENS[0], then=comments), WORDS[0])
    assert error.__cause__.phase == "between_tokens"


@on_each_transport
@pytest.mark.parametrize("end", [(Do.FIN,), (LAST,)], ids=["closed", "ended"])
async def test_42_a_stream_that_ends_too_early_is_broken(kind, end):
    assert type(await unseen(kind, after(then=end))) is ReadError
    error = await interrupted(kind, after(*TOKENS, then=end), *WORDS)
    assert type(error.__cause__) is ReadError


@on_each_transport
async def test_42_one_that_gave_its_reason_and_ended_cleanly_is_whole(kind):
    reply = await read(kind, after(*TOKENS, STOP, then=(LAST,)))

    assert (reply.text, reply.finish_reason) == (TEXT, "stop")


@on_each_transport
@pytest.mark.parametrize(
    "end", [(Do.FIN,), (Pause(0.02), Do.RESET), (Pause(0.02), b"zz\r\n")], ids=["closed", "reset", "spoilt"]
)
async def test_42_after_its_terminal_event_it_is_whole_whatever_the_connection_does(kind, end):
    reply = await read(kind, after(*TOKENS, DONE, then=end))

    assert (reply.text, reply.finish_reason) == (TEXT, "other")


_FOREIGN = "Ответ: 天空 🌌"
_EVENTS = b"".join((ROLE, delta(content=_FOREIGN), event({"choices": []}), STOP, DONE))
_WRITTEN = {
    "as it is": _EVENTS,
    "with CRLF": _EVENTS.replace(b"\n", b"\r\n"),
    "with CR": _EVENTS.replace(b"\n", b"\r"),
    "in UTF-8": _EVENTS.replace(
        json.dumps(_FOREIGN).encode(), json.dumps(_FOREIGN, ensure_ascii=False).encode()
    ),
    "after a byte order mark": b"\xef\xbb\xbf" + _EVENTS,
}


@on_each_transport
@pytest.mark.parametrize("said", _WRITTEN.values(), ids=_WRITTEN.keys())
async def test_43_however_events_are_written_and_cut_they_are_read(kind, said):
    in_bytes = (STREAMING, *(chunk(said[place : place + 1]) for place in range(len(said))), LAST)

    for act in (in_bytes, tuple(by_the_byte(whole([said])))):
        assert (await read(kind, act)).text == _FOREIGN


@on_each_transport
async def test_44_an_event_without_an_end_is_refused_before_it_fills_the_memory(kind):
    endless = after(then=lambda: for_ever(chunk(b"x" * 1_000_000)))

    assert type(await unseen(kind, endless, Timeout(first_token=10))) is ResponseDecodeError


@on_each_transport
async def test_45_an_error_after_some_tokens_interrupts_the_stream_and_is_its_cause(kind):
    error = await interrupted(kind, after(*TOKENS[:2], _BUSY), *WORDS[:2])

    assert type(error.__cause__) is OverloadedError
    assert "busy" in str(error)
    assert type(await unseen(kind, after(_BUSY))) is OverloadedError


def called(*pieces: tuple[int, str | None, str | None, str]) -> list[bytes]:
    return [
        delta(tool_calls=[{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}])
        for index, id, name, arguments in pieces
    ]


@on_each_transport
async def test_46_pieces_of_tool_calls_out_of_order_are_put_together_and_arguments_that_are_no_json_are_kept(
    kind,
):
    pieces = called(
        (1, "b", "later", '{"when": '),
        (0, "a", "now", '{"zone": "U'),
        (1, None, None, "soon"),
        (0, None, None, 'TC"}'),
        (1, "c", "again", "[1]"),
    )
    reply = await read(kind, after(*pieces, delta("tool_calls"), DONE, then=(LAST,)))

    told = {call.id: (call.name, call.arguments, call.raw_arguments) for call in reply.tool_calls}
    assert told == {
        "a": ("now", {"zone": "UTC"}, '{"zone": "UTC"}'),
        "b": ("later", None, '{"when": soon'),
        "c": ("again", None, "[1]"),
    }
    assert reply.finish_reason == "tool_calls"


@on_each_transport
async def test_47_who_stops_reading_hangs_up_and_gives_everything_back(kind):
    with FaultyServer(after(*TOKENS, then=(Do.STALL,))) as server:
        async with routing(kind, server) as router, in_time():
            async with router.stream("hi") as stream:
                async for each in stream:
                    if each.text:
                        break
                assert router.fleet["a"].in_flight == 1
            assert await hung_up(server)
            assert router.fleet["a"].in_flight == 0
            assert router.fleet["a"].error_rate == 0


@on_each_transport
async def test_48_usage_that_the_host_does_not_tell_is_estimated_and_says_so(kind):
    told = {"prompt_tokens": 5, "completion_tokens": 6}
    silent = await read(kind, (whole(SSE),))
    telling = await read(kind, (whole([*SSE[:-1], event({"choices": [], "usage": told}), DONE]),))

    assert silent.usage.estimated
    assert silent.usage.input_tokens > 0
    assert 2 <= silent.usage.output_tokens <= 12
    assert not telling.usage.estimated
    assert (telling.usage.input_tokens, telling.usage.output_tokens) == (5, 6)
