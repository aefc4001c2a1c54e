"""Counting tokens without a vocabulary: one simple rule, four bytes of UTF-8 a token."""

from __future__ import annotations

import json

from polyroute.types import (
    ChatRequest,
    EmbedRequest,
    Image,
    Message,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["estimate_prompt", "estimate_text"]

_BYTES_A_TOKEN = 4
_FRAMING = 4  # what a chat template adds to each message
_PICTURE = 1_000  # about what the big hosts count for a picture of a megapixel


def estimate_text(text: str) -> int:
    """About how many tokens *text* is: its bytes in UTF-8 by four, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return -(-size // _BYTES_A_TOKEN)


def estimate_prompt(request: Request) -> int:
    """About how many tokens the prompt of *request* is, tools included."""
    match request:
        case ChatRequest(messages=messages, tools=tools):
            return sum(map(_message, messages)) + sum(map(_tool, tools or ()))
        case EmbedRequest(input=texts):
            return sum(map(estimate_text, texts))
        case _:
            return 0


def _message(message: Message) -> int:
    tokens = _FRAMING
    if isinstance(message.content, str):
        return tokens + estimate_text(message.content)
    for part in message.content:
        match part:
            case Text(text) | Reasoning(text):
                tokens += estimate_text(text)
            case ToolCall(name=name, raw_arguments=arguments):
                tokens += estimate_text(name) + estimate_text(arguments)
            case ToolResult(content=str(content)):
                tokens += estimate_text(content)
            case ToolResult(content=content):
                tokens += _message(Message("tool", content))
            case Image():
                tokens += _PICTURE
            case _:
                pass
    return tokens


def _tool(tool: Tool) -> int:
    return estimate_text(tool.name + tool.description + json.dumps(tool.parameters, default=str))
