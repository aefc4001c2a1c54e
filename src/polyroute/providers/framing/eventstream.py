"""AWS's event stream (vnd.amazon.eventstream): from bytes, however they are cut, to frames whose checksums agree."""

from __future__ import annotations

import struct
from typing import TypeAlias
from zlib import crc32

__all__ = ["Frame", "FrameDecoder"]

Frame: TypeAlias = tuple[dict[str, str], bytes]
"""One frame: those of its headers that are text, and its payload."""

_PRELUDE = struct.Struct(">III")  # the length of the whole, that of the headers, a checksum of both
_CHECKSUM = 4  # of all that stands before it
_LARGEST = 24 * 1024 * 1024 + 128 * 1024  # a payload and headers, as AWS bounds them
_TEXT = 7
# Bytes of a header's value by its type. Those of bytes and of texts say theirs in two bytes of their own.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_SIZED = (6, _TEXT)


class FrameDecoder:
    """Cuts a byte stream into frames. *fault* is what is wrong with the one that was no good; what comes
    after it is not read, since nothing tells where it would begin."""

    __slots__ = ("_pending", "fault")

    def __init__(self) -> None:
        self.fault: str | None = None
        self._pending = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._pending)

    def feed(self, data: bytes, /) -> list[Frame]:
        """The frames that *data* completes."""
        frames: list[Frame] = []
        self._pending += data
        while self.fault is None and len(self._pending) >= _PRELUDE.size:
            size, headers, checksum = _PRELUDE.unpack_from(self._pending)
            body = _PRELUDE.size + headers
            if crc32(self._pending[: _PRELUDE.size - _CHECKSUM]) != checksum:
                self.fault = "an event's lengths do not agree with their checksum"
            elif not body + _CHECKSUM <= size <= _LARGEST:
                self.fault = f"an event says that it is {size} bytes long, {headers} of them headers"
            elif len(self._pending) < size:
                break
            else:
                self._cut(bytes(self._pending[:size]), body, frames)
                del self._pending[:size]
        return frames

    def _cut(self, frame: bytes, body: int, frames: list[Frame]) -> None:
        checked = len(frame) - _CHECKSUM
        if crc32(frame[:checked]) != int.from_bytes(frame[checked:], "big"):
            self.fault = "an event does not agree with its checksum"
        elif (headers := _texts(frame[_PRELUDE.size : body])) is None:
            self.fault = "an event's headers cannot be read"
        else:
            frames.append((headers, frame[body:checked]))


def _texts(data: bytes) -> dict[str, str] | None:
    """The headers in *data* that are text; None where they do not end where they should."""
    texts: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            named = at + 1 + data[at]
            name, kind = data[at + 1 : named].decode(), data[named]
            at = named + 1
            if kind in _SIZED:
                size = int.from_bytes(data[at : at + 2], "big")
                at += 2
            else:
                size = _SIZES[kind]
            if kind == _TEXT:
                texts[name] = data[at : at + size].decode()
            at += size
    except (LookupError, UnicodeDecodeError):
        return None
    return texts if at == len(data) else None
