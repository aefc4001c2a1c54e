"""OpenAI's own SDK, as it is installed, before a router."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ChatResponse,
    ConnectError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    Router,
    ServerError,
    Timeout,
    ToolCall,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import ABANDONED, BASE, HI, answering, on_each_library, program

openai = pytest.importorskip("openai", reason="not installed here; `nox -s interop` installs it")

pytestmark = ABANDONED

HELLO = HI["messages"]


class City(BaseModel):
    name: str
    population: int


ROME = '{"name":"Rome","population":2750000}'
OSLO = '{"name":"Oslo","population":700000}'


@on_each_library
async def test_chat(library):
    reply = ChatResponse("Hello", id="chatcmpl-7", model="gpt-5-mini-2026", usage=Usage(7, 5, 3, None, 1))
    async with program(answering(reply), library=library) as client:
        said = await client.chat.completions.create(model="a", messages=HELLO, max_completion_tokens=9)
        raw = await client.chat.completions.with_raw_response.create(model="a", messages=HELLO)

    assert (said.id, said.model, said.choices[0].message.content) == (
        "chatcmpl-7",
        "gpt-5-mini-2026",
        "Hello",
    )
    assert (said.usage.total_tokens, said.usage.prompt_tokens_details.cached_tokens) == (12, 3)
    assert said.usage.completion_tokens_details.reasoning_tokens == 1
    assert raw.headers["x-polyroute-deployment"] == "a"
    assert raw.parse().choices == said.choices
    # It is exactly what the SDK's own models say it is.
    type(said).model_validate(said.model_dump(), strict=True)


@on_each_library
async def test_a_stream(library):
    here = [deployment("a", down()), deployment("b", FakeProvider(["one two"], usage=Usage(7, 5)))]
    async with program(*here, library=library, retry=None) as client:
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model=["a", "b"], messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        ]

    assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == ["", "one", " two", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 12
    for chunk in chunks:
        type(chunk).model_validate(chunk.model_dump(), strict=True)


async def test_tools_are_called_and_answered():
    def answer(call):
        if call.request.messages[-1].role == "tool":
            return call.request.messages[-1].parts[0].content
        return ChatResponse(tool_calls=[ToolCall("c1", call.request.tools[0].name, {"city": "Rome"})])

    tool = openai.pydantic_function_tool(City, name="look_up")
    async with program(deployment("a", FakeProvider([answer]))) as client:
        history: list[Any] = list(HELLO)
        first = await client.chat.completions.create(model="a", messages=history, tools=[tool])
        (call,) = first.choices[0].message.tool_calls
        history += [
            first.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "2,750,000"},
        ]
        second = await client.chat.completions.create(model="a", messages=history, tools=[tool])

    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"city": "Rome"})
    assert second.choices[0].message.content == "2,750,000"


async def test_a_reply_is_parsed_into_a_class():
    fake = FakeProvider([ROME])
    async with program(deployment("a", fake)) as client:
        parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
        reply = await parse(model="a", messages=HELLO, response_format=City)

    assert reply.choices[0].message.parsed == City(name="Rome", population=2_750_000)
    shape = fake.calls[0].request.response_format
    assert (shape.name, shape.strict) == ("City", True)


async def test_a_tools_arguments_are_parsed_into_a_class():
    calling = ChatResponse(tool_calls=[ToolCall("c1", "City", raw_arguments=ROME)])
    async with program(answering(calling)) as client:
        tools = [openai.pydantic_function_tool(City)]
        reply = await client.chat.completions.parse(model="a", messages=HELLO, tools=tools)

    (call,) = reply.choices[0].message.tool_calls
    assert call.function.parsed_arguments == City(name="Rome", population=2_750_000)


async def test_a_stream_is_parsed_into_a_class():
    async with program(answering(ROME)) as client:
        async with client.chat.completions.stream(
            model="a", messages=HELLO, response_format=City, stream_options={"include_usage": True}
        ) as stream:
            kinds = {event.type async for event in stream}
            final = await stream.get_final_completion()

    assert final.choices[0].message.parsed == City(name="Rome", population=2_750_000)
    assert final.usage.total_tokens > 0
    assert {"content.delta", "content.done", "chunk"} <= kinds


async def test_a_streams_tool_calls_are_put_together():
    calling = ChatResponse(
        tool_calls=[ToolCall("c1", "City", raw_arguments=ROME), ToolCall("c2", "City", raw_arguments=OSLO)]
    )
    async with program(answering(calling)) as client:
        tools = [openai.pydantic_function_tool(City)]
        async with client.chat.completions.stream(model="a", messages=HELLO, tools=tools) as stream:
            kinds = {event.type async for event in stream}
            final = await stream.get_final_completion()

    one, two = final.choices[0].message.tool_calls
    assert one.function.parsed_arguments == City(name="Rome", population=2_750_000)
    assert (one.id, two.id, two.function.arguments) == ("c1", "c2", OSLO)
    assert "tool_calls.function.arguments.done" in kinds


async def test_a_refusal_is_not_parsed():
    async with program(answering(ChatResponse(refusal="No."))) as client:
        reply = await client.chat.completions.parse(model="a", messages=HELLO, response_format=City)

    assert (reply.choices[0].message.refusal, reply.choices[0].message.parsed) == ("No.", None)


async def test_embeddings_as_they_are_asked_for():
    async with program(answering("x")) as client:
        usual = await client.embeddings.create(model="a", input=["x", "y"], dimensions=3)
        lists = await client.embeddings.create(
            model="a", input=["x", "y"], dimensions=3, encoding_format="float"
        )

    for one, other in zip(usual.data, lists.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-7)
    assert usual.usage.prompt_tokens > 0


async def test_models_are_listed_and_found():
    async with program(answering("x")) as client:
        assert [model.id async for model in await client.models.list()] == ["a"]
        assert (await client.models.retrieve("fake/a")).owned_by == "fake"
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("b")

    assert caught.value.code == "model_not_found"


async def test_what_is_not_served_says_so():
    async with program(answering("x")) as client:
        with pytest.raises(openai.NotFoundError, match="/v1/responses/resp_1 is not served; these are: POST"):
            await client.responses.retrieve("resp_1")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (BadRequestError("x"), openai.BadRequestError, None),
        (ContextWindowExceededError("x"), openai.BadRequestError, "context_length_exceeded"),
        (ContentFilterError("x"), openai.BadRequestError, "content_filter"),
        (AuthenticationError("x"), openai.AuthenticationError, "invalid_api_key"),
        (PermissionDeniedError("x"), openai.PermissionDeniedError, None),
        (NotFoundError("x"), openai.NotFoundError, None),
        (RateLimitError("x", retry_after=0.01), openai.RateLimitError, "rate_limit_exceeded"),
        (QuotaExhaustedError("x"), openai.RateLimitError, "insufficient_quota"),
        (ServerError("x"), openai.InternalServerError, None),
        (ConnectError("x"), openai.InternalServerError, None),
    ],
)
async def test_the_sdk_raises_its_own_class_and_asks_once(error, raised, code, stream):
    fake = FakeProvider(script=[error])
    async with program(deployment("a", fake), retry=None) as client:
        with pytest.raises(raised) as caught:
            await client.chat.completions.create(model="a", messages=HELLO, stream=stream)

    assert type(caught.value) is raised
    assert caught.value.code == code
    assert len(fake.calls) == 1


async def test_an_unknown_model_is_not_found_and_a_wrong_field_is_named():
    async with program(answering("x")) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(model="b", messages=HELLO)
        with pytest.raises(openai.BadRequestError) as wrong:
            await client.chat.completions.create(
                model="a", messages=HELLO, audio={"voice": "x", "format": "wav"}
            )
        with pytest.raises(openai.BadRequestError) as tokens:
            await client.embeddings.create(model="a", input=[[1, 2]])

    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert wrong.value.param == "audio"
    assert tokens.value.param == "input"


@on_each_library
@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_is_the_sdks_own_timeout(library, stream):
    hung = answering("x", latency=60)
    async with program(hung, library=library, timeout=Timeout(total=0.02)) as client:
        with pytest.raises(openai.APITimeoutError) as caught:
            await client.with_options(max_retries=0).chat.completions.create(
                model="a", messages=HELLO, stream=stream
            )

    assert isinstance(caught.value.__cause__, library.ReadTimeout)


async def test_a_timeout_that_the_program_gives_shortens_a_call():
    async with program(answering("x", latency=60)) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(max_retries=0, timeout=0.02).chat.completions.create(
                model="a", messages=HELLO
            )


async def test_a_stream_that_breaks_raises_where_it_is_read():
    broken = deployment("a", FakeProvider(script=[("Once upon", ReadError("cut"))]))
    async with program(broken) as client:
        said = []
        with pytest.raises(openai.APIError, match="cut"):
            async for chunk in await client.chat.completions.create(model="a", messages=HELLO, stream=True):
                said.append(chunk.choices[0].delta.content)

    assert said == ["", "Once", " upon"]


async def test_leaving_a_stream_early_leaves_nothing_behind():
    async with Router([answering("word " * 100)]) as router:
        http = httpx.AsyncClient(transport=router.openai_transport())
        async with openai.AsyncOpenAI(http_client=http, base_url=BASE, api_key="-") as client:
            async with await client.chat.completions.create(model="a", messages=HELLO, stream=True) as stream:
                await anext(stream)
                assert router._core.fleet["a"].in_flight == 1
            assert router._core.fleet["a"].in_flight == 0


async def test_a_bug_is_not_hidden():
    fake = FakeProvider(script=[ZeroDivisionError("ours")])
    async with program(deployment("a", fake)) as client:
        with pytest.raises((ZeroDivisionError, openai.APIConnectionError)) as caught:
            await client.with_options(max_retries=0).chat.completions.create(model="a", messages=HELLO)

    # Before 3.0 the SDK wraps whatever comes out of a transport.
    assert isinstance(caught.value, ZeroDivisionError) or isinstance(
        caught.value.__cause__, ZeroDivisionError
    )


@on_each_library
def test_the_client_that_blocks_gives_the_same(library):
    router = Router([answering(ROME)])
    http = library.Client(transport=router.openai_transport(library))
    with openai.OpenAI(http_client=http, base_url=BASE, api_key="-") as client:
        reply = client.chat.completions.create(model="a", messages=HELLO)
        chunks = list(client.chat.completions.create(model="a", messages=HELLO, stream=True))
        parsed = client.chat.completions.parse(model="a", messages=HELLO, response_format=City)
        vectors = client.embeddings.create(model="a", input="x")
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("b")

    assert reply.choices[0].message.content == ROME
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ROME
    assert parsed.choices[0].message.parsed == City(name="Rome", population=2_750_000)
    assert len(vectors.data) == 1


async def test_no_error_is_without_a_class_of_the_sdks():
    """Each error that a provider may raise comes out as one that the SDK has a name for."""
    import polyroute.errors

    kinds = [
        kind
        for name in polyroute.errors.__all__
        if issubclass(kind := getattr(polyroute.errors, name), PolyrouteError)
        and kind is not PolyrouteError
        and not issubclass(kind, polyroute.errors.ConfigurationError | polyroute.errors.FleetError)
    ]
    for kind in kinds:
        async with program(deployment("a", FakeProvider(script=[kind("x")])), retry=None) as client:
            with pytest.raises((openai.APIStatusError, openai.APITimeoutError)):
                await client.with_options(max_retries=0).chat.completions.create(model="a", messages=HELLO)
