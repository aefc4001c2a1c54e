"""Ids of tool calls as hosts want them: in letters that they take, and each of them once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count

from polyroute.types import Message, Part, ToolCall, ToolResult

__all__ = ["ANY_ID", "with_call_ids"]

ANY_ID = re.compile(r".+", re.DOTALL)

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = 24


def with_call_ids(
    messages: Sequence[Message], fits: re.Pattern[str], length: int | None = None
) -> Sequence[Message]:
    """*messages* in which the id of every tool call *fits*, and no other call has the same.

    Makers number their calls anew in each reply, or give them no ids at all, and take such of their own;
    others refuse them. An id that fits and is the first of its kind stays as it is. Any other becomes so
    many letters and digits, made of it alone, so that a conversation that has grown begins as it did
    before; and each result follows its call.
    """
    for message in messages:
        if type(message.content) is not str or message.role == "tool":
            break
    else:
        return messages
    ids = _Ids(fits, length or _LENGTH)
    renamed = [ids.of_message(message) for message in messages]
    return renamed if any(new is not old for new, old in zip(renamed, messages, strict=True)) else messages


class _Ids:
    """The ids that were given so far, and the calls that no result was seen of."""

    def __init__(self, fits: re.Pattern[str], length: int) -> None:
        self._fits = fits
        self._length = length
        self._taken: set[str] = set()
        self._seen = Counter[str]()
        self._latest: dict[str, str] = {}
        self._open: dict[str, list[str]] = {}

    def of_message(self, message: Message) -> Message:
        content = message.content
        if isinstance(content, str):
            return message
        if message.role == "assistant":
            self._open = {}  # What is answered later than in the turn that follows answers nothing.
        parts = [self._of_part(part) for part in content]
        changed = any(new is not old for new, old in zip(parts, content, strict=True))
        return replace(message, content=tuple(parts)) if changed else message

    def _of_part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            id = self._given(part.id)
            self._open.setdefault(part.id, []).append(id)
            return part if id == part.id else replace(part, id=id)
        if isinstance(part, ToolResult):
            id = self._answered(part.tool_call_id)
            return part if id == part.tool_call_id else replace(part, tool_call_id=id)
        return part

    def _given(self, id: str) -> str:
        """What a call with this id is called; results of it may follow."""
        turn = self._seen[id]
        self._seen[id] += 1
        if id not in self._taken and self._fits.fullmatch(id):
            new = id
        else:
            # Not from the first: where all have the same id, each would try what the others have become.
            made = (_digest(id, each, self._length) for each in count(turn))
            new = next(each for each in made if each not in self._taken)
        self._taken.add(new)
        self._latest[id] = new
        return new

    def _answered(self, id: str) -> str:
        """The call that a result with this id answers: of several the first that none has answered."""
        if waiting := self._open.get(id):
            return waiting.pop(0)
        return self._latest.get(id) or self._given(id)


def _digest(id: str, turn: int, length: int) -> str:
    number = int.from_bytes(sha256(f"{turn}:{id}".encode("utf-8", "surrogatepass")).digest())
    letters: list[str] = []
    for _ in range(length):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)
