"""A JSON array that comes in pieces: from bytes, however they are cut, to the texts of its elements."""

from __future__ import annotations

import re

__all__ = ["JSONArrayDecoder"]

# All that matters to where an element ends; in UTF-8 none of it is ever a part of another character.
_MARKS = re.compile(rb'[\\"\[\]{}]')


class JSONArrayDecoder:
    """Cuts a byte stream into the objects of one array; `done`: the array has been closed."""

    __slots__ = ("_depth", "_escaped", "_pieces", "_quoted", "done")

    def __init__(self) -> None:
        self.done: bool = False
        self._pieces: list[bytes] = []  # of an element whose end is still to come
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def feed(self, data: bytes, /) -> list[str]:
        """The elements that *data* completes."""
        elements: list[str] = []
        start, resume = 0, int(self._escaped)
        for match in _MARKS.finditer(data):
            at, mark = match.start(), match.group()
            if at < resume or self.done:
                continue
            if self._quoted:
                if mark == b"\\":
                    resume = at + 2
                self._quoted = mark != b'"'
            elif mark == b'"':
                self._quoted = True
            elif mark in b"[{":
                if self._depth == 1:
                    start = at
                self._depth += 1
            else:
                self._depth -= 1
                self.done = self._depth == 0
                if self._depth == 1:
                    element = b"".join((*self._pieces, data[start : at + 1]))
                    elements.append(element.decode("utf-8", "replace"))
                    self._pieces = []
        self._escaped = resume > len(data)
        if self._depth > 1:
            self._pieces.append(data[start:])
        return elements
