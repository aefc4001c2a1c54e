"""pydantic-ai, as it is installed, before a router."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from polyroute import ChatResponse, Deployment, Opaque, Reasoning, Route, Router, ToolCall, Usage
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import BASE

pydantic_ai = pytest.importorskip("pydantic_ai", reason="not installed here; `nox -s interop` installs it")
httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")
models = pytest.importorskip("pydantic_ai.models.openai")
providers = pytest.importorskip("pydantic_ai.providers.openai")


@pytest.fixture
def anyio_backend():
    return "asyncio"  # pydantic-ai runs on no other


class City(BaseModel):
    name: str
    population: int


ROME = '{"name":"Rome","population":2750000}'


APIS = {"chat completions": models.OpenAIChatModel, "responses": models.OpenAIResponsesModel}


@pytest.fixture(params=APIS.values(), ids=APIS)
def agent_of(request):
    """What makes an agent that asks a router in one of OpenAI's two ways."""
    if request.param is models.OpenAIResponsesModel and openai.VERSION < "3":
        pytest.skip("it asks a response for what the SDK has only since its version 3")

    def make(router, model="a", **options):
        http = httpx2.AsyncClient(transport=router.openai_transport(httpx2))
        provider = providers.OpenAIProvider(base_url=BASE, api_key="-", http_client=http)
        return pydantic_ai.Agent(request.param(model, provider=provider), **options)

    return make


async def test_an_agent_answers_and_counts(agent_of):
    reply = ChatResponse("Hello", model="m-2026", usage=Usage(7, 5, 3, None, 1))
    here = [deployment("a", down()), deployment("b", FakeProvider([reply]))]
    async with Router(here, routes={"fast": Route(["a", "b"])}, retry=None) as router:
        result = await agent_of(router, "fast").run("hi")

    assert result.output == "Hello"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (7, 5)
    assert result.usage.cache_read_tokens == 3


async def test_an_agent_streams(agent_of):
    async with Router([deployment("a", FakeProvider(["one two"], usage=Usage(7, 5)))]) as router:
        async with agent_of(router).run_stream("hi") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    assert "".join(pieces) == "one two"
    assert result.usage.output_tokens == 5


async def test_an_agent_calls_its_tools(agent_of):
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


async def test_an_agents_output_is_of_its_class(agent_of):
    def answer(call):
        if call.request.response_format is not None:
            return ROME
        (tool,) = call.request.tools
        return ChatResponse(tool_calls=[ToolCall("c1", tool.name, raw_arguments=ROME)])

    async with Router([deployment("a", FakeProvider([answer]))]) as router:
        for shape in (City, pydantic_ai.NativeOutput(City)):
            result = await agent_of(router, output_type=shape).run("hi")
            assert result.output == City(name="Rome", population=2_750_000)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_only_its_maker_understands_comes_back_in_the_next_turn(agent_of, request, streamed):
    if "responses" not in request.node.callspec.id:
        pytest.skip("chat completions have no place for it")
    thought = (Reasoning("Hm."), Opaque("anthropic", {"signature": "Eq=="}))
    call = ToolCall("c1", "weather", raw_arguments='{"city":"Rome"}')
    fake = FakeProvider(
        script=[ChatResponse(reasoning="Hm.", tool_calls=[call], parts=(*thought, call)), "Sunny."]
    )
    fake.name = "anthropic"
    async with Router([Deployment("fake/a", id="gpt-5", provider=fake)]) as router:
        agent = agent_of(router, "gpt-5")

        @agent.tool_plain
        def weather(city: str) -> str:
            """The weather now."""
            return f"Sunny in {city}"

        if streamed:
            async with agent.run_stream("hi") as result:
                output = await result.get_output()
        else:
            output = (await agent.run("hi")).output

    assert output == "Sunny."
    assert fake.calls[1].request.messages[-2].parts == (*thought, call)


async def test_what_goes_wrong_is_the_agents_own_error(agent_of):
    from pydantic_ai.exceptions import ModelHTTPError

    fake = down()
    async with Router([deployment("a", fake)], retry=None) as router:
        with pytest.raises(ModelHTTPError) as caught:
            await agent_of(router).run("hi")

    assert caught.value.status_code == 502
    assert len(fake.calls) == 1
