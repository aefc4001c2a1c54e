"""A recorded request as a call of ours, and the plain form in which what we send must equal it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from polyroute.providers import Host

__all__ = ["call_of", "in_plain", "unsayable"]

_AS_THEY_ARE = (
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "n",
    "user",
)
_OURS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
    }
)
_PARTS = frozenset({"text", "image_url", "input_audio", "file", "thinking", "refusal"})
_KEYS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "annotations", "prefix"}
)
_THOUGHTS = frozenset({"reasoning", "reasoning_content", "reasoning_details"})


def unsayable(body: Mapping[str, Any]) -> str | None:
    """What a recorded conversation has that ours has no words for, and must refuse."""
    for message in body["messages"]:
        for key in message.keys() - _KEYS - _THOUGHTS:
            return key
        if any(not call.get("id") for call in message.get("tool_calls") or ()):
            return "a call without an id"
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] not in _PARTS:
                return part["type"]
    return None


def call_of(body: Mapping[str, Any], host: Host) -> dict[str, Any]:
    """The arguments with which a call says what *body* says; what has no argument goes in extra."""
    call = {name: body[name] for name in _AS_THEY_ARE if name in body}
    extra = {name: value for name, value in body.items() if name not in _OURS and name not in call}
    for ours, theirs in (
        ("max_tokens", "max_tokens"),
        ("max_tokens", "max_completion_tokens"),
        ("seed", host.seed_field),
        ("tools", "tools"),
    ):
        if theirs in body:
            call[ours] = body[theirs]
            extra.pop(theirs, None)
    if "logprobs" in body:
        call["logprobs"] = body.get("top_logprobs", body["logprobs"])
    if any(tool.get("type", "function") != "function" for tool in body.get("tools", ())):
        extra["tools"] = call.pop("tools")  # A host's own tools.
    return {**call, "extra": extra or None}


def in_plain(body: Mapping[str, Any], host: Host) -> dict[str, Any]:
    """*body* with each of the ways to say the same thing said in one way."""
    plain = {name: value for name, value in body.items() if value is not None}
    plain["messages"] = [_message(message, host) for message in body["messages"]]
    for theirs in ("max_tokens", "max_completion_tokens"):
        if theirs in plain:
            plain["max_tokens"] = plain.pop(theirs)
    if isinstance(plain.get("stop"), str):
        plain["stop"] = [plain["stop"]]
    if "tools" in plain:
        plain["tools"] = [_tool(tool) for tool in plain["tools"]] or None
    if plain.get("tool_choice") == "any":
        plain["tool_choice"] = "required"
    # Whether usage is asked for in a stream is ours to say.
    plain.pop("stream_options", None)
    if not plain.get("stream"):
        plain.pop("stream", None)
    return {name: value for name, value in plain.items() if value is not None}


def _message(message: Mapping[str, Any], host: Host) -> dict[str, Any]:
    role = message["role"]
    plain: dict[str, Any] = {
        "role": "system" if role == "developer" and not host.developer_role else role,
        "content": _content(message),
        "tool_call_id": message.get("tool_call_id"),
        "name": message.get("name") if role != "tool" else None,
        "tool_calls": [_call(call) for call in message.get("tool_calls") or ()],
    }
    if host.reasoning_field is not None:
        plain["reasoning"] = message.get("reasoning_content") or message.get("reasoning")
    if host.prefix == "openrouter":
        plain["reasoning_details"] = message.get("reasoning_details")
    return {name: value for name, value in plain.items() if value}


def _content(message: Mapping[str, Any]) -> object:
    content = message.get("content") or message.get("refusal")
    if not isinstance(content, list):
        return content
    parts = [part for part in content if part["type"] != "thinking"]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return [_part(part) for part in parts]


def _part(part: Mapping[str, Any]) -> tuple[str, object]:
    """A part without what only hints at how to keep it."""
    value = part[part["type"]]
    if part["type"] == "image_url" and isinstance(value, str):
        value = {"url": value}
    return part["type"], value


def _call(call: Mapping[str, Any]) -> tuple[object, ...]:
    function = call["function"]
    return call["id"], function["name"], json.loads(function["arguments"] or "{}")


def _tool(tool: Mapping[str, Any]) -> object:
    if "function" not in tool:
        return tool
    function = tool["function"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return function["name"], function.get("description") or "", parameters, function.get("strict")
