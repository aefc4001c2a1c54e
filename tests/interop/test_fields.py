"""What becomes of each field of a request: an argument, a host's own, or a refusal that names it."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from polyroute import Deployment, Message, NamedTool, Opaque, Text
from polyroute.interop.fields import CHAT, EMBED, Argument, Extra, Read, Refused
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.interop.programs import posted, routed

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather now.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        "strict": True,
    },
}
CITY = {
    "type": "json_schema",
    "json_schema": {"name": "City", "strict": True, "description": "A city", "schema": {"type": "object"}},
}


async def arrived(**body: Any) -> Any:
    """What a deployment gets of a chat of *body*."""
    fake = FakeProvider(["{}"])
    async with routed(deployment("a", fake), send_user=True) as client:
        response = await posted(client, **{"model": "a", **body})
    assert response.status_code == 200, response.text
    return fake.calls[0].request


async def refused(**body: Any) -> Any:
    """The error of a chat of *body*."""
    async with routed(deployment("a")) as client:
        response = await posted(client, **{"model": "a", **body})
    assert response.status_code == 400, response.text
    return response.json()["error"]


@pytest.mark.parametrize(
    ("field", "value", "argument", "meant"),
    [
        ("max_tokens", 7, "max_tokens", 7),
        ("max_completion_tokens", 7, "max_tokens", 7),
        ("temperature", 0.5, "temperature", 0.5),
        ("top_p", 0.5, "top_p", 0.5),
        ("top_k", 5, "top_k", 5),
        ("frequency_penalty", 0.5, "frequency_penalty", 0.5),
        ("presence_penalty", 0.5, "presence_penalty", 0.5),
        ("stop", "end", "stop", ("end",)),
        ("stop", ["a", "b"], "stop", ("a", "b")),
        ("seed", 3, "seed", 3),
        ("n", 1, "n", 1),
        ("reasoning_effort", "low", "reasoning_effort", "low"),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("logprobs", True, "logprobs", True),
        ("logprobs", False, "logprobs", False),
        ("user", "ann", "user", "ann"),
        ("metadata", {"app": "shop"}, "metadata", {"app": "shop"}),
        ("tool_choice", "required", "tool_choice", "required"),
        (
            "tool_choice",
            {"type": "function", "function": {"name": "weather"}},
            "tool_choice",
            NamedTool("weather"),
        ),
        ("modalities", ["text"], "extra", None),
        ("logit_bias", {"50256": -100}, "extra", {"logit_bias": {"50256": -100}}),
        ("guided_json", {"type": "object"}, "extra", {"guided_json": {"type": "object"}}),
    ],
)
async def test_a_field_becomes_an_argument(field, value, argument, meant):
    assert getattr(await arrived(**{field: value}), argument) == meant


async def test_what_is_null_is_left_out():
    said = [name for name in CHAT if name.isidentifier() and name not in ("messages", "model")]
    request = await arrived(**dict.fromkeys([*said, "guided_json"]))

    assert request == replace(await arrived(), deadline=request.deadline)


async def test_a_tool_keeps_all_that_it_says():
    (tool,) = (await arrived(tools=[WEATHER])).tools

    assert (tool.name, tool.description, tool.strict) == ("weather", "The weather now.", True)
    assert tool.parameters == WEATHER["function"]["parameters"]


async def test_a_schema_keeps_its_name_its_strictness_and_its_description():
    shape = (await arrived(response_format=CITY)).response_format

    assert (shape.name, shape.strict, shape.description) == ("City", True, "A city")
    assert shape.schema == {"type": "object"}


async def test_alternatives_are_asked_for_by_their_number():
    assert (await arrived(logprobs=True, top_logprobs=4)).logprobs == 4
    assert (await arrived(logprobs=True, top_logprobs=0)).logprobs == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"top_logprobs": 4}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": True}, "top_logprobs"),
        ({"logprobs": 3}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": 3}, "stream_options"),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"max_tokens": 7, "max_completion_tokens": 8}, "max_completion_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "hi", "colour": "red"}]}, "messages[0].colour"),
        ({"model": 3}, "model"),
    ],
)
async def test_what_is_malformed_is_refused_by_its_name(body, param):
    error = await refused(**body)

    assert error["param"] == param
    assert param in error["message"]
    assert error["type"] == "invalid_request_error"


async def test_both_names_of_a_limit_may_say_the_same():
    assert (await arrived(max_tokens=7, max_completion_tokens=7)).max_tokens == 7


def part(**keys: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", **keys}]}]}


def said(**keys: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": "hi", **keys}]}


# A request that holds each field which the table refuses.
REFUSED: Mapping[str, Mapping[str, Any]] = {
    "messages[].content[].prompt_cache_breakpoint": part(prompt_cache_breakpoint={"type": "default"}),
    "messages[].audio": said(audio={"id": "audio_1"}),
    "messages[].function_call": said(function_call={"name": "f", "arguments": "{}"}),
    "messages[].tool_calls[].custom": said(
        tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]
    ),
    "tools[].custom": {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
    "tool_choice.allowed_tools": {
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    },
    "tool_choice.custom": {"tool_choice": {"type": "custom", "custom": {"name": "f"}}},
    "audio": {"audio": {"voice": "ash", "format": "wav"}},
    "modalities": {"modalities": ["text", "audio"]},
    "moderation": {"moderation": {"model": "m"}},
    "functions": {"functions": [{"name": "f"}]},
    "function_call": {"function_call": "auto"},
}


@pytest.mark.parametrize("path", [path for path, row in CHAT.items() if isinstance(row, Refused)])
async def test_a_field_that_the_table_refuses_is_refused_by_its_path_and_with_the_reason(path):
    error = await refused(**REFUSED[path])

    assert error["param"] == path.replace("[]", "[0]")
    assert error["message"] == f"{error['param']} {CHAT[path].why}"


async def test_a_mark_up_to_which_to_cache_is_handed_on():
    class Marked(FakeProvider):
        def understands(self, opaque: Opaque) -> bool:
            return True

    fake = Marked()
    tool = {**WEATHER, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    async with routed(deployment("a", fake)) as client:
        await posted(client, model="a", tools=[tool], **part(cache_control={"type": "ephemeral"}))

    mark = Opaque("anthropic", {"cache_control": {"type": "ephemeral"}})
    assert fake.calls[0].request.messages == (Message("user", (Text("hi"), mark)),)
    assert fake.calls[0].request.tools[0].cache_control == {"type": "ephemeral", "ttl": "1h"}


async def test_a_key_that_no_part_has_is_refused_with_the_nearest():
    error = await refused(**part(texts="x"))

    assert error["message"] == ("messages[0].content[0].texts is not a key of a part; did you mean 'text'?")


async def test_a_hosts_own_tools_go_to_it_as_they_are():
    tools = [WEATHER, {"type": "browser_search"}]
    request = await arrived(tools=tools, logit_bias={"1": 2})

    assert request.tools is None
    assert request.extra == {"tools": tools, "logit_bias": {"1": 2}}


@pytest.mark.parametrize(
    "field", [field for field, row in CHAT.items() if isinstance(row, Extra) and row.prefixes]
)
async def test_openais_own_hints_go_to_openai_and_leave_nobody_out(field):
    fake, openai = FakeProvider(["x"]), FakeProvider(["x"])
    here = [deployment("a", fake), Deployment("openai/m", id="o", provider=openai)]
    async with routed(*here) as client:
        for name in ("a", "o"):
            assert (await posted(client, model=name, **{field: "x"})).status_code == 200

    assert fake.calls[0].request.extra is None
    assert openai.calls[0].request.extra == {field: "x"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "browser_search"}]),
        *((field, "x") for field, row in CHAT.items() if isinstance(row, Extra) and not row.prefixes),
    ],
)
async def test_what_only_openais_format_can_say_goes_to_nobody_who_speaks_another(field, value):
    other, fake = FakeProvider(["x"]), FakeProvider(["x"])
    other.format = "anthropic-messages"
    here = [Deployment("other/m", provider=other), deployment("a", fake)]
    async with routed(*here) as client:
        response = await posted(client, model=["other/m", "a"], **{field: value})
        assert response.headers["x-polyroute-deployment"] == "a"
        assert (await posted(client, model=["other/m", "a"])).headers["x-polyroute-deployment"] == "other/m"

    assert fake.calls[0].request.extra == {field: value}


def named_in(kind: Any, path: str = "", rows: Mapping[str, object] = CHAT) -> Iterator[str]:
    """The path of every field in a TypedDict, down to what goes to the host as it is or is refused."""
    if typing.is_typeddict(kind) or hasattr(kind, "__required_keys__"):
        for name, inner in typing.get_type_hints(kind).items():
            below = f"{path}.{name}" if path else name
            yield below
            if isinstance(rows.get(below), Argument | Read):
                yield from named_in(inner, below, rows)
        return
    of = typing.get_origin(kind)
    for argument in typing.get_args(kind):
        items = "[]" if of in (list, collections.abc.Iterable, collections.abc.Sequence) else ""
        yield from named_in(argument, path + items, rows)


def test_every_field_that_the_sdk_can_send_has_a_row():
    chat = pytest.importorskip(
        "openai.types.chat.completion_create_params",
        reason="the openai SDK is not installed here; `nox -s interop` installs it",
    )
    from openai.types import EmbeddingCreateParams

    fields = {
        *named_in(chat.CompletionCreateParamsStreaming),
        *named_in(chat.CompletionCreateParamsNonStreaming),
    }
    assert "messages[].content[].image_url.detail" in fields
    assert "tools[].function.strict" in fields
    assert sorted(fields - CHAT.keys()) == []
    assert sorted(set(named_in(EmbeddingCreateParams, rows=EMBED)) - EMBED.keys()) == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": ["x", 3]}, "input[1]"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_by_its_name(body, param):
    async with routed(deployment("a")) as client:
        response = await posted(client, "/embeddings", model="a", **body)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_an_embeddings_fields_become_arguments():
    fake = FakeProvider()
    async with routed(Deployment("openai/e", provider=fake), send_user=True) as client:
        response = await posted(
            client, "/embeddings", model="e", input="x", dimensions=3, user="ann", input_type="query"
        )

    request = fake.calls[0].request
    assert response.status_code == 200
    assert (request.input, request.dimensions, request.user) == (("x",), 3, "ann")
    assert request.extra == {"input_type": "query"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'"hi"'])
@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
async def test_a_body_that_is_no_object_is_refused(path, body):
    async with routed(deployment("a")) as client:
        response = await client.post(path, content=body)

    assert response.status_code == 400
    assert "the body is" in response.json()["error"]["message"]
