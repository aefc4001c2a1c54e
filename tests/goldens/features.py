"""All that a call may say beside a question, one by one, and by what each is known in a request's body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from polyroute import Audio, File, Image, Message, Text, Tool, ToolCall, ToolResult
from polyroute.providers.encoding import base64_of

__all__ = ["FEATURES", "QUESTION", "STREAMED", "Feature"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What a call is given: *messages* and *arguments*, and to `Router` whether it may *send_user*.

    A body tells of it where all *signs* stand in it, and where it differs from that of the feature
    *beside* it, which has all of the call but what this one is about.
    """

    messages: Any = "hi"
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    signs: tuple[str, ...] = ()
    beside: str
    send_user: bool = False
    stream: bool = False


QUESTION, STREAMED = "a question", "a question, streamed"

PNG, JPEG, PDF, WAV = (
    b"\x89PNG\r\n\x1a\nred",
    b"\xff\xd8\xff\xe0blue",
    b"%PDF-1.7 terms",
    b"RIFF....WAVEhello",
)


class Weather(BaseModel):
    """The weather in one place."""

    celsius: float


SCHEMA = {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]}
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOLS = (Tool("clock", "Tells the time."), Tool("weather", "Tells the weather.", PLACE))
CLOSED = Tool("weather", "Tells the weather.", {**PLACE, "additionalProperties": False})
CALLS = (ToolCall("call_1", "clock", {}), ToolCall("call_2", "weather", {"place": "Zürich"}))
CALLED = (Message("user", "hi"), Message("assistant", [Text("Let me see."), *CALLS]))
RESULTS = (CALLS[0].result("12:00"), CALLS[1].result({"celsius": 21}))
SHOWN = ToolResult("call_2", (Text("It looks so:"), Image(data=PNG, media_type="image/png")), name="weather")
FAILED = ToolResult("call_2", '{"celsius":21}', name="weather", is_error=True)


def _argument(name: str, value: Any, *signs: str, beside: str = QUESTION, **others: Any) -> Feature:
    return Feature(arguments={name: value, **others}, signs=signs, beside=beside)


def _shown(*parts: Image | Audio | File, signs: tuple[str, ...]) -> Feature:
    return Feature(messages=[Message("user", [Text("What is this?"), *parts])], signs=signs, beside=QUESTION)


def _after_calls(*results: Message, signs: tuple[str, ...], beside: str) -> Feature:
    return Feature(messages=[*CALLED, *results], arguments={"tools": TOOLS}, signs=signs, beside=beside)


_TALKS = {
    QUESTION: Feature(signs=("hi",), beside="several turns"),
    STREAMED: Feature(beside="several turns", stream=True),
    "several turns": Feature(
        messages=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "Who are you?"},
        ],
        signs=("hi", "Hello!", "Who are you?"),
        beside=QUESTION,
    ),
    "words of the system": Feature(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        signs=("Be brief.",),
        beside=QUESTION,
    ),
    "words of a developer": Feature(
        messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "hi"}],
        signs=("Be kind.",),
        beside=QUESTION,
    ),
    "words of the system, and later ones": Feature(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "Who are you?"},
            {"role": "system", "content": "The user is in a hurry."},
        ],
        signs=("Be brief.", "The user is in a hurry."),
        beside="several turns",
    ),
    "a speaker's name": Feature(
        messages=[{"role": "user", "content": "hi", "name": "ann"}], signs=("ann",), beside=QUESTION
    ),
}

_MEDIA = {
    "a picture at an address": _shown(
        Image("https://example.com/a.png", detail="low"), signs=("https://example.com/a.png",)
    ),
    "several pictures": _shown(
        Image(data=PNG), Image(data=JPEG), signs=(base64_of(PNG), base64_of(JPEG))
    ),
    "a PDF": _shown(File(data=PDF, name="terms.pdf", media_type="application/pdf"), signs=(base64_of(PDF),)),
    "a PDF at an address": _shown(
        File(url="https://example.com/terms.pdf"), signs=("https://example.com/terms.pdf",)
    ),
    "a PDF without a name": _shown(File(data=PDF), signs=(base64_of(PDF),)),
    "sound": _shown(Audio(WAV, "wav"), signs=(base64_of(WAV),)),
}  # fmt: skip

