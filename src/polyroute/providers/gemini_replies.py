"""Replies of Gemini's generateContent, of which a whole one and each event of a stream have the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from polyroute.deployments import Call
from polyroute.errors import ContentFilterError, ResponseDecodeError
from polyroute.gathered import Gathered
from polyroute.providers.error_table import reply_in
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    load,
    malformed,
    promised_object,
    promised_text,
    text_or_none,
    tolerant,
)
from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta
from polyroute.types import FinishReason, Opaque, TokenLogprob, ToolCall, Usage, amended

__all__ = ["GenerateReader", "decode_generate"]

# Some clients ask for enums as numbers; of those, here are the ones that mean the same wherever Gemini runs.
_FINISH: dict[object, FinishReason] = {
    "STOP": "stop",
    1: "stop",
    "MAX_TOKENS": "length",
    2: "length",
    "SAFETY": "content_filter",
    3: "content_filter",
    "RECITATION": "content_filter",
    4: "content_filter",
    "BLOCKLIST": "content_filter",
    7: "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    8: "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
_UNSAID = (None, "", 0, "FINISH_REASON_UNSPECIFIED")
_COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
)
_NOTHING: Mapping[str, Any] = {}
_BLANK = ChatChunk()


@tolerant
def decode_generate(body: bytes, call: Call, host: Host) -> ChatResponse[Any]:
    """A whole reply.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ContentFilterError: The prompt was blocked.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    value = load(body)
    reader = GenerateReader(host, call)
    chunks: list[ChatChunk] = []
    reader.read(value, chunks)
    if not reader.begun:
        raise malformed("the reply has no candidates", body)
    if reader.silent:
        raise malformed("the reply has nothing in it", body)
    return amended(Gathered((*chunks, *reader.unfinished())).response(), raw=value)


@dataclass(slots=True, eq=False)
class _Begun:
    """What was said so far of one candidate: anything at all, its last word, how many tool calls."""

    said: bool = False
    finished: bool = False
    calls: int = 0


