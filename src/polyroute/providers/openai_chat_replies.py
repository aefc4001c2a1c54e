"""Replies, streams and vectors in the shape of OpenAI's chat completions and embeddings."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, cast

from polyroute.errors import PolyrouteError, ReadError, ResponseDecodeError
from polyroute.providers.error_table import error_of, said_in
from polyroute.providers.framing.sse import SSEDecoder
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import MISSHAPEN, load, malformed, misshapen, tolerant
from polyroute.replies import ChatChunk, ChatResponse, EmbedResponse, ToolCallDelta, amended, unusual
from polyroute.types import (
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)

__all__ = ["ChatDecoder", "decode_chat", "decode_vectors", "usage_of"]

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}

JSON = dict[str, Any]


@tolerant
def decode_chat(body: bytes, host: Host) -> ChatResponse[Any]:
    """A whole reply.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = _object(load(body))
    if data.get("error"):
        raise error_of(said_in(data, None), {}, host.errors)
    choices = data.get("choices")
    if not choices:
        raise malformed("the reply has no choices", body)
    replies = [_choice(_object(choice), data, host) for choice in choices]
    first = replies[0]
    if first.finish_reason == "other" and not choices[0].get("finish_reason") and not first.message.content:
        raise malformed("the reply has nothing in it", body)
    return amended(
        first,
        choices=tuple(replies) if len(replies) > 1 else (),
        usage=usage_of(data.get("usage")) or Usage(),
        raw=data,
    )


def _choice(choice: JSON, data: JSON, host: Host) -> ChatResponse[Any]:
    # A filtered choice may have no message at all.
    message = _object(choice.get("message") or {})
    text, reasoning, parts = _words(message, host)
    calls = _tool_calls(message)
    return ChatResponse(
        text=text,
        id=_str_or_none(data.get("id")),
        tool_calls=calls,
        finish_reason=_finish(choice.get("finish_reason"), calls=bool(calls)),
        reasoning=reasoning or None,
        refusal=_text(message.get("refusal")) or None,
        logprobs=_logprobs(choice.get("logprobs")),
        parts=unusual((*parts, *calls)) if parts else (),
        model=_str_or_none(data.get("model")),
    )


def _words(message: JSON, host: Host) -> tuple[str, str, Sequence[Part]]:
    """Text and reasoning of a message or a delta; with the parts, where these say more than the two."""
    content = message.get("content")
    thought = _thought(message)
    details = message.get("reasoning_details")
    if details is None and (content is None or isinstance(content, str)):
        return content or "", thought, ()
    parts: list[Part] = [Reasoning(thought)] if thought else []
    if details:
        parts.append(Opaque(host.prefix, {"reasoning_details": details}))
    if isinstance(content, str):
        parts += [Text(content)] if content else []
    else:
        parts += [part for each in content or () if (part := _content_part(each)) is not None]
    text = "".join([part.text for part in parts if isinstance(part, Text)])
    thought = "".join([part.text for part in parts if isinstance(part, Reasoning)])
    return text, thought, parts


def _content_part(part: JSON) -> Text | Reasoning | None:
    if part.get("type") == "thinking":
        return Reasoning("".join([_text(inner.get("text")) for inner in part.get("thinking") or ()]))
    text = _text(part.get("text"))
    return Text(text) if text else None


def _thought(message: JSON) -> str:
    """What the model thought, under whichever name the host has for it; where both are, they are the same."""
    return _text(message.get("reasoning_content") or message.get("reasoning"))


def _tool_calls(message: JSON) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        # Some hosts send an empty call beside the real ones: a call without a name is no call.
        if name := _text(function.get("name")):
            calls.append(ToolCall(_text(call.get("id")), name, raw_arguments=_arguments(function)))
    legacy = message.get("function_call") or {}
    if not calls and (name := _text(legacy.get("name"))):
        calls.append(ToolCall("", name, raw_arguments=_arguments(legacy)))
    return calls


def _arguments(function: JSON) -> str:
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return ToolCall("", "", arguments).raw_arguments


def _finish(reason: object, *, calls: bool) -> FinishReason:
    """The finish reason in our words: one that asks for tools says so, unless it was cut."""
    if not reason:
        return "tool_calls" if calls else "other"
    mapped = _FINISH.get(str(reason), "other")
    return "tool_calls" if calls and mapped == "stop" else mapped


