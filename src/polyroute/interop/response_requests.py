"""From the body of a request to OpenAI's Responses to one call of a router's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from polyroute.interop.fields import RESPONSE
from polyroute.interop.requests import Call, arguments_of, flag, refused
from polyroute.interop.response_items import MAKER, conversation
from polyroute.messages import kind_of

__all__ = ["ResponseCall", "read_response"]

_OF_A_TOOL = frozenset({"type", "name", "description", "parameters", "strict"})
# What a response says of its request.
_ECHOED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "previous_response_id", "reasoning",
    "temperature", "text", "tool_choice", "tools", "top_p",
)  # fmt: skip
_UNSAID: Mapping[str, Any] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}


@dataclass(frozen=True, slots=True)
class ResponseCall(Call):
    """One `chat`, or `stream` where *streams*; *echo* is what the response says of the request."""

    format: ClassVar[str] = "openai-responses"

    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_response(body: Mapping[str, Any]) -> ResponseCall:
    """The call that *body* asks for.

    Raises:
        BadRequestError: A field of it is malformed, or one that a router has no words for; `path`
            names it.
    """
    arguments, bound = arguments_of(body, RESPONSE)
    arguments["messages"] = conversation(body.get("instructions"), body.get("input"))
    # What hosts of the format alone understand: of all calls, and of this one where it is bound to them.
    hints: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    _read_tools(body, arguments, extra)
    _read_text(body, arguments, extra)
    _read_reasoning(body, arguments, hints)
    _read_include(body, arguments, hints)
    streams = flag(body.get("stream"), "stream")
    if extra or hints:
        given = arguments.setdefault("extra", {})
        given |= extra
        if hints:
            given[MAKER] = {**given.get(MAKER, {}), **hints}
    echo = {**_UNSAID, **{name: body[name] for name in _ECHOED if body.get(name) is not None}}
    return ResponseCall(arguments, bound or next(iter(extra), None), streams, echo)


def _read_tools(body: Mapping[str, Any], arguments: dict[str, Any], extra: dict[str, Any]) -> None:
    """Functions are tools of ours; those that the host runs, or keeps for later, go to it as they are."""
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise refused("tools", f"is a list of tools, not {kind_of(tools)}")
    for place, tool in enumerate(cast("list[object]", tools or [])):
        if not isinstance(tool, dict):
            raise refused(f"tools[{place}]", f"is an object, not {kind_of(tool)}")
        told = _said(cast("dict[str, Any]", tool))
        if told.get("type") == "custom":
            raise refused(
                f"tools[{place}]",
                "is a custom tool, which no other host has; a function with one str does the same",
            )
        if told.get("type") == "function" and told.keys() <= _OF_A_TOOL:
            arguments.setdefault("tools", []).append({"type": "function", "function": told})
        else:
            extra.setdefault("tools", []).append(tool)
    match body.get("tool_choice"):
        case None:
            pass
        case {"type": "function", "name": str(name)}:
            arguments["tool_choice"] = {"type": "function", "function": {"name": name}}
        case str(choice):
            arguments["tool_choice"] = choice
        case choice:
            extra["tool_choice"] = choice


def _read_text(body: Mapping[str, Any], arguments: dict[str, Any], extra: dict[str, Any]) -> None:
    text = dict(_object(body, "text"))
    shape = text.pop("format", None)
    if isinstance(shape, dict) and shape.get("type") == "json_schema":
        named = {name: value for name, value in shape.items() if name != "type"}
        arguments["response_format"] = {"type": "json_schema", "json_schema": named}
    elif shape is not None and shape != {"type": "text"}:
        arguments["response_format"] = shape
    if others := _said(text):
        extra["text"] = others


def _read_reasoning(body: Mapping[str, Any], arguments: dict[str, Any], hints: dict[str, Any]) -> None:
    reasoning = dict(_object(body, "reasoning"))
    if (effort := reasoning.pop("effort", None)) is not None:
        arguments["reasoning_effort"] = effort
    if others := _said(reasoning):
        hints["reasoning"] = others


def _read_include(body: Mapping[str, Any], arguments: dict[str, Any], hints: dict[str, Any]) -> None:
    """What is reasoned comes encrypted in any case; log probabilities are an argument of ours."""
    include = body.get("include") or []
    if not isinstance(include, list):
        raise refused("include", f"is a list of names, not {kind_of(include)}")
    others = [name for name in include if name != "reasoning.encrypted_content"]
    top = body.get("top_logprobs")
    if "message.output_text.logprobs" in others:
        others.remove("message.output_text.logprobs")
        arguments["logprobs"] = True if top is None else top
    elif top is not None:
        arguments["logprobs"] = top
    if others:
        hints["include"] = others


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise refused(name, f"is an object, not {kind_of(value)}")
    return value or {}


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
