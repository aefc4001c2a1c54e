"""Cohere's chat, for the suite that every wire format must pass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from hypothesis import strategies as st

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
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
)
from polyroute.providers import Host
from tests.conformance.format import JSON, Failure, Format, in_pieces
from tests.providers.cohere.wire import call, reply, streamed, text, thinking
from tests.providers.strategies import LEAVES, WORDS, arranged, framed

__all__ = ["COHERE_CHAT"]


def _answer(words: str) -> JSON:
    return reply(text(words))


# --- replies, whole and in pieces ---------------------------------------------------------------

_BLOCKS = st.one_of(WORDS.map(text), WORDS.map(text), WORDS.map(thinking))
_CALLS = st.builds(
    call,
    st.sampled_from(["now_1", "now_2"]),
    st.just("now"),
    st.sampled_from(["", "{}", '{"a": "é"}', '{"a": ']),
)
_COUNTS = st.fixed_dictionaries(
    {"billed_units": st.just({"input_tokens": 1.0, "output_tokens": 2.0})},
    optional={
        "tokens": st.fixed_dictionaries(
            {"input_tokens": st.floats(0, 99).map(int).map(float), "output_tokens": st.integers(0, 99)},
            optional={"reasoning_tokens": st.integers(0, 9)},
        ),
        "cached_tokens": st.integers(0, 9),
    },
)
_REASONS = st.sampled_from(["COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS", "TOOL_CALL", "ERROR_TOXIC", "NEW"])


@st.composite
def _replies(draw: st.DrawFn) -> JSON:
    calls = draw(st.lists(_CALLS, max_size=2))
    said = reply(*draw(st.lists(_BLOCKS, max_size=3)), *calls, reason=draw(_REASONS), usage=draw(_COUNTS))
    if calls and draw(st.booleans()):
        said["message"]["tool_plan"] = draw(WORDS)
    return said


def _as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as the host would."""
    message = body["message"]
    told: list[JSON] = [
        {"type": "message-start", "id": body.get("id"), "delta": {"message": {"content": []}}}
    ]
    for index, block in enumerate(message.get("content") or ()):
        told += _block(index, block, rng)
    for piece in in_pieces(message.get("tool_plan"), rng):
        told.append({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}})
    for index, each in enumerate(message.get("tool_calls") or ()):
        told += _call(index, each, rng)
    end = {"finish_reason": body.get("finish_reason"), "usage": body.get("usage")}
    return streamed(*told, {"type": "message-end", "delta": end})


def _block(index: int, block: JSON, rng: Random) -> Iterator[JSON]:
    kind = block["type"]
    field = "text" if kind == "text" else "thinking"

    def event(name: str, content: JSON) -> JSON:
        return {"type": name, "index": index, "delta": {"message": {"content": content}}}

    yield event("content-start", {**block, field: ""})
    for piece in in_pieces(block.get(field), rng):
        yield event("content-delta", {field: piece})
    yield {"type": "content-end", "index": index}


def _call(index: int, call: JSON, rng: Random) -> Iterator[JSON]:
    function = call["function"]

    def event(name: str, told: JSON) -> JSON:
        return {"type": name, "index": index, "delta": {"message": {"tool_calls": told}}}

    yield event("tool-call-start", {**call, "function": {"name": function["name"], "arguments": ""}})
    for piece in in_pieces(function["arguments"], rng):
        yield event("tool-call-delta", {"function": {"arguments": piece}})
    yield {"type": "tool-call-end", "index": index}


def _delta(message: JSON, **fields: object) -> JSON:
    return {"delta": {"message": message}, **fields}


_INDEXES = st.sampled_from([0, 0, 1])
_CONTENTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": WORDS}),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": WORDS}),
    st.fixed_dictionaries({}, optional={"text": WORDS, "thinking": WORDS}),
)
_EVENTS = st.one_of(
    st.just(("message-start", {"id": "r-1"})),
    st.builds(lambda c, i: ("content-start", _delta({"content": c}, index=i)), _CONTENTS, _INDEXES),
    st.builds(lambda c, i: ("content-delta", _delta({"content": c}, index=i)), _CONTENTS, _INDEXES),
    st.builds(lambda i: ("content-end", {"index": i}), _INDEXES),
    st.builds(lambda words: ("tool-plan-delta", _delta({"tool_plan": words})), WORDS),
    st.builds(lambda c, i: ("tool-call-start", _delta({"tool_calls": c}, index=i)), _CALLS, _INDEXES),
    st.builds(
        lambda words, i: (
            "tool-call-delta",
            _delta({"tool_calls": {"function": {"arguments": words}}}, index=i),
        ),
        WORDS,
        _INDEXES,
    ),
    st.just(("citation-start", _delta({"citations": {"start": 0}}, index=0))),
    st.builds(
        lambda reason, usage: ("message-end", {"delta": {"finish_reason": reason, "usage": usage}}),
        _REASONS | st.none(),
        _COUNTS,
    ),
).map(lambda event: (event[0], {"type": event[0], **event[1]}))
_STREAMS = framed(st.lists(_EVENTS, max_size=8), "data: [DONE]\n\n")

