"""How a call's arguments are read, and how they are refused, with the path to the fault."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from polyroute import (
    BadRequestError,
    ConfigurationError,
    Deployment,
    ExponentialBackoff,
    NamedTool,
    ResponseFormat,
    Router,
    Timeout,
    Tool,
)
from polyroute.arguments import check_params, read_arguments
from polyroute.door import CHAT
from tests.providers.wire import KEY, OK, Response, Scripted

FUNCTION = {"name": "now", "description": "Tell the time.", "parameters": {"type": "object"}, "strict": True}
SCHEMA = {"type": "object", "properties": {}}


def tool(**function: object) -> list[dict[str, object]]:
    return [{"type": "function", "function": function}]


def shape(**inner: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": inner}


class Sky(BaseModel):
    colour: str


@pytest.mark.parametrize(
    ("name", "value", "path", "words"),
    [
        *[("max_tokens", value, "max_tokens", "1 or more") for value in (0, -1, 1.5, "9", True)],
        *[("n", value, "n", "1 or more") for value in (0, 1.0, False)],
        *[("top_k", value, "top_k", "0 or more") for value in (-1, 0.5)],
        *[("seed", value, "seed", "a whole number") for value in (1.5, "7", True)],
        *[("priority", value, "priority", "a whole number") for value in (1.5, "high")],
        *[
            (name, value, name, "is a number")
            for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty")
            for value in ("hot", True, float("nan"), float("inf"), 10**400, Decimal(1), [1])
        ],
        *[("stop", value, "stop", "is a str") for value in ("", 7, b"x")],
        ("stop", ["x", ""], "stop[1]", "not empty"),
        ("stop", [7], "stop[0]", "is a str"),
        *[("parallel_tool_calls", value, "parallel_tool_calls", "True or False") for value in (0, "yes")],
        *[("fallbacks", value, "fallbacks", "True or False") for value in (1, ["a"])],
        *[("logprobs", value, "logprobs", "0 or more") for value in (-1, 1.5, "yes")],
        *[("reasoning_effort", value, "reasoning_effort", "is a str") for value in ("", 3)],
        *[("user", value, "user", "is a str") for value in ("", 7)],
        *[("session", value, "session", "is a str") for value in ("", 7)],
        *[("model", value, "model", "a name or a list of names") for value in ("", [], 7, b"m", ["a", ""], [7], {})],
        *[("tags", value, "tags", "a list of names") for value in ("eu", b"eu", [""], ["!"], [7], 7)],
        ("metadata", ["a"], "metadata", "a flat mapping"),
        ("metadata", {"a": 1}, "metadata['a']", "a flat mapping"),
        ("metadata", {1: "a"}, "metadata[1]", "a flat mapping"),
        *[("timeout", value, "timeout", "a number of seconds") for value in (-1, "9", True, float("nan"))],
        *[("retry", value, "retry", "a RetryPolicy") for value in (3, "often", object())],
        *[("extra", value, "extra", "a dict") for value in ("x", [("a", 1)])],
        # Tools.
        *[("tools", value, "tools", "a list of tools") for value in ("now", b"now", FUNCTION, 7)],
        ("tools", [7], "tools[0]", "a dict, a Tool or a function, not int"),
        ("tools", [None], "tools[0]", "not None"),
        ("tools", [{}], "tools[0]", '"function"'),
        ("tools", [{"type": "web_search"}], "tools[0]", "go in extra="),
        ("tools", [{"type": "function", "function": "now"}], "tools[0]", '"function"'),
        ("tools", tool(), "tools[0].function.name", "the tool's name"),
        ("tools", tool(name=""), "tools[0].function.name", "the tool's name"),
        ("tools", [*tool(**FUNCTION), *tool(name=7)], "tools[1].function.name", "the tool's name"),
        ("tools", tool(name="now", parameters="none"), "tools[0].function.parameters", "a JSON schema"),
        ("tools", tool(name="now", description=7), "tools[0].function.description", "is a str, not int"),
        ("tools", tool(name="now", strict="yes"), "tools[0].function.strict", "True or False"),
        # The choice of one.
        *[("tool_choice", value, "tool_choice", '"auto"') for value in ("", 7, {}, {"type": "auto"}, ["now"])],
        ("tool_choice", {"type": "function", "function": {}}, "tool_choice.function.name", "the name of a tool"),
        ("tool_choice", {"function": {"name": ""}}, "tool_choice.function.name", "the name of a tool"),
        # The shape.
        *[
            ("response_format", value, "response_format", "a pydantic class or a dict")
            for value in ("json", int, list[Sky], Sky(colour="blue"), [SCHEMA])
        ],
        ("response_format", {"type": "json_schema"}, "response_format.json_schema", "holds a schema"),
        ("response_format", shape(name="x"), "response_format.json_schema", "holds a schema"),
        ("response_format", shape(schema="x"), "response_format.json_schema", "holds a schema"),
        ("response_format", shape(schema=SCHEMA, name=7), "response_format.json_schema.name", "is a str"),
        ("response_format", shape(schema=SCHEMA, strict=1), "response_format.json_schema.strict", "True or False"),
        ("response_format", shape(schema=SCHEMA, description=7), "response_format.json_schema.description", "is a str"),
        ("response_format", {"type": "json_object", "schema": SCHEMA}, "response_format", "nothing beside its type"),
        ("response_format", {"type": "text", "x": 1}, "response_format", "nothing beside its type"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_refused_with_its_path(name, value, path, words):
    before = repr(value)

    with pytest.raises(BadRequestError) as caught:
        read_arguments({name: value}, CHAT)

    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path} ")
    assert words in str(caught.value)
    assert repr(value) == before


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("max_tokens", 1, 1),
        ("temperature", 0, 0),
        ("top_p", 0.5, 0.5),
        ("stop", "x", ("x",)),
        ("stop", ["x", "y"], ("x", "y")),
        ("stop", (), None),
        ("model", "fast", "fast"),
        ("model", ["a", "b"], ("a", "b")),
        ("tags", ["eu", "!us"], ("eu", "!us")),
        ("tags", (), ()),
        ("timeout", 3, Timeout(total=3)),
        ("timeout", None, Timeout(None, None, None, None, None)),
        ("timeout", Timeout(attempt=3), Timeout(attempt=3)),
        ("logprobs", True, True),
        ("logprobs", 0, 0),
        ("metadata", {"a": "b"}, {"a": "b"}),
        ("tools", [], None),
        ("tools", tool(**FUNCTION), (Tool("now", "Tell the time.", {"type": "object"}, strict=True),)),
        ("tools", [{"function": {"name": "now"}}], (Tool("now"),)),
        ("tools", tool(name="now", description=None, parameters=None, strict=None), (Tool("now"),)),
        ("tools", (Tool("now"),), (Tool("now"),)),
        ("tool_choice", "auto", "auto"),
        ("tool_choice", "any", "required"),
        ("tool_choice", "now", NamedTool("now")),
        ("tool_choice", NamedTool("now"), NamedTool("now")),
        ("tool_choice", {"type": "function", "function": {"name": "now"}}, NamedTool("now")),
        ("response_format", {"type": "text"}, ResponseFormat("text")),
        ("response_format", {"type": "json_object"}, ResponseFormat("json_object")),
        ("response_format", SCHEMA, ResponseFormat("json_schema", schema=SCHEMA)),
        ("response_format", ResponseFormat("text"), ResponseFormat("text")),
        (
            "response_format",
            shape(name="sky", schema=SCHEMA, strict=True, description="d"),
            ResponseFormat("json_schema", name="sky", schema=SCHEMA, strict=True, description="d"),
        ),
        ("response_format", shape(schema=SCHEMA), ResponseFormat("json_schema", schema=SCHEMA)),
        ("extra", {"a": 1}, {"a": 1}),
    ],
)
def test_an_argument_is_read_into_its_own_type(name, value, read):
    assert read_arguments({name: value}, CHAT) == {name: read}


@pytest.mark.parametrize(("name", "value"), [("cache", "exact")])
def test_what_is_not_built_yet_takes_its_default_only(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}= is not built yet"):
        read_arguments({name: value}, frozenset({name}))


@pytest.mark.parametrize(("name", "value"), [("on_break", "again"), ("hold", -1), ("hold", 1.5)])
def test_what_follows_a_break_is_one_of_three_and_what_is_held_is_a_count(name, value):
    with pytest.raises(BadRequestError) as caught:
        read_arguments({name: value}, frozenset({name}))

    assert caught.value.path == name
    said = {"on_break": "resume", "hold": 8}
    assert read_arguments(said, frozenset(said)) == said


def test_an_argument_that_is_none_is_left_out():
    assert read_arguments(dict.fromkeys(CHAT - {"timeout"}), CHAT) == {}


def test_what_a_caller_hands_in_is_copied():
    extra: dict[str, Any] = {"a": 1}
    read = read_arguments({"extra": extra, "metadata": {"a": "b"}, "retry": ExponentialBackoff()}, CHAT)
    read["extra"]["b"] = 2

    assert extra == {"a": 1}
    assert read["retry"] == ExponentialBackoff()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("temprature", "'temperature'"),
        ("max_token", "'max_tokens'"),
        ("functions", None),
        ("dimensions", None),
    ],
)
async def test_an_unknown_argument_is_a_type_error_with_the_nearest_name(name, nearest):
    router = Router([Deployment("openai/gpt-5", api_key=KEY)], transport=Scripted(Response(OK)))

    with pytest.raises(TypeError, match=f"there is no argument '{name}'") as caught:
        await router.chat("hi", **{name: 1})
    assert ("did you mean" in str(caught.value)) == (nearest is not None)
    assert (nearest or "") in str(caught.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"temperature": "hot"}, "temperature is a number"),
        ({"tools": [7]}, r"tools\[0\]"),
        ({"timeout": 3}, "params has no 'timeout'"),
        ({"model": "x"}, "params has no 'model'"),
        ({"extra": {"a": 1}}, "extra= speaks one wire format"),
    ],
)
def test_bad_params_are_an_error_of_the_configuration(params, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        check_params("Router", params)
    assert str(caught.value).startswith("Router: ")


def test_params_of_a_deployment_may_hold_extra():
    assert check_params("Deployment", {"extra": {"a": 1}, "stop": "x"}, extra=True) == {
        "extra": {"a": 1}, "stop": ("x",)
    }  # fmt: skip
