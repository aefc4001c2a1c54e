"""The chunks of a streamed reply, put together as they come."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta, unusual
from polyroute.types import (
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    amended,
)

__all__ = ["Gathered"]

_BLANK: ChatResponse[Any] = ChatResponse()


class Gathered:
    """The chunks of one choice of a reply, put together as they come: *chunks*, and those that are added."""

    __slots__ = (
        "_calls", "_choices", "_finish_reason", "_id", "_logprobs", "_model", "_refusal", "_segments", "_words",
        "usage",
    )  # fmt: skip

    def __init__(self, chunks: Iterable[ChatChunk] = ()) -> None:
        self._clear()
        for chunk in chunks:
            self.add(chunk)

    def _clear(self) -> None:
        # Runs of text and of reasoning in the wire's order, between them what is opaque, and calls by index.
        self._segments: list[tuple[type[Text | Reasoning], list[str]] | Opaque | int] = []
        self._words: list[str] | None = None  # the last of them, while it is a run of text
        self._calls: dict[int, _Call] = {}
        self._refusal: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._choices: dict[int, Gathered] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._finish_reason: FinishReason | None = None
        self.usage: Usage | None = None

    def copy(self) -> Gathered:
        """The same so far, to go on by itself."""
        return deepcopy(self)

    @property
    def branches(self) -> bool:
        """Whether it is more than one text: it calls tools, or has further choices."""
        return bool(self._calls or self._choices)

    def add(self, chunk: ChatChunk) -> None:
        """Take one more chunk; one that says `restarted` voids those before it."""
        if chunk.restarted:
            self._clear()
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.index:
            choice = self._choices.setdefault(chunk.index, Gathered())
            choice.add(replace(chunk, index=0, restarted=False))
            return
        if chunk.text:
            if self._words is not None:  # as nearly always
                self._words.append(chunk.text)
            else:
                self._say(Text, chunk.text)
        if chunk.reasoning:
            self._say(Reasoning, chunk.reasoning)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        if chunk.tool_call_delta is not None:
            self._called(chunk.tool_call_delta)
        if chunk.opaque is not None:
            self._segments.append(chunk.opaque)
            self._words = None
        if chunk.logprobs is not None:
            self._logprobs.extend(chunk.logprobs)
        if chunk.finish_reason is not None:
            self._finish_reason = chunk.finish_reason
        self._id = chunk.id or self._id
        self._model = chunk.model or self._model

    def _say(self, kind: type[Text | Reasoning], words: str) -> None:
        last = self._segments[-1] if self._segments else None
        if type(last) is tuple and last[0] is kind:
            last[1].append(words)
            return
        run = [words]
        self._segments.append((kind, run))
        self._words = run if kind is Text else None

    def _called(self, delta: ToolCallDelta) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call = self._calls[delta.index] = _Call()
            self._segments.append(delta.index)
            self._words = None
        call.add(delta)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._joined(Text)

    def _joined(self, kind: type[Text | Reasoning]) -> str:
        runs = [segment[1] for segment in self._segments if type(segment) is tuple and segment[0] is kind]
        return "".join(["".join(run) for run in runs])

    def response(self) -> ChatResponse[Any]:
        """The reply that the chunks so far make, with what they say and no more."""
        calls = {index: call.whole() for index, call in sorted(self._calls.items()) if call.name}
        parts: list[Part] = []
        for segment in self._segments:
            if isinstance(segment, tuple):
                parts.append(segment[0]("".join(segment[1])))
            elif isinstance(segment, Opaque):
                parts.append(segment)
            elif segment in calls:
                parts.append(calls[segment])
        first = amended(
            _BLANK,
            text=self.text,
            id=self._id,
            tool_calls=list(calls.values()),
            reasoning=self._joined(Reasoning) or None,
            refusal="".join(self._refusal) or None,
            logprobs=tuple(self._logprobs) or None,
            parts=unusual(parts),
            usage=self.usage or Usage(),
            model=self._model,
            finish_reason=self._finish_reason or ("tool_calls" if calls else "stop"),
        )
        if not self._choices:
            return first
        others = (choice.response() for _, choice in sorted(self._choices.items()))
        return amended(first, choices=(first, *others))


class _Call:
    """One tool call, of which the pieces are still coming."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id or ""
        self.name = self.name or delta.name or ""
        if delta.arguments:
            self.arguments.append(delta.arguments)

    def whole(self) -> ToolCall:
        return ToolCall(self.id, self.name, raw_arguments="".join(self.arguments))
