"""From a router's replies to OpenAI's JSON."""

from __future__ import annotations

import struct
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from polyroute.providers.json_bodies import dump
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import FinishReason, TokenLogprob, ToolCall, Usage

__all__ = ["FINISH", "completion", "embeddings", "head_of", "logprobs_json", "usage_json"]

# OpenAI has no word for `other`, and clients refuse words that it does not have.
FINISH: Mapping[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "other": "stop",
}


def completion(reply: ChatResponse[Any], asked: str) -> bytes:
    """A whole reply as a chat completion; *asked* is the model's name where the provider says none."""
    choices = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": logprobs_json(choice.logprobs),
            "finish_reason": FINISH[choice.finish_reason],
        }
        for index, choice in enumerate(reply.choices or (reply,))
    ]
    head = head_of("chat.completion", reply.id, reply.model or asked)
    return dump({**head, "choices": choices, "usage": usage_json(reply.usage)})


def embeddings(reply: EmbedResponse, asked: str, *, base64: bool) -> bytes:
    """Vectors as OpenAI lists them, or each as the *base64* of its 32-bit floats."""
    written = _packed if base64 else list
    data = [
        {"object": "embedding", "index": index, "embedding": written(vector)}
        for index, vector in enumerate(reply.vectors)
    ]
    tokens = reply.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return dump({"object": "list", "data": data, "model": reply.model or asked, "usage": usage})


def head_of(kind: str, id: str | None, model: str) -> dict[str, Any]:
    """What every chat completion, and every chunk of one, begins with."""
    return {
        "id": id or f"chatcmpl-{token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def logprobs_json(given: Sequence[TokenLogprob] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {
        "content": [{**_logprob(each), "top_logprobs": [*map(_logprob, each.top)]} for each in given],
        "refusal": None,
    }


def usage_json(usage: Usage) -> dict[str, Any]:
    written: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    read = {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": usage.cache_write_tokens}
    for name, details in {
        "prompt_tokens_details": read,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }.items():
        # What the host did not tell is left out, and is not 0.
        if told := {key: count for key, count in details.items() if count is not None}:
            written[name] = told
    return written


def _message(choice: ChatResponse[Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if choice.tool_calls or choice.refusal else ""),
        "refusal": choice.refusal,
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [*map(_tool_call, choice.tool_calls)]
    return message


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.raw_arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _logprob(given: TokenLogprob) -> dict[str, Any]:
    return {"token": given.token, "logprob": given.logprob, "bytes": given.bytes}


def _packed(vector: Sequence[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
