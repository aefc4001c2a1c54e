"""OpenAI's chat completions, for the suite that every wire format must pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import strategies as st

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from polyroute.providers import Host
from tests.conformance.format import JSON, Failure, Format, in_pieces
from tests.providers.strategies import SHAPED, streams, wire_messages
from tests.providers.wire import choice, completion
from tests.wire_server import events

__all__ = ["OPENAI_CHAT"]


# --- replies, whole and in pieces ---------------------------------------------------------------


@st.composite
def _replies(draw: st.DrawFn) -> JSON:
    reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])
    messages = draw(st.lists(wire_messages(), min_size=1, max_size=2))
    for message in messages:  # Only with an index are two pieces of reasoning told apart in a stream.
        for place, detail in enumerate(message.get("reasoning_details", ())):
            message["reasoning_details"][place] = {**detail, "index": place}
    told = [{**choice(message, draw(reasons)), "index": place} for place, message in enumerate(messages)]
    return completion(*told)


def _answer(text: str) -> JSON:
    return completion(choice({"content": text}))


def _played_back(body: Mapping[str, Any]) -> JSON:
    turns = [message for message in body["messages"] if message["role"] == "assistant"]
    return completion(choice(turns[0] if turns else {"content": ""}))


def _as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as OpenAI would."""
    head = {"id": body.get("id"), "model": body.get("model"), "object": "chat.completion.chunk"}
    told: list[dict[str, Any]] = []
    for place, each in enumerate(body["choices"]):
        index = each.get("index", place)
        told += [{"index": index, **piece} for piece in _pieces(each, rng)]
    chunks = [{**head, "choices": [choice]} for choice in told]
    return events(*chunks, {**head, "choices": [], "usage": body.get("usage")})


def _pieces(choice: Mapping[str, Any], rng: Random) -> list[dict[str, Any]]:
    message = choice.get("message") or {}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "reasoning"):
        deltas += [{name: piece} for piece in in_pieces(message.get(name), rng)]
    deltas += [{"reasoning_details": [detail]} for detail in message.get("reasoning_details") or ()]
    content = message.get("content")
    deltas += (
        [{"content": content}]
        if isinstance(content, list)
        else [{"content": p} for p in in_pieces(content, rng)]
    )
    deltas += [{"refusal": piece} for piece in in_pieces(message.get("refusal"), rng)]
    for place, call in enumerate(message.get("tool_calls") or ()):
        deltas += [{"tool_calls": [piece]} for piece in _call_pieces(place, call, rng)]
    pieces = [{"delta": delta, "finish_reason": None} for delta in deltas]
    if choice.get("logprobs"):
        pieces[-1]["logprobs"] = choice["logprobs"]
    return [*pieces, {"delta": {}, "finish_reason": choice.get("finish_reason")}]


def _call_pieces(place: int, call: Mapping[str, Any], rng: Random) -> list[dict[str, Any]]:
    function = call.get("function") or {}
    begin = {
        "index": place,
        "id": call.get("id"),
        "function": {"name": function.get("name"), "arguments": ""},
    }
    return [
        begin,
        *({"index": place, "function": {"arguments": p}} for p in in_pieces(function.get("arguments"), rng)),
    ]


# --- what was asked, asked again ----------------------------------------------------------------

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


def _unsayable(body: Mapping[str, Any]) -> str | None:
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


def _arguments(body: Mapping[str, Any], host: Host) -> dict[str, Any]:
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
    return {"messages": body["messages"], **call, "extra": extra or None}


def _plain(body: Mapping[str, Any], host: Host) -> dict[str, Any]:
    """*body* with each of the ways to say the same thing said in one way."""
    plain = {name: value for name, value in body.items() if value is not None}
    plain["messages"] = [_message(message, host) for message in body["messages"]]
    plain["marked"] = _marked(body) if host.cache_control else None
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


def _marked(body: Mapping[str, Any]) -> list[object]:
    """What bears a mark up to which the prompt is to be cached."""
    contents = [each["content"] for each in body["messages"] if isinstance(each.get("content"), list)]
    parts = [part for content in contents for part in content]
    return [each for each in (*parts, *(body.get("tools") or ())) if "cache_control" in each]


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


def _error(error: Any, status: int, message: str, **fields: object) -> Failure:
    return Failure(error=error, status=status, body={"error": {"message": message, **fields}})


OPENAI_CHAT = Format(
    name="openai-chat",
    models=("openai/gpt-5-mini", "openrouter/gpt-5-mini", "deepseek/deepseek-chat"),
    answer=_answer,
    replies=_replies(),
    as_stream=_as_stream,
    streams=streams(),
    shaped=SHAPED,
    failures=(
        _error(BadRequestError, 400, "Unsupported value", type="invalid_request_error"),
        _error(ContextWindowExceededError, 400, "Too long", code="context_length_exceeded"),
        _error(AuthenticationError, 401, "Incorrect API key provided", code="invalid_api_key"),
        _error(NotFoundError, 404, "No such model", code="model_not_found"),
        _error(RateLimitError, 429, "Slow down", code="rate_limit_exceeded"),
        _error(QuotaExhaustedError, 429, "Pay first", code="insufficient_quota"),
        _error(ServerError, 500, "Sorry", type="server_error"),
        _error(OverloadedError, 503, "Busy"),
    ),
    broken_off=(events({"error": {"message": "Sorry", "type": "server_error"}}, done=False), ServerError),
    played_back=_played_back,
    api="openai_chat",
    arguments=_arguments,
    plain=_plain,
    unsayable=_unsayable,
    embeddings="openai_embeddings",
)
