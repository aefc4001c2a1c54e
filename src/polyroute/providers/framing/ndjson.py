"""Newline-delimited JSON: from bytes, however they are cut, to the texts of its lines."""

from __future__ import annotations

__all__ = ["NDJSONDecoder"]


class NDJSONDecoder:
    """Cuts a byte stream at its line feeds, of which JSON has none within a value; events have no names."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: list[bytes] = []

    def feed(self, data: bytes, /) -> list[tuple[str, str]]:
        """The lines that *data* completes."""
        cut = data.rfind(b"\n") + 1
        if not cut:
            if data:
                self._pending.append(data)
            return []
        # A line is whole, so no character is cut here. Joining only now keeps a long line linear.
        block = b"".join((*self._pending, data[:cut]))
        rest = data[cut:]
        self._pending = [rest] if rest else []
        return [("", line.decode("utf-8", "replace")) for line in block.split(b"\n")]

    def finish(self) -> list[tuple[str, str]]:
        """What is left when the bytes end: the last line may have no line feed."""
        return self.feed(b"\n") if self._pending else []
