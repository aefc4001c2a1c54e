"""From the chunks of a reply to a response of OpenAI's, whole or event by event."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyroute.errors import PolyrouteError
from polyroute.interop.chunks import quoted
from polyroute.interop.failures import error_json
from polyroute.interop.replies import logprobs_json
from polyroute.interop.response_items import MAKER, new_id, sealed
from polyroute.providers.json_bodies import JSON, dump
from polyroute.providers.openai_responses_items import is_mark
from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta
from polyroute.types import Opaque, Reasoning, Text, ToolCall, Usage

__all__ = ["ResponseTelling", "response"]

_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of words is told: in an item of this *type* whose *holder* has one *part*, which says
    them as *said*; pieces of it in events of this *name*, and the part by its *place* in *part_name*."""

    type: str
    id: str
    holder: str
    part: str
    said: str
    name: str
    part_name: str
    place: str


_TEXT = _Kind(
    "message", "msg", "content", "output_text", "text", "output_text", "content_part", "content_index"
)
_REFUSAL = _Kind(
    "message", "msg", "content", "refusal", "refusal", "refusal", "content_part", "content_index"
)
_REASONING = _Kind(
    "reasoning",
    "rs",
    "summary",
    "summary_text",
    "text",
    "reasoning_summary_text",
    "reasoning_summary_part",
    "summary_index",
)


@dataclass(slots=True, eq=False)
class _Begun:
    """An item that is being told: the *pieces* of its words or arguments, and *before*, which stands in
    the event of each before its number."""

    item: JSON
    index: int = 0
    pieces: list[str] = field(default_factory=list[str])
    logprobs: list[JSON] = field(default_factory=list[JSON])
    before: bytes = b""


def response(reply: ChatResponse[Any], asked: str, echo: Mapping[str, Any]) -> bytes:
    """A whole reply as a response; *asked* is the model's name where the provider says none."""
    telling = _Whole(asked, echo)
    for chunk in _chunks_of(reply):
        telling.chunk(chunk)
    telling.end(reply)
    return dump(telling.whole(reply))


