"""JSON schemas as Anthropic takes them: closed, and their bounds told in words."""

from __future__ import annotations

from copy import deepcopy

import pytest

from polyroute.providers.anthropic_schemas import closed_schema

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}}
CLOSED = {**OBJECT, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        ({"type": "string"}, {"type": "string"}),
        (OBJECT, CLOSED),
        ({"properties": {}}, {"properties": {}, "additionalProperties": False}),
        ({**OBJECT, "additionalProperties": True}, {**OBJECT, "additionalProperties": True}),
        ({"type": "array", "items": OBJECT}, {"type": "array", "items": CLOSED}),
        ({"type": "array", "items": True}, {"type": "array", "items": True}),
        ({"anyOf": [OBJECT, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        (
            {"oneOf": [OBJECT], "discriminator": {"propertyName": "a"}},
            {"anyOf": [CLOSED]},
        ),
        ({"type": "object", "properties": {"b": OBJECT}}, {"type": "object", "properties": {"b": CLOSED}, "additionalProperties": False}),
        ({"$ref": "#/$defs/A", "$defs": {"A": OBJECT}, "title": "B"}, {"$ref": "#/$defs/A", "$defs": {"A": CLOSED}}),
        ({"definitions": {"A": OBJECT}, "$ref": "#/definitions/A"}, {"definitions": {"A": CLOSED}, "$ref": "#/definitions/A"}),
        ({"type": "integer", "minimum": 0, "maximum": 9}, {"type": "integer", "description": '{"minimum": 0, "maximum": 9}'}),
        ({"type": "string", "description": "A name.", "maxLength": 9}, {"type": "string", "description": 'A name.\n{"maxLength": 9}'}),
        ({"type": "array", "minItems": 1}, {"type": "array", "minItems": 1}),
        ({"type": "array", "minItems": 2}, {"type": "array", "description": '{"minItems": 2}'}),
        ({"properties": {"minimum": {"type": "integer"}}}, {"properties": {"minimum": {"type": "integer"}}, "additionalProperties": False}),
        ({"enum": [{"type": "object"}]}, {"enum": [{"type": "object"}]}),
        ({"allOf": [OBJECT]}, {"allOf": [OBJECT]}),
    ],
)  # fmt: skip
def test_a_schema_is_closed_and_its_bounds_are_told(schema, closed):
    before = deepcopy(schema)

    assert closed_schema(schema) == closed
    assert closed_schema(closed) == closed
    assert schema == before


@pytest.mark.parametrize(
    "bound",
    ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems",
     "maxItems", "uniqueItems", "minProperties", "maxProperties"],
)  # fmt: skip
def test_each_bound_that_the_host_refuses_is_told_instead(bound):
    assert closed_schema({"type": "any", bound: 9}) == {"type": "any", "description": f'{{"{bound}": 9}}'}
