"""Who is known to have made a reply that its host keeps, and who is therefore not asked to go on from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polyroute import ChatRequest, Deployment, Message
from polyroute.providers import HOSTS, HTTPProvider
from tests.conformance.driving import call
from tests.conformance.openai_responses import message, reply
from tests.providers.responses.wire import GPT, done, events
from tests.providers.wire import KEY, Response, Scripted

OURS = Deployment(GPT, id="ours", api_key=KEY)
OTHERS = {
    "another key": Deployment(GPT, id="theirs", api_key="k-another"),
    "another host": Deployment(GPT, id="theirs", api_key=KEY, base_url="https://eu.example/openai/v1"),
}
HI = ChatRequest(messages=(Message("user", "hi"),))
STORED = replace(HI, extra={"store": True})
GOING_ON = replace(HI, extra={"previous_response_id": "resp_1"})

WHOLE = Response(reply(message("hi")))
BEGUN = {"type": "response.created", "response": reply(status="in_progress")}


async def made(request=STORED, *, maker=OURS, response=WHOLE, stream=False):
    """A provider that has made one reply, whose id is resp_1."""
    provider = HTTPProvider(HOSTS["openai-responses"], Scripted(response))
    if stream:
        [chunk async for chunk in provider.stream(call(maker, request))]
    else:
        await provider.chat(call(maker, request))
    return provider


@pytest.mark.parametrize("other", OTHERS)
async def test_who_did_not_make_a_kept_reply_is_told_apart_from_who_did(other):
    provider = await made()

    assert provider.barred(GOING_ON, OURS) is None
    assert provider.barred(GOING_ON, OTHERS[other]) == (
        "extra= goes on from resp_1, which ours made and it does not know"
    )


async def test_another_model_of_the_same_host_and_key_knows_it_too():
    assert (await made()).barred(GOING_ON, replace(OURS, model="openai-responses/gpt-4.1", id="old")) is None


@pytest.mark.parametrize(
    "body",
    [
        events(BEGUN, done(message("hi"))),
        events(done(message("hi"))),
        events(done(message("hi"))).rstrip(),
    ],
    ids=["from its start", "from its end", "from what never ended"],
)
async def test_a_streamed_reply_is_known_as_well(body):
    provider = await made(response=Response(body), stream=True)

    assert provider.barred(GOING_ON, OTHERS["another key"])


async def test_a_stream_that_was_left_is_known_as_soon_as_its_id_was():
    told = [
        events(BEGUN, {"type": "response.output_text.delta", "delta": "Once"}),
        events(done(message("Once"))),
    ]
    provider = HTTPProvider(HOSTS["openai-responses"], Scripted(Response(told)))
    stream = provider.stream(call(OURS, STORED))
    assert (await anext(stream)).text == "Once"
    await stream.aclose()

    assert provider.barred(GOING_ON, OTHERS["another key"])


@pytest.mark.parametrize("request_", [HI, replace(HI, extra={"store": False}), replace(HI, extra={"a": 1})])
async def test_of_what_is_not_kept_nobody_is_remembered(request_):
    assert (await made(request_)).barred(GOING_ON, OTHERS["another key"]) is None


@pytest.mark.parametrize(
    "extra", [None, {}, {"previous_response_id": None}, {"previous_response_id": "resp_9"}]
)
async def test_who_goes_on_from_nothing_or_from_what_is_not_remembered_bars_nobody(extra):
    assert (await made()).barred(replace(HI, extra=extra), OTHERS["another key"]) is None


async def test_what_is_said_for_this_host_alone_counts_too():
    provider = await made(replace(HI, extra={"openai-responses": {"store": True}}))

    going_on = replace(HI, extra={"openai-responses": {"previous_response_id": "resp_1"}})
    assert provider.barred(going_on, OTHERS["another key"])


async def test_the_oldest_are_forgotten_and_the_newest_are_not():
    responses = [Response({**reply(message("hi")), "id": f"resp_{number}"}) for number in range(4_097)]
    provider = HTTPProvider(HOSTS["openai-responses"], Scripted(*responses))
    for _ in responses:
        await provider.chat(call(OURS, STORED))

    barred = [
        provider.barred(replace(HI, extra={"previous_response_id": f"resp_{number}"}), OTHERS["another key"])
        for number in (0, 1, 4_096)
    ]
    assert [reason is None for reason in barred] == [True, False, False]


async def test_formats_whose_hosts_keep_nothing_bar_nobody():
    provider = HTTPProvider(HOSTS["anthropic"], Scripted(WHOLE))

    assert provider.barred(GOING_ON, Deployment("anthropic/claude-opus-5")) is None
