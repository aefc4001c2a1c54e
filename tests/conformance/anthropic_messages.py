"""Anthropic's Messages, for the suite that every wire format must pass."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    File,
    Image,
    Message,
    NotFoundError,
    Opaque,
    OverloadedError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
    Text,
    ToolCall,
    ToolResult,
)
from polyroute.providers import Host
from polyroute.types import Part
from tests.conformance.format import JSON, Failure, Format, in_pieces
from tests.providers.strategies import LEAVES, WORDS, arranged, framed

__all__ = ["ANTHROPIC_MESSAGES", "as_stream", "reply"]


def reply(*content: Mapping[str, Any], stop_reason: object = "end_turn", **fields: object) -> JSON:
    """A whole reply of these blocks."""
    usage = {"input_tokens": 9, "output_tokens": 3}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001"}
    return {**head, "content": list(content), "stop_reason": stop_reason, "usage": usage, **fields}


def _answer(text: str) -> JSON:
    return reply({"type": "text", "text": text})


# --- replies, whole and in pieces ---------------------------------------------------------------

_INPUTS = st.dictionaries(st.sampled_from(["a", "é"]), st.one_of(WORDS, st.integers(0, 9)), max_size=2)
_THOUGHTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": WORDS, "signature": st.sampled_from(["", "Eq=="])}),
    st.just({"type": "redacted_thinking", "data": "Em=="}),
)  # fmt: skip
_WORDS = st.fixed_dictionaries(
    {"type": st.just("text"), "text": st.text(min_size=1, max_size=8).map(lambda text: f"a{text}")},
    optional={"citations": st.just([{"type": "web_search_result_location", "url": "https://a.example"}])},
)
_CALLS = st.fixed_dictionaries(
    {"type": st.just("tool_use"), "id": st.sampled_from(["toolu_1", "toolu_2"]), "name": st.just("now"), "input": _INPUTS}
)  # fmt: skip
_SEARCHES = st.one_of(
    st.fixed_dictionaries({"type": st.just("server_tool_use"), "id": st.just("srvtoolu_1"),
                           "name": st.just("web_search"), "input": _INPUTS}),
    st.just({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
)  # fmt: skip
_COUNTS = st.none() | st.integers(0, 99)
_USAGES = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99)},
    optional={
        "cache_read_input_tokens": _COUNTS,
        "cache_creation_input_tokens": _COUNTS,
        "output_tokens_details": st.fixed_dictionaries({"thinking_tokens": st.integers(0, 9)}),
    },
)
_REASONS = st.sampled_from(
    ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"]
)  # fmt: skip
_REPLIES = st.builds(
    lambda blocks, reason, usage: reply(*blocks, stop_reason=reason, usage=usage),
    st.lists(st.one_of(_THOUGHTS, _WORDS, _CALLS, _SEARCHES), max_size=5),
    _REASONS,
    _USAGES,
)


def as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as the host would."""
    usage = body.get("usage") or {}
    begun = {**usage, "output_tokens": 1}
    head = {**body, "content": [], "stop_reason": None, "usage": begun}
    told: list[JSON] = [{"type": "message_start", "message": head}, {"type": "ping"}]
    for index, block in enumerate(body["content"]):
        start, deltas = _pieces(block, rng)
        told.append({"type": "content_block_start", "index": index, "content_block": start})
        told += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": body.get("stop_reason"), "stop_details": body.get("stop_details")}
    told.append({"type": "message_delta", "delta": delta, "usage": {**usage, "input_tokens": None}})
    told.append({"type": "message_stop"})
    pieces = [
        f"event: {each['type']}\ndata: {json.dumps(each)}{' ' * rng.randint(0, 3)}\n\n" for each in told
    ]
    return "".join(pieces).encode()


def _pieces(block: JSON, rng: Random) -> tuple[JSON, list[JSON]]:
    """How a block begins, and what is added to it."""
    kind = block["type"]
    if kind == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in in_pieces(block["text"], rng)]
        cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        return {"type": "text", "text": ""}, [*deltas, *cited]
    if kind == "thinking":
        thoughts = [
            {"type": "thinking_delta", "thinking": piece} for piece in in_pieces(block["thinking"], rng)
        ]
        signed = [{"type": "signature_delta", "signature": block["signature"]}] if block["signature"] else []
        return {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, *signed]
    if "input" in block:
        written = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
        fragments = ["", *in_pieces(written, rng)]
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": each} for each in fragments
        ]
    return block, []


