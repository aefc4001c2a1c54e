"""Whole replies of Cohere's chat, and what streams of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from polyroute.errors import BadRequestError, ProviderError, ServerError
from polyroute.providers.error_table import error_within
from polyroute.providers.finishes import finish_of
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    load,
    malformed,
    promised_object,
    promised_text,
    text_or_none,
    tolerant,
)
from polyroute.replies import ChatResponse, unusual
from polyroute.types import (
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    amended,
)

__all__ = ["FINISH", "decode_chat", "error_in", "logprobs_of", "reply_in", "usage_of"]

FINISH: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
_FAILED = frozenset({"ERROR", "TIMEOUT"})  # finish reasons that say that the host gave up

_BLANK: ChatResponse[Any] = ChatResponse()


@tolerant
def decode_chat(body: bytes, host: Host) -> ChatResponse[Any]:
    """A whole reply. Citations are only in its `raw`; the plan that a model makes before it calls tools
    is kept as what only the host understands, to be sent back.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host)
    message = promised_object(data.get("message") or {})
    parts = _parts(message, host.prefix)
    reason = data.get("finish_reason")
    if not parts and not reason:
        raise malformed("the reply has nothing in it", body)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return amended(
        _BLANK,
        id=text_or_none(data.get("id")),
        text="".join(part.text for part in parts if isinstance(part, Text)),
        reasoning="".join(part.text for part in parts if isinstance(part, Reasoning)) or None,
        tool_calls=calls,
        finish_reason=finish_of(FINISH, reason, calls=bool(calls)),
        logprobs=logprobs_of(data.get("logprobs")),
        parts=unusual(parts),
        usage=usage_of(data.get("usage")) or Usage(),
        raw=data,
    )


def reply_in(value: object, host: Host) -> JSON:
    """*value*, which is promised to be a reply's object.

    Raises:
        ProviderError, BadRequestError: It is an error, whatever its status said.
        ResponseDecodeError: It is no object.
    """
    if (error := error_in(value, host)) is not None:
        raise error
    return promised_object(value)


def error_in(value: object, host: Host) -> ProviderError | BadRequestError | None:
    """The error that a reply, or the end of a stream, is although it came as a good one."""
    if not isinstance(value, dict):
        return None
    told = cast("JSON", value)
    if isinstance(told.get("message"), str):
        return error_within({"error": told}, host.errors)
    if (error := error_within(told, host.errors)) is not None:
        return error
    reason = told.get("finish_reason")
    return ServerError(f"the host gave up: {reason}", body=told) if reason in _FAILED else None


def _parts(message: JSON, origin: str) -> list[Part]:
    """The content in its order, the plan, and the calls."""
    parts: list[Part] = []
    for block in message.get("content") or ():
        if block.get("type") != "text":
            if thought := promised_text(block.get("thinking")):
                parts.append(Reasoning(thought))
            parts.append(Opaque(origin, block))
        elif text := promised_text(block.get("text")):
            if parts and isinstance(last := parts[-1], Text):
                parts[-1] = Text(last.text + text)
            else:
                parts.append(Text(text))
    if plan := promised_text(message.get("tool_plan")):
        parts.append(Opaque(origin, {"tool_plan": plan}))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = promised_text(function.get("arguments"))
        parts.append(
            ToolCall(promised_text(call.get("id")), promised_text(function["name"]), raw_arguments=arguments)
        )
    return parts


def logprobs_of(given: Any) -> tuple[TokenLogprob, ...] | None:
    """The log probabilities, where there are some. The host tells them of a piece of text, which may be
    of several tokens; that of the piece is their sum."""
    told: list[JSON] = [given] if isinstance(given, dict) else given or []
    return tuple(map(_logprob, told)) or None


def _logprob(given: JSON) -> TokenLogprob:
    return TokenLogprob(promised_text(given.get("text")), float(sum(given.get("logprobs") or ())))


def usage_of(given: Mapping[str, Any] | None) -> Usage | None:
    """Usage in tokens that the model read and wrote, whatever of them is billed; None where the host
    says nothing of them. Some counts are written as fractions."""
    told = given or {}
    tokens = told.get("tokens") or {}
    prompt, output = tokens.get("input_tokens"), tokens.get("output_tokens")
    if prompt is None and output is None:
        return None
    cached, thought = told.get("cached_tokens"), tokens.get("reasoning_tokens")
    return Usage(
        input_tokens=int(prompt or 0),
        output_tokens=int(output or 0),
        cached_input_tokens=None if cached is None else int(cached),
        reasoning_tokens=None if thought is None else int(thought),
    )
