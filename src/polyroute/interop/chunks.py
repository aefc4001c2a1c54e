"""From the chunks of a stream to OpenAI's server-sent events, cheaply: they are the hot path."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from polyroute.errors import PolyrouteError
from polyroute.interop.failures import error_json
from polyroute.interop.replies import FINISH, head_of, logprobs_json, usage_json
from polyroute.providers.json_bodies import dump
from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta

__all__ = ["Telling", "quoted"]

_AFTER_TEXT = b'},"finish_reason":null}]}\n\n'


class Telling:
    """One stream as OpenAI tells it. *asked* is the model's name where the provider says none."""

    __slots__ = ("_asked", "_before_text", "_begun", "_finished", "_head", "_include_usage")

    def __init__(self, asked: str, *, include_usage: bool) -> None:
        self._asked = asked
        self._include_usage = include_usage
        self._head: dict[str, Any] | None = None
        self._before_text = b""
        # The choices whose role was told, and those whose finish reason was.
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def chunk(self, chunk: ChatChunk) -> bytes:
        """The events that tell *chunk*; b"" where it has nothing that OpenAI has a word for."""
        index = chunk.index
        if (
            chunk.text
            and index == 0
            and index in self._begun
            and chunk.finish_reason is None
            and chunk.logprobs is None
            and chunk.tool_call_delta is None
            and not (chunk.reasoning or chunk.refusal)
        ):
            # By far the most chunks are this and no more.
            return self._before_text + quoted(chunk.text) + _AFTER_TEXT
        delta = _delta(chunk)
        if not delta and chunk.finish_reason is None and chunk.logprobs is None:
            return b""
        events = b"" if index in self._begun else self._begin(chunk)
        finish = None
        if chunk.finish_reason is not None:
            self._finished.add(index)
            finish = FINISH[chunk.finish_reason]
        return events + self._event(index, delta, logprobs=logprobs_json(chunk.logprobs), finish=finish)

    def end(self, reply: ChatResponse[Any]) -> bytes:
        """The last events of a stream that sums up to *reply*."""
        events = b""
        for index, choice in enumerate(reply.choices or (reply,)):
            if index not in self._begun:
                events += self._begin(ChatChunk(id=reply.id, model=reply.model, index=index))
            if index not in self._finished:
                events += self._event(index, {}, finish=FINISH[choice.finish_reason])
        if self._include_usage:
            events += _event({**(self._head or {}), "choices": [], "usage": usage_json(reply.usage)})
        return events + b"data: [DONE]\n\n"

    def broken(self, error: PolyrouteError) -> bytes:
        """The event of a stream that broke; none follows it."""
        return _event({"error": error_json(error)})

    def _begin(self, chunk: ChatChunk) -> bytes:
        """The event that tells a choice's role."""
        if self._head is None:
            self._head = head_of("chat.completion.chunk", chunk.id, chunk.model or self._asked)
            before, _, _ = dump(
                {**self._head, "choices": [{"index": 0, "delta": {"content": ""}}]}
            ).rpartition(b'""')
            self._before_text = b"data: " + before
        self._begun.add(chunk.index)
        delta = {"role": "assistant", "content": "" if chunk.text else None}
        return self._event(chunk.index, delta)

    def _event(
        self, index: int, delta: dict[str, Any], *, logprobs: object = None, finish: str | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return _event({**(self._head or {}), "choices": [choice]})


def _delta(chunk: ChatChunk) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if chunk.text:
        delta["content"] = chunk.text
    if chunk.reasoning:
        delta["reasoning_content"] = chunk.reasoning
    if chunk.refusal:
        delta["refusal"] = chunk.refusal
    if chunk.tool_call_delta is not None:
        delta["tool_calls"] = [_call(chunk.tool_call_delta)]
    return delta


def _call(piece: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": piece.arguments}
    if piece.name is not None:
        function["name"] = piece.name
    call: dict[str, Any] = {"index": piece.index, "function": function}
    if piece.id is not None:
        call |= {"id": piece.id, "type": "function"}
    return call


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def quoted(text: str) -> bytes:
    try:
        return to_json(text)
    except PydanticSerializationError:  # Half of a surrogate pair.
        return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
