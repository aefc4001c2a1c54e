"""Replies of Ollama's chat, of which a whole one and each line of a stream have the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyroute.deployments import Call
from polyroute.errors import ResponseDecodeError
from polyroute.gathered import Gathered
from polyroute.providers.error_table import reply_in
from polyroute.providers.finishes import finish_of
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
from polyroute.providers.openai_chat_replies import arguments_of, logprobs_of
from polyroute.replies import ChatChunk, ChatResponse, ToolCallDelta
from polyroute.types import FinishReason, Usage, amended

__all__ = ["ChatReader", "decode_chat"]

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_BLANK = ChatChunk()


@tolerant
def decode_chat(body: bytes, call: Call, host: Host) -> ChatResponse[Any]:
    """A whole reply.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    value = load(body)
    reader = ChatReader(host, call)
    chunks: list[ChatChunk] = []
    reader.read(value, chunks)
    if not reader.done:
        raise malformed("the reply is not at its end", body)
    return amended(Gathered(chunks).response(), raw=value)


class ChatReader:
    """Reads the lines of one reply into chunks, in order; `done`: the last one has come."""

    def __init__(self, host: Host, call: Call) -> None:
        self.done: bool = False
        self.begun: bool = False
        self._host = host
        self._blank = amended(_BLANK, deployment=call.deployment.id)  # what each chunk of this reply has
        self._turn = len(call.request.messages)
        self._calls = 0
        self._said = False

    def read(self, value: object, chunks: list[ChatChunk]) -> None:
        """Add to *chunks* what one line says."""
        line = reply_in(value, self._host.errors)
        model = line.get("model")
        if model != self._blank.model:
            self._blank = amended(self._blank, model=text_or_none(model) or self._blank.model)
        message = promised_object(line.get("message") or {})
        self.begun = self.begun or "message" in line
        if thought := promised_text(message.get("thinking")):
            chunks.append(amended(self._blank, reasoning=thought))
        words, logprobs = (
            promised_text(message.get("content")),
            logprobs_of({"content": line.get("logprobs")}),
        )
        if words or logprobs:
            chunks.append(amended(self._blank, text=words, logprobs=logprobs))
        calls: list[JSON] = message.get("tool_calls") or []
        chunks.extend(amended(self._blank, tool_call_delta=self._call(call)) for call in calls)
        self._said = self._said or bool(thought or words or self._calls)
        if line.get("done"):
            self._end(line, chunks)

    def _end(self, line: JSON, chunks: list[ChatChunk]) -> None:
        reason = line.get("done_reason")
        if not reason and not self._said:
            raise ResponseDecodeError("the reply has nothing in it")
        self.done = True
        finish = finish_of(_FINISH, reason, calls=bool(self._calls))
        chunks.append(amended(self._blank, finish_reason=finish, usage=_usage_of(line)))

    def _call(self, call: JSON) -> ToolCallDelta:
        """The whole call, with an id where the host gives none: one that the conversation has no other of."""
        function = promised_object(call.get("function") or {})
        name = text_or_none(function.get("name"))
        if name is None:
            raise ResponseDecodeError("a tool call without a name came")
        id = text_or_none(call.get("id")) or f"call_{self._turn}_{self._calls}"
        delta = ToolCallDelta(self._calls, id, name, arguments_of(function))
        self._calls += 1
        return delta


def _usage_of(line: Mapping[str, Any]) -> Usage | None:
    """Usage, of which the host leaves out what is zero; None where it says nothing."""
    prompt, output = line.get("prompt_eval_count"), line.get("eval_count")
    return None if prompt is None and output is None else Usage(int(prompt or 0), int(output or 0))