class GenerateReader:
    """Reads events of one reply into chunks, in order."""

    def __init__(self, host: Host, call: Call) -> None:
        self._host = host
        self._blank = amended(_BLANK, deployment=call.deployment.id)  # what each chunk of this reply has
        self._turn = len(call.request.messages)
        self._candidates: dict[int, _Begun] = {}
        self._counts: dict[str, int] = {}

    @property
    def begun(self) -> bool:
        return bool(self._candidates)

    @property
    def finished(self) -> bool:
        """Whether each candidate has had its last word."""
        return self.begun and all(candidate.finished for candidate in self._candidates.values())

    @property
    def silent(self) -> bool:
        """Whether nothing was said, not even why."""
        return not any(candidate.said or candidate.finished for candidate in self._candidates.values())

    def read(self, value: object, chunks: list[ChatChunk]) -> None:
        """Add to *chunks* what one event says."""
        event = reply_in(value, self._host.errors)
        id, model = event.get("responseId"), event.get("modelVersion")
        if id != self._blank.id or model != self._blank.model:
            id, model = text_or_none(id) or self._blank.id, text_or_none(model) or self._blank.model
            self._blank = amended(self._blank, id=id, model=model)
        before = len(chunks)
        candidates = event.get("candidates") or ()
        for place, candidate in enumerate(candidates):
            self._candidate(candidate, place, chunks)
        if not candidates and (feedback := event.get("promptFeedback")):
            self._unless_blocked(feedback, event)
        if (usage := self._usage(event.get("usageMetadata"))) is not None:
            if len(chunks) == before or chunks[-1].index:
                chunks.append(self._blank)
            chunks[-1] = amended(chunks[-1], usage=usage)

    def unfinished(self) -> list[ChatChunk]:
        """A finish reason for each candidate to which the host gave none."""
        return [
            amended(self._blank, finish_reason="tool_calls" if begun.calls else "other", index=index)
            for index, begun in sorted(self._candidates.items())
            if not begun.finished
        ]

    def _unless_blocked(self, feedback: JSON, event: JSON) -> None:
        if reason := feedback.get("blockReason"):
            why = feedback.get("blockReasonMessage")
            raise ContentFilterError(f"the prompt was blocked: {reason}" + f": {why}" * bool(why), body=event)

    def _usage(self, given: JSON | None) -> Usage | None:
        """The counts so far, of which an event tells all again or only some. Before its end a
        reply's own tokens may not be among them, and what is not told is not taken for none."""
        if not given:
            return None
        for name in _COUNTS:
            if (count := given.get(name)) is not None:
                self._counts[name] = int(count)
        usage = _usage_of(self._counts)
        return usage if usage is not None and (usage.output_tokens or self.finished) else None

    def _candidate(self, candidate: JSON, place: int, chunks: list[ChatChunk]) -> None:
        index = int(candidate.get("index", place))  # zero is left out
        begun = self._candidates.get(index)
        if begun is None:
            begun = self._candidates[index] = _Begun()
        before = len(chunks)
        for part in (candidate.get("content") or _NOTHING).get("parts") or ():
            if len(part) == 1 and type(words := part.get("text")) is str:
                # By far the most parts are this and no more.
                if words:
                    begun.said = True
                    chunks.append(amended(self._blank, text=words, index=index))
            else:
                self._part(begun, part, index, chunks)
        if (logprobs := _logprobs_of(candidate.get("logprobsResult"))) is not None:
            if len(chunks) == before:
                chunks.append(amended(self._blank, index=index))
            chunks[-1] = amended(chunks[-1], logprobs=logprobs)
        if (reason := candidate.get("finishReason")) not in _UNSAID:
            begun.finished = True
            finish = _finish_of(reason, calls=bool(begun.calls))
            chunks.append(amended(self._blank, finish_reason=finish, index=index))

    def _part(self, begun: _Begun, part: JSON, index: int, chunks: list[ChatChunk]) -> None:
        """Words as words, a tool call as such, and all else as what only its maker understands.

        A signature is kept with what it stood on: the last so many characters, or the call of an id.
        """
        signature, said = part.get("thoughtSignature"), dict[str, object]()
        if (call := part.get("functionCall")) is not None:
            said["tool_call_delta"] = delta = self._call(begun, call, index)
            signed: JSON = {"functionCall": delta.id}
        elif "text" in part:
            words, thought = promised_text(part["text"]), bool(part.get("thought"))
            said["reasoning" if thought else "text"] = words
            signed = {"thought" if thought else "text": len(words)}
        else:
            signed, signature = part, part
        if signature:
            data = part if signed is part else {**signed, "thoughtSignature": signature}
            said["opaque"] = Opaque(self._host.prefix, data)
        if any(said.values()):
            begun.said = True
            chunks.append(amended(self._blank, **said, index=index))

    def _call(self, begun: _Begun, call: JSON, index: int) -> ToolCallDelta:
        """The whole call, with an id where the host gives none: one that the conversation has no other of."""
        name, arguments = text_or_none(call.get("name")), promised_object(call.get("args") or {})
        if name is None:
            raise ResponseDecodeError("a tool call without a name came")
        id = text_or_none(call.get("id")) or f"call_{self._blank.id or self._turn}_{index}_{begun.calls}"
        delta = ToolCallDelta(begun.calls, id, name, ToolCall(id, name, arguments).raw_arguments)
        begun.calls += 1
        return delta


def _finish_of(reason: object, *, calls: bool) -> FinishReason:
    """The finish reason in our words: one that asks for tools says so, unless it was cut."""
    mapped = _FINISH.get(reason) or ("content_filter" if str(reason).startswith("IMAGE_") else "other")
    return "tool_calls" if calls and mapped == "stop" else mapped


def _logprobs_of(given: JSON | None) -> tuple[TokenLogprob, ...] | None:
    """The log probabilities of a candidate's tokens, where it has them."""
    chosen = (given or {}).get("chosenCandidates")
    if not chosen:
        return None
    rivals = [each.get("candidates") or () for each in (given or {}).get("topCandidates") or ()]
    return tuple(
        replace(_logprob(each), top=tuple(map(_logprob, rivals[place] if place < len(rivals) else ())))
        for place, each in enumerate(chosen)
    )


def _logprob(given: JSON) -> TokenLogprob:
    return TokenLogprob(promised_text(given.get("token")), float(given.get("logProbability") or 0))


def _usage_of(counts: Mapping[str, int]) -> Usage | None:
    """Usage, of which Gemini leaves out what is zero; None where it says nothing."""
    if not counts:
        return None
    thoughts = counts.get("thoughtsTokenCount")
    return Usage(
        input_tokens=counts.get("promptTokenCount", 0) + counts.get("toolUsePromptTokenCount", 0),
        output_tokens=counts.get("candidatesTokenCount", 0) + (thoughts or 0),
        cached_input_tokens=counts.get("cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )
