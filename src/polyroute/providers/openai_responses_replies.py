"""Replies of OpenAI's Responses: items that come whole, or in pieces before they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyroute.gathered import Gathered
from polyroute.providers.error_table import Said, error_of, reply_in
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    load,
    malformed,
    promised_text,
    text_or_none,
    tolerant,
)
from polyroute.providers.openai_chat_replies import arguments_of, first_count, logprobs_of
from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta
from polyroute.types import FinishReason, Opaque, TokenLogprob, Usage, amended

__all__ = ["ResponseReader", "decode_response"]

_CUT: Mapping[object, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_UNREADY = ("queued", "in_progress")
# What is kept of an item that stands as a part of ours, since the host wants to have it back.
_KEPT = ("phase", "namespace", "caller")
_NOTHING: Mapping[str, Any] = {}


@tolerant
def decode_response(body: bytes, host: Host) -> ChatResponse[Any]:
    """A whole reply. Citations are only in its `raw`.

    Raises:
        ResponseDecodeError: It is not what the API promises, is not ready, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    output, status = data.get("output"), data.get("status")
    if status in _UNREADY:
        raise malformed(f"the reply is still {status}, and is not waited for", body)
    if output is None or not (output or status):
        raise malformed("the reply has nothing in it", body)
    reader = ResponseReader(host)
    return amended(Gathered(reader.end(data, status)).response(), raw=data)


@dataclass(slots=True, eq=False)
class _Item:
    """What was told so far of one item. *said*: its text, its reasoning or its arguments, in pieces.
    *part*: which part of its reasoning was told last. *place* is that of a call among the reply's,
    *named* whether its name was told."""

    said: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    part: tuple[str, int] | None = None
    place: int | None = None
    named: bool = False
    ended: bool = False


