"""What becomes of each field and item of a request to the Responses API: ours, its maker's, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest

from polyroute import (
    Audio,
    Deployment,
    File,
    Image,
    Message,
    NamedTool,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from polyroute.interop.fields import RESPONSE, Argument, Extra, Refused
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.interop.programs import responded, routed
from tests.interop.test_fields import named_in

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather now.",
    "parameters": SCHEMA,
    "strict": True,
}
SEARCH = {"type": "web_search"}
ENCRYPTED = "reasoning.encrypted_content"


async def arrived(**body: Any) -> Any:
    """What a deployment gets of a request of *body*."""
    fake = FakeProvider(["{}"])
    async with routed(deployment("a", fake), send_user=True) as client:
        response = await responded(client, **body)
    assert response.status_code == 200, response.text
    return fake.calls[0].request


async def kept(**body: Any) -> Any:
    """What is kept in `extra` for a host of the format, and whether it is bound to it."""
    fake, other = FakeProvider(["{}"]), FakeProvider(["{}"])
    fake.format, other.format = "openai-responses", "openai-chat"
    here = [Deployment("other/m", id="b", provider=other), Deployment("openai-responses/m", provider=fake)]
    async with routed(*here) as client:
        for model in ("openai-responses/m", "b"):
            response = await responded(client, **{"model": model, **body})
    return fake.calls[0].request.extra, response.status_code == 503


async def refused(**body: Any) -> Any:
    """The error of a request of *body*."""
    async with routed(deployment("a")) as client:
        response = await responded(client, **body)
    assert response.status_code == 400, response.text
    return response.json()["error"]


@pytest.mark.parametrize(
    ("body", "argument", "meant"),
    [
        ({"max_output_tokens": 7}, "max_tokens", 7),
        ({"temperature": 0.5}, "temperature", 0.5),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"top_k": 5}, "top_k", 5),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"reasoning": {"effort": "low"}}, "reasoning_effort", "low"),
        ({"user": "ann"}, "user", "ann"),
        ({"metadata": {"app": "shop"}}, "metadata", {"app": "shop"}),
        ({"tool_choice": "required"}, "tool_choice", "required"),
        ({"tool_choice": {"type": "function", "name": "weather"}}, "tool_choice", NamedTool("weather")),
        ({"include": ["message.output_text.logprobs"]}, "logprobs", True),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, "logprobs", 2),
        ({"top_logprobs": 2}, "logprobs", 2),
        ({"text": {"format": {"type": "text"}}}, "response_format", None),
        ({"store": False}, "extra", None),
        ({"background": False, "include": [ENCRYPTED], "stream_options": {"include_obfuscation": False}}, "extra", None),
    ],
)  # fmt: skip
async def test_a_field_becomes_an_argument(body, argument, meant):
    assert getattr(await arrived(**body), argument) == meant


async def test_what_is_null_is_left_out():
    said = [name for name in RESPONSE if name.isidentifier() and name not in ("input", "model")]
    request = await arrived(**dict.fromkeys(said))

    plain = await arrived()
    assert (request.messages, request.extra, request.tools) == (plain.messages, None, None)


async def test_a_tool_and_a_schema_keep_all_that_they_say():
    shape = {"type": "json_schema", "name": "City", "strict": True, "description": "A city", "schema": SCHEMA}
    request = await arrived(tools=[WEATHER], text={"format": shape})

    (tool,) = request.tools
    assert (tool.name, tool.description, tool.strict, tool.parameters) == (
        "weather",
        "The weather now.",
        True,
        SCHEMA,
    )
    asked = request.response_format
    assert (asked.name, asked.strict, asked.description, asked.schema) == ("City", True, "A city", SCHEMA)


async def test_any_json_is_a_shape_too():
    assert (await arrived(text={"format": {"type": "json_object"}})).response_format.kind == "json_object"


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        ({"store": True}, {"store": True}),
        ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"reasoning": {"summary": "auto", "effort": None}}, {"reasoning": {"summary": "auto"}}),
        ({"include": [ENCRYPTED, "web_search_call.results"]}, {"include": ["web_search_call.results"]}),
    ],
)
async def test_what_says_nothing_of_the_answer_leaves_nobody_out(body, extra):
    assert await kept(**body) == (extra, False)


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        ({"previous_response_id": "resp_1"}, {"previous_response_id": "resp_1"}),
        ({"conversation": "conv_1"}, {"conversation": "conv_1"}),
        ({"truncation": "auto"}, {"truncation": "auto"}),
        ({"tools": [SEARCH, WEATHER]}, {"tools": [SEARCH]}),
        ({"tools": [{**WEATHER, "defer_loading": True}]}, {"tools": [{**WEATHER, "defer_loading": True}]}),
        ({"tool_choice": {"type": "web_search"}}, {"tool_choice": {"type": "web_search"}}),
        ({"text": {"verbosity": "low"}}, {"text": {"verbosity": "low"}}),
        ({"some_day": 1, "store": True}, {"some_day": 1, "store": True}),
    ],
)
async def test_what_only_the_format_can_say_leaves_out_who_does_not_speak_it(body, extra):
    assert await kept(**body) == (extra, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [SEARCH]}, "tools"),
        ({"text": {"verbosity": "low"}}, "text"),
    ],
)
async def test_what_nobody_here_understands_is_refused_by_its_name(body, field):
    other = FakeProvider(["x"])
    other.format = "anthropic-messages"
    async with routed(Deployment("other/m", id="a", provider=other)) as client:
        response = await responded(client, **body)

    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, field)
    assert error["message"] == (
        f"{field} is understood by hosts that speak openai-responses alone, and there is none here"
    )


REFUSED = {"background": True, "background_options": {"a": 1}, "moderation": {"model": "m"}}


@pytest.mark.parametrize("path", [path for path, row in RESPONSE.items() if isinstance(row, Refused)])
async def test_a_field_that_the_table_refuses_is_refused_by_its_path_and_with_the_reason(path):
    error = await refused(**{path: REFUSED[path]})

    assert (error["param"], error["message"]) == (path, f"{path} {RESPONSE[path].why}")


def test_every_field_that_the_sdk_can_send_has_a_row():
    params = pytest.importorskip(
        "openai.types.responses.response_create_params",
        reason="the openai SDK is not installed here; `nox -s interop` installs it",
    )
    fields = {
        *named_in(params.ResponseCreateParamsStreaming, rows=RESPONSE),
        *named_in(params.ResponseCreateParamsNonStreaming, rows=RESPONSE),
    }
    assert {"text.format.schema", "reasoning.summary", "previous_response_id"} <= fields
    assert sorted(fields - RESPONSE.keys()) == []


def test_each_row_is_of_one_kind_and_hints_name_hosts_of_the_format():
    for row in RESPONSE.values():
        assert not isinstance(row, Argument) or row.name
        assert not isinstance(row, Extra) or not row.prefixes or "openai-responses" in row.prefixes


# --- items --------------------------------------------------------------------------------------

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
SECRET = {**THOUGHT, "encrypted_content": "gA=="}


def theirs(**item: object) -> Opaque:
    return Opaque("openai-responses", item)


def call(**more: object) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", **more}


def result(output: object) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "c1", "output": output}


def user(**part: object) -> dict[str, Any]:
    return {"role": "user", "content": [part]}


async def test_instructions_come_first():
    request = await arrived(instructions="Be brief.", input="hi")

    assert request.messages == (Message("system", "Be brief."), Message("user", "hi"))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"role": "user", "content": "hi"}, Message("user", "hi")),
        ({"type": "message", "role": "developer", "content": "hi"}, Message("developer", "hi")),
        (user(type="input_text", text="hi"), Message("user", "hi")),
        (
            user(type="input_image", image_url="https://a.example/a.png", detail="low"),
            Message("user", [Image("https://a.example/a.png", detail="low")]),
        ),
        (user(type="input_image", file_id="f"), Message("user", [File(id="f", media_type="image/*")])),
        (user(type="input_file", file_id="f"), Message("user", [File(id="f")])),
        (
            user(type="input_file", file_url="https://a.example/a"),
            Message("user", [File(url="https://a.example/a")]),
        ),
        (
            user(type="input_file", file_data="data:text/csv;base64,YSxi", filename="a.csv"),
            Message("user", [File(data=b"a,b", name="a.csv", media_type="text/csv")]),
        ),
        (user(type="input_file", file_data="YSxi"), Message("user", [File(data=b"a,b")])),
        (
            user(type="input_audio", input_audio={"data": "AA==", "format": "wav"}),
            Message("user", [Audio(b"\0", "wav")]),
        ),
        ({"role": "assistant", "content": "hi"}, Message("assistant", "hi")),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            Message("assistant", "No."),
        ),
        (
            {"role": "assistant", "id": "msg_1", "phase": "commentary", "content": "Wait."},
            Message("assistant", [Text("Wait."), theirs(type="message", phase="commentary", id="msg_1")]),
        ),
        (call(), Message("assistant", [ToolCall("c1", "weather", {}, "{}")])),
        (
            call(id="fc_1", namespace="n", status="completed"),
            Message(
                "assistant",
                [
                    ToolCall("c1", "weather", {}, "{}"),
                    theirs(type="function_call", call_id="c1", namespace="n", id="fc_1"),
                ],
            ),
        ),
        (result("12"), Message("tool", [ToolResult("c1", "12")])),
        (
            result([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]),
            Message("tool", [ToolResult("c1", "ab")]),
        ),
        (
            result([{"type": "input_image", "image_url": "https://a.example/a"}]),
            Message("tool", [ToolResult("c1", (Image("https://a.example/a"),))]),
        ),
        (SECRET, Message("assistant", [Reasoning("Hm."), theirs(**SECRET)])),
        (THOUGHT, Message("assistant", [Reasoning("Hm."), theirs(**THOUGHT)])),
        ({**THOUGHT, "id": "rs_polyroute_1"}, Message("assistant", [Reasoning("Hm.")])),
        (
            {"type": "web_search_call", "id": "ws_1"},
            Message("assistant", [theirs(type="web_search_call", id="ws_1")]),
        ),
        (
            {"type": "shell_call_output", "call_id": "c"},
            Message("user", [theirs(type="shell_call_output", call_id="c")]),
        ),
    ],
)
async def test_each_item_becomes_a_message(item, message):
    hosts = FakeProvider(["{}"])
    async with routed(Deployment("openai-responses/m", provider=Named(hosts))) as client:
        await responded(client, model="m", input=[item])

    assert hosts.calls[0].request.messages == (message,)


class Named:
    """A provider that is taken for the maker of what only it understands."""

    name = "openai-responses"

    def __init__(self, fake: FakeProvider) -> None:
        self.chat = fake.chat
        self.stream = fake.stream


async def test_items_of_one_turn_are_one_message():
    request = await arrived(
        input=[
            {"role": "user", "content": "One."},
            {"role": "user", "content": "Two."},
            THOUGHT | {"id": "rs_polyroute_1"},
            {"role": "assistant", "content": "Wait."},
            call(),
            call(call_id="c2"),
            result("12"),
            {**result("13"), "call_id": "c2"},
        ]
    )

    assert [(message.role, len(message.parts)) for message in request.messages] == [
        ("user", 1),
        ("user", 1),
        ("assistant", 4),
        ("tool", 2),
    ]


async def test_two_messages_of_the_model_stay_two():
    said = [{"role": "assistant", "content": text} for text in ("One.", "Two.")]

    messages = (await arrived(input=[*said, {"role": "user", "content": "hi"}])).messages
    assert [message.text for message in messages] == ["One.", "Two.", "hi"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"role": "tool", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": None}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["hi"]}]}, "input[0].content[0]"),
        ({"input": [user(type="text", text="hi")]}, "input[0].content[0].type"),
        ({"input": [user(type="input_text", text=1)]}, "input[0].content[0].text"),
        ({"input": [user(type="input_text", text="a", colour="red")]}, "input[0].content[0].colour"),
        ({"input": [user(type="input_image")]}, "input[0].content[0].image_url"),
        ({"input": [user(type="input_file", file_data="é")]}, "input[0].content[0].file_data"),
        ({"input": [user(type="input_file", file_data=1)]}, "input[0].content[0].file_data"),
        ({"input": [user(type="input_audio", input_audio="x")]}, "input[0].content[0].input_audio"),
        ({"input": [{**call(), "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{**call(), "name": None}]}, "input[0].name"),
        ({"input": [result(None)]}, "input[0].output"),
        ({"input": [result([{"type": "input_file", "file_id": "f"}])]}, "input[0].output[0]"),
        ({"input": [{**THOUGHT, "summary": ["Hm."]}]}, "input[0].summary"),
        ({"input": [{**THOUGHT, "encrypted_content": "polyroute.AA=="}]}, "input[0].encrypted_content"),
        ({"instructions": ["Be brief."]}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"tools": ["now"]}, "tools[0]"),
        ({"tools": [{"type": "custom", "name": "run"}]}, "tools[0]"),
        ({"text": "json"}, "text"),
        ({"reasoning": "low"}, "reasoning"),
        ({"include": "all"}, "include"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_tokens"),
    ],
)
async def test_what_is_malformed_is_refused_by_its_name(body, param):
    error = await refused(**body)

    assert error["param"] == param
    assert param in error["message"]
