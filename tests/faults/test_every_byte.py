"""Wherever in a good reply the connection ends or something goes wrong, in whichever format, the call
ends in what came of it and in nothing else."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from polyroute import ChatResponse, Deployment, PolyrouteError, ReadError, StreamInterruptedError, Timeout
from polyroute.providers.json_bodies import dump
from tests.conformance.formats import on_each_format
from tests.faults.asking import chatted, streamed, well_again
from tests.faults.proxy import cut, garbled, passed_on, reply_of
from tests.transports.faulty_server import DONE, TEXT, TOKENS, WORDS, Do, FaultyServer
from tests.transports.kinds import POOLED, deployment, in_time, on_each_transport, routing
from tests.wire_server import Answer, WireServer, cut_anywhere

each_end = pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["closed", "reset"])


def places(reply: bytes, *marked: int) -> list[int]:
    """Some places in *reply*: its ends, those around the *marked* ones, and a few by chance."""
    around = [0, 1, len(reply) - 1, *(mark + step for mark in marked for step in (-1, 0))]
    return sorted({*around, *Random(3).sample(range(2, len(reply)), 15)})


def asking(streams: bool) -> bytes:
    body = b'{"stream":true}' if streams else b"{}"
    return b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body


async def outcome(call, router) -> ChatResponse | PolyrouteError:
    try:
        return await call(router)
    except PolyrouteError as error:
        return error


@on_each_transport
@each_end
async def test_a_reply_that_is_cut_anywhere_is_given_up_for_the_next_deployment(kind, end):
    with FaultyServer() as host, FaultyServer() as sound:
        reply = reply_of(host.authority, asking(streams=False))
        acts = [passed_on(host.authority, cut(place, end)) for place in places(reply)]
        with FaultyServer(*acts) as proxy:
            async with routing(kind, proxy, sound, breaker=None) as router, in_time():
                for _ in acts:
                    answer = await chatted(router)
                    assert answer.text == TEXT
                    failed, _ = answer.trace.attempts
                    assert type(failed.error) is ReadError
                assert len(proxy.asked) == len(acts)
                proxy.mend(passed_on(host.authority))
                await well_again(router)


@on_each_transport
@each_end
async def test_a_stream_that_is_cut_anywhere_ends_in_what_came_of_it(kind, end):
    with FaultyServer() as host, FaultyServer() as sound:
        reply = reply_of(host.authority, asking(streams=True))
        ends = [reply.index(token) + len(token) for token in (*TOKENS, DONE)]
        where = places(reply, *ends)
        acts = [passed_on(host.authority, cut(place, end)) for place in where]
        with FaultyServer(*acts) as proxy:
            async with routing(kind, proxy, sound, breaker=None) as router, in_time():
                for place in where:
                    words = WORDS[: sum(place >= each for each in ends[:-1])]
                    if not words or place >= ends[-1]:
                        answer = await streamed(router)
                        assert answer.text == TEXT
                        assert [past.deployment for past in answer.trace.attempts] == ["a", "b"][
                            : 2 - bool(words)
                        ]
                        continue
                    with pytest.raises(StreamInterruptedError) as caught:
                        await streamed(router)
                    assert caught.value.partial == "".join(words)
                    assert type(caught.value.__cause__) is ReadError
                proxy.mend(passed_on(host.authority))
                await well_again(router)


@on_each_transport
async def test_a_reply_that_is_garbled_anywhere_is_a_reply_or_an_error_of_ours(kind):
    limits = Timeout(first_token=0.3, attempt=0.3, between_tokens=0.3)
    with FaultyServer() as host, FaultyServer() as sound:
        acts = [passed_on(host.authority, garbled(Random(seed))) for seed in range(60)]
        with FaultyServer(*acts) as proxy:
            both = (deployment(proxy, "a", timeout=limits), deployment(sound, "b"))
            async with routing(kind, *both, breaker=None) as router, in_time(20):
                outcomes = []

                async def ask(call) -> None:
                    outcomes.append(await outcome(call, router))

                async with anyio.create_task_group() as group:
                    for call in (chatted, streamed) * 30:
                        group.start_soon(ask, call)
                replies = [each for each in outcomes if isinstance(each, ChatResponse)]
                assert len(outcomes) == 60
                assert {each.deployment for each in replies} == {"a", "b"}
                assert {each.text for each in replies if each.deployment == "b"} == {TEXT}
                proxy.mend(passed_on(host.authority))
                await well_again(router, first=None)


@on_each_format
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # What bytes mean is the same on either.
@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("call", [chatted, streamed])
async def test_in_each_format_a_reply_that_is_cut_anywhere_is_never_taken_for_whole(format, call, framing):
    body = format.as_stream(format.answer(TEXT), Random(1)) if call is streamed else dump(format.answer(TEXT))
    # Where the connection's end is the reply's, nothing but the format itself tells that it was cut.
    answer = Answer(cut_anywhere(body, Random(2)), framing=framing)
    with WireServer(answer) as host, FaultyServer() as sound:
        authority = host.url.removeprefix("http://")
        reply = reply_of(authority, asking(streams=False))
        acts = [passed_on(authority, cut(place, Do.FIN)) for place in (*places(reply), len(reply))]
        with FaultyServer(*acts) as proxy:
            cutting = Deployment(
                format.models[0], id="a", base_url=proxy.url, api_key="k-0123456789", region="us-east-1"
            )
            async with routing(POOLED, cutting, deployment(sound, "b"), breaker=None) as router, in_time():
                outcomes = [await outcome(call, router) for _ in acts]
    replies = [each for each in outcomes if isinstance(each, ChatResponse)]
    partials = [each.partial for each in outcomes if isinstance(each, StreamInterruptedError)]
    assert len(replies) + len(partials) == len(acts)
    assert {each.text for each in replies} == {TEXT}
    assert {"a", "b"} == {each.deployment for each in replies}
    assert replies[-1] is outcomes[-1]
    assert len(replies[-1].trace.attempts) == 1
    assert bool(partials) is (call is streamed)
    assert all(partial and TEXT.startswith(partial) for partial in partials)
