"""Streams of Anthropic's Messages: from bytes to chunks."""

from __future__ import annotations

from dataclasses import dataclass, field

from polyroute.providers.anthropic_replies import FINISH, decode_message, refusal_of, usage_of
from polyroute.providers.error_table import error_within
from polyroute.providers.event_streams import EventStreamDecoder
from polyroute.providers.finishes import finish_of
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    load,
    malformed,
    promised_object,
    promised_text,
    text_or_none,
)
from polyroute.replies import ChatChunk, ToolCallDelta
from polyroute.types import Opaque, ToolCall, amended

__all__ = ["MessageDecoder"]

# Which field of its block a delta goes on with.
_CONTINUES = {
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "compaction_delta": "content",
}


@dataclass(slots=True, eq=False)
class _Block:
    """One block that has begun, as it is by now. *place* is that of a tool call among those of the
    reply, None for what is no call; *written* the JSON that came of its input."""

    data: JSON
    place: int | None = None
    written: list[str] = field(default_factory=list[str])


class MessageDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`."""

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        super().__init__()
        self._host = host
        self._blank = ChatChunk(deployment=deployment)  # what each chunk of this stream has
        self._open: dict[int, _Block] = {}
        self._usage: JSON = {}
        self._calls = 0
        self._said = self._finished = False

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        event = promised_object(load(data))
        match event.get("type"):
            case "content_block_delta":
                self._delta(int(event["index"]), event["delta"], chunks)
            case "content_block_start":
                self._begin(int(event["index"]), promised_object(event["content_block"]), chunks)
            case "content_block_stop":
                self._end(int(event["index"]), chunks)
            case "message_start":
                self._start(event["message"])
            case "message_delta":
                self._message(event, chunks)
            case "message_stop":
                self.end()
                chunks.extend(self.left())
            case _:  # A ping, an error, or what was not known when this was written.
                if name == "error" and not event.get("error"):
                    event = {"error": event or name}
                if (error := error_within(event, self._host.errors)) is not None:
                    raise error

    def whole(self, body: bytes) -> object:
        return decode_message(body, self._host)

    def finished(self) -> bool:
        return self._finished

    def left(self) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        for index in tuple(self._open):
            self._end(index, chunks)
        if not self._finished and not self._said:
            self.fail(malformed("the stream has nothing in it", self.head))
        elif not self._finished:
            chunks.append(
                amended(self._blank, finish_reason=finish_of(FINISH, None, calls=bool(self._calls)))
            )
        return chunks

    def _start(self, message: JSON) -> None:
        self.recognise()
        id, model = text_or_none(message.get("id")), text_or_none(message.get("model"))
        self._blank = amended(self._blank, id=id, model=model)
        self._usage = message.get("usage") or {}

    def _begin(self, index: int, block: JSON, chunks: list[ChatChunk]) -> None:
        self.recognise()
        match block.get("type"):
            case "text":
                self._say(chunks, text=promised_text(block.get("text")))
                return
            case "tool_use":
                self._open[index] = _Block(block, self._calls)
                id, name = text_or_none(block.get("id")), promised_text(block["name"])
                self._call(chunks, ToolCallDelta(self._calls, id, name))
                self._calls += 1
            case "thinking":
                self._open[index] = _Block(block)
                self._say(chunks, reasoning=promised_text(block.get("thinking")))
            case _:
                self._open[index] = _Block(block)

    def _delta(self, index: int, delta: JSON, chunks: list[ChatChunk]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self.recognise()
            self._say(chunks, text=promised_text(delta["text"]))
        elif kind == "input_json_delta":
            block, fragment = self._open[index], promised_text(delta["partial_json"])
            if fragment:
                block.written.append(fragment)
                if block.place is not None:
                    self._call(chunks, ToolCallDelta(block.place, arguments=fragment))
        elif (name := _CONTINUES.get(str(kind))) is not None:
            data, more = self._open[index].data, promised_text(delta.get(name))
            data[name] = promised_text(data.get(name)) + more
            if name == "thinking":
                self._say(chunks, reasoning=more)

    def _end(self, index: int, chunks: list[ChatChunk]) -> None:
        """Hand on what of a block is only known at its end."""
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.place is None:
            if block.written:
                block.data["input"] = load("".join(block.written))
            self._said = True
            chunks.append(amended(self._blank, opaque=Opaque(self._host.prefix, block.data)))
        elif not block.written:
            given = promised_object(block.data.get("input") or {})
            arguments = ToolCall("", "", given).raw_arguments
            self._call(chunks, ToolCallDelta(block.place, arguments=arguments))

    def _message(self, event: JSON, chunks: list[ChatChunk]) -> None:
        """What is known of the whole message by now: its counts are totals, and those left out stand."""
        self.recognise()
        delta = event.get("delta") or {}
        self._usage |= {
            name: count for name, count in (event.get("usage") or {}).items() if count is not None
        }
        if (refusal := refusal_of(delta)) is not None:
            self._say(chunks, refusal=refusal)
        if reason := delta.get("stop_reason"):
            self._finished = True
            finish = finish_of(FINISH, reason, calls=bool(self._calls))
            chunks.append(amended(self._blank, finish_reason=finish))
        if (usage := usage_of(self._usage)) is not None:
            chunks.append(amended(self._blank, usage=usage))

    def _say(self, chunks: list[ChatChunk], **words: str) -> None:
        if any(words.values()):
            self._said = True
            chunks.append(amended(self._blank, **words))

    def _call(self, chunks: list[ChatChunk], delta: ToolCallDelta) -> None:
        self._said = True
        chunks.append(amended(self._blank, tool_call_delta=delta))
