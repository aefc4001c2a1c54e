"""Server-sent events (WHATWG HTML, 9.2): from bytes, however they are cut, to events."""

from __future__ import annotations

__all__ = ["SSEDecoder"]


class SSEDecoder:
    """Cuts a byte stream into `(event name, data)` pairs; comments, ids and retry hints are passed over."""

    __slots__ = ("_after_cr", "_data", "_event", "_fresh", "_pending")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._data: list[str] = []
        self._event = ""
        self._fresh = True
        self._after_cr = False

    def feed(self, data: bytes, /) -> list[tuple[str, str]]:
        """The events that *data* completes."""
        if self._is_one_event(data):  # By far the most reads are one event of one line.
            event, self._event = self._event, ""
            return [(event, data[6:-2].decode("utf-8", "replace"))]
        if self._after_cr and data:
            # The line ended at the carriage return; its line feed comes late and ends no other.
            self._after_cr = False
            if data[0] == 0x0A:
                data = data[1:]
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not cut:
            if data:
                self._pending.append(data)
            return []
        # A line is whole, so no character is cut here. Joining only now keeps a long line linear.
        block = b"".join((*self._pending, data[:cut]))
        rest = data[cut:]
        self._pending = [rest] if rest else []
        self._after_cr = not rest and block.endswith(b"\r")
        text = block.decode("utf-8", "replace")
        if self._fresh:
            self._fresh = False
            text = text.removeprefix("\ufeff")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return self._lines(text.split("\n")[:-1])

    def finish(self) -> list[tuple[str, str]]:
        """What is left when the bytes end: hosts that forget the last blank line are forgiven."""
        events = self.feed(b"\n") if self._pending else []
        return events + self._lines([""])

    def _is_one_event(self, data: bytes) -> bool:
        return (
            data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and data.find(b"\n") == len(data) - 2
            and b"\r" not in data
            and not (self._pending or self._data or self._fresh)
        )

    def _lines(self, lines: list[str]) -> list[tuple[str, str]]:
        events: list[tuple[str, str]] = []
        for line in lines:
            if line.startswith("data:"):
                self._data.append(line[6:] if line.startswith(" ", 5) else line[5:])
            elif not line:
                if self._data:
                    events.append((self._event, "\n".join(self._data)))
                    self._data = []
                self._event = ""
            elif line.startswith("event:"):
                self._event = line[6:].removeprefix(" ")
            elif line == "data":
                self._data.append("")
            elif line == "event":
                self._event = ""
        return events
