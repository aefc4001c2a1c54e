"""Bedrock's Converse, for the suite that every wire format must pass."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
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
from polyroute.providers.anthropic_schemas import closed_schema
from polyroute.types import Part
from tests.conformance.format import JSON, Failure, Format, in_pieces
from tests.providers.bedrock.wire import event, reply, stream, text
from tests.providers.strategies import LEAVES, WORDS, arranged

__all__ = ["BEDROCK_CONVERSE"]


def _answer(words: str) -> JSON:
    return reply(text(words))


# --- replies, whole and in pieces ---------------------------------------------------------------

_SAID = st.text(min_size=1, max_size=8).map(lambda words: f"a{words}")
_INPUTS = st.dictionaries(st.sampled_from(["a", "é"]), st.one_of(WORDS, st.integers(0, 9)), max_size=2)
_THOUGHTS = st.one_of(
    WORDS.map(lambda words: {"reasoningContent": {"reasoningText": {"text": words, "signature": "Eq=="}}}),
    st.just({"reasoningContent": {"redactedContent": "Em=="}}),
)
# Models that sign nothing think before they speak, and not in between.
_UNSIGNED = WORDS.map(lambda words: {"reasoningContent": {"reasoningText": {"text": words}}})
_CITED = _SAID.map(
    lambda words: {"citationsContent": {"content": [{"text": words}], "citations": [{"title": "a"}]}}
)
_CALLS = st.fixed_dictionaries(
    {"toolUseId": st.sampled_from(["tooluse_1", "tooluse_2"]), "name": st.just("now"), "input": _INPUTS},
    optional={"type": st.just("server_tool_use")},
).map(lambda call: {"toolUse": call})
_RESULTS = st.just({"toolResult": {"toolUseId": "tooluse_1", "type": "a", "content": [{"text": "[HIDDEN]"}]}})
_BLOCKS = st.one_of(_SAID.map(text), _THOUGHTS, _CITED, _CALLS, _RESULTS)
_COUNTS = st.fixed_dictionaries(
    {"inputTokens": st.integers(0, 99), "outputTokens": st.integers(0, 99)},
    optional={"cacheReadInputTokens": st.integers(0, 99), "cacheWriteInputTokens": st.integers(0, 99)},
)
_REASONS = st.sampled_from(
    ["end_turn", "max_tokens", "stop_sequence", "tool_use", "guardrail_intervened", "content_filtered",
     "model_context_window_exceeded", "malformed_tool_use"]
)  # fmt: skip
_REPLIES = st.builds(
    lambda first, blocks, reason, usage: reply(*first, *blocks, stopReason=reason, usage=usage),
    st.lists(_UNSIGNED, max_size=1),
    st.lists(_BLOCKS, max_size=5),
    _REASONS,
    _COUNTS,
)


def _as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as the host would."""
    told: list[tuple[str, object]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(body["output"]["message"]["content"]):
        for name, piece in _pieces(block, rng):
            told.append((name, {"contentBlockIndex": index, **piece}))
        told.append(("contentBlockStop", {"contentBlockIndex": index}))
    told.append(("messageStop", {"stopReason": body.get("stopReason")}))
    told.append(("metadata", {"usage": body.get("usage"), "metrics": {"latencyMs": 7}}))
    return stream(*told)


def _pieces(block: JSON, rng: Random) -> Iterator[tuple[str, JSON]]:
    """How a block begins, where it says so, and what is added to it."""
    match block:
        case {"text": words}:
            deltas: list[JSON] = [{"text": piece} for piece in in_pieces(words, rng)]
        case {"citationsContent": cited}:
            deltas = [
                {"text": piece} for each in cited["content"] for piece in in_pieces(each["text"], rng)
            ] + [{"citation": each} for each in cited["citations"]]
        case {"reasoningContent": {"reasoningText": thought}}:
            deltas = [{"reasoningContent": {"text": piece}} for piece in in_pieces(thought["text"], rng)]
            if "signature" in thought:
                deltas.append({"reasoningContent": {"signature": thought["signature"]}})
        case {"reasoningContent": hidden}:
            deltas = [{"reasoningContent": hidden}]
        case {"toolUse": call}:
            yield "contentBlockStart", {"start": {"toolUse": _without(call, "input")}}
            written = json.dumps(call["input"], ensure_ascii=False) if call["input"] else ""
            deltas = [{"toolUse": {"input": piece}} for piece in ("", *in_pieces(written, rng))]
        case {"toolResult": result}:
            yield "contentBlockStart", {"start": {"toolResult": _without(result, "content")}}
            deltas = [{"toolResult": result["content"]}]
        case _:
            raise AssertionError(f"there is no such block: {block}")
    yield from (("contentBlockDelta", {"delta": delta}) for delta in deltas)


def _without(data: JSON, name: str) -> JSON:
    return {key: value for key, value in data.items() if key != name}


_NAMES = st.sampled_from(
    ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "new"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["output", "message", "content", "text", "toolUse", "toolUseId", "name", "input", "type", "toolResult",
     "reasoningContent", "reasoningText", "signature", "redactedContent", "citationsContent", "citations",
     "stopReason", "usage", "inputTokens", "outputTokens", "cacheReadInputTokens", "contentBlockIndex", "delta",
     "start", "Message", "__type", "Output", "embedding", "embeddings"]
)  # fmt: skip
_VALUES = arranged(_KEYS, st.one_of(LEAVES, st.sampled_from(["server_tool_use", "end_turn"])))
_SHAPED = st.one_of(
    _VALUES,
    st.fixed_dictionaries(
        {"output": st.fixed_dictionaries({"message": st.fixed_dictionaries({"content": st.lists(_VALUES, max_size=2)})})},
        optional={"stopReason": LEAVES, "usage": _VALUES},
    ),
)  # fmt: skip
_INDEXES = st.sampled_from([0, 0, 1])
_DELTAS = st.one_of(
    WORDS.map(text),
    st.sampled_from(["", '{"a"', ": 1}"]).map(lambda fragment: {"toolUse": {"input": fragment}}),
    st.dictionaries(st.sampled_from(["text", "signature", "redactedContent"]), WORDS, max_size=2).map(
        lambda thought: {"reasoningContent": thought}
    ),
    st.just({"toolResult": [{"text": "a"}]}),
    st.just({"citation": {"title": "a"}}),
)
_STARTS = st.one_of(
    _CALLS.map(lambda block: {"toolUse": _without(block["toolUse"], "input")}), _RESULTS, _VALUES
)
_EVENTS = st.one_of(
    st.builds(lambda index, delta: event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}), _INDEXES, _DELTAS),
    st.builds(lambda index, start: event("contentBlockStart", {"contentBlockIndex": index, "start": start}), _INDEXES, _STARTS),
    _INDEXES.map(lambda index: event("contentBlockStop", {"contentBlockIndex": index})),
    st.builds(lambda reason: event("messageStop", {"stopReason": reason}), st.none() | _REASONS),
    _COUNTS.map(lambda usage: event("metadata", {"usage": usage})),
    st.builds(event, _NAMES, _VALUES),
    st.builds(lambda value: event("throttlingException", value, kind="exception"), _VALUES),
)  # fmt: skip
_STREAMS = st.lists(_EVENTS, max_size=7).map(b"".join)


