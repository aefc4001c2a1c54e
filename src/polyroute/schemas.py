"""JSON schemas from Python: a function's signature, a pydantic class, and the strict form of either."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from polyroute.types import ResponseFormat, Tool

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["format_of_model", "strict_schema", "tool_of_function"]


def tool_of_function(function: Callable[..., object]) -> Tool:
    """The tool that *function* is: its name, its docstring, and the schema of its parameters.

    A parameter is described by `Annotated[str, Field(description="…")]`.

    Raises:
        TypeError, ValueError: A parameter has no JSON schema, or cannot be given by name.
    """
    # pydantic is loaded where it is first needed.
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise TypeError(f"{parameter.name!r} can only be given by position")
    try:
        # A function is no type to a checker; pydantic takes one all the same.
        schema = TypeAdapter(cast("type[Any]", function)).json_schema()
    except PydanticUserError as exc:
        raise TypeError(exc.message) from None
    name = getattr(function, "__name__", type(function).__name__)
    return Tool(name, inspect.getdoc(function) or "", schema)


def format_of_model(model: type[BaseModel]) -> ResponseFormat:
    """The shape of a pydantic class: strict where its schema can be put so."""
    schema = model.model_json_schema()
    strict = strict_schema(schema)
    return ResponseFormat(
        "json_schema",
        name=model.__name__,
        schema=strict or schema,
        strict=True if strict is not None else None,
        model=model,
    )


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """*schema* as strict output wants it: objects closed, each property required, no defaults.

    None where that would change what it means: it has objects with free keys.
    """
    strict = _strict(schema)
    return strict if isinstance(strict, dict) else None


class _Free:
    """What stands for a schema that cannot be made strict."""


def _strict(node: object) -> object:
    if isinstance(node, list):
        items = [_strict(item) for item in cast("list[object]", node)]
        return _Free if _Free in items else items
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}  # Strict output allows nothing beside a reference.
    closed: dict[str, Any] = {}
    for key, value in cast("Mapping[str, Any]", node).items():
        if key == "default":
            continue
        if key in ("properties", "$defs") and isinstance(value, Mapping):
            named = {name: _strict(each) for name, each in cast("Mapping[str, Any]", value).items()}
            if _Free in named.values():
                return _Free
            closed[key] = named
            continue
        closed[key] = value if key in ("enum", "const", "examples", "required") else _strict(value)
        if closed[key] is _Free:
            return _Free
    if closed.get("type") == "object" or "properties" in closed:
        if closed.get("additionalProperties", False) is not False or "patternProperties" in closed:
            return _Free
        closed["additionalProperties"] = False
        closed["properties"] = closed.get("properties", {})
        closed["required"] = list(closed["properties"])
    return closed