_INDEXES = st.sampled_from([0, 0, 1])
_BLOCKS = st.one_of(_THOUGHTS, _WORDS, _CALLS, _SEARCHES)
_DELTAS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text_delta"), "text": WORDS}),
    st.fixed_dictionaries({"type": st.just("thinking_delta"), "thinking": WORDS}),
    st.fixed_dictionaries({"type": st.just("signature_delta"), "signature": WORDS}),
    st.fixed_dictionaries({"type": st.just("input_json_delta"), "partial_json": st.sampled_from(["", '{"a"', ": 1}"])}),
    st.just({"type": "unheard_of_delta"}),
)  # fmt: skip
_EVENTS = st.one_of(
    _USAGES.map(lambda usage: {"type": "message_start", "message": reply(usage=usage)}),
    st.fixed_dictionaries(
        {"type": st.just("content_block_start"), "index": _INDEXES, "content_block": _BLOCKS}
    ),
    st.fixed_dictionaries({"type": st.just("content_block_delta"), "index": _INDEXES, "delta": _DELTAS}),
    st.fixed_dictionaries({"type": st.just("content_block_stop"), "index": _INDEXES}),
    st.fixed_dictionaries(
        {"type": st.just("message_delta"), "delta": st.fixed_dictionaries({"stop_reason": st.none() | _REASONS})},
        optional={"usage": _USAGES},
    ),
    st.sampled_from([{"type": "ping"}, {"type": "message_stop"}, {"type": "unheard_of"}]),
    st.just({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
)  # fmt: skip
_STREAMS = framed(st.lists(_EVENTS.map(lambda event: (event["type"], event)), max_size=8))

_WORDS_OF_THE_FORMAT = st.sampled_from(
    ["type", "message", "content", "content_block", "delta", "index", "text", "thinking", "signature", "id", "name",
     "input", "partial_json", "stop_reason", "stop_details", "explanation", "usage", "input_tokens", "output_tokens",
     "cache_read_input_tokens", "output_tokens_details", "thinking_tokens", "error", "model"]
)  # fmt: skip
_KINDS = st.sampled_from(
    ["text", "thinking", "tool_use", "server_tool_use", "text_delta", "thinking_delta", "signature_delta",
     "input_json_delta", "message_start", "message_delta", "message_stop", "content_block_start",
     "content_block_delta", "content_block_stop", "error", "overloaded_error"]
)  # fmt: skip
_VALUES = arranged(_WORDS_OF_THE_FORMAT, st.one_of(LEAVES, _KINDS))
_SHAPED = st.one_of(
    _VALUES,
    st.fixed_dictionaries({"type": _KINDS}, optional={"index": LEAVES, "delta": _VALUES, "content_block": _VALUES,
                                                      "message": _VALUES, "usage": _VALUES}),
    st.fixed_dictionaries({"content": st.lists(_VALUES, max_size=3), "stop_reason": LEAVES}, optional={"usage": _VALUES}),
    st.fixed_dictionaries({"type": st.just("content_block_start"), "index": _INDEXES,
                           "content_block": st.fixed_dictionaries({"type": _KINDS}, optional={"input": _VALUES})}),
)  # fmt: skip


def _played_back(body: Mapping[str, Any]) -> JSON:
    turns = [turn for turn in body["messages"] if turn["role"] == "assistant"]
    return reply(*(turns[0]["content"] if turns else ()))


# --- what was asked, asked again ----------------------------------------------------------------

_AS_THEY_ARE = ("max_tokens", "temperature", "top_p", "top_k")
_OURS = frozenset(
    {*_AS_THEY_ARE, "model", "messages", "system", "stream", "stop_sequences", "tool_choice", "output_format"}
)
_OF_A_TOOL = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})


