"""LangChain, as it is installed, before a router."""

from __future__ import annotations

import httpx
import pytest
from pydantic import BaseModel

from polyroute import ChatResponse, Deployment, Opaque, Reasoning, Route, Router, ToolCall, Usage
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import BASE

langchain = pytest.importorskip("langchain_openai", reason="not installed here; `nox -s interop` installs it")


@pytest.fixture
def anyio_backend():
    return "asyncio"  # LangChain runs on no other


class City(BaseModel):
    """A city."""

    name: str
    population: int


ROME = '{"name":"Rome","population":2750000}'


def chat_of(router, model="a", **options):
    http = httpx.AsyncClient(transport=router.openai_transport())
    return langchain.ChatOpenAI(model=model, http_async_client=http, base_url=BASE, api_key="-", **options)


async def test_chat_and_its_usage():
    reply = ChatResponse("Hello", model="m-2026", usage=Usage(7, 5, 3, None, 1))
    here = [deployment("a", down()), deployment("b", FakeProvider([reply]))]
    async with Router(here, routes={"fast": Route(["a", "b"])}, retry=None) as router:
        said = await chat_of(router, "fast").ainvoke("hi")

    assert said.content == "Hello"
    assert said.response_metadata["model_name"] == "m-2026"
    assert said.usage_metadata["total_tokens"] == 12
    assert said.usage_metadata["input_token_details"]["cache_read"] == 3


async def test_a_stream():
    async with Router([deployment("a", FakeProvider(["one two"], usage=Usage(7, 5)))]) as router:
        plain = [chunk async for chunk in chat_of(router).astream("hi")]
        counted = [chunk async for chunk in chat_of(router, stream_usage=True).astream("hi")]

    assert "".join(chunk.content for chunk in plain) == "one two"
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in counted if chunk.usage_metadata) == 12


async def test_tools():
    def weather(city: str) -> str:
        """The weather now."""
        return f"Sunny in {city}"

    fake = FakeProvider(
        script=[ChatResponse(tool_calls=[ToolCall("c1", "weather", {"city": "Rome"})]), "Sunny."]
    )
    async with Router([deployment("a", fake)]) as router:
        chat = chat_of(router).bind_tools([weather])
        asked = await chat.ainvoke("hi")
        (call,) = asked.tool_calls
        answered = {"role": "tool", "tool_call_id": call["id"], "content": weather(**call["args"])}
        said = await chat.ainvoke([("user", "hi"), asked, answered])

    assert (call["name"], call["args"]) == ("weather", {"city": "Rome"})
    assert said.content == "Sunny."
    assert fake.calls[1].request.messages[-1].parts[0].content == "Sunny in Rome"


async def test_structured_output_in_each_of_its_ways():
    by_tool = ChatResponse(tool_calls=[ToolCall("c1", "City", raw_arguments=ROME)])
    async with Router([deployment("a", FakeProvider([ROME, by_tool, ROME]))]) as router:
        for method in ("json_schema", "function_calling", "json_mode"):
            city = await chat_of(router).with_structured_output(City, method=method).ainvoke("hi, as json")
            assert city == City(name="Rome", population=2_750_000)


async def test_what_it_rewrites_for_reasoning_models_is_understood():
    fake = FakeProvider(["x"])
    async with Router([deployment("o3", fake)]) as router:
        await chat_of(router, "o3", max_tokens=9).ainvoke([("system", "Be terse."), ("user", "hi")])

    request = fake.calls[0].request
    assert request.max_tokens == 9
    assert request.messages[0].text == "Be terse."


async def test_responses():
    reply = ChatResponse("Hello", model="m-2026", reasoning="Hm.", usage=Usage(7, 5, 3, None, 1))
    calling = ChatResponse(tool_calls=[ToolCall("c1", "City", raw_arguments=ROME)])
    fake = FakeProvider(script=[reply, ChatResponse("one two", usage=Usage(7, 5)), calling, ROME])
    async with Router([deployment("a", fake)]) as router:
        chat = chat_of(router, use_responses_api=True)
        said = await chat.ainvoke("hi")
        pieces = [chunk async for chunk in chat.astream("hi")]
        asked = await chat.bind_tools([City]).ainvoke("hi")
        city = await chat.with_structured_output(City, method="json_schema").ainvoke("hi")

    assert (said.text, said.usage_metadata["total_tokens"]) == ("Hello", 12)
    assert said.response_metadata["model_name"] == "m-2026"
    assert "".join(piece.text for piece in pieces) == "one two"
    assert sum(piece.usage_metadata["total_tokens"] for piece in pieces if piece.usage_metadata) == 12
    assert asked.tool_calls[0]["args"] == {"name": "Rome", "population": 2_750_000}
    assert city == City(name="Rome", population=2_750_000)


async def test_a_tool_loop_by_way_of_responses_hands_back_what_only_the_maker_understands():
    thought = (Reasoning("Hm."), Opaque("anthropic", {"signature": "Eq=="}))
    call = ToolCall("c1", "City", raw_arguments=ROME)
    fake = FakeProvider(
        script=[ChatResponse(reasoning="Hm.", tool_calls=[call], parts=(*thought, call)), "Yes."]
    )
    fake.name = "anthropic"
    async with Router([Deployment("fake/a", id="a", provider=fake)]) as router:
        chat = chat_of(router, use_responses_api=True, output_version="responses/v1").bind_tools([City])
        asked = await chat.ainvoke("hi")
        answered = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
        said = await chat.ainvoke([("user", "hi"), asked, answered])

    assert said.text == "Yes."
    assert fake.calls[1].request.messages[-2].parts == (*thought, call)


async def test_embeddings_of_texts():
    fake = FakeProvider()
    async with Router([deployment("a", fake)]) as router:
        http = httpx.AsyncClient(transport=router.openai_transport())
        # Left on, it would send tokens, which mean something to one model alone.
        embeddings = langchain.OpenAIEmbeddings(
            model="a", http_async_client=http, base_url=BASE, api_key="-", check_embedding_ctx_length=False
        )
        vectors = await embeddings.aembed_documents(["x", "y"])

    assert len(vectors) == 2
    assert fake.calls[0].request.input == ("x", "y")


def test_what_blocks_takes_a_client_that_blocks():
    http = httpx.Client(transport=Router([deployment("a")]).openai_transport())
    with http:
        chat = langchain.ChatOpenAI(model="a", http_client=http, base_url=BASE, api_key="-")
        assert chat.invoke("hi").content == "a"
        assert "".join(chunk.content for chunk in chat.stream("hi")) == "a"
