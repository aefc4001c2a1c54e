"""Prompt caching: what a caller marks, and what is marked without being asked.

A host keeps a prompt up to a mark: its tools first, then what the system says, then the turns. To write
it costs a quarter more than to read it anew, and to read what was kept a tenth, so that it pays where one
call in three finds it. Tools and system are alike from call to call, and a conversation that is under way
comes again with one turn more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

from polyroute.deployments import Deployment
from polyroute.providers.json_bodies import JSON
from polyroute.types import (
    Audio,
    ChatRequest,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    amended,
)

__all__ = [
    "MARK",
    "caches",
    "is_mark",
    "mark",
    "mark_message",
    "mark_messages",
    "mark_of",
    "mark_text",
    "marks_by_itself",
    "resent",
    "unmarked",
    "with_marks",
]

MARK = "cache_control"
"""The key of a mark in Anthropic's words, which are ours too."""

_ORIGIN = "anthropic"
_EPHEMERAL = {"type": "ephemeral"}
_OWN_WORDS = frozenset({MARK, "cachePoint"})  # in what a caller wrote for one host alone

# In characters, about the least that any model keeps, 512 tokens. Many keep nothing below 4,096, but a
# mark that comes too early does no harm: this only spares short prompts the words.
_LONG = 2_000

# What was thought bears no mark; it is kept with what comes after it.
_UNMARKED = frozenset({"thinking", "redacted_thinking"})


def is_mark(opaque: Opaque) -> bool:
    """Whether it says that the prompt may be kept up to here, and nothing else."""
    data = opaque.data
    return (
        opaque.origin == _ORIGIN
        and isinstance(data, Mapping)
        and len(data) == 1
        and isinstance(data.get(MARK), Mapping)
    )


def mark_of(part: Part) -> Mapping[str, Any] | None:
    """What a mark says; None where *part* is something else."""
    return part.data[MARK] if isinstance(part, Opaque) and is_mark(part) else None


def caches(deployment: Deployment, *, known: bool = True) -> bool:
    """Whether prompts may be marked there: as the deployment says, or else as it is *known* of its model."""
    return (deployment.capabilities or {}).get("prompt_caching", known)


def marks_by_itself(request: ChatRequest) -> bool:
    """Whether to mark the prompt although nobody asked: it is long, and its caller has marked nothing."""
    return _is_long(request) and not _is_marked(request)


def mark(blocks: Sequence[JSON], said: Mapping[str, Any] = _EPHEMERAL) -> None:
    """Mark the last of *blocks*, if there is one that can bear a mark."""
    if blocks and blocks[-1].get("type") not in _UNMARKED:
        blocks[-1][MARK] = said


def unmarked(request: ChatRequest) -> ChatRequest:
    """The same without its caller's marks."""
    messages = tuple([
        replace(message, content=[part for part in message.content if mark_of(part) is None])
        if not isinstance(message.content, str)
        else message
        for message in request.messages
    ])  # fmt: skip
    tools = request.tools and tuple(replace(tool, cache_control=None) for tool in request.tools)
    return amended(request, messages=messages, tools=tools)


def with_marks(parts: Sequence[Part], write: Callable[[Part], JSON | None]) -> list[JSON]:
    """The blocks that *write* makes of *parts*, those before a mark with it."""
    blocks: list[JSON] = []
    for part in parts:
        if (said := mark_of(part)) is None:
            if (block := write(part)) is not None:
                blocks.append(block)
        else:
            mark(blocks, said)
    return blocks


def resent(turns: Sequence[JSON]) -> list[list[JSON]]:
    """The last two turns of a user, where a conversation is under way.

    The first of them is as far as the call before had it written, however much has come since; the
    other is for the call to come.
    """
    said = [turn["content"] for turn in turns if turn["role"] == "user"]
    return said[-2:] if len(said) > 1 else []


def mark_messages(messages: Sequence[JSON]) -> None:
    """Mark messages in OpenAI's shape: what the system says, and the last two turns of a user."""
    system = list(takewhile(lambda message: message["role"] in ("system", "developer"), messages))
    rest = [*messages[len(system) :], {"role": "assistant"}]
    ends = [one for one, after in pairwise(rest) if after["role"] == "assistant" != one["role"]]
    for message in (*system[-1:], *(ends[-2:] if len(ends) > 1 else ())):
        mark_message(message)


def mark_message(message: JSON, said: Mapping[str, Any] = _EPHEMERAL) -> None:
    """Mark the last text of a message in OpenAI's shape; nothing else there bears a mark."""
    content = message["content"]
    if isinstance(content, str) and content:
        content = message["content"] = [{"type": "text", "text": content}]
    if isinstance(content, list):
        mark_text(content, said)


def mark_text(parts: Sequence[JSON], said: Mapping[str, Any]) -> None:
    """Mark the last text among *parts* in OpenAI's shape, if there is one that says something."""
    texts = [part for part in parts if part["type"] == "text" and part["text"].strip()]
    mark(texts, said)


def _is_long(request: ChatRequest) -> bool:
    length = 0
    for message in request.messages:
        content = message.content
        length += len(content) if isinstance(content, str) else sum(map(_length, content))
        if length >= _LONG:
            return True
    for tool in request.tools or ():
        length += len(tool.description) + len(repr(tool.parameters))
        if length >= _LONG:
            return True
    return False


def _length(part: Part) -> int:
    match part:
        case Text(text):
            return len(text)
        case ToolCall(raw_arguments=arguments):
            return len(arguments)
        case ToolResult(content=content):
            return len(content) if isinstance(content, str) else sum(map(_length, content))
        case Image() | Audio() | File():
            return _LONG  # a picture is a thousand tokens or more, and a document no less
        case Reasoning() | Opaque():
            return 0


def _is_marked(request: ChatRequest) -> bool:
    return (
        any(tool.cache_control is not None for tool in request.tools or ())
        or any(
            isinstance(part, Opaque) and _says_so(part.data)
            for message in request.messages
            if not isinstance(message.content, str)
            for part in message.content
        )
        or _says_so(request.extra)
    )


def _says_so(value: object) -> bool:
    """Whether a mark stands anywhere in *value*."""
    if isinstance(value, Mapping):
        return not _OWN_WORDS.isdisjoint(value) or any(map(_says_so, value.values()))
    return isinstance(value, list | tuple) and any(map(_says_so, value))
