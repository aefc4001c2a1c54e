"""Streams of OpenAI's Responses: from bytes to chunks."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute.providers.error_table import error_within
from polyroute.providers.event_streams import EventStreamDecoder
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, load, malformed, promised_object, promised_text
from polyroute.providers.openai_chat_replies import logprobs_of
from polyroute.providers.openai_responses_replies import ResponseReader, decode_response
from polyroute.replies import ChatChunk

__all__ = ["ResponseDecoder"]


class ResponseDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`.

    Pieces are told apart by the place of their item in the output: the ids of items change from
    event to event on some servers.
    """

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        super().__init__()
        self._host = host
        self._reader = ResponseReader(host, deployment)

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        if data.strip() == "[DONE]":
            self._ended(chunks)
            return
        event = promised_object(load(data))
        kind = event.get("type") or name
        if not self.begun and str(kind).startswith("response."):
            self.recognise()
        chunks += self._read(str(kind), event)

    def whole(self, body: bytes) -> object:
        return decode_response(body, self._host)

    def _read(self, kind: str, event: JSON) -> Sequence[ChatChunk]:
        reader = self._reader
        match kind:
            case "response.output_text.delta":
                logprobs = logprobs_of({"content": event.get("logprobs")})
                return reader.say(_place(event), promised_text(event["delta"]), logprobs)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return reader.call(_place(event), promised_text(event["delta"]))
            case "response.reasoning_summary_text.delta":
                part = ("summary", int(event.get("summary_index") or 0))
                return reader.think(_place(event), part, promised_text(event["delta"]))
            case "response.reasoning_text.delta":
                part = ("content", int(event.get("content_index") or 0))
                return reader.think(_place(event), part, promised_text(event["delta"]))
            case "response.refusal.delta":
                return reader.refuse(_place(event), promised_text(event["delta"]))
            case "response.output_item.added":
                return reader.item(_place(event), promised_object(event["item"]))
            case "response.output_item.done":
                return reader.ended(_place(event), promised_object(event["item"]))
            case "response.completed" | "response.incomplete" | "response.failed":
                response = self._unless_error(promised_object(event["response"]))
                last = reader.end(response, response.get("status") or kind.removeprefix("response."))
                self.end()
                return last
            case "response.created" | "response.in_progress":
                reader.head(promised_object(event["response"]))
                return ()
            case _:  # An error, what says nothing new, or what was not known when this was written.
                if kind == "error" and not event.get("error"):
                    event = {"error": event or kind}
                self._unless_error(event)
                return ()

    def _unless_error(self, value: JSON) -> JSON:
        if (error := error_within(value, self._host.errors)) is not None:
            raise error
        return value

    def _ended(self, chunks: list[ChatChunk]) -> None:
        """Take the end as some servers tell it, who forget to say how the reply ended."""
        self.end()
        if not self._reader.begun:
            self.fail(malformed("the stream has nothing in it", self.head))
        else:
            chunks += self._reader.end({}, None)


def _place(event: JSON) -> int:
    return int(event.get("output_index") or 0)
