"""Streams of Cohere's chat: from bytes to chunks."""

from __future__ import annotations

from polyroute.providers.cohere_replies import FINISH, decode_chat, error_in, logprobs_of, usage_of
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
from polyroute.types import Opaque, amended

__all__ = ["ChatDecoder"]


class ChatDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`."""

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        super().__init__()
        self._host = host
        self._blank = ChatChunk(deployment=deployment)  # what each chunk of this stream has
        self._open: dict[int, JSON] = {}  # blocks that are no text, as they are by now
        self._plan: list[str] = []
        self._calls: dict[int, int] = {}  # the place of each tool call, by its index
        self._said = False

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        event = promised_object(load(data))
        match event.get("type"):
            case "content-delta":
                self._content(int(event["index"]), event["delta"], chunks)
            case "content-start":
                self._begin(int(event["index"]), event["delta"], chunks)
            case "content-end":
                self._end(int(event["index"]), chunks)
            case "tool-plan-delta":
                self.recognise()
                self._plan.append(promised_text(event["delta"]["message"]["tool_plan"]))
            case "tool-call-start" | "tool-call-delta":
                self._call(int(event["index"]), event["delta"]["message"]["tool_calls"], chunks)
            case "message-start":
                self.recognise()
                self._blank = amended(self._blank, id=text_or_none(event.get("id")))
            case "message-end":
                self._finish(promised_object(event.get("delta") or {}), chunks)
            case _:  # Citations, an error, or what was not known when this was written.
                if name == "error" and not event.get("error"):
                    event = {"error": event or name}
                if (error := error_in(event, self._host)) is not None:
                    raise error

    def whole(self, body: bytes) -> object:
        return decode_chat(body, self._host)

    def _begin(self, index: int, delta: JSON, chunks: list[ChatChunk]) -> None:
        self.recognise()
        content = delta["message"]["content"]
        if content.get("type") == "text":
            self._say(chunks, text=promised_text(content.get("text")))
        else:
            self._open[index] = promised_object(content)
            self._say(chunks, reasoning=promised_text(content.get("thinking")))

    def _content(self, index: int, delta: JSON, chunks: list[ChatChunk]) -> None:
        self.recognise()
        content = delta["message"]["content"]
        if (logprobs := logprobs_of(delta.get("logprobs"))) is not None:
            chunks.append(amended(self._blank, logprobs=logprobs))
        self._say(chunks, text=promised_text(content.get("text")))
        if thought := promised_text(content.get("thinking")):
            block = self._open.setdefault(index, {"type": "thinking"})
            block["thinking"] = promised_text(block.get("thinking")) + thought
            self._say(chunks, reasoning=thought)

    def _end(self, index: int, chunks: list[ChatChunk]) -> None:
        """Hand on what of a block is only known at its end."""
        if (block := self._open.pop(index, None)) is not None:
            self._keep(block, chunks)

    def _call(self, index: int, call: JSON, chunks: list[ChatChunk]) -> None:
        self.recognise()
        self._planned(chunks)
        place = self._calls.setdefault(index, len(self._calls))
        function = call.get("function") or {}
        id, name = text_or_none(call.get("id")), text_or_none(function.get("name"))
        delta = ToolCallDelta(place, id, name, promised_text(function.get("arguments")))
        self._said = True
        chunks.append(amended(self._blank, tool_call_delta=delta))

    def _finish(self, delta: JSON, chunks: list[ChatChunk]) -> None:
        self.recognise()
        for index in tuple(self._open):
            self._end(index, chunks)
        self._planned(chunks)
        if (error := error_in(delta, self._host)) is not None:
            raise error
        reason = delta.get("finish_reason")
        if not self._said and not reason:
            raise malformed("the stream has nothing in it", self.head)
        self.end()
        finish = finish_of(FINISH, reason, calls=bool(self._calls))
        chunks.append(amended(self._blank, finish_reason=finish, usage=usage_of(delta.get("usage"))))

    def _planned(self, chunks: list[ChatChunk]) -> None:
        """Hand on the plan, once it is whole."""
        if plan := "".join(self._plan):
            self._plan.clear()
            self._keep({"tool_plan": plan}, chunks)

    def _keep(self, data: JSON, chunks: list[ChatChunk]) -> None:
        self._said = True
        chunks.append(amended(self._blank, opaque=Opaque(self._host.prefix, data)))

    def _say(self, chunks: list[ChatChunk], **words: str) -> None:
        if any(words.values()):
            self._said = True
            chunks.append(amended(self._blank, **words))