class ResponseReader:
    """Reads one reply into chunks: pieces of items as they come, and of whole items what is missing yet."""

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        self._host = host
        self._blank = ChatChunk(deployment=deployment)  # what each chunk of this reply has
        self._items: dict[int, _Item] = {}
        self._calls = 0
        self._named = False
        self._reasoned = False

    @property
    def begun(self) -> bool:
        """Whether anything of any item has come."""
        return bool(self._items)

    def head(self, response: JSON) -> None:
        """Take what is known of the whole reply."""
        id, model = text_or_none(response.get("id")), text_or_none(response.get("model"))
        self._blank = amended(self._blank, id=id or self._blank.id, model=model or self._blank.model)

    def say(self, index: int, text: str, logprobs: Sequence[TokenLogprob] | None = None) -> list[ChatChunk]:
        item = self._item(index)
        if not text and not logprobs:
            return []
        item.said.append(text)
        return [amended(self._blank, text=text, logprobs=logprobs)]

    def refuse(self, index: int, refusal: str) -> list[ChatChunk]:
        self._item(index).refused.append(refusal)
        return [amended(self._blank, refusal=refusal)] if refusal else []

    def think(self, index: int, part: tuple[str, int], thought: str) -> list[ChatChunk]:
        """A piece of a *part* of reasoning: of its summary, or of its content. Where both come, the one
        that came first is told."""
        item = self._item(index)
        if not thought or (item.part is not None and item.part[0] != part[0]):
            return []
        if item.part is not None and item.part != part:
            thought = f"\n{thought}"
        item.part = part
        item.said.append(thought)
        return [amended(self._blank, reasoning=thought)]

    def call(self, index: int, arguments: str, id: str = "", name: str = "") -> list[ChatChunk]:
        """A piece of a call's arguments, or what it is called; its id is told with its name."""
        item = self._item(index)
        if item.place is None:
            item.place = self._calls
            self._calls += 1
        told = (id or None, name or None) if name and not item.named else (None, None)
        item.named = item.named or bool(name)
        self._named = self._named or item.named
        if arguments:
            item.said.append(arguments)
        elif told[1] is None:
            return []
        delta = ToolCallDelta(item.place, *told, arguments)
        return [amended(self._blank, tool_call_delta=delta)]

    def item(self, index: int, item: JSON) -> list[ChatChunk]:
        """What an item, as far as it is known by now, says beyond what was told of it."""
        begun = self._item(index)
        match item.get("type"):
            case "message":
                return self._message(index, begun, item.get("content") or ())
            case "reasoning":
                thought = _thought(item)
                if rest := _rest(thought, begun.said):
                    begun.said.append(rest)
                    return [amended(self._blank, reasoning=rest)]
            case "function_call" | "custom_tool_call" as kind:
                id = promised_text(item.get("call_id")) or promised_text(item.get("id"))
                given = promised_text(item.get("input")) if kind == "custom_tool_call" else arguments_of(item)
                if name := promised_text(item.get("name")):
                    return self.call(index, _rest(given, begun.said), id, name)
            case _:
                pass
        return []

    def ended(self, index: int, item: JSON) -> list[ChatChunk]:
        """What is left to say of an item that is whole, and what only the host understands of it."""
        begun = self._item(index)
        if begun.ended:
            return []
        chunks = self.item(index, item)
        begun.ended = True
        kept: Mapping[str, Any] = _NOTHING
        match item.get("type"):
            case "message":
                if begun.said:
                    kept = self._mark(item)
            case "function_call" | "custom_tool_call":
                if begun.named:
                    kept = self._mark(item, call_id=item.get("call_id") or item.get("id"))
            case _:
                kept = item
                self._reasoned = True
        if kept:
            chunks.append(amended(self._blank, opaque=Opaque(self._host.prefix, kept)))
        return chunks

    def end(self, response: JSON, status: object) -> list[ChatChunk]:
        """What a reply that is over says beyond what was told of it; it ends with *status*.

        Raises:
            ServerError: It failed.
        """
        self.head(response)
        if status == "failed":
            raise error_of(Said(500, "the reply failed, and the host does not say why", guessed=True), {})
        chunks: list[ChatChunk] = []
        if not any(item.ended for item in self._items.values()):
            for index, item in enumerate(response.get("output") or ()):
                chunks += self.ended(index, item)
        finish = _finish_of(response, status, calls=self._named)
        return [*chunks, amended(self._blank, finish_reason=finish, usage=_usage_of(response.get("usage")))]

    def _item(self, index: int) -> _Item:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _Item()
        return item

    def _message(self, index: int, begun: _Item, content: Sequence[JSON]) -> list[ChatChunk]:
        texts = [part for part in content if part.get("type") == "output_text"]
        text = "".join([promised_text(part.get("text")) for part in texts])
        refusals = [promised_text(part.get("refusal")) for part in content if part.get("type") == "refusal"]
        told = bool(begun.said)
        logprobs = [each for part in texts if not told for each in part.get("logprobs") or ()]
        return [
            *self.say(index, _rest(text, begun.said), logprobs_of({"content": logprobs})),
            *self.refuse(index, _rest("".join(refusals), begun.refused)),
        ]

    def _mark(self, item: JSON, **named: object) -> Mapping[str, Any]:
        """What the host wants to have back of an item that stands as a part of ours. Where something was
        reasoned before it, it is bound to that by its id."""
        kept = {name: item[name] for name in _KEPT if item.get(name)}
        if self._reasoned and (id := text_or_none(item.get("id"))):
            kept["id"] = id
        if not kept and item.get("type") != "custom_tool_call":
            return _NOTHING
        return {"type": item["type"], **named, **kept}


def _finish_of(response: JSON, status: object, *, calls: bool) -> FinishReason:
    """How a reply ended, in our words: one that asks for tools says so, unless it was cut."""
    if status == "incomplete":
        return _CUT.get((response.get("incomplete_details") or _NOTHING).get("reason"), "other")
    if calls and status in ("completed", None):
        return "tool_calls"
    return "stop" if status == "completed" else "other"


def _thought(item: JSON) -> str:
    """What was reasoned in words: as it was, or in summary."""
    parts = item.get("content") or item.get("summary") or ()
    return "\n".join([promised_text(part.get("text")) for part in parts])


def _rest(whole: str, pieces: Sequence[str]) -> str:
    """What of *whole* did not come in *pieces*; where it says something else, what came stands."""
    if not pieces:
        return whole
    came = "".join(pieces)
    return whole.removeprefix(came) if whole.startswith(came) else ""


def _usage_of(given: Mapping[str, Any] | None) -> Usage | None:
    """Usage; None where the host says nothing."""
    if not given:
        return None
    prompt, output = given.get("input_tokens"), given.get("output_tokens")
    if prompt is None and output is None:
        return None
    read = given.get("input_tokens_details") or _NOTHING
    wrote = given.get("output_tokens_details") or _NOTHING
    return Usage(
        input_tokens=int(prompt or 0),
        output_tokens=int(output or 0),
        cached_input_tokens=first_count(read, "cached_tokens"),
        cache_write_tokens=first_count(read, "cache_write_tokens"),
        reasoning_tokens=first_count(wrote, "reasoning_tokens"),
    )
