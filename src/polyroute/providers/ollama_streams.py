"""Streams of Ollama's chat: from bytes to chunks."""

from __future__ import annotations

from typing import ClassVar

from polyroute.deployments import Call
from polyroute.providers.event_streams import EventStreamDecoder
from polyroute.providers.framing.ndjson import NDJSONDecoder
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import load
from polyroute.providers.ollama_replies import ChatReader, decode_chat
from polyroute.replies import ChatChunk

__all__ = ["ChatDecoder"]


class ChatDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`."""

    openings: ClassVar[tuple[bytes, ...]] = (b"{",)

    def __init__(self, host: Host, call: Call) -> None:
        super().__init__(NDJSONDecoder())
        self._host = host
        self._call = call
        self._reader = ChatReader(host, call)

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        self._reader.read(load(data), chunks)
        if self._reader.begun:
            self.recognise()
        if self._reader.done:
            self.end()

    def whole(self, body: bytes) -> object:
        return decode_chat(body, self._call, self._host)
