"""What each host answers, said once more for all: two calls at once, thoughts, odds, choices, a cache and vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.conformance import anthropic_messages as anthropic
from tests.conformance import openai_responses as responses
from tests.conformance.format import JSON
from tests.providers.bedrock import wire as bedrock
from tests.providers.cohere import wire as cohere
from tests.providers.gemini import wire as gemini
from tests.providers.ollama import wire as ollama
from tests.providers.wire import choice, completion

__all__ = [
    "ANTHROPIC",
    "BEDROCK",
    "COHERE",
    "GEMINI",
    "MISTRAL",
    "OLLAMA",
    "OPENAI",
    "OPENROUTER",
    "RESPONSES",
    "THOUGHT",
    "VECTORS",
    "VERTEX",
    "Replies",
]

THOUGHT = "Let me think."
VECTORS = [[0.5, 0.25], [0.125, 1.0]]


@dataclass(frozen=True, kw_only=True)
class Replies:
    """Whole replies of one host; None where it has no such.

    *calls* asks for `clock` without arguments and `weather` in Zürich, *thought* tells `THOUGHT` before
    it answers, *logprobs* gives the odds of its words, *choices* are two answers, *cached* was read from
    a cache but for 2 of 9 tokens, and *vectors* are `VECTORS`.
    """

    calls: JSON
    cached: JSON | None = None
    thought: JSON | None = None
    logprobs: JSON | None = None
    choices: JSON | None = None
    vectors: JSON | None = None


def _openai_call(id: str, name: str, arguments: str) -> JSON:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


_PLACE = {"place": "Zürich"}
_IN_JSON = '{"place": "Zürich"}'
_ODDS = [{"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}]

OPENAI = Replies(
    calls=completion(
        choice(
            {
                "content": None,
                "tool_calls": [
                    _openai_call("call_1", "clock", "{}"),
                    _openai_call("call_2", "weather", _IN_JSON),
                ],
            },
            "tool_calls",
        )
    ),
    cached=completion(
        choice({"content": "hi"}),
        usage={"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 7}},
    ),
    logprobs=completion(choice({"content": "hi"}, logprobs={"content": _ODDS})),
    choices=completion(choice({"content": "hi"}), {**choice({"content": "ho"}), "index": 1}),
    vectors={"data": [{"index": place, "embedding": row} for place, row in enumerate(VECTORS)]},
)
OPENROUTER = replace(
    OPENAI,
    thought=completion(
        choice(
            {
                "content": "hi",
                "reasoning": THOUGHT,
                "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT, "index": 0}],
            }
        )
    ),
)
MISTRAL = replace(
    OPENAI,
    thought=completion(
        choice(
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                    {"type": "text", "text": "hi"},
                ]
            }
        )
    ),
    logprobs=None,
)


def _response_call(number: int, name: str, arguments: str) -> JSON:
    ids = {"id": f"fc_{number}", "call_id": f"call_{number}"}
    return {"type": "function_call", "status": "completed", **ids, "name": name, "arguments": arguments}


_SAID: Any = responses.message("hi")
RESPONSES = Replies(
    calls=responses.reply(_response_call(1, "clock", "{}"), _response_call(2, "weather", _IN_JSON)),
    cached=responses.reply(
        _SAID, usage={"input_tokens": 9, "input_tokens_details": {"cached_tokens": 7}, "output_tokens": 3}
    ),
    thought=responses.reply(
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": THOUGHT}]}, _SAID
    ),
    logprobs=responses.reply({**_SAID, "content": [{**_SAID["content"][0], "logprobs": _ODDS}]}),
)

_WORDS = {"type": "text", "text": "hi"}
ANTHROPIC = Replies(
    calls=anthropic.reply(
        {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}},
        {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": _PLACE},
        stop_reason="tool_use",
    ),
    cached=anthropic.reply(
        _WORDS, usage={"input_tokens": 2, "cache_read_input_tokens": 7, "output_tokens": 3}
    ),
    thought=anthropic.reply({"type": "thinking", "thinking": THOUGHT, "signature": "Eq=="}, _WORDS),
)

GEMINI = Replies(
    calls=gemini.reply(
        gemini.candidate(
            {"functionCall": {"name": "clock", "args": {}}},
            {"functionCall": {"name": "weather", "args": _PLACE}},
        )
    ),
    cached=gemini.reply(gemini.candidate("hi"), usage={**gemini.USAGE, "cachedContentTokenCount": 7}),
    thought=gemini.reply(gemini.candidate({"text": THOUGHT, "thought": True}, "hi")),
    logprobs=gemini.reply(
        gemini.candidate("hi", logprobsResult={"chosenCandidates": [{"token": "hi", "logProbability": -0.5}]})
    ),
    choices=gemini.reply(gemini.candidate("hi"), gemini.candidate("ho", index=1)),
    vectors={"embeddings": [{"values": row} for row in VECTORS]},
)
VERTEX = replace(GEMINI, vectors={"predictions": [{"embeddings": {"values": row}} for row in VECTORS]})

COHERE = Replies(
    calls=cohere.reply(
        cohere.call("clock_1", "clock"), cohere.call("weather_1", "weather", _IN_JSON), reason="TOOL_CALL"
    ),
    cached=cohere.reply(cohere.text("hi"), usage={**cohere.USAGE, "cached_tokens": 7}),
    thought=cohere.reply(cohere.thinking(THOUGHT), cohere.text("hi")),
    logprobs=cohere.reply(cohere.text("hi"), logprobs=[{"text": "hi", "token_ids": [1], "logprobs": [-0.5]}]),
    vectors={"embeddings": {"float": VECTORS}},
)

OLLAMA = Replies(
    calls=ollama.reply(tool_calls=[ollama.call("clock"), ollama.call("weather", _PLACE)]),
    thought=ollama.reply("hi", thinking=THOUGHT),
    logprobs={**ollama.reply("hi"), "logprobs": _ODDS},
    vectors={"embeddings": VECTORS},
)

BEDROCK = Replies(
    calls=bedrock.reply(
        {"toolUse": {"toolUseId": "tooluse_1", "name": "clock", "input": {}}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "weather", "input": _PLACE}},
        stopReason="tool_use",
    ),
    cached=bedrock.reply(
        {"text": "hi"}, usage={"inputTokens": 2, "cacheReadInputTokens": 7, "outputTokens": 3}
    ),
    thought=bedrock.reply(
        {"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": "Eq=="}}}, {"text": "hi"}
    ),
    vectors={"embeddings": {"float": VECTORS}},
)