def _logprobs(given: JSON | None) -> tuple[TokenLogprob, ...] | None:
    content = (given or {}).get("content")
    return tuple(map(_logprob, content)) if content else None


def _logprob(given: JSON) -> TokenLogprob:
    spelled = given.get("bytes")
    return TokenLogprob(
        token=_text(given["token"]),
        logprob=float(given["logprob"]),
        bytes=tuple(spelled) if spelled is not None else None,
        top=tuple(map(_logprob, given.get("top_logprobs") or ())),
    )


def usage_of(given: Mapping[str, Any] | None) -> Usage | None:
    """Usage in every dialect; None where the host says nothing."""
    if not given:
        return None
    prompt, output, total = (
        given.get("prompt_tokens"),
        given.get("completion_tokens"),
        given.get("total_tokens"),
    )
    if prompt is None and output is None:
        return None
    prompt, output = int(prompt or 0), int(output or 0)
    if total is not None and total > prompt + output:
        output = int(total) - prompt  # Some hosts count their reasoning only in the total.
    read = given.get("prompt_tokens_details") or given.get("prompt_token_details") or _NO_DETAILS
    wrote = given.get("completion_tokens_details") or given.get("completion_token_details") or _NO_DETAILS
    cached = read.get("cached_tokens")
    if cached is None:
        cached = _first(given, "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
    # More cached than there was: it is told beside the prompt and not inside, so it says nothing.
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_input_tokens=int(cached) if cached is not None and cached <= prompt else None,
        cache_write_tokens=_first(read, "cache_write_tokens"),
        reasoning_tokens=_first(wrote, "reasoning_tokens"),
    )


_NO_DETAILS: Mapping[str, Any] = {}


def _first(given: Mapping[str, Any], *names: str) -> int | None:
    """The first of the counts called *names* that is there."""
    for name in names:
        if (count := given.get(name)) is not None:
            return int(count)
    return None


