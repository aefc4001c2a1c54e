"""What the decoders of all streams of events have in common: how one is cut, ends and breaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from polyroute.errors import PolyrouteError, ReadError, ResponseDecodeError
from polyroute.providers.framing.sse import SSEDecoder
from polyroute.providers.json_bodies import MISSHAPEN, malformed, misshapen
from polyroute.replies import ChatChunk

__all__ = ["EventStreamDecoder"]

_HEAD = 65_536  # bytes kept of what does not begin as a stream, to tell what it was


class Framing(Protocol):
    """How bytes are cut into events, each with a name and its data."""

    def feed(self, data: bytes, /) -> Sequence[tuple[str, str]]: ...
    def finish(self) -> Sequence[tuple[str, str]]: ...


class EventStreamDecoder(ABC):
    """From the bytes of one stream to chunks, but for what its events mean. See `StreamDecoder`.

    *begun*: something that the format knows has come; until then the bytes are kept, to tell what
    came instead. *openings*: how the bytes of a stream begin. *events* is how they are framed, as
    server-sent events where it is left out.
    """

    openings: ClassVar[tuple[bytes, ...]] = (b"data:", b"event:", b"id:", b"retry:", b":")

    def __init__(self, events: Framing | None = None) -> None:
        self.done: bool = False
        self.error: PolyrouteError | None = None
        self.begun: bool = False
        self.head: bytes = b""
        self._events: Framing = events or SSEDecoder()

    def feed(self, data: bytes, /) -> list[ChatChunk]:
        if not self.begun and len(self.head) < _HEAD:
            self.head += data[:_HEAD]
        return self._take(self._events.feed(data))

    def finish(self) -> list[ChatChunk]:
        broken = self.error is not None
        chunks = self._take(self._events.finish())
        if broken or self.done:
            return chunks
        # What does not parse here was the beginning of an event, of which the rest never came.
        if isinstance(self.error, ResponseDecodeError) or (self.error is None and not self.finished()):
            self.error = self._too_early()
        elif self.error is None:
            try:
                chunks.extend(self.left())
            except PolyrouteError as error:
                self.error = error
        return chunks

    @abstractmethod
    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        """Put what one event says to *chunks*, and call `end` where it is the terminal one."""

    @abstractmethod
    def whole(self, body: bytes) -> object:
        """Raise the error that a body is which came instead of a stream, if it is one."""

    def recognise(self) -> None:
        """Say that something has come that the format knows."""
        self.begun = True

    def end(self) -> None:
        """Say that the terminal event has come."""
        self.done = True

    def fail(self, error: PolyrouteError) -> None:
        """Break the stream off with *error*, after what was good."""
        self.error = error

    def finished(self) -> bool:
        """Whether the bytes may end here although no terminal event has come."""
        return False

    def left(self) -> Sequence[ChatChunk]:
        """What a clean end without a terminal event leaves to say."""
        return ()

    def _take(self, events: Sequence[tuple[str, str]]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        for name, data in events:
            if self.done or self.error is not None:
                break
            if data and not data.isspace():
                try:
                    self.read(name, data, chunks)
                except PolyrouteError as error:
                    self.error = error
                except MISSHAPEN as exc:
                    self.error = misshapen(exc)
        return chunks

    def _too_early(self) -> PolyrouteError:
        """The error of a stream whose bytes ended before it did."""
        head = self.head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if self.begun or not head or head.startswith(self.openings):
            return ReadError("the stream ended before its end")
        try:  # A plain body came instead of a stream: an error, a whole reply, or a page.
            self.whole(self.head)
        except PolyrouteError as error:
            return error
        return malformed("a whole reply came instead of a stream", self.head)
