"""Ids of tool calls as short as some hosts want them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count

from polyroute.types import Message, Part, ToolCall, ToolResult

__all__ = ["with_short_ids"]

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def with_short_ids(messages: Sequence[Message], length: int) -> Sequence[Message]:
    """*messages* with every id of a tool call of so many letters and digits.

    One that is so already stays as it is, and of any other the new one is made of it alone, so that a
    conversation that has grown begins as it did before. Two of one request never become the same.
    """
    if all(message.role != "tool" and type(message.content) is str for message in messages):
        return messages
    short: dict[str, str] = {}
    return [_renamed(message, short, length) for message in messages]


def _renamed(message: Message, short: dict[str, str], length: int) -> Message:
    if isinstance(message.content, str):
        return message
    return replace(message, content=tuple([_part(part, short, length) for part in message.content]))


def _part(part: Part, short: dict[str, str], length: int) -> Part:
    if isinstance(part, ToolCall):
        return replace(part, id=_short(part.id, short, length))
    if isinstance(part, ToolResult):
        return replace(part, tool_call_id=_short(part.tool_call_id, short, length))
    return part


def _short(id: str, short: dict[str, str], length: int) -> str:
    if id not in short:
        taken = frozenset(short.values())
        fits = re.fullmatch(rf"[A-Za-z0-9]{{{length}}}", id) is not None
        if fits and id not in taken:
            short[id] = id
        else:
            short[id] = next(made for turn in count() if (made := _digest(id, turn, length)) not in taken)
    return short[id]


def _digest(id: str, turn: int, length: int) -> str:
    number = int.from_bytes(sha256(f"{turn}:{id}".encode("utf-8", "surrogatepass")).digest())
    letters: list[str] = []
    for _ in range(length):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)
