"""Every field of OpenAI's requests, and what becomes of it: data, and nothing else.

A path names a field: `messages[].role` is the key `role` of each item of `messages`. Below a field
that goes to the host as it is, or is refused, nothing is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

__all__ = [
    "CHAT",
    "EMBED",
    "EXTRA",
    "HINT",
    "READ",
    "RESPONSE",
    "Apart",
    "Argument",
    "Extra",
    "Read",
    "Refused",
    "Row",
    "below",
]


@dataclass(frozen=True, slots=True)
class Argument:
    """It becomes the call's argument of this *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class Read:
    """It is read together with others, or as a part of what it stands in."""


@dataclass(frozen=True, slots=True)
class Apart:
    """It is read by itself: what is below it depends on what kind of thing it is."""


@dataclass(frozen=True, slots=True)
class Extra:
    """It goes into the call's `extra`. *prefixes*: only to these hosts, whose own word it is, since it
    says nothing of the answer; without any it binds the call to hosts that speak the request's format."""

    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A router has no words for it; *why* goes on after its name. *unless*: a value that asks for nothing."""

    why: str
    unless: object = None


Row: TypeAlias = Argument | Read | Apart | Extra | Refused

READ = Read()
APART = Apart()
EXTRA = Extra()
# How OpenAI keeps, bills and watches over a call; strict hosts refuse fields that they do not know.
HINT = Extra(("openai", "openai-responses", "azure"))

_OLD = Refused("is the old form of tools, and is not read")
_CUSTOM = Refused("asks for a custom tool, which no other host has; a function with one str does the same")

CHAT: Mapping[str, Row] = MappingProxyType(
    {
        "messages": Argument("messages"),
        "messages[].role": READ,
        "messages[].name": READ,
        "messages[].content": READ,
        "messages[].content[].type": READ,
        "messages[].content[].text": READ,
        "messages[].content[].refusal": READ,
        "messages[].content[].image_url": READ,
        "messages[].content[].image_url.url": READ,
        "messages[].content[].image_url.detail": READ,
        "messages[].content[].input_audio": READ,
        "messages[].content[].input_audio.data": READ,
        "messages[].content[].input_audio.format": READ,
        "messages[].content[].file": READ,
        "messages[].content[].file.file_data": READ,
        "messages[].content[].file.file_id": READ,
        "messages[].content[].file.filename": READ,
        "messages[].content[].thinking": READ,  # Mistral's
        "messages[].content[].cache_control": READ,  # Anthropic's
        "messages[].content[].prompt_cache_breakpoint": Refused("is not handed on; long prompts are cached without"),
        "messages[].refusal": READ,
        "messages[].tool_call_id": READ,
        "messages[].tool_calls": READ,
        "messages[].tool_calls[].id": READ,
        "messages[].tool_calls[].type": READ,
        "messages[].tool_calls[].function": READ,
        "messages[].tool_calls[].function.name": READ,
        "messages[].tool_calls[].function.arguments": READ,
        "messages[].tool_calls[].custom": _CUSTOM,
        "messages[].audio": Refused("names what OpenAI has kept of its own speech, and is not handed on"),
        "messages[].function_call": _OLD,
        "model": Argument("model"),
        "max_tokens": Argument("max_tokens"),
        "max_completion_tokens": Argument("max_tokens"),
        "temperature": Argument("temperature"),
        "top_p": Argument("top_p"),
        "top_k": Argument("top_k"),  # not OpenAI's, and what the SDK's `extra_body` is mostly used for
        "frequency_penalty": Argument("frequency_penalty"),
        "presence_penalty": Argument("presence_penalty"),
        "stop": Argument("stop"),
        "seed": Argument("seed"),
        "n": Argument("n"),
        "logprobs": READ,
        "top_logprobs": READ,
        "reasoning_effort": Argument("reasoning_effort"),
        "tools": Argument("tools"),
        "tools[].type": READ,
        "tools[].function": READ,
        "tools[].function.name": READ,
        "tools[].function.description": READ,
        "tools[].function.parameters": READ,
        "tools[].function.strict": READ,
        "tools[].custom": _CUSTOM,
        "tool_choice": Argument("tool_choice"),
        "tool_choice.type": READ,
        "tool_choice.function": READ,
        "tool_choice.function.name": READ,
        "tool_choice.allowed_tools": Refused("is OpenAI's alone; give the allowed ones as tools"),
        "tool_choice.custom": _CUSTOM,
        "parallel_tool_calls": Argument("parallel_tool_calls"),
        "response_format": Argument("response_format"),
        "response_format.type": READ,
        "response_format.json_schema": READ,
        "response_format.json_schema.name": READ,
        "response_format.json_schema.description": READ,
        "response_format.json_schema.schema": READ,
        "response_format.json_schema.strict": READ,
        "user": Argument("user"),
        "metadata": Argument("metadata"),
        "stream": READ,
        "stream_options": READ,
        "stream_options.include_usage": READ,
        # It pads what is sent against those who listen in, and nothing is sent.
        "stream_options.include_obfuscation": READ,
        "logit_bias": EXTRA,
        "prediction": EXTRA,
        "verbosity": EXTRA,
        "web_search_options": EXTRA,
        "prompt_cache_key": HINT,
        "prompt_cache_options": HINT,
        "prompt_cache_retention": HINT,
        "safety_identifier": HINT,
        "service_tier": HINT,
        "store": HINT,
        "audio": Refused("asks for speech, and a reply here is text"),
        "modalities": Refused("asks for more than text, and a reply here is text", unless=["text"]),
        "moderation": Refused("asks for a verdict beside the reply, which has no place for one"),
        "functions": _OLD,
        "function_call": _OLD,
    }
)  # fmt: skip

EMBED: Mapping[str, Row] = MappingProxyType(
    {
        "input": Argument("input"),
        "model": Argument("model"),
        "dimensions": Argument("dimensions"),
        "encoding_format": READ,
        "user": Argument("user"),
    }
)


_RESPONSES_ONLY = Extra(("openai-responses",))
_LATER = Refused("asks for a reply that is fetched later, and nothing here keeps one", unless=False)

RESPONSE: Mapping[str, Row] = MappingProxyType(
    {
        "input": APART,
        "instructions": READ,
        "model": Argument("model"),
        "max_output_tokens": Argument("max_tokens"),
        "temperature": Argument("temperature"),
        "top_p": Argument("top_p"),
        "top_k": Argument("top_k"),
        "parallel_tool_calls": Argument("parallel_tool_calls"),
        "tools": APART,
        "tool_choice": APART,
        "text": READ,
        "text.format": READ,
        "text.format.type": READ,
        "text.format.name": READ,
        "text.format.description": READ,
        "text.format.schema": READ,
        "text.format.strict": READ,
        "text.verbosity": EXTRA,
        "reasoning": READ,
        "reasoning.effort": READ,
        "reasoning.summary": _RESPONSES_ONLY,
        "reasoning.generate_summary": _RESPONSES_ONLY,
        "reasoning.context": _RESPONSES_ONLY,
        "reasoning.mode": _RESPONSES_ONLY,
        "include": READ,  # what is not the router's business goes where `reasoning.summary` does
        "top_logprobs": READ,
        "user": Argument("user"),
        "metadata": Argument("metadata"),
        "stream": READ,
        "stream_options": READ,
        "stream_options.include_obfuscation": READ,
        # What the host has kept, or does by itself: nobody else knows of it.
        "access_programs": EXTRA,
        "context_management": EXTRA,
        "conversation": EXTRA,
        "image": EXTRA,
        "max_tool_calls": EXTRA,
        "previous_response_id": EXTRA,
        "prompt": EXTRA,
        "truncation": EXTRA,
        "prompt_cache_key": HINT,
        "prompt_cache_options": HINT,
        "prompt_cache_retention": HINT,
        "safety_identifier": HINT,
        "service_tier": HINT,
        "store": HINT,
        "background": _LATER,
        "background_options": _LATER,
        "moderation": Refused("asks for a verdict beside the reply, which has no place for one"),
    }
)


def below(path: str) -> dict[str, Row]:
    """The rows of the keys that stand right below *path*, by key."""
    return {
        rest: row
        for name, row in CHAT.items()
        if name.startswith(path) and "." not in (rest := name.removeprefix(path)) and "[" not in rest
    }