class ChatDecoder:
    """From the bytes of one stream to chunks. See `StreamDecoder`."""

    def __init__(self, host: Host, deployment: str | None = None) -> None:
        self.done = False
        self.error: PolyrouteError | None = None
        self._host = host
        self._events = SSEDecoder()
        self._blank = ChatChunk(deployment=deployment)  # what each chunk of this stream has
        self._calls: dict[int, list[tuple[object, str]]] = {}
        self._finished: set[int] = set()
        self._begun: set[int] = set()
        self._head = b""

    def feed(self, data: bytes, /) -> list[ChatChunk]:
        if not self._begun and len(self._head) < _HEAD:
            self._head += data[:_HEAD]
        return self._take(self._events.feed(data))

    def finish(self) -> list[ChatChunk]:
        chunks = self._take(self._events.finish())
        if self.error is None and not self.done and not (self._finished and self._finished >= self._begun):
            self.error = self._too_early()
        return chunks

    def _take(self, events: Sequence[tuple[str, str]]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        for _, data in events:
            if self.done or self.error is not None:
                break
            if data == "[DONE]":
                self.done = True
                chunks.extend(self._ended())
            elif data:
                try:
                    self._read(data, chunks)
                except PolyrouteError as error:
                    self.error = error
                except MISSHAPEN as exc:
                    self.error = misshapen(exc)
        return chunks

    def _read(self, data: str, chunks: list[ChatChunk]) -> None:
        event = _object(load(data))
        if error := event.get("error"):
            raise error_of(said_in({"error": error}, None), {}, self._host.errors)
        id, model = event.get("id"), event.get("model")
        if id != self._blank.id or model != self._blank.model:
            id, model = _str_or_none(id) or self._blank.id, _str_or_none(model) or self._blank.model
            self._blank = amended(self._blank, id=id, model=model)
        for choice in event.get("choices") or ():
            self._choice(choice, chunks)
        groq = event.get("x_groq") or _NO_DETAILS
        if groq.get("error"):
            raise error_of(said_in({"error": groq["error"]}, None), {}, self._host.errors)
        usage = usage_of(event.get("usage")) or usage_of(groq.get("usage"))
        if usage is not None:
            chunks.append(amended(self._blank, usage=usage))

    def _choice(self, choice: JSON, chunks: list[ChatChunk]) -> None:
        index = int(choice.get("index") or 0)
        self._begun.add(index)
        delta = choice.get("delta") or {}
        reason = choice.get("finish_reason")
        logprobs = _logprobs(choice.get("logprobs"))
        if len(delta) == 1 and type(words := delta.get("content")) is str and logprobs is None and not reason:
            # By far the most chunks are this and no more.
            if words:
                chunks.append(amended(self._blank, text=words, index=index))
            return
        text, thought, parts = _words(delta, self._host)
        opaque = next((part for part in parts if isinstance(part, Opaque)), None)
        refusal = _text(delta.get("refusal"))
        if text or thought or refusal or logprobs or opaque is not None:
            said = {"text": text, "reasoning": thought or None, "refusal": refusal or None}
            chunks.append(amended(self._blank, **said, logprobs=logprobs, opaque=opaque, index=index))
        for call in delta.get("tool_calls") or ():
            self._tool_call(call, index, chunks)
        if reason:
            self._finished.add(index)
            finish = _finish(reason, calls=index in self._calls)
            chunks.append(amended(self._blank, finish_reason=finish, index=index))

    def _tool_call(self, call: JSON, choice: int, chunks: list[ChatChunk]) -> None:
        function = call.get("function") or {}
        id, name, arguments = _text(call.get("id")), _text(function.get("name")), _arguments(function)
        if id or name or arguments:
            place = self._place(choice, call.get("index"), id, name)
            delta = ToolCallDelta(place, id or None, name or None, arguments)
            chunks.append(amended(self._blank, tool_call_delta=delta, index=choice))

    def _place(self, choice: int, index: object, id: str, name: str) -> int:
        """Which call a piece belongs to: by its index, unless the id is another's; without an index
        by its id; without either it goes on with the last one, or begins one where it has a name."""
        calls = self._calls.setdefault(choice, [])
        for place, (known_index, known_id) in reversed(list(enumerate(calls))):
            if index is not None:
                same = index == known_index and (not id or not known_id or id == known_id)
            else:
                same = id == known_id if id else not name
            if same:
                return place
        calls.append((index, id))
        return len(calls) - 1

    def _ended(self) -> list[ChatChunk]:
        """What the terminal event leaves to say: a finish reason where the host gave none."""
        if not self._begun:
            self.error = malformed("the stream has nothing in it", self._head)
            return []
        return [
            amended(self._blank, finish_reason=_finish(None, calls=index in self._calls), index=index)
            for index in sorted(self._begun - self._finished)
        ]

    def _too_early(self) -> PolyrouteError:
        """The error of a stream whose bytes ended before it did."""
        if self._begun or not self._head.strip():
            return ReadError("the stream ended before its end")
        try:  # A plain body came instead of a stream: an error, a whole reply, or a page.
            decode_chat(self._head, self._host)
        except PolyrouteError as error:
            return error
        return malformed("a whole reply came instead of a stream", self._head)


_HEAD = 65_536  # bytes kept of what does not begin as a stream, to tell what it was


@tolerant
def decode_vectors(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = _object(load(body))
    if data.get("error"):
        raise error_of(said_in(data, None), {}, host.errors)
    rows: list[JSON] = data.get("data") or []
    rows = sorted(rows, key=lambda row: row.get("index") or 0)
    if len(rows) != count:
        raise malformed(f"{count} vectors were asked for and {len(rows)} came", body)
    return EmbedResponse(
        tuple(_vector(row["embedding"]) for row in rows),
        usage=_embed_usage(data.get("usage") or {}),
        model=_str_or_none(data.get("model")),
        raw=data,
    )


def _vector(given: object) -> list[float]:
    """A list as it is; base64 as the 32-bit floats that it spells, little end first."""
    if isinstance(given, str):
        packed = b64decode(given, validate=True)
        if len(packed) % 4:
            raise ValueError("the base64 of an embedding spells no whole number of floats")
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    return [float(value) for value in cast("Sequence[float]", given)]


def _embed_usage(given: Mapping[str, Any]) -> Usage:
    return Usage(input_tokens=_first(given, "prompt_tokens", "total_tokens") or 0)


def _object(value: object) -> JSON:
    if not isinstance(value, dict):
        raise ResponseDecodeError(f"an object was promised and a {type(value).__name__} came")
    return cast("JSON", value)


def _text(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"a text was promised and a {type(value).__name__} came")
    return value or ""


def _str_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
