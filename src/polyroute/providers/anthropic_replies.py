"""Whole replies of Anthropic's Messages, and what streams of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyroute.providers.error_table import reply_in
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
from polyroute.types import FinishReason, Opaque, Part, Reasoning, Text, ToolCall, Usage, amended

__all__ = ["FINISH", "decode_message", "refusal_of", "usage_of"]

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    # The host rests in the midst of its own tools: send the reply back, and it goes on.
    "pause_turn": "other",
}

_BLANK: ChatResponse[Any] = ChatResponse()


@tolerant
def decode_message(body: bytes, host: Host) -> ChatResponse[Any]:
    """A whole reply. Citations are only in its `raw`.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    content = data.get("content")
    if content is None or not (content or data.get("stop_reason")):
        raise malformed("the reply has nothing in it", body)
    parts = _parts(content, host.prefix)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return amended(
        _BLANK,
        id=text_or_none(data.get("id")),
        model=text_or_none(data.get("model")),
        text="".join(part.text for part in parts if isinstance(part, Text)),
        reasoning="".join(part.text for part in parts if isinstance(part, Reasoning)) or None,
        refusal=refusal_of(data),
        tool_calls=calls,
        finish_reason=finish_of(FINISH, data.get("stop_reason"), calls=bool(calls)),
        parts=unusual(parts),
        usage=usage_of(data.get("usage")) or Usage(),
        raw=data,
    )


def _parts(content: list[JSON], origin: str) -> list[Part]:
    """The blocks in their order; those that only the host understands are kept as they are."""
    parts: list[Part] = []
    for block in content:
        match block.get("type"):
            case "text":
                text = promised_text(block.get("text"))
                if parts and isinstance(last := parts[-1], Text):
                    parts[-1] = Text(last.text + text)
                elif text:
                    parts.append(Text(text))
            case "tool_use":
                id, name = promised_text(block.get("id")), promised_text(block["name"])
                parts.append(ToolCall(id, name, promised_object(block.get("input") or {})))
            case "thinking":
                if thought := promised_text(block.get("thinking")):
                    parts.append(Reasoning(thought))
                parts.append(Opaque(origin, block))
            case _:
                parts.append(Opaque(origin, block))
    return parts


def refusal_of(told: Mapping[str, Any]) -> str | None:
    """Why the host refused, where it says so."""
    details = told.get("stop_details") or {}
    return text_or_none(details.get("explanation"))


def usage_of(given: Mapping[str, Any] | None) -> Usage | None:
    """Usage, with the cached parts of the prompt counted in; None where the host says nothing."""
    if not given:
        return None
    prompt, output = given.get("input_tokens"), given.get("output_tokens")
    if prompt is None and output is None:
        return None
    read, written = given.get("cache_read_input_tokens"), given.get("cache_creation_input_tokens")
    thought = (given.get("output_tokens_details") or {}).get("thinking_tokens")
    return Usage(
        input_tokens=int(prompt or 0) + int(read or 0) + int(written or 0),
        output_tokens=int(output or 0),
        cached_input_tokens=None if read is None else int(read),
        cache_write_tokens=None if written is None else int(written),
        reasoning_tokens=None if thought is None else int(thought),
    )
