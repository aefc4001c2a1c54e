"""Streams of Gemini's streamGenerateContent: from bytes to chunks."""

from __future__ import annotations

from polyroute.deployments import Call
from polyroute.errors import ResponseDecodeError
from polyroute.providers.event_streams import EventStreamDecoder
from polyroute.providers.framing.json_array import JSONArrayDecoder
from polyroute.providers.gemini_replies import GenerateReader, decode_generate
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import load
from polyroute.replies import ChatChunk

__all__ = ["GenerateDecoder"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class GenerateDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`.

    They are server-sent events, as was asked for, or a JSON array, where a host pays no heed to that.
    Of the two only the array has a terminal event; events end cleanly, after a finish reason for each
    candidate.
    """

    def __init__(self, host: Host, call: Call) -> None:
        super().__init__()
        self._host = host
        self._call = call
        self._reader = GenerateReader(host, call)
        self._array: JSONArrayDecoder | None = None
        self._start: bytes | None = b""  # None: the first bytes have shown what they are

    def feed(self, data: bytes, /) -> list[ChatChunk]:
        if self._start is not None:
            data = (self._start + data).lstrip()
            if _BYTE_ORDER_MARK.startswith(data):  # as nothing at all does
                self._start = data
                return []
            self._start = None
            if data.removeprefix(_BYTE_ORDER_MARK).startswith(b"["):
                self._array = JSONArrayDecoder()
        if self._array is None:
            return super().feed(data)
        chunks = self._take([("", element) for element in self._array.feed(data)])
        if self._array.done and self.error is None:
            self.end()
            chunks.extend(self._ended())
        return chunks

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        self._reader.read(load(data), chunks)
        if self._reader.begun:
            self.recognise()

    def whole(self, body: bytes) -> object:
        return decode_generate(body, self._call, self._host)

    def finished(self) -> bool:
        return self._reader.finished

    def _ended(self) -> list[ChatChunk]:
        """What the end of the array leaves to say: a finish reason where the host gave none."""
        if self._reader.silent:
            self.fail(ResponseDecodeError("the stream has nothing in it"))
            return []
        return self._reader.unfinished()
