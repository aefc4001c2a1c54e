"""OpenAI's own SDK, as it is installed, asking for responses of a router."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from polyroute import ChatResponse, Deployment, Opaque, ReadError, Reasoning, Router, Text, ToolCall, Usage
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import ABANDONED, BASE, answering, on_each_library, program

openai = pytest.importorskip("openai", reason="not installed here; `nox -s interop` installs it")

pytestmark = ABANDONED


class City(BaseModel):
    name: str
    population: int


ROME = '{"name":"Rome","population":2750000}'
NOW = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False}


def valid(model: Any) -> None:
    """Whether it is exactly what the SDK's own models say it is."""
    type(model).model_validate(model.model_dump(warnings=False), strict=True)


@on_each_library
async def test_a_response(library):
    reply = ChatResponse("Hello", id="resp_7", model="m-2026", reasoning="Hm.", usage=Usage(7, 5, 3, None, 1))
    async with program(answering(reply), library=library) as client:
        said = await client.responses.create(
            model="a", input="hi", max_output_tokens=9, instructions="Be brief."
        )
        raw = await client.responses.with_raw_response.create(model="a", input="hi")

    assert (said.id, said.model, said.output_text, said.status) == ("resp_7", "m-2026", "Hello", "completed")
    assert [item.type for item in said.output] == ["reasoning", "message"]
    assert (said.usage.total_tokens, said.usage.input_tokens_details.cached_tokens) == (12, 3)
    assert raw.headers["x-polyroute-deployment"] == "a"
    valid(said)


@on_each_library
async def test_a_stream(library):
    here = [deployment("a", down()), deployment("b", FakeProvider(["one two"], usage=Usage(7, 5)))]
    async with program(*here, library=library, retry=None) as client:
        stream = await client.responses.create(model=["a", "b"], input="hi", stream=True)
        events = [event async for event in stream]

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["one", " two"]
    assert events[-1].response.output_text == "one two"
    assert events[-1].response.usage.total_tokens == 12
    for event in events:
        valid(event)


EVERYTHING = ChatResponse(
    "It is 12.",
    reasoning="Hm.",
    tool_calls=[ToolCall("c1", "now", {"a": 1}), ToolCall("c2", "now", {})],
    parts=(
        Reasoning("Hm."),
        Opaque("anthropic", {"signature": "Eq=="}),
        Opaque("openai-responses", {"type": "web_search_call", "id": "ws_1", "status": "completed",
                                    "action": {"type": "search", "query": "now"}}),
        Text("It is 12."),
        Opaque("openai-responses", {"type": "message", "phase": "final_answer"}),
        ToolCall("c1", "now", {"a": 1}),
        ToolCall("c2", "now", {}),
    ),
)  # fmt: skip


async def test_the_sdks_own_accumulation_of_a_stream_is_the_response():
    async with program(answering(EVERYTHING)) as client:
        async with client.responses.stream(model="a", input="hi", tools=[NOW]) as stream:
            events = [event async for event in stream]
            said = await stream.get_final_response()
        whole = await client.responses.create(model="a", input="hi", tools=[NOW])

    def told(response):
        return [
            item.model_dump(exclude={"id", "parsed_arguments"}, warnings=False) for item in response.output
        ]

    assert said.output_text == "It is 12."
    assert said.output[2].phase == "final_answer"
    assert [(item.call_id, item.arguments) for item in said.output[3:]] == [("c1", '{"a": 1}'), ("c2", "{}")]
    assert [item["type"] for item in told(said)] == [item["type"] for item in told(whole)]
    arguments = [event.snapshot for event in events if event.type == "response.function_call_arguments.delta"]
    assert arguments == ['{"a": 1}', "{}"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_reply_is_of_the_class_that_was_asked_for(streamed):
    fake = FakeProvider([ROME])
    async with program(deployment("a", fake)) as client:
        if streamed:
            async with client.responses.stream(model="a", input="hi", text_format=City) as stream:
                said = await stream.get_final_response()
        else:
            said = await client.responses.parse(model="a", input="hi", text_format=City)

    assert said.output_parsed == City(name="Rome", population=2_750_000)
    shape = fake.calls[0].request.response_format
    assert (shape.name, shape.strict) == ("City", True)


async def test_a_tool_loop_hands_back_all_that_came():
    calling = ChatResponse(
        tool_calls=[ToolCall("c1", "now", {})],
        reasoning="Hm.",
        parts=(Reasoning("Hm."), Opaque("anthropic", {"signature": "Eq=="}), ToolCall("c1", "now", {})),
    )
    fake = FakeProvider(script=[calling, "It is 12."])
    fake.name = "anthropic"
    async with program(Deployment("fake/a", id="a", provider=fake)) as client:
        history: list[Any] = [{"role": "user", "content": "What time is it?"}]
        said = await client.responses.create(model="a", input=history, tools=[NOW])
        history += said.output
        call = next(item for item in said.output if item.type == "function_call")
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": "12"})
        last = await client.responses.create(model="a", input=history, tools=[NOW])

    messages = fake.calls[1].request.messages
    assert last.output_text == "It is 12."
    assert [message.role for message in messages] == ["user", "assistant", "tool"]
    assert messages[1].parts == calling.parts


async def test_a_stream_that_breaks_is_an_error_of_the_sdks():
    async with program(answering(("one two", ReadError("cut")))) as client:
        stream = await client.responses.create(model="a", input="hi", stream=True)
        with pytest.raises(openai.APIError, match="cut"):
            [event async for event in stream]


async def test_what_is_refused_is_the_sdks_own_class_and_names_the_field():
    async with program(answering("x")) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="a", input="hi", background=True)
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="b", input="hi")

    assert caught.value.param == "background"


def test_a_program_that_blocks_is_served_too():
    http = httpx.Client(transport=Router([answering("one two")]).openai_transport())
    with openai.OpenAI(http_client=http, base_url=BASE, api_key="-") as client:
        said = client.responses.create(model="a", input="hi")
        events = [event.type for event in client.responses.create(model="a", input="hi", stream=True)]

    assert said.output_text == "one two"
    assert events[-1] == "response.completed"
