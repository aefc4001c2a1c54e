"""pydantic-ai, as it is installed, before a router."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from polyroute import ChatResponse, Route, Router, ToolCall, Usage
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import BASE

pydantic_ai = pytest.importorskip("pydantic_ai", reason="not installed here; `nox -s interop` installs it")
httpx2 = pytest.importorskip("httpx2")
models = pytest.importorskip("pydantic_ai.models.openai")
providers = pytest.importorskip("pydantic_ai.providers.openai")


@pytest.fixture
def anyio_backend():
    return "asyncio"  # pydantic-ai runs on no other


class City(BaseModel):
    name: str
    population: int


ROME = '{"name":"Rome","population":2750000}'


def agent_of(router, model="a", **options):
    http = httpx2.AsyncClient(transport=router.openai_transport(httpx2))
    provider = providers.OpenAIProvider(base_url=BASE, api_key="-", http_client=http)
    return pydantic_ai.Agent(models.OpenAIChatModel(model, provider=provider), **options)


async def test_an_agent_answers_and_counts():
    reply = ChatResponse("Hello", model="m-2026", usage=Usage(7, 5, 3, None, 1))
    here = [deployment("a", down()), deployment("b", FakeProvider([reply]))]
    async with Router(here, routes={"fast": Route(["a", "b"])}, retry=None) as router:
        result = await agent_of(router, "fast").run("hi")

    assert result.output == "Hello"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (7, 5)
    assert result.usage.cache_read_tokens == 3


async def test_an_agent_streams():
    async with Router([deployment("a", FakeProvider(["one two"], usage=Usage(7, 5)))]) as router:
        async with agent_of(router).run_stream("hi") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    assert "".join(pieces) == "one two"
    assert result.usage.output_tokens == 5


async def test_an_agent_calls_its_tools():
    calling = ChatResponse(tool_calls=[ToolCall("c1", "weather", {"city": "Rome"})])
    fake = FakeProvider(script=[calling, "Sunny."])
    async with Router([deployment("a", fake)]) as router:
        agent = agent_of(router)

        @agent.tool_plain
        def weather(city: str) -> str:
            """The weather now."""
            return f"Sunny in {city}"

        result = await agent.run("hi")

    assert result.output == "Sunny."
    assert fake.calls[1].request.messages[-1].parts[0].content == "Sunny in Rome"


async def test_an_agents_output_is_of_its_class():
    def answer(call):
        if call.request.response_format is not None:
            return ROME
        (tool,) = call.request.tools
        return ChatResponse(tool_calls=[ToolCall("c1", tool.name, raw_arguments=ROME)])

    async with Router([deployment("a", FakeProvider([answer]))]) as router:
        for shape in (City, pydantic_ai.NativeOutput(City)):
            result = await agent_of(router, output_type=shape).run("hi")
            assert result.output == City(name="Rome", population=2_750_000)


async def test_what_goes_wrong_is_the_agents_own_error():
    from pydantic_ai.exceptions import ModelHTTPError

    fake = down()
    async with Router([deployment("a", fake)], retry=None) as router:
        with pytest.raises(ModelHTTPError) as caught:
            await agent_of(router).run("hi")

    assert caught.value.status_code == 502
    assert len(fake.calls) == 1
