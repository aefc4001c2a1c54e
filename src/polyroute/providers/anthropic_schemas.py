"""JSON schemas as Anthropic's structured output takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from polyroute.providers.json_bodies import JSON

__all__ = ["closed_schema"]

# Bounds that the host does not hold a model to, and refuses to be given.
_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
     "maxItems", "uniqueItems", "minProperties", "maxProperties"}
)  # fmt: skip
_FEW = (0, 1)  # what `minItems` may demand


def closed_schema(schema: Mapping[str, Any]) -> JSON:
    """*schema* as the host takes it: objects closed where they do not say what else they may hold.

    Whatever fits the closed schema fits *schema*. Bounds of numbers, texts and lists move into the
    description, where the model reads them; whoever parses the reply still checks them.
    """
    if "$ref" in schema:  # The host takes nothing beside a reference but what it refers to.
        kept = {name: schema[name] for name in ("$ref", "$defs", "definitions") if name in schema}
        return {name: _inner(name, value) for name, value in kept.items()}
    closed: JSON = {}
    bounds: JSON = {}
    for name, value in schema.items():
        if name in _BOUNDS or (name == "minItems" and value not in _FEW):
            bounds[name] = value
        elif name == "oneOf":
            closed["anyOf"] = _inner(name, value)
        elif name != "discriminator":
            closed[name] = _inner(name, value)
    if closed.get("type") == "object" or "properties" in closed:
        closed.setdefault("additionalProperties", False)
    if bounds:
        told = json.dumps(bounds, ensure_ascii=False)
        closed["description"] = f"{closed['description']}\n{told}" if closed.get("description") else told
    return closed


def _inner(name: str, value: object) -> object:
    """What stands under *name* in a schema, closed where that is schemas."""
    if name in ("properties", "$defs", "definitions") and isinstance(value, Mapping):
        return {key: _closed(each) for key, each in cast("Mapping[str, object]", value).items()}
    if name in ("anyOf", "oneOf") and isinstance(value, list):
        return [_closed(each) for each in cast("list[object]", value)]
    return _closed(value) if name == "items" else value


def _closed(schema: object) -> object:
    return closed_schema(cast("Mapping[str, Any]", schema)) if isinstance(schema, Mapping) else schema
