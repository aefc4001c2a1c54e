"""Streams in the shape of OpenAI's chat completions: from bytes to chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polyroute.providers.error_table import reply_in
from polyroute.providers.event_streams import EventStreamDecoder
from polyroute.providers.finishes import finish_of
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    load,
    malformed,
    promised_text,
    text_or_none,
)
from polyroute.providers.openai_chat_replies import (
    FINISH,
    arguments_of,
    decode_chat,
    logprobs_of,
    usage_of,
    words_of,
)
from polyroute.replies import ChatChunk, ToolCallDelta
from polyroute.types import Opaque, TokenLogprob, amended

__all__ = ["ChatDecoder"]

_NOTHING: Mapping[str, Any] = {}
_IN_PIECES = frozenset({"reasoning.text", "reasoning.summary"})  # kinds of reasoning that come bit by bit


@dataclass(slots=True, eq=False)
class _Begun:
    """What was said so far of one choice. *thinks*: in plain words. *calls* are its tool calls, each
    by its index and its id, *named* whether one has a name; *details* the reasoning that only the
    host understands and that was not handed on yet."""

    said: bool = False
    thinks: bool = False
    finished: bool = False
    calls: list[tuple[object, str]] = field(default_factory=list[tuple[object, str]])
    named: bool = False
    details: list[JSON] = field(default_factory=list[JSON])


class ChatDecoder(EventStreamDecoder):
    """From the bytes of one stream to chunks. See `StreamDecoder`."""

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        super().__init__()
        self._host = host
        self._blank = ChatChunk(deployment=deployment)  # what each chunk of this stream has
        self._choices: dict[int, _Begun] = {}

    def read(self, name: str, data: str, chunks: list[ChatChunk]) -> None:
        if data.strip() == "[DONE]":
            self.end()
            chunks.extend(self._ended())
            return
        event = load(data)
        if type(event) is not dict or name == "error" or "error" in event or "choices" not in event:
            event = self._unless_error(name, event)
        id, model = event.get("id"), event.get("model")
        if id != self._blank.id or model != self._blank.model:
            id, model = text_or_none(id) or self._blank.id, text_or_none(model) or self._blank.model
            self._blank = amended(self._blank, id=id, model=model)
        for choice in event.get("choices") or ():
            self._choice(choice, chunks)
        if event.get("usage") or event.get("x_groq"):
            self._usage(event, chunks)

    def whole(self, body: bytes) -> object:
        return decode_chat(body, self._host)

    def finished(self) -> bool:
        return bool(self._choices) and all(choice.finished for choice in self._choices.values())

    def _usage(self, event: JSON, chunks: list[ChatChunk]) -> None:
        groq = event.get("x_groq") or _NOTHING
        if groq.get("error"):
            self._unless_error("", groq)
        usage = usage_of(event.get("usage")) or usage_of(groq.get("usage"))
        if usage is not None:
            chunks.append(amended(self._blank, usage=usage))

    def _unless_error(self, name: str, event: object) -> JSON:
        """The event, if it is neither an error nor named one."""
        if name == "error" and not (isinstance(event, dict) and event.get("error")):
            event = {"error": event or name}
        return reply_in(event, self._host.errors)

    def _choice(self, choice: JSON, chunks: list[ChatChunk]) -> None:
        index = int(choice.get("index") or 0)
        begun = self._choices.get(index)
        if begun is None:
            begun = self._choices[index] = _Begun()
            self.recognise()
        delta = choice.get("delta") or {}
        reason, logprobs = choice.get("finish_reason"), choice.get("logprobs")
        if len(delta) == 1 and type(words := delta.get("content")) is str and not logprobs and not reason:
            # By far the most chunks are this and no more.
            if words:
                if begun.details:
                    chunks.append(self._thoughts(begun, index))
                begun.said = True
                said = {"text": words, "index": index} if index else {"text": words}
                chunks.append(amended(self._blank, **said))
            return
        if choice.get("error"):
            self._unless_error("", choice)
        self._words(begun, delta, index, logprobs_of(logprobs), chunks)
        for call in delta.get("tool_calls") or ():
            self._tool_call(begun, call, index, chunks)
        if reason:
            begun.finished = True
            if begun.details:
                chunks.append(self._thoughts(begun, index))
            finish = finish_of(FINISH, reason, calls=begun.named)
            chunks.append(amended(self._blank, finish_reason=finish, index=index))

    def _words(
        self,
        begun: _Begun,
        delta: JSON,
        index: int,
        logprobs: tuple[TokenLogprob, ...] | None,
        chunks: list[ChatChunk],
    ) -> None:
        """Reasoning, what is opaque, and text with refusals, in the order in which a whole reply has them."""
        details = delta.get("reasoning_details") or ()
        begun.thinks = begun.thinks or bool(delta.get("reasoning_content") or delta.get("reasoning"))
        if details and begun.thinks:  # They hold once more what is told in plain words.
            delta = {**delta, "reasoning_details": None}
        text, thought, _ = words_of(delta, self._host)
        refusal = promised_text(delta.get("refusal"))
        if thought:
            chunks.append(amended(self._blank, reasoning=thought, index=index))
        for detail in details:
            _add(begun.details, detail)
        if begun.details and (text or refusal):
            chunks.append(self._thoughts(begun, index))
        if text or refusal or logprobs:
            said = {"text": text, "refusal": refusal or None, "logprobs": logprobs}
            chunks.append(amended(self._blank, **said, index=index))
        begun.said = begun.said or bool(text or thought or refusal)

    def _thoughts(self, begun: _Begun, index: int) -> ChatChunk:
        """What was gathered of the reasoning that only the host understands."""
        details, begun.details = begun.details, []
        opaque = Opaque(self._host.prefix, {"reasoning_details": details})
        return amended(self._blank, opaque=opaque, index=index)

    def _tool_call(self, begun: _Begun, call: JSON, choice: int, chunks: list[ChatChunk]) -> None:
        function = call.get("function") or {}
        id, name = promised_text(call.get("id")), promised_text(function.get("name"))
        arguments = arguments_of(function)
        if id or name or arguments:
            if begun.details:
                chunks.append(self._thoughts(begun, choice))
            place = _place(begun.calls, call.get("index"), id, name)
            begun.said = begun.named = begun.named or bool(name)
            delta = ToolCallDelta(place, id or None, name or None, arguments)
            chunks.append(amended(self._blank, tool_call_delta=delta, index=choice))

    def _ended(self) -> list[ChatChunk]:
        """What the terminal event leaves to say: a finish reason where the host gave none."""
        if not any(choice.said or choice.finished for choice in self._choices.values()):
            self.fail(malformed("the stream has nothing in it", self.head))
            return []
        return self.left()

    def left(self) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        for index, begun in sorted(self._choices.items()):
            if begun.details:
                chunks.append(self._thoughts(begun, index))
            if not begun.finished:
                finish = finish_of(FINISH, None, calls=begun.named)
                chunks.append(amended(self._blank, finish_reason=finish, index=index))
        return chunks


def _place(calls: list[tuple[object, str]], index: object, id: str, name: str) -> int:
    """Which call a piece belongs to: by its index, unless the id is another's; without an index
    by its id; without either it goes on with the last one, or begins one where it has a name."""
    for place, (known_index, known_id) in reversed(list(enumerate(calls))):
        if index is not None:
            same = index == known_index and (not id or not known_id or id == known_id)
        else:
            same = id == known_id if id else not name
        if same:
            return place
    calls.append((index, id))
    return len(calls) - 1


def _add(details: list[JSON], detail: JSON) -> None:
    """Put a piece of a host's own reasoning to those before it, where it goes on with the last one."""
    last = details[-1] if details else {}
    if detail.get("type") not in _IN_PIECES or any(
        last.get(key) != detail.get(key) for key in ("type", "index")
    ):
        details.append(dict(detail))
        return
    for name, value in detail.items():
        if name in ("text", "summary") and isinstance(last.get(name), str) and isinstance(value, str):
            last[name] += value
        elif value is not None:
            last[name] = value
