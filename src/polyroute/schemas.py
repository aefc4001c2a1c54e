"""JSON schemas from Python: a function's signature, a pydantic class, and the strict form of either."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from polyroute.types import ResponseFormat, Tool

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["format_of_model", "strict_schema", "tool_of_function"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what hosts take for the name of a tool or a schema


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
    except NameError as exc:
        raise TypeError(f"a type is not known where the function stands: {exc}") from None
    named = function.func if isinstance(function, partial) else function
    name = getattr(named, "__name__", type(named).__name__)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name to call it by; give a Tool(name=…) instead")
    # A class that says nothing of itself would speak with its base's voice.
    said = named.__dict__.get("__doc__") if isinstance(named, type) else named.__doc__
    return Tool(name, inspect.cleandoc(said or ""), schema)


def format_of_model(model: type[BaseModel]) -> ResponseFormat:
    """The shape of a pydantic class: strict where its schema can be put so."""
    schema = model.model_json_schema()
    strict = strict_schema(schema)
    return ResponseFormat(
        "json_schema",
        name=re.sub(r"[^A-Za-z0-9_-]+", "_", model.__name__).strip("_")[:64] or "response",
        schema=strict or schema,
        strict=True if strict is not None else None,
        model=model,
    )


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """*schema* as strict output wants it: objects closed, each property required, no defaults.

    None where that would change what it means, as for objects with free keys, or where strict
    output has no word for it.
    """
    root = schema
    if "$ref" in schema:  # A class that holds itself; the root may be no reference.
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        root = {**schema["$defs"][name], "$defs": schema["$defs"]}
    strict = _strict(root)
    return strict if isinstance(strict, dict) and strict.get("type") == "object" else None


class _Free:
    """What stands for a schema that cannot be made strict."""


_DROPPED = frozenset({"default", "discriminator"})
_UNSAYABLE = frozenset(
    {"allOf", "not", "if", "patternProperties", "prefixItems", "propertyNames", "uniqueItems", "contains"}
)
_TELLING = frozenset({"type", "anyOf", "oneOf", "enum", "const"})  # one of them says what a value may be


def _strict(node: object) -> object:
    """*node*, which is a schema, made strict; `_Free` where it cannot be."""
    if not isinstance(node, Mapping):
        return _Free  # `true`: anything at all
    schema = cast("Mapping[str, Any]", node)
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # Strict output allows nothing beside a reference.
    if not schema.keys() & _TELLING or schema.keys() & _UNSAYABLE:
        return _Free
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties" | "$defs":
                closed[key] = {name: _strict(each) for name, each in value.items()}
                free = _Free in closed[key].values()
            case "anyOf" | "oneOf":
                # Strict output knows only the former; alternatives told apart by a field are both.
                closed["anyOf"] = [_strict(each) for each in value]
                free = _Free in closed["anyOf"]
            case "items":
                closed[key] = _strict(value)
                free = closed[key] is _Free
            case "additionalProperties":
                free = value is not False
            case _:
                free = False
                if key not in _DROPPED:
                    closed[key] = value
        if free:
            return _Free
    if closed.get("type") == "object":
        closed["additionalProperties"] = False
        closed["properties"] = closed.get("properties", {})
        closed["required"] = list(closed["properties"])
    return closed