_KEYS = st.sampled_from(
    ["type", "index", "delta", "message", "content", "text", "thinking", "tool_plan", "tool_calls", "function", "name",
     "arguments", "id", "finish_reason", "usage", "tokens", "input_tokens", "output_tokens", "reasoning_tokens",
     "cached_tokens", "logprobs", "error", "error_type", "embeddings", "float", "meta", "billed_units"]
)  # fmt: skip
_TYPES = st.sampled_from(
    ["message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start",
     "tool-call-delta", "message-end", "thinking", "ERROR", "TIMEOUT", "debug"]
)  # fmt: skip
_VALUES = arranged(_KEYS, st.one_of(LEAVES, _TYPES))
_SHAPED = st.one_of(
    _VALUES,
    st.fixed_dictionaries({"type": _TYPES, "index": LEAVES | _INDEXES, "delta": _VALUES}),
    st.fixed_dictionaries(
        {"type": _TYPES, "index": _INDEXES, "delta": st.fixed_dictionaries({"message": _VALUES}, optional={"logprobs": _VALUES})}
    ),
    st.fixed_dictionaries({"message": _VALUES, "finish_reason": LEAVES | _TYPES}, optional={"usage": _VALUES}),
    st.fixed_dictionaries({"message": st.fixed_dictionaries(
        {"content": st.lists(_VALUES, max_size=2)}, optional={"tool_plan": _VALUES, "tool_calls": st.lists(_VALUES)})},
        optional={"logprobs": _VALUES}),
)  # fmt: skip


def _played_back(body: Mapping[str, Any]) -> JSON:
    turn = next((message for message in body["messages"] if message["role"] == "assistant"), {})
    return {**reply(), "message": {**turn, "content": turn.get("content") or []}}


# --- what was asked, asked again ----------------------------------------------------------------

_OURS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "p": "top_p",
    "k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "seed": "seed",
    "tools": "tools",
}
_CHOICES = {"REQUIRED": "required", "NONE": "none"}


def _unsayable(body: Mapping[str, Any]) -> str | None:
    """Documents that a tool gave back: ours give texts and pictures."""
    contents = [message.get("content") for message in body["messages"] if message["role"] == "tool"]
    return "document" if any(isinstance(content, list) for content in contents) else None


def _arguments(body: Mapping[str, Any], _: Host) -> dict[str, Any]:
    extra = {name: value for name, value in body.items() if name not in ("model", "messages", "stream")}
    call = {ours: extra.pop(theirs) for theirs, ours in _OURS.items() if theirs in extra}
    if "tool_choice" in extra:
        call["tool_choice"] = _CHOICES[extra.pop("tool_choice")]
    if shape := extra.pop("response_format", None):
        schema = shape.get("json_schema") or shape.get("schema")
        call["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return {"messages": [_message(each) for each in body["messages"]], **call, "extra": extra or None}


def _message(message: JSON) -> Any:
    if message["role"] != "assistant":
        return message
    plan = message.get("tool_plan")
    return Message(
        "assistant",
        [
            *(Text(block["text"]) for block in message.get("content") or ()),
            *([Opaque("cohere", {"tool_plan": plan})] if plan else ()),
            *(
                ToolCall(each["id"], each["function"]["name"], raw_arguments=each["function"]["arguments"])
                for each in message.get("tool_calls") or ()
            ),
        ],
    )


def _plain(body: Mapping[str, Any], _: Host) -> JSON:
    plain = {name: value for name, value in body.items() if value not in (None, [])}
    plain["messages"] = [_plain_message(message) for message in body["messages"]]
    for tool in plain.get("tools", ()):
        if not tool["function"].get("description"):
            tool["function"].pop("description", None)
    if "schema" in (shape := plain.get("response_format", {})):
        plain["response_format"] = {"type": shape["type"], "json_schema": shape["schema"]}
    return json.loads(json.dumps(plain))


def _plain_message(message: JSON) -> JSON:
    content = message.get("content")
    blocks = [{"text": content}] if isinstance(content, str) else content or ()
    said = blocks if any("image_url" in each for each in blocks) else "".join(each["text"] for each in blocks)
    return {name: value for name, value in {**message, "content": said}.items() if value}


# --- what goes wrong ----------------------------------------------------------------------------


def _error(error: type[PolyrouteError], status: int, message: str, **fields: object) -> Failure:
    return Failure(error=error, status=status, body={"id": "e-1", "message": message, **fields})


_GAVE_UP = {
    "type": "message-end",
    "delta": {"finish_reason": "ERROR", "error": "invalid tool generation", "error_type": "INVALID_TOOL_GENERATION"},
}  # fmt: skip

COHERE_CHAT = Format(
    name="cohere-chat",
    models=("cohere/command-a-03-2025",),
    answer=_answer,
    replies=_replies(),
    as_stream=_as_stream,
    streams=_STREAMS,
    shaped=_SHAPED,
    failures=(
        _error(BadRequestError, 400, "invalid request: message must not be empty"),
        _error(ContextWindowExceededError, 400, "too many tokens: size limit exceeded by 7 tokens."),
        _error(ContextWindowExceededError, 400, "size limit exceeded", error_type="TOO_MANY_TOKENS"),
        _error(AuthenticationError, 401, "invalid api token"),
        _error(QuotaExhaustedError, 402, "Please add or update your payment method"),
        _error(PermissionDeniedError, 403, "not for you"),
        _error(NotFoundError, 404, "model 'x' not found"),
        _error(BadRequestError, 422, "unknown field: parameter 'strict' is not a valid field"),
        _error(RateLimitError, 429, "You are using a Trial key, which is limited to 10 API calls / minute."),
        _error(QuotaExhaustedError, 429, "You are using a Trial key, which is limited to 1000 API calls / month."),
        _error(AuthenticationError, 498, "invalid token"),
        _error(ServerError, 499, "request cancelled"),
        _error(ServerError, 500, "internal server error"),
        _error(OverloadedError, 503, "overloaded"),
        _error(ServerError, 504, "timeout"),
    ),
    broken_off=(streamed(_GAVE_UP), ServerError),
    played_back=_played_back,
    api="cohere_v2_chat",
    arguments=_arguments,
    plain=_plain,
    unsayable=_unsayable,
    embeddings="cohere_v2_embed",
)  # fmt: skip
