"""Streams of Bedrock's ConverseStream: from bytes to chunks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from polyroute.errors import ResponseDecodeError
from polyroute.providers.bedrock_errors import error_in_stream
from polyroute.providers.bedrock_replies import FINISH, decode_converse, is_of_the_host, usage_of
from polyroute.providers.event_streams import EventStreamDecoder
from polyroute.providers.finishes import finish_of
from polyroute.providers.framing.eventstream import Frame, FrameDecoder
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    dump,
    load,
    promised_object,
    promised_text,
    text_or_none,
)
from polyroute.replies import ChatChunk, ToolCallDelta
from polyroute.types import Opaque, amended

__all__ = ["ConverseDecoder"]

_REFUSED = "refused:"  # before the name of an exception, where an event has its name


@dataclass(slots=True, eq=False)
class _Block:
    """One block that has begun. *kind* is what it is, *data* what is known of it by now; *place* is that
    of a tool call among those of the reply, None for what is no call of the caller's."""

    kind: str
    data: JSON = field(default_factory=dict[str, object])
    place: int | None = None
    written: list[str] = field(default_factory=list[str])


class _Events:
    """Frames as the pairs of name and data that server-sent events are; an exception is one too."""

    def __init__(self) -> None:
        self._frames = FrameDecoder()

    @property
    def fault(self) -> str | None:
        return self._frames.fault

    @property
    def waiting(self) -> bool:
        return self._frames.waiting

    def feed(self, data: bytes, /) -> list[tuple[str, str]]:
        return [_event(frame) for frame in self._frames.feed(data)]

    def finish(self) -> list[tuple[str, str]]:
        return []


def _event(frame: Frame) -> tuple[str, str]:
    headers, payload = frame
    data = payload.decode("utf-8", "replace") or "{}"
    match headers.get(":message-type"):
        case "exception":
            return _REFUSED + headers.get(":exception-type", ""), data
        case "error":
            said = {"message": headers.get(":error-message", "")}
            return _REFUSED + headers.get(":error-code", ""), dump(said).decode()
        case _:
            return headers.get(":event-type", ""), data


class ConverseDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`.

    Its terminal event is that of the counts, which follows the one that says why the reply ends.
    """

    openings: ClassVar[tuple[bytes, ...]] = (
        b"\0",
        b"\1",
    )  # the length of the first frame, of which none is longer than 32 MiB

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        self._framed = _Events()
        super().__init__(self._framed)
        self._host = host
        self._blank = ChatChunk(deployment=deployment)  # what each chunk of this stream has
        self._open: dict[int, _Block] = {}
        self._calls = 0
        self._said = self._stopped = False

    def feed(self, data: bytes, /) -> list[ChatChunk]:
        chunks = super().feed(data)
        framed = self.begun or self.head.startswith(self.openings)  # or it is a plain body
        if framed and self._framed.fault is not None and self.error is None and not self.done:
            self.fail(ResponseDecodeError(f"the stream is broken: {self._framed.fault}"))
        return chunks

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        self.recognise()
        if name.startswith(_REFUSED):
            raise error_in_stream(name.removeprefix(_REFUSED), data.encode(), self._host)
        event = promised_object(load(data))
        match name:
            case "contentBlockDelta":
                self._delta(int(event["contentBlockIndex"]), promised_object(event["delta"]), chunks)
            case "contentBlockStart":
                self._begin(int(event["contentBlockIndex"]), promised_object(event["start"]), chunks)
            case "contentBlockStop":
                self._end(int(event["contentBlockIndex"]), chunks)
            case "messageStop":
                self._stop(event.get("stopReason"), chunks)
            case "metadata":
                if (usage := usage_of(event.get("usage"))) is not None:
                    chunks.append(amended(self._blank, usage=usage))
                if self._stopped:
                    self.end()
            case _:  # The start of the message, or what was not known when this was written.
                pass

    def whole(self, body: bytes) -> object:
        return decode_converse(body, self._host)

    def finished(self) -> bool:
        return self._stopped and not self._framed.waiting

    def _begin(self, index: int, start: JSON, chunks: list[ChatChunk]) -> None:
        for kind, data in start.items():
            block = self._open[index] = _Block(kind, dict(promised_object(data)))
            if kind == "toolUse" and not is_of_the_host(block.data):
                block.place = self._calls
                id, name = text_or_none(data.get("toolUseId")), promised_text(data["name"])
                self._call(chunks, ToolCallDelta(self._calls, id, name))
                self._calls += 1

    def _delta(self, index: int, delta: JSON, chunks: list[ChatChunk]) -> None:
        match delta:
            case {"text": words}:
                self._say(chunks, text=promised_text(words))
            case {"toolUse": {"input": fragment}}:
                self._argue(self._open[index], promised_text(fragment), chunks)
            case {"reasoningContent": thought}:
                block = self._open.setdefault(index, _Block("reasoningContent"))
                for name in ("text", "signature", "redactedContent"):
                    if more := promised_text(thought.get(name)):
                        block.data[name] = block.data.get(name, "") + more
                self._say(chunks, reasoning=promised_text(thought.get("text")))
            case {"toolResult": content}:
                self._open[index].data.setdefault("content", []).extend(content)
            case _:  # A citation, or what was not known when this was written.
                pass

    def _argue(self, block: _Block, fragment: str, chunks: list[ChatChunk]) -> None:
        if fragment:
            block.written.append(fragment)
            if block.place is not None:
                self._call(chunks, ToolCallDelta(block.place, arguments=fragment))

    def _end(self, index: int, chunks: list[ChatChunk]) -> None:
        """Hand on what of a block is only known at its end."""
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.place is not None:
            if not block.written:
                self._call(chunks, ToolCallDelta(block.place, arguments="{}"))
        elif (data := _whole(block)) is not None:
            self._said = True
            chunks.append(amended(self._blank, opaque=Opaque(self._host.prefix, data)))

    def _stop(self, reason: object, chunks: list[ChatChunk]) -> None:
        for index in tuple(self._open):
            self._end(index, chunks)
        if not (reason or self._said):
            raise ResponseDecodeError("the stream has nothing in it")
        self._stopped = True
        chunks.append(amended(self._blank, finish_reason=finish_of(FINISH, reason, calls=bool(self._calls))))

    def _say(self, chunks: list[ChatChunk], **words: str) -> None:
        if any(words.values()):
            self._said = True
            chunks.append(amended(self._blank, **words))

    def _call(self, chunks: list[ChatChunk], delta: ToolCallDelta) -> None:
        self._said = True
        chunks.append(amended(self._blank, tool_call_delta=delta))


def _whole(block: _Block) -> JSON | None:
    """The block as it would stand in a whole reply; None where our own words say all of it."""
    data = block.data
    if block.kind != "reasoningContent":
        if block.kind == "toolUse":
            data["input"] = load("".join(block.written) or "{}")
        return {block.kind: data}
    if "redactedContent" in data:
        return {"reasoningContent": {"redactedContent": data["redactedContent"]}}
    if "signature" in data:
        return {
            "reasoningContent": {
                "reasoningText": {"text": data.get("text", ""), "signature": data["signature"]}
            }
        }
    return None
