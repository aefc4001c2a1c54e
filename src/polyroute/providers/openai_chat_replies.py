"""Whole replies in the shape of OpenAI's chat completions, and what streams of them have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyroute.providers.error_table import error_within, reply_in
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
from polyroute.replies import ChatResponse, unusual
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

__all__ = [
    "FINISH",
    "arguments_of",
    "decode_chat",
    "first_count",
    "logprobs_of",
    "usage_of",
    "words_of",
]

FINISH: dict[str, FinishReason] = {
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


_BLANK: ChatResponse[Any] = ChatResponse()


@tolerant
def decode_chat(body: bytes, host: Host) -> ChatResponse[Any]:
    """A whole reply.

    Raises:
        ResponseDecodeError: It is not what the API promises, or has nothing in it.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    choices = data.get("choices")
    if not choices:
        raise malformed("the reply has no choices", body)
    replies = [_choice(promised_object(choice), data, host) for choice in choices]
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
    if choice.get("error") and (error := error_within(choice, host.errors)) is not None:
        raise error
    # A filtered choice may have no message at all.
    message = promised_object(choice.get("message") or {})
    text, reasoning, parts = words_of(message, host)
    calls = _tool_calls(message)
    return amended(
        _BLANK,
        text=text,
        id=text_or_none(data.get("id")),
        tool_calls=calls,
        finish_reason=finish_of(FINISH, choice.get("finish_reason"), calls=bool(calls)),
        reasoning=reasoning or None,
        refusal=promised_text(message.get("refusal")) or None,
        logprobs=logprobs_of(choice.get("logprobs")),
        parts=unusual((*parts, *calls)) if parts else (),
        model=text_or_none(data.get("model")),
    )


def words_of(message: JSON, host: Host) -> tuple[str, str, Sequence[Part]]:
    """Text and reasoning of a message or a delta; with the parts, where these say more than the two."""
    content = message.get("content")
    details = message.get("reasoning_details")
    thought = promised_text(message.get("reasoning_content") or message.get("reasoning"))
    if not details and (content is None or isinstance(content, str)):
        return content or "", thought, ()
    if details and not thought:
        thought = "".join([promised_text(each.get("text") or each.get("summary")) for each in details])
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
        return Reasoning("".join([promised_text(inner.get("text")) for inner in part.get("thinking") or ()]))
    text = promised_text(part.get("text"))
    return Text(text) if text else None


def _tool_calls(message: JSON) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        # Some hosts send an empty call beside the real ones: a call without a name is no call.
        if name := promised_text(function.get("name")):
            calls.append(ToolCall(promised_text(call.get("id")), name, raw_arguments=arguments_of(function)))
    legacy = message.get("function_call") or {}
    if not calls and (name := promised_text(legacy.get("name"))):
        calls.append(ToolCall("", name, raw_arguments=arguments_of(legacy)))
    return calls


def arguments_of(function: JSON) -> str:
    """The arguments of a call as JSON text, also where the host sends the object itself."""
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return ToolCall("", "", arguments).raw_arguments


def logprobs_of(given: JSON | None) -> tuple[TokenLogprob, ...] | None:
    """The log probabilities of a choice, where it has them."""
    content = (given or {}).get("content")
    return tuple(map(_logprob, content)) if content else None


def _logprob(given: JSON) -> TokenLogprob:
    spelled = given.get("bytes")
    return TokenLogprob(
        token=promised_text(given["token"]),
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
        cached = first_count(given, "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
    if cached is not None and cached > prompt:
        prompt += int(cached)  # More than the prompt cannot be a part of it: it is told beside.
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_input_tokens=int(cached) if cached is not None else None,
        cache_write_tokens=first_count(read, "cache_write_tokens"),
        reasoning_tokens=first_count(wrote, "reasoning_tokens"),
    )


_NO_DETAILS: Mapping[str, Any] = {}


def first_count(given: Mapping[str, Any], *names: str) -> int | None:
    """The first of the counts called *names* that is there."""
    for name in names:
        if (count := given.get(name)) is not None:
            return int(count)
    return None
