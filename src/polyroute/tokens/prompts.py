"""How long a prompt is: its texts, each measured, and what stands around them. Here without a vocabulary."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from polyroute.tokens.families import Family, family_of
from polyroute.types import (
    ChatRequest,
    EmbedRequest,
    Image,
    Message,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["Length", "estimate_prompt", "estimate_text", "prompt_tokens", "weigh"]

# A text's length in hundredths of a token, so that what is added up is not rounded before the end.
Length: TypeAlias = Callable[[str], int]

_PICTURE = 1_000  # about what the big hosts count for a picture of a megapixel


def estimate_text(text: str, model: str | None = None) -> int:
    """About how many tokens *text* is for *model*, rounded up."""
    return -(-weigh(family_of(model).weights, text) // 100)


def estimate_prompt(request: Request, model: str | None = None) -> int:
    """About how many tokens the prompt of *request* is for *model*, tools included, rounded up."""
    family = family_of(model)
    length_of = partial(weigh, family.weights)
    match request:
        case ChatRequest(messages=messages, tools=tools):
            return prompt_tokens(messages, tools or (), family, length_of)
        case EmbedRequest(input=texts):
            return sum(-(-length_of(text) // 100) for text in texts)
        case _:
            return 0


def weigh(weights: bytes, text: str) -> int:
    """The hundredths of a token that *text* comes to, each byte by its weight."""
    return sum(text.encode("utf-8", "replace").translate(weights))


def prompt_tokens(
    messages: Sequence[Message], tools: Sequence[Tool], family: Family, length_of: Length
) -> int:
    """The tokens of a conversation with its *tools*, rounded up; texts are as long as *length_of* says."""
    hundredths = 100 * (family.base + family.message * len(messages))
    for message in messages:
        hundredths += _content(message.content, family, length_of)
    if tools:
        hundredths += 100 * family.tools + family.schema * sum(map(length_of, map(_written, tools))) // 100
    return -(-hundredths // 100)


def _content(content: str | Sequence[Part], family: Family, length_of: Length) -> int:
    if isinstance(content, str):
        return length_of(content)
    hundredths = 0
    for part in content:
        match part:
            case Text(text) | Reasoning(text):
                hundredths += length_of(text)
            case ToolCall(name=name, raw_arguments=arguments):
                hundredths += 100 * family.call + length_of(name) + length_of(arguments)
            case ToolResult(content=result):
                hundredths += _content(result, family, length_of)
            case Image():
                hundredths += 100 * _PICTURE
            case _:
                pass
    return hundredths


def _written(tool: Tool) -> str:
    return tool.name + tool.description + json.dumps(tool.parameters, default=str, ensure_ascii=False)