def _arguments(body: Mapping[str, Any], _: Host) -> dict[str, Any]:
    call: dict[str, Any] = {name: body[name] for name in _AS_THEY_ARE if name in body}
    extra = {name: value for name, value in body.items() if name not in _OURS}
    system = body.get("system") or []
    if isinstance(system, str):
        system = [{"type": "text", "text": system}]
    call["messages"] = [Message("system", _parts(system))] if system else []
    call["messages"] += [Message(*_said(turn)) for turn in body["messages"]]
    if "stop_sequences" in body:
        call["stop"] = body["stop_sequences"]
    if "tools" in body and all("input_schema" in tool.keys() <= _OF_A_TOOL for tool in body["tools"]):
        call["tools"] = [_openai_tool(tool) for tool in extra.pop("tools")]
    if choice := body.get("tool_choice"):
        call["tool_choice"] = _CHOICES.get(choice["type"]) or {
            "type": "function",
            "function": {"name": choice["name"]},
        }
        if "disable_parallel_tool_use" in choice:
            call["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    shape = body.get("output_format") or (body.get("output_config") or {}).get("format")
    if shape is not None:
        call["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "shape", "schema": shape["schema"]},
        }
        extra.pop("output_config", None)
    return {**call, "extra": extra or None}


_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def _openai_tool(tool: Mapping[str, Any]) -> JSON:
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    function |= {name: tool[name] for name in ("description", "strict") if name in tool}
    marks = {"cache_control": tool["cache_control"]} if "cache_control" in tool else {}
    return {"type": "function", "function": function, **marks}


def _said(turn: Mapping[str, Any]) -> tuple[Any, Any]:
    content = turn["content"]
    if isinstance(content, str):
        return turn["role"], content
    parts = _parts(content)
    if all(isinstance(part, ToolResult | Opaque) for part in parts) and isinstance(parts[0], ToolResult):
        return "tool", parts
    if not any(isinstance(part, ToolResult) for part in parts):
        return turn["role"], parts
    # Ours has no place for results beside other words; as blocks of the host's own they may stand.
    return turn["role"], [
        Opaque("anthropic", block) if isinstance(part := _part(block), ToolResult) else part
        for block in content
    ]


def _parts(blocks: Sequence[Mapping[str, Any]]) -> list[Part]:
    """The blocks in our words, each that is marked with the mark behind it."""
    parts: list[Part] = []
    for block in blocks:
        bare = {key: value for key, value in block.items() if key != "cache_control"}
        part = _part(bare)
        if (said := block.get("cache_control")) is None:
            parts.append(part)
        elif isinstance(part, Opaque):
            parts.append(Opaque("anthropic", block))
        else:
            parts += (part, Opaque("anthropic", {"cache_control": said}))
    return parts


def _part(block: Mapping[str, Any]) -> Part:
    """A block in our words where they say all of it, else as it is."""
    match block:
        case {"type": "text", "text": str(text), **more} if not more:
            return Text(text)
        case {"type": "tool_use", "id": id, "name": name, "input": given, **more} if not more:
            return ToolCall(id, name, given)
        case {"type": "tool_result", "tool_use_id": id, "content": str(text), **more} if not more.keys() - {
            "is_error"
        }:
            return ToolResult(id, text, is_error=bool(more.get("is_error")))
        case {"type": "image", "source": {"type": "url", "url": url}, **more} if not more:
            return Image(url)
        case {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}, **more} if (
            not more
        ):
            return Image(f"data:{kind};base64,{data}")
        case {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}, **more} if (
            not more
        ):
            return File(data=base64.b64decode(data), media_type=kind)
        case _:
            return Opaque("anthropic", block)


def _plain(body: Mapping[str, Any], _: Host) -> JSON:
    plain = {name: value for name, value in body.items() if value not in (None, [], {})}
    if isinstance(system := body.get("system"), str):
        plain["system"] = [{"type": "text", "text": system}]
    plain["messages"] = []
    for turn in body["messages"]:
        content = turn["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if plain["messages"] and plain["messages"][-1][0] == turn["role"]:
            plain["messages"][-1][1].extend(map(_block, blocks))
        else:
            plain["messages"].append((turn["role"], [_block(block) for block in blocks]))
    if "tools" in plain:
        plain["tools"] = [
            {key: value for key, value in tool.items() if value not in ("custom", None, "")}
            for tool in plain["tools"]
        ]
    if "output_format" in plain:
        plain["output_config"] = {"format": plain.pop("output_format")}
    if not plain.get("stream"):
        plain.pop("stream", None)
    return plain


def _block(block: JSON) -> JSON:
    return {key: value for key, value in block.items() if key not in ("is_error", "cache_control") or value}


def _nothing(_: Mapping[str, Any]) -> None:
    """All that a body says can be said, the host's own blocks as they are."""


# --- what goes wrong ----------------------------------------------------------------------------


def _error(error: type[PolyrouteError], status: int, kind: str, message: str) -> Failure:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return Failure(error=error, status=status, body=body)


_OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

ANTHROPIC_MESSAGES = Format(
    name="anthropic-messages",
    models=("anthropic/claude-haiku-4-5", "anthropic/claude-opus-5"),
    answer=_answer,
    replies=_REPLIES,
    as_stream=as_stream,
    streams=_STREAMS,
    shaped=_SHAPED,
    failures=(
        _error(BadRequestError, 400, "invalid_request_error", "messages: at least one message is required"),
        _error(ContextWindowExceededError, 400, "invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"),
        _error(ContextWindowExceededError, 400, "invalid_request_error",
               "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"),
        _error(QuotaExhaustedError, 400, "invalid_request_error", "Your credit balance is too low"),
        _error(AuthenticationError, 401, "authentication_error", "invalid x-api-key"),
        _error(QuotaExhaustedError, 402, "billing_error", "Pay first"),
        _error(PermissionDeniedError, 403, "permission_error", "Not for you"),
        _error(NotFoundError, 404, "not_found_error", "model: claude-none"),
        _error(ContextWindowExceededError, 413, "request_too_large", "Request exceeds the maximum size"),
        _error(RateLimitError, 429, "rate_limit_error", "Slow down"),
        _error(ServerError, 500, "api_error", "Internal server error"),
        _error(ServerError, 504, "timeout_error", "Too slow"),
        _error(OverloadedError, 529, "overloaded_error", "Overloaded"),
    ),
    broken_off=(f"event: error\ndata: {json.dumps(_OVERLOADED)}\n\n".encode(), OverloadedError),
    played_back=_played_back,
    api="anthropic_messages",
    arguments=_arguments,
    plain=_plain,
    unsayable=_nothing,
)  # fmt: skip