class ResponseTelling:
    """One response as OpenAI tells it. *asked* is the model's name where the provider says none,
    *echo* what a response says of its request."""

    __slots__ = ("_asked", "_calls", "_echo", "_head", "_kind", "_output", "_sent", "_words")

    def __init__(self, asked: str, echo: Mapping[str, Any]) -> None:
        self._asked = asked
        self._echo = echo
        self._head: JSON = {}
        self._output: list[JSON] = []
        self._sent = 0
        # One item of words is told at a time; calls may come side by side, and end with the reply.
        self._kind = _TEXT
        self._words: _Begun | None = None
        self._calls: dict[int, _Begun] = {}

    def chunk(self, chunk: ChatChunk) -> bytes:
        """The events that tell *chunk*; b"" where it has nothing that OpenAI has a word for."""
        events = b"" if self._head else self._begin(chunk.id, chunk.model)
        if chunk.index:  # A response has one choice.
            return events
        if chunk.reasoning:
            events += self._say(_REASONING, chunk.reasoning)
        if chunk.text or chunk.logprobs:
            logprobs = logprobs_json(chunk.logprobs)
            events += self._say(_TEXT, chunk.text, logprobs["content"] if logprobs else ())
        if chunk.refusal:
            events += self._say(_REFUSAL, chunk.refusal)
        if chunk.tool_call_delta is not None:
            events += self._call(chunk.tool_call_delta)
        if chunk.opaque is not None:
            events += self._keep(chunk.opaque)
        return events

    def end(self, reply: ChatResponse[Any]) -> bytes:
        """The last events of a stream that sums up to *reply*."""
        events = b"" if self._head else self._begin(reply.id, reply.model)
        events += self._close()
        for call in self._calls.values():
            if call.item["name"]:
                events += self._called(call)
        whole = self.whole(reply)
        return events + self._event(f"response.{whole['status']}", response=whole)

    def broken(self, error: PolyrouteError) -> bytes:
        """The event of a stream that broke; none follows it."""
        told = error_json(error)
        # The SDK raises what stands in `error`; what is flat it would hand on as one event among others.
        flat = {name: told[name] for name in ("code", "message", "param")}
        return self._event("error", **flat, error=told)

    def whole(self, reply: ChatResponse[Any]) -> JSON:
        """The response, once all of *reply* was told."""
        reason = _CUT.get(reply.finish_reason)
        return {
            **self._head,
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": self._output,
            "usage": _usage_json(reply.usage),
        }

    def _begin(self, id: str | None, model: str | None) -> bytes:
        self._head = {
            "id": id or new_id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "model": model or self._asked,
            "error": None,
            **self._echo,
        }
        begun = {
            **self._head,
            "status": "in_progress",
            "incomplete_details": None,
            "output": [],
            "usage": None,
        }
        return self._event("response.created", response=begun)

    def _say(self, kind: _Kind, piece: str, logprobs: Sequence[JSON] = ()) -> bytes:
        """A piece of words of a *kind*."""
        events, words = b"", self._words
        if words is None or self._kind is not kind:
            events = self._close()
            words, told = self._open(kind)
            events += told + self._event(
                f"response.{kind.part_name}.added", **_place(kind, words), part=_part(kind, "", ())
            )
        words.pieces.append(piece)
        if logprobs:
            words.logprobs += logprobs
            return events + self._event(
                f"response.{kind.name}.delta", **_place(kind, words), delta=piece, logprobs=logprobs
            )
        # By far the most events are a piece and no more.
        events += b'%b"sequence_number":%d,"delta":%b}\n\n' % (words.before, self._sent, quoted(piece))
        self._sent += 1
        return events

    def _open(self, kind: _Kind) -> tuple[_Begun, bytes]:
        """A new item of words, and the event that says so."""
        speaker = {"role": "assistant"} if kind.type == "message" else {}
        item = {"type": kind.type, "id": new_id(kind.id), "status": "in_progress", **speaker, kind.holder: []}
        self._kind = kind
        words = self._words = _Begun(item)
        told = self._added(words)
        delta: JSON = {"type": f"response.{kind.name}.delta", **_place(kind, words)}
        if kind is _TEXT:
            delta["logprobs"] = []
        words.before = f"event: {delta['type']}\ndata: ".encode() + dump(delta)[:-1] + b","
        return words, told

    def _close(self) -> bytes:
        """The events that end the item of words which is open."""
        words, kind = self._words, self._kind
        if words is None:
            return b""
        self._words = None
        said = "".join(words.pieces)
        events = b""
        if words.pieces:
            place, part = _place(kind, words), _part(kind, said, words.logprobs)
            told = {"logprobs": words.logprobs} if kind is _TEXT else {}
            events += self._event(f"response.{kind.name}.done", **place, **{kind.said: said}, **told)
            events += self._event(f"response.{kind.part_name}.done", **place, part=part)
            words.item[kind.holder] = [part]
        return events + self._done(words)

    def _call(self, piece: ToolCallDelta) -> bytes:
        """A piece of a call. It is told from when its name is known."""
        events, call = b"", self._calls.get(piece.index)
        if call is None:
            events = self._close()
            item = {"type": "function_call", "id": new_id("fc"), "call_id": "", "name": "", "arguments": ""}
            call = self._calls[piece.index] = _Begun({**item, "status": "in_progress"})
        call.item["call_id"] = call.item["call_id"] or piece.id or ""
        more = piece.arguments
        if piece.name and not call.item["name"]:
            call.item["name"] = piece.name
            call.item["call_id"] = call.item["call_id"] or new_id("call")
            events += self._added(call)
            more = "".join(call.pieces) + more
            call.pieces.clear()
        if more:
            call.pieces.append(more)
            if call.item["name"]:
                place = {"item_id": call.item["id"], "output_index": call.index}
                events += self._event("response.function_call_arguments.delta", **place, delta=more)
        return events

    def _called(self, call: _Begun) -> bytes:
        arguments = "".join(call.pieces) or "{}"
        call.item["arguments"] = arguments
        place = {"item_id": call.item["id"], "output_index": call.index, "name": call.item["name"]}
        told = self._event("response.function_call_arguments.done", **place, arguments=arguments)
        return told + self._done(call)

    def _keep(self, opaque: Opaque) -> bytes:
        """What only its maker understands: an item as it came, what else is known of one, or a secret
        that reasoning bears."""
        data = opaque.data
        theirs = opaque.origin == MAKER
        if theirs and is_mark(data):
            known = {name: value for name, value in data.items() if name in ("phase", "namespace", "caller")}
            told = [*self._calls.values(), *([] if self._words is None else [self._words])]
            for begun in told:
                if _marks(data, begun.item):
                    begun.item.update(known)
            return b""
        if theirs and data.get("type") not in (None, "reasoning"):
            events = self._close()
            item = _Begun({"id": new_id("item"), **data})
            return events + self._added(item) + self._done(item)
        events, words = b"", self._words
        if words is None or self._kind is not _REASONING:
            events = self._close()
            words, opening = self._open(_REASONING)
            events += opening
        words.item["encrypted_content"] = sealed(opaque)
        return events + self._close()

    def _added(self, begun: _Begun) -> bytes:
        begun.index = len(self._output)
        self._output.append(begun.item)
        return self._event("response.output_item.added", output_index=begun.index, item=begun.item)

    def _done(self, begun: _Begun) -> bytes:
        if begun.item.get("status") == "in_progress":
            begun.item["status"] = "completed"
        return self._event("response.output_item.done", output_index=begun.index, item=begun.item)

    def _event(self, kind: str, **fields: object) -> bytes:
        told = {"type": kind, "sequence_number": self._sent, **fields}
        self._sent += 1
        return f"event: {kind}\ndata: ".encode() + dump(told) + b"\n\n"


class _Whole(ResponseTelling):
    """A response that is told at once: nobody reads its events, so none is written."""

    __slots__ = ()

    def _event(self, kind: str, **fields: object) -> bytes:
        return b""


def _place(kind: _Kind, words: _Begun) -> JSON:
    return {"item_id": words.item["id"], "output_index": words.index, kind.place: 0}


def _part(kind: _Kind, said: str, logprobs: Sequence[JSON]) -> JSON:
    part: JSON = {"type": kind.part, kind.said: said}
    return {**part, "annotations": [], "logprobs": list(logprobs)} if kind is _TEXT else part


def _marks(mark: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return mark["type"] == item["type"] and mark.get("call_id") == item.get("call_id")


def _chunks_of(reply: ChatResponse[Any]) -> Iterator[ChatChunk]:
    """The pieces of a whole reply, in the order in which they came."""
    blank = ChatChunk(id=reply.id, model=reply.model)
    logprobs, calls = reply.logprobs, 0
    yield blank
    for part in reply.message.parts:
        match part:
            case Text(text) if reply.text:
                yield ChatChunk(text, logprobs=logprobs)
                logprobs = None
            case Reasoning(text):
                yield ChatChunk(reasoning=text)
            case ToolCall(id=id, name=name, raw_arguments=raw):
                yield ChatChunk(tool_call_delta=ToolCallDelta(calls, id, name, raw))
                calls += 1
            case Opaque():
                yield ChatChunk(opaque=part)
            case _:
                pass
    if reply.refusal:
        yield ChatChunk(refusal=reply.refusal)


def _usage_json(usage: Usage) -> JSON:
    """Usage, in which the SDK demands every count: one that is not known is 0."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
