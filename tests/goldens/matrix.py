"""Which format has what: tables of marks, each with a proof that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from tests.conformance.format import JSON
from tests.goldens import readings
from tests.goldens.asking import EMBED, TIER, features, tells
from tests.goldens.dialects import DIALECTS, Dialect
from tests.goldens.readings import Reading

__all__ = ["MATRIX", "tables"]

Requests: TypeAlias = Mapping[str, JSON]
Proof: TypeAlias = Callable[[Dialect, Requests], str]

# It is there; the call goes on without it; the call goes elsewhere.
MARK, WITHOUT, LEFT_OUT = "✓", "-", ""


def _asked(*names: str, read: Reading | None = None) -> Proof:
    """The host is told of each of these features, and what it answers is *read*."""

    def proof(dialect: Dialect, requests: Requests) -> str:
        known = features(dialect)
        asked = [name for name in names if name in known]
        if any("refused" in requests[name] for name in asked):
            return LEFT_OUT
        told = asked == list(names) and all(tells(requests, name, known[name]) for name in asked)
        return MARK if told and (read is None or read(dialect)) else WITHOUT

    return proof


def _read(reading: Reading) -> Proof:
    """What the host sends is read."""
    return lambda dialect, _: MARK if reading(dialect) else WITHOUT


def _embeds(_: Dialect, requests: Requests) -> str:
    return MARK if EMBED in requests else LEFT_OUT


MATRIX: Mapping[str, Mapping[str, Proof]] = MappingProxyType(
    {
        "Messages": {
            "several turns": _asked("several turns"),
            "system": _asked("words of the system"),
            "system, later on": _asked("words of the system, and later ones"),
            "developer": _asked("words of a developer"),
            "a speaker's name": _asked("a speaker's name"),
            "an image by URL": _asked("a picture at an address"),
            "several images by data": _asked("several pictures"),
            "a PDF by data": _asked("a PDF", "a PDF without a name"),
            "a PDF by URL": _asked("a PDF at an address"),
            "audio": _asked("sound"),
        },
        "Tools": {
            "tools": _asked("tools"),
            "strict tools": _asked("a strict tool"),
            '`tool_choice="auto"`': _asked("tool_choice: auto"),
            '`tool_choice="none"`': _asked("tool_choice: none"),
            '`tool_choice="required"`': _asked("tool_choice: required"),
            "`tool_choice` by name": _asked("tool_choice: a name"),
            "several calls at once": _asked("several calls and their results", read=readings.calls),
            "several calls in a stream": _read(readings.calls_in_pieces),
            "`parallel_tool_calls=True`": _asked("parallel_tool_calls: on"),
            "`parallel_tool_calls=False`": _asked("parallel_tool_calls: off"),
            "results with images": _asked("a result with a picture"),
            "results marked as failed": _asked("a result that failed"),
        },
        "Replies": {
            "a pydantic class": _asked("response_format: a pydantic class"),
            "a schema": _asked("response_format: a schema", "response_format: OpenAI's own"),
            "any JSON object": _asked("response_format: any JSON"),
            "`max_tokens`": _asked("max_tokens"),
            "`stop`": _asked("stop: one", "stop: several"),
            "`temperature`": _asked("temperature"),
            "`top_p`": _asked("top_p"),
            "`top_k`": _asked("top_k"),
            "`frequency_penalty`, `presence_penalty`": _asked("frequency_penalty", "presence_penalty"),
            "`seed`": _asked("seed"),
            "`n`": _asked("n", read=readings.both_choices),
            "`logprobs=True`": _asked("logprobs", read=readings.odds),
            "`logprobs=3`": _asked("logprobs: the likeliest", read=readings.odds),
        },
        "Reasoning": {
            "`reasoning_effort`": _asked(
                *(f"reasoning_effort: {effort}" for effort in ("low", "medium", "high"))
            ),
            '`reasoning_effort="none"`': _asked("reasoning_effort: none"),
            "reasoning in words": _read(readings.thought),
            "reasoning in a stream": _read(readings.thought_in_pieces),
        },
        "Beside the conversation": {
            "`user`, with `send_user=True`": _asked("user, who is told"),
            "a service tier in `extra`": _asked(TIER),
            "marks for prompt caching": _asked("a mark up to which to cache"),
            "long prompts are marked unasked": _asked("a long prompt, which is cached unasked"),
            "tokens read from a cache": _read(readings.read_from_a_cache),
            "embeddings": _embeds,
        },
        "Streams": {
            "usage": _read(readings.usage_in_pieces),
            "keep-alive comments": _read(readings.comments_in_between),
            "an error inside, by its class and status": _read(readings.error_in_between),
            "no terminator: `ReadError`": _read(readings.no_end),
        },
    }
)


def tables(made: Mapping[str, Any]) -> str:
    """The matrix in Markdown, one table for each of its parts."""
    return "\n\n".join(f"## {part}\n\n" + "\n".join(_table(rows, made)) for part, rows in MATRIX.items())


def _table(rows: Mapping[str, Proof], made: Mapping[str, Any]) -> Iterator[str]:
    yield "| | " + " | ".join(f"`{dialect}/`" for dialect in DIALECTS) + " |"
    yield "|---|" + ":-:|" * len(DIALECTS)
    for name, proof in rows.items():
        marks = (proof(each, made[each.prefix]["requests"]) for each in DIALECTS)
        yield f"| {name} | " + " | ".join(marks) + " |"