_TOOLS = {
    "tools": _argument("tools", TOOLS, "clock", "weather", "Tells the weather.", "place"),
    "a tool": _argument("tools", (CLOSED,), "weather", "place"),
    "a strict tool": _argument("tools", (replace(CLOSED, strict=True),), "weather", "place", beside="a tool"),
    "tool_choice: auto": _argument("tool_choice", "auto", "clock", "weather", tools=TOOLS),
    "tool_choice: none": _argument("tool_choice", "none", beside="tools", tools=TOOLS),
    "tool_choice: required": _argument(
        "tool_choice", "required", "clock", "weather", beside="tools", tools=TOOLS
    ),
    "tool_choice: a name": _argument("tool_choice", "weather", "weather", beside="tools", tools=TOOLS),
    "parallel_tool_calls: on": _argument("parallel_tool_calls", True, "clock", "weather", tools=TOOLS),
    "parallel_tool_calls: off": _argument(
        "parallel_tool_calls", False, "clock", "weather", beside="tools", tools=TOOLS
    ),
    "several calls and their results": _after_calls(
        *RESULTS, signs=("Let me see.", "clock", "weather", "Zürich", "12:00", "21"), beside="tools"
    ),
    "a result that failed": _after_calls(
        RESULTS[0], Message("tool", [FAILED]), signs=("21",), beside="several calls and their results"
    ),
    "a result with a picture": _after_calls(
        RESULTS[0],
        Message("tool", [SHOWN]),
        signs=("It looks so:", base64_of(PNG)),
        beside="several calls and their results",
    ),
}  # fmt: skip

_SHAPES = {
    "response_format: a pydantic class": _argument("response_format", Weather, "celsius"),
    "response_format: a schema": _argument("response_format", SCHEMA, "celsius"),
    "response_format: OpenAI's own": _argument(
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}},
        "celsius",
    ),
    "response_format: any JSON": _argument("response_format", {"type": "json_object"}),
}

_NUMBERS = {
    "max_tokens": _argument("max_tokens", 4_321, "4321"),
    "temperature": _argument("temperature", 0.125, "0.125"),
    "top_p": _argument("top_p", 0.975, "0.975"),
    "top_k": _argument("top_k", 37, "37"),
    "frequency_penalty": _argument("frequency_penalty", 0.375, "0.375"),
    "presence_penalty": _argument("presence_penalty", 0.625, "0.625"),
    "seed": _argument("seed", 987_654, "987654"),
    "stop: one": _argument("stop", "THE END", "THE END"),
    "stop: several": _argument("stop", ["THE END", "FIN"], "THE END", "FIN"),
    "n": _argument("n", 2),
    "logprobs": _argument("logprobs", True),
    "logprobs: the likeliest": _argument("logprobs", 3, "3", beside="logprobs"),
}

_EFFORTS = {
    f"reasoning_effort: {effort}": _argument("reasoning_effort", effort)
    for effort in ("none", "minimal", "low", "medium", "high", "xhigh")
}

_USERS = {
    "user, who is told": Feature(
        arguments={"user": "ann-7", "metadata": {"app": "shop"}}, signs=("ann-7",), beside=QUESTION, send_user=True
    ),
    "user, who is not told": Feature(
        arguments={"user": "ann-7", "metadata": {"app": "shop"}}, signs=("ann-7",), beside=QUESTION
    ),
}  # fmt: skip

_MARK = {"cache_control": {"type": "ephemeral"}}
_LONG = "Be brief. " * 210

_CACHES = {
    "a mark up to which to cache": Feature(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", **_MARK}]},
            {"role": "user", "content": "hi"},
        ],
        signs=("cache",),
        beside="words of the system",
    ),
    "a long prompt, which is cached unasked": Feature(
        messages=[{"role": "system", "content": _LONG}, {"role": "user", "content": "hi"}],
        signs=("cache",),
        beside="words of the system",
    ),
}

FEATURES: Mapping[str, Feature] = MappingProxyType(
    {**_TALKS, **_MEDIA, **_TOOLS, **_SHAPES, **_NUMBERS, **_EFFORTS, **_USERS, **_CACHES}
)
