"""Whole replies of Bedrock's Converse, and what streams of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyroute.providers.bedrock_errors import error_in_reply
from polyroute.providers.finishes import finish_of
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, load, malformed, promised_object, promised_text, tolerant
from polyroute.replies import ChatResponse, unusual
from polyroute.types import FinishReason, Opaque, Part, Reasoning, Text, ToolCall, Usage, amended

__all__ = ["FINISH", "decode_converse", "is_of_the_host", "usage_of"]

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

_BLANK: ChatResponse[Any] = ChatResponse()


@tolerant
def decode_converse(body: bytes, host: Host) -> ChatResponse[Any]:
    """A whole reply. Where it cites, its text is what it says; the citations are only in its `raw`.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = promised_object(load(body))
    output, reason = data.get("output"), data.get("stopReason")
    if output is None and (error := error_in_reply(data, host)) is not None:
        raise error
    content = ((output or {}).get("message") or {}).get("content") or []
    if not (content or reason):
        raise malformed("the reply has nothing in it", body)
    parts = _parts(content, host.prefix)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return amended(
        _BLANK,
        text="".join(part.text for part in parts if isinstance(part, Text)),
        reasoning="".join(part.text for part in parts if isinstance(part, Reasoning)) or None,
        tool_calls=calls,
        finish_reason=finish_of(FINISH, reason, calls=bool(calls)),
        parts=unusual(parts),
        usage=usage_of(data.get("usage")) or Usage(),
        raw=data,
    )


def _parts(content: list[JSON], origin: str) -> list[Part]:
    """The blocks in their order; those that only the host understands are kept as they are."""
    parts: list[Part] = []
    for block in content:
        match block:
            case {"text": text}:
                _say(parts, Text, promised_text(text))
            case {"citationsContent": cited}:
                _say(parts, Text, "".join(promised_text(each["text"]) for each in cited["content"]))
            case {"toolUse": call} if not is_of_the_host(call):
                id, name = promised_text(call.get("toolUseId")), promised_text(call["name"])
                parts.append(ToolCall(id, name, promised_object(call.get("input") or {})))
            case {"reasoningContent": {"reasoningText": thought}}:
                _say(parts, Reasoning, promised_text(thought.get("text")))
                if thought.get("signature"):
                    parts.append(Opaque(origin, block))
            case _:
                parts.append(Opaque(origin, block))
    return parts


def _say(parts: list[Part], kind: type[Text | Reasoning], words: str) -> None:
    if parts and isinstance(last := parts[-1], kind):
        parts[-1] = kind(last.text + words)
    elif words:
        parts.append(kind(words))


def is_of_the_host(call: Mapping[str, Any]) -> bool:
    """Whether the host itself answers the call, as it does where it searches the web."""
    return call.get("type") == "server_tool_use"


def usage_of(given: Mapping[str, Any] | None) -> Usage | None:
    """Usage, with the cached parts of the prompt counted in; None where the host says nothing."""
    if not given:
        return None
    prompt, output = given.get("inputTokens"), given.get("outputTokens")
    if prompt is None and output is None:
        return None
    read, written = given.get("cacheReadInputTokens"), given.get("cacheWriteInputTokens")
    return Usage(
        input_tokens=int(prompt or 0) + int(read or 0) + int(written or 0),
        output_tokens=int(output or 0),
        cached_input_tokens=None if read is None else int(read),
        cache_write_tokens=None if written is None else int(written),
    )
