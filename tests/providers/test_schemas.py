"""JSON schemas that are made from Python: functions as tools, classes as shapes, and the strict form."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, Optional

import pytest
from inline_snapshot import snapshot
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from polyroute import BadRequestError, Tool
from polyroute.arguments import read_arguments
from polyroute.schemas import format_of_model, strict_schema, tool_of_function

# --- functions ---------------------------------------------------------------------------------


def everything(
    city: Annotated[str, Field(description="Where.")],
    days: int = 1,
    *,
    unit: Literal["C", "F"] = "C",
    near: list[str] | None = None,
) -> str:
    """Tell the weather.

    In a few words.
    """
    return city


async def later(when: float) -> None:
    """Wait."""


class Clock:
    """A clock."""

    def now(self, zone: str) -> str:
        """Tell the time."""
        return zone

    @classmethod
    def made(cls, zone: str) -> str:
        return zone

    @staticmethod
    def plain(zone: str) -> str:
        return zone

    def __call__(self, zone: str) -> str:
        return zone


def test_a_function_is_its_name_its_docstring_and_its_parameters():
    assert tool_of_function(everything) == snapshot(
        Tool(
            name="everything",
            description="""\
Tell the weather.

In a few words.\
""",
            parameters={
                "additionalProperties": False,
                "properties": {
                    "city": {"description": "Where.", "title": "City", "type": "string"},
                    "days": {"default": 1, "title": "Days", "type": "integer"},
                    "unit": {"default": "C", "enum": ["C", "F"], "title": "Unit", "type": "string"},
                    "near": {
                        "anyOf": [{"items": {"type": "string"}, "type": "array"}, {"type": "null"}],
                        "default": None,
                        "title": "Near",
                    },
                },
                "required": ["city"],
                "type": "object",
            },
        )
    )


ZONE = {
    "additionalProperties": False,
    "properties": {"zone": {"title": "Zone", "type": "string"}},
    "required": ["zone"],
    "type": "object",
}


@pytest.mark.parametrize(
    ("function", "tool"),
    [
        (Clock().now, Tool("now", "Tell the time.", ZONE)),
        (Clock().made, Tool("made", "", ZONE)),
        (Clock.plain, Tool("plain", "", ZONE)),
        (
            later,
            Tool("later", "Wait.", {
                "additionalProperties": False, "properties": {"when": {"title": "When", "type": "number"}},
                "required": ["when"], "type": "object",
            }),
        ),
        (
            functools.partial(Clock().now, zone="CET"),
            Tool("now", "Tell the time.", {
                "additionalProperties": False, "properties": {"zone": {"default": "CET", "title": "Zone", "type": "string"}},
                "type": "object",
            }),
        ),
    ],
)  # fmt: skip
def test_methods_and_async_functions_and_partial_ones_are_tools_too(function, tool):
    assert tool_of_function(function) == tool


def test_a_class_is_a_tool_that_speaks_for_itself():
    class Search(BaseModel):
        words: str

    class Find(Search):
        """Find something."""

    assert (tool_of_function(Search).name, tool_of_function(Search).description) == ("Search", "")
    assert tool_of_function(Find).description == "Find something."
    assert tool_of_function(Find).parameters["required"] == ["words"]


def by_position(*args: int) -> None: ...
def by_position_only(a: int, /) -> None: ...
def takes_a_stranger(a: Stranger) -> None: ...  # noqa: F821 - that it is unknown is the point
def takes_what_json_has_not(a: Any, b: type[Clock], c: Clock) -> None: ...
def free(a: int, **rest: int) -> None: ...
def bare(a, b=2) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (by_position, "'args' can only be given by position"),
        (by_position_only, "'a' can only be given by position"),
        (takes_a_stranger, "name 'Stranger' is not defined"),
        (takes_what_json_has_not, "gives no JSON schema"),
        (lambda a: a, "no name to call it by"),
        (Clock(), "gives no JSON schema"),
    ],
)
def test_what_cannot_be_called_with_json_is_refused_by_name(function, words):
    with pytest.raises(BadRequestError, match=words) as caught:
        read_arguments({"tools": [everything, function]}, frozenset({"tools"}))

    assert caught.value.path == "tools[1]"


def test_keyword_arguments_of_any_name_are_allowed_and_so_is_anything():
    assert tool_of_function(free).parameters["additionalProperties"] == {"type": "integer"}
    assert tool_of_function(bare).parameters == snapshot(
        {
            "additionalProperties": False,
            "properties": {"a": {"title": "A"}, "b": {"default": 2, "title": "B"}},
            "required": ["a"],
            "type": "object",
        }
    )


# --- classes -----------------------------------------------------------------------------------


class Point(BaseModel):
    """Where."""

    x: float
    y: float = 0


class Circle(BaseModel):
    kind: Literal["circle"]
    centre: Point = Field(description="Its middle.")
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    corner: Point


class Drawing(BaseModel):
    title: str | None = None
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]]
    mode: Optional[Literal["fill", "line"]] = None  # noqa: UP045 - callers write it so


class Node(BaseModel):
    value: int
    children: list[Node] = []


def test_a_class_is_strict_in_all_that_it_is_made_of():
    assert strict_schema(Drawing.model_json_schema()) == snapshot(
        {
            "$defs": {
                "Circle": {
                    "properties": {
                        "kind": {"const": "circle", "title": "Kind", "type": "string"},
                        "centre": {"$ref": "#/$defs/Point"},
                        "radius": {"title": "Radius", "type": "number"},
                    },
                    "required": ["kind", "centre", "radius"],
                    "title": "Circle",
                    "type": "object",
                    "additionalProperties": False,
                },
                "Point": {
                    "description": "Where.",
                    "properties": {
                        "x": {"title": "X", "type": "number"},
                        "y": {"title": "Y", "type": "number"},
                    },
                    "required": ["x", "y"],
                    "title": "Point",
                    "type": "object",
                    "additionalProperties": False,
                },
                "Square": {
                    "properties": {
                        "kind": {"const": "square", "title": "Kind", "type": "string"},
                        "corner": {"$ref": "#/$defs/Point"},
                    },
                    "required": ["kind", "corner"],
                    "title": "Square",
                    "type": "object",
                    "additionalProperties": False,
                },
            },
            "properties": {
                "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Title"},
                "shapes": {
                    "items": {"anyOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Square"}]},
                    "title": "Shapes",
                    "type": "array",
                },
                "mode": {
                    "anyOf": [{"enum": ["fill", "line"], "type": "string"}, {"type": "null"}],
                    "title": "Mode",
                },
            },
            "required": ["title", "shapes", "mode"],
            "title": "Drawing",
            "type": "object",
            "additionalProperties": False,
        }
    )


def test_a_class_that_holds_itself_is_strict_from_its_root():
    assert strict_schema(Node.model_json_schema()) == snapshot(
        {
            "properties": {
                "value": {"title": "Value", "type": "integer"},
                "children": {"items": {"$ref": "#/$defs/Node"}, "title": "Children", "type": "array"},
            },
            "required": ["value", "children"],
            "title": "Node",
            "type": "object",
            "$defs": {
                "Node": {
                    "properties": {
                        "value": {"title": "Value", "type": "integer"},
                        "children": {"items": {"$ref": "#/$defs/Node"}, "title": "Children", "type": "array"},
                    },
                    "required": ["value", "children"],
                    "title": "Node",
                    "type": "object",
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        }
    )


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        object,
        list,
        list[Any],
        dict,
        dict[str, int],
        tuple[int, str],
        set[int],
        list[dict[str, int]],
        Any | None,
    ],
)
def test_what_strict_output_has_no_word_for_is_not_strict(annotation):
    inner = create_model("Inner", field=(annotation, ...))
    outer = create_model("Outer", inner=(inner, ...))

    assert strict_schema(inner.model_json_schema()) is None
    assert strict_schema(outer.model_json_schema()) is None
    assert format_of_model(outer).strict is None
    assert format_of_model(outer).schema == outer.model_json_schema()


def test_a_class_that_takes_free_keys_is_not_strict_and_one_that_forbids_them_is():
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")

    assert strict_schema(Open.model_json_schema()) is None
    assert strict_schema(Closed.model_json_schema()) == {
        "additionalProperties": False, "properties": {}, "required": [], "title": "Closed", "type": "object"
    }  # fmt: skip


def test_what_is_no_object_is_not_strict():
    assert strict_schema(RootModel[list[int]].model_json_schema()) is None
    assert strict_schema({"anyOf": [{"type": "object", "properties": {}}]}) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}], "type": "string"}}},
        {
            "type": "object",
            "properties": {"a": {"type": "object", "patternProperties": {"^x": {"type": "string"}}}},
        },
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {}]}}},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
    ],
)
def test_a_schema_that_says_more_or_less_than_strict_output_can_is_not_strict(schema):
    assert strict_schema(schema) is None


def test_properties_may_be_called_as_keywords_are():
    properties = {
        name: {"type": "string"}
        for name in ("default", "properties", "$defs", "items", "enum", "required", "additionalProperties")
    }

    strict = strict_schema({"type": "object", "properties": properties})

    assert strict["properties"] == properties
    assert strict["required"] == list(properties)


def test_making_it_strict_leaves_the_schema_as_it_was():
    schema = Drawing.model_json_schema()
    before = repr(schema)
    strict_schema(schema)

    assert repr(schema) == before


@pytest.mark.parametrize(
    ("name", "sent"),
    [("Sky", "Sky"), ("Box[int]", "Box_int"), ("Größe", "Gr_e"), ("x" * 80, "x" * 64), ("物", "response")],
)
def test_a_class_lends_its_name_as_far_as_hosts_take_it(name, sent):
    assert format_of_model(create_model(name, x=(int, ...))).name == sent