def _played_back(body: Mapping[str, Any]) -> JSON:
    turns = [turn for turn in body["messages"] if turn["role"] == "assistant"]
    return reply(*(turns[0]["content"] if turns else ()))


# --- what was asked, asked again ----------------------------------------------------------------

_OURS = frozenset({"messages", "system"})
_INFERENCE = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
}
_KINDS = {"txt": "text/plain", "pdf": "application/pdf", "csv": "text/csv", "md": "text/markdown"}


def _arguments(body: Mapping[str, Any], _: Host) -> dict[str, Any]:
    extra = {name: value for name, value in body.items() if name not in _OURS}
    system = [_part(block) for block in body.get("system") or ()]
    call: dict[str, Any] = {"messages": [Message("system", system)] if system else []}
    call["messages"] += [Message(*_said(turn)) for turn in body["messages"]]
    for name, value in (extra.pop("inferenceConfig", None) or {}).items():
        if value != []:
            call[_INFERENCE[name]] = value
    tools = (body.get("toolConfig") or {}).get("tools", [])
    if tools and all("toolSpec" in tool for tool in tools):
        call["tools"] = [_tool(tool["toolSpec"]) for tool in tools]
        match extra.pop("toolConfig").get("toolChoice", {}):
            case {"auto": _}:
                call["tool_choice"] = "auto"
            case {"tool": {"name": name}}:
                call["tool_choice"] = {"type": "function", "function": {"name": name}}
    if (shape := _shape(body)) is not None:
        call["response_format"] = shape
        del extra["outputConfig"]
    match extra.get("additionalModelRequestFields"):
        case {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}:
            call["reasoning_effort"] = effort
        case {"reasoning_effort": effort} | {"reasoning_config": str(effort)}:
            call["reasoning_effort"] = effort
    if "reasoning_effort" in call:
        del extra["additionalModelRequestFields"]
    return {**call, "extra": extra or None}


def _tool(spec: JSON) -> JSON:
    function = {"name": spec["name"], "parameters": spec["inputSchema"]["json"]}
    function |= {name: spec[name] for name in ("description", "strict") if name in spec}
    return {"type": "function", "function": function}


def _shape(body: Mapping[str, Any]) -> JSON | None:
    """The schema of the reply, where it is one that is sent as it is given."""
    if "outputConfig" not in body:
        return None
    given = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    schema = json.loads(given["schema"])
    return {"type": "json_schema", "json_schema": {**given, "schema": schema}} if closed_schema(schema) == schema else None  # fmt: skip


