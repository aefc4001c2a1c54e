"""instructor, as it is installed, before a router."""

from __future__ import annotations

import httpx
import pytest
from pydantic import BaseModel

from polyroute import ChatResponse, Router, ToolCall
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.interop.programs import ABANDONED, BASE, HI

instructor = pytest.importorskip("instructor", reason="not installed here; `nox -s interop` installs it")
openai = pytest.importorskip("openai")

pytestmark = ABANDONED

HELLO = HI["messages"]
ROME = '{"name":"Rome","population":2750000}'


class City(BaseModel):
    name: str
    population: int


def client_of(router, mode):
    http = httpx.AsyncClient(transport=router.openai_transport())
    return instructor.from_openai(openai.AsyncOpenAI(http_client=http, base_url=BASE, api_key="-"), mode=mode)


@pytest.mark.parametrize("mode", ["TOOLS", "JSON", "JSON_SCHEMA"])
async def test_a_reply_is_of_the_class_that_was_asked_for(mode):
    reply = ROME if mode != "TOOLS" else ChatResponse(tool_calls=[ToolCall("c", "City", raw_arguments=ROME)])
    async with Router([deployment("a", FakeProvider([reply]))]) as router:
        client = client_of(router, getattr(instructor.Mode, mode))
        city = await client.chat.completions.create(model="a", messages=HELLO, response_model=City)

    # It is of a class that instructor derives from ours.
    assert city.model_dump() == {"name": "Rome", "population": 2_750_000}


async def test_a_reply_that_is_not_is_asked_for_again():
    wrong = ChatResponse(tool_calls=[ToolCall("c1", "City", {"name": "Rome"})])
    right = ChatResponse(tool_calls=[ToolCall("c2", "City", raw_arguments=ROME)])
    fake = FakeProvider(script=[wrong, right])
    async with Router([deployment("a", fake)]) as router:
        client = client_of(router, instructor.Mode.TOOLS)
        city = await client.chat.completions.create(
            model="a", messages=HELLO, response_model=City, max_retries=2
        )

    assert city.population == 2_750_000
    assert len(fake.calls) == 2
    assert fake.calls[1].request.messages[-1].role == "tool"


async def test_a_class_grows_as_it_is_streamed():
    reply = ChatResponse(tool_calls=[ToolCall("c", "City", raw_arguments=ROME)])
    async with Router([deployment("a", FakeProvider([reply]))]) as router:
        client = client_of(router, instructor.Mode.TOOLS)
        grown = [
            city
            async for city in client.chat.completions.create_partial(
                model="a", messages=HELLO, response_model=City
            )
        ]

    assert grown[-1].population == 2_750_000
