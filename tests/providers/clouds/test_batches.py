"""More texts than a host takes at a time: several requests, a few at once, and one reply or one error."""

from __future__ import annotations

import json

import anyio
import pytest

from polyroute import Deployment, FleetError, RateLimitError, Router
from tests.providers.wire import KEY, Response

TITAN = "bedrock/amazon.titan-embed-text-v2:0"


class Answering:
    """A transport that answers each text after a while, as *answer* says."""

    keeps_deadlines = True

    def __init__(self, answer):
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._answer = answer

    async def send(self, request, /):
        text = json.loads(request.body)["inputText"]
        self.begun.append(text)
        try:
            return Response(*await self._answer(text))
        finally:
            self.ended.append(text)

    async def aclose(self):
        pass


async def embedded(transport, count):
    router = Router([Deployment(TITAN, api_key=KEY, region="us-east-1")], transport=transport, retry=None)
    return await router.embed([str(place) for place in range(count)])


def vector(number):
    return ({"embedding": [number], "inputTextTokenCount": 1},)


async def test_vectors_stand_in_the_order_of_their_texts_whoever_is_first():
    later = anyio.Event()

    async def answer(text):
        if text == "0":
            await later.wait()
        if text == "29":
            later.set()
        return vector(int(text))

    transport = Answering(answer)
    vectors = await embedded(transport, 30)

    assert [vector[0] for vector in vectors] == [float(place) for place in range(30)]
    assert vectors.usage.input_tokens == 30


async def test_an_error_ends_what_is_under_way_and_nothing_more_is_asked():
    async def answer(text):
        if text == "3":
            return {"message": "no", "__type": "ThrottlingException"}, 429
        return await anyio.sleep_forever()

    transport = Answering(answer)
    with pytest.raises(FleetError) as caught:
        await embedded(transport, 30)

    assert type(caught.value.__cause__) is RateLimitError
    assert sorted(transport.ended) == sorted(transport.begun)
    assert len(transport.begun) <= 8


async def test_a_bug_comes_out_as_itself():
    async def answer(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await embedded(Answering(answer), 3)


async def test_a_call_that_is_cancelled_leaves_nothing_under_way():
    async def answer(_):
        return await anyio.sleep_forever()

    transport = Answering(answer)
    async with anyio.create_task_group() as group:
        group.start_soon(embedded, transport, 30)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert len(transport.begun) == 8
    assert sorted(transport.ended) == sorted(transport.begun)