def _said(turn: Mapping[str, Any]) -> tuple[Any, Any]:
    parts = [_part(block) for block in turn["content"]]
    if all(isinstance(part, ToolResult) for part in parts):
        return "tool", parts
    # Ours has no place for results beside other words; as blocks of the host's own they may stand.
    return turn["role"], [
        Opaque("bedrock", block) if isinstance(part, ToolResult) else part
        for part, block in zip(parts, turn["content"], strict=True)
    ]


def _part(block: Mapping[str, Any]) -> Part:
    """A block in our words where they say all of it, else as it is."""
    match block:
        case {"text": words}:
            return Text(words)
        case {"toolUse": {"toolUseId": id, "name": name, "input": given}}:
            return ToolCall(id, name, given)
        case {"toolResult": {"toolUseId": id, "content": [{"text": words}]}}:
            return ToolResult(id, words)
        case {"image": {"format": kind, "source": {"bytes": data}}}:
            return Image(f"data:image/{kind};base64,{data}")
        case {"image": {"source": {"s3Location": {"uri": uri}}}}:
            return Image(uri)
        case {"document": {"format": kind, "name": name, "source": {"bytes": data}, **more}} if not more:
            return File(data=base64.b64decode(data), media_type=_KINDS[kind], name=name)
        case _:
            return Opaque("bedrock", block)


def _plain(body: Mapping[str, Any], _: Host) -> JSON:
    plain = json.loads(json.dumps(body))
    turns: list[tuple[str, list[JSON]]] = []
    for turn in plain["messages"]:
        if not turns or turns[-1][0] != turn["role"]:
            turns.append((turn["role"], []))
        turns[-1][1].extend(_block(block) for block in turn["content"] if _counts(block))
    plain["messages"] = turns
    inference = plain.get("inferenceConfig") or {}
    plain["inferenceConfig"] = {name: value for name, value in inference.items() if value != []}
    if "outputConfig" in plain:
        schema = plain["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        schema["schema"] = json.loads(schema["schema"])
    return {name: value for name, value in plain.items() if value not in (None, [], {})}


def _counts(block: JSON) -> bool:
    return "text" not in block or bool(block["text"].strip())


def _block(block: JSON) -> JSON:
    if (block.get("toolResult") or {}).get("status") == "success":
        del block["toolResult"]["status"]
    return block


def _nothing(_: Mapping[str, Any]) -> None:
    """All that a body says can be said, the host's own blocks as they are."""


# --- what goes wrong ----------------------------------------------------------------------------


def _error(error: type[PolyrouteError], status: int, kind: str, message: str) -> Failure:
    headers = (("x-amzn-errortype", f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)
    return Failure(error=error, status=status, body={"message": message}, headers=headers)


BEDROCK_CONVERSE = Format(
    name="bedrock-converse",
    models=("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock/us.amazon.nova-2-lite-v1:0"),
    answer=_answer,
    replies=_REPLIES,
    as_stream=_as_stream,
    streams=_STREAMS,
    shaped=_SHAPED,
    failures=(
        _error(BadRequestError, 400, "ValidationException", "The provided model identifier is invalid."),
        _error(ContextWindowExceededError, 400, "ValidationException", "Input is too long for requested model."),
        _error(ContextWindowExceededError, 400, "ValidationException",
               "The model returned the following errors: Input Tokens Exceeded: too long"),
        _error(RateLimitError, 400, "ServiceQuotaExceededException", "Your account has no more."),
        _error(PermissionDeniedError, 403, "AccessDeniedException", "You don't have access to the model."),
        _error(AuthenticationError, 403, "UnrecognizedClientException", "The security token is invalid."),
        _error(AuthenticationError, 403, "InvalidSignatureException", "The signature does not match."),
        _error(AuthenticationError, 403, "ExpiredTokenException", "The security token has expired."),
        _error(NotFoundError, 404, "ResourceNotFoundException", "Could not resolve the model."),
        _error(ServerError, 408, "ModelTimeoutException", "The model took too long."),
        _error(ServerError, 424, "ModelErrorException", "The model stumbled."),
        _error(RateLimitError, 429, "ThrottlingException", "Too many requests, please wait."),
        _error(QuotaExhaustedError, 429, "ThrottlingException", "Too many tokens per day, please wait."),
        _error(OverloadedError, 429, "ModelNotReadyException", "The model is being loaded."),
        _error(ServerError, 500, "InternalServerException", "Sorry"),
        _error(OverloadedError, 503, "ServiceUnavailableException", "Come back later."),
        Failure(error=AuthenticationError, status=403,
                body={"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "It has expired."}),
    ),
    broken_off=(event("throttlingException", {"message": "Too many requests"}, kind="exception"), RateLimitError),
    played_back=_played_back,
    api="bedrock_converse",
    arguments=_arguments,
    plain=_plain,
    unsayable=_nothing,
)  # fmt: skip
