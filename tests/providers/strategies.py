"""Streams and bodies that hosts may send, and some that they may not."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["BODIES", "MANY", "SHAPED", "WORDS", "arranged", "broken", "framed", "streams", "wire_messages"]

# Some of these are slow to make on a busy machine, which is no fault of what they are fed to.
MANY = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.lists(
    st.sampled_from(["a", "b", " ", "\n", "\r", "é", "🙂", "\u2028", '"', "\\", "\0", "data: "]), max_size=4
).map("".join)
INDEXES = st.sampled_from([0, 0, 0, 1])
CALLS = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {}, optional={"name": st.sampled_from(["now", ""]), "arguments": TEXTS}
        )
    },
    optional={"index": st.sampled_from([0, 1]), "id": st.sampled_from(["a", "b"])},
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.none() | TEXTS,
        "reasoning": TEXTS,
        "reasoning_content": TEXTS,
        "refusal": st.none() | TEXTS,
        "tool_calls": st.lists(CALLS, max_size=2),
        "reasoning_details": st.lists(
            st.fixed_dictionaries({"type": st.just("reasoning.text"), "text": TEXTS, "index": INDEXES}),
            max_size=2,
        ),
    },
)
CHOICES = st.fixed_dictionaries(
    {"delta": DELTAS},
    optional={
        "index": INDEXES,
        "finish_reason": st.sampled_from([None, None, "stop", "length", "tool_calls", ""]),
        "logprobs": st.just({"content": [{"token": "a", "logprob": -1}]}),
    },
)
COUNTS = st.integers(0, 99)
EVENTS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, max_size=2)},
    optional={
        "id": st.sampled_from(["c-1", "", None]),
        "model": st.sampled_from(["m", None]),
        "usage": st.none() | st.fixed_dictionaries({"prompt_tokens": COUNTS, "completion_tokens": COUNTS}),
    },
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
BETWEEN = st.sampled_from(["", "", ": keep-alive\n\n", "event: message\n", "id: 7\n", "\n"])


@st.composite
def framed(draw: st.DrawFn, events: st.SearchStrategy[list[tuple[str, object]]], end: str = "") -> bytes:
    """Events, each a name and a value, in any of the ways that hosts may write them; *end* may follow."""
    written = "\ufeff" * draw(st.booleans())
    for name, value in draw(events):
        written += draw(BETWEEN)
        written += f"event: {name}\n" if name else ""
        written += f"data:{draw(st.sampled_from([' ', '']))}{json.dumps(value, ensure_ascii=draw(st.booleans()))}\n\n"
    written += end * draw(st.booleans())
    written = written.replace("\n", draw(ENDS))
    return written.rstrip("\r\n").encode() if draw(st.booleans()) else written.encode()


def streams() -> st.SearchStrategy[bytes]:
    """Any stream that hosts may send."""
    unnamed = EVENTS.map(lambda event: ("", event))
    return framed(st.lists(unnamed, max_size=6), "data: [DONE]\n\n")


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A stream that something happened to."""
    data = draw(whole)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = (
            data[:start]
            + draw(st.sampled_from([b"", b"{", b"\n\n", b"\xff", b'{"error": 1}', b"NaN"]))
            + data[end:]
        )
    return data


KEYS = st.sampled_from(
    ["choices", "message", "delta", "content", "text", "type", "thinking", "tool_calls", "function", "name",
     "arguments", "id", "index", "model", "finish_reason", "usage", "prompt_tokens", "completion_tokens",
     "total_tokens", "prompt_tokens_details", "cached_tokens", "completion_tokens_details", "reasoning_tokens",
     "error", "code", "status", "status_code", "detail", "loc", "msg", "innererror", "metadata", "raw", "object",
     "reasoning", "reasoning_content", "reasoning_details", "refusal", "logprobs", "token", "logprob", "bytes",
     "top_logprobs", "data", "embedding", "x_groq", "function_call"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True),
    st.sampled_from(["", "x", "error", "thinking", "{}", "429", "stop", "AACAPwAA", "AACAPw=="]),
)


def arranged(
    keys: st.SearchStrategy[str], leaves: st.SearchStrategy[object] = LEAVES
) -> st.SearchStrategy[Any]:
    """JSON in which these words stand in any arrangement."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=6,
    )


VALUES = arranged(KEYS)
SHAPED = st.one_of(
    VALUES,
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": VALUES, "delta": VALUES}), max_size=2)}),
    st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries(
        {"message": st.dictionaries(KEYS, VALUES, max_size=4), "delta": st.dictionaries(KEYS, VALUES, max_size=4)},
        optional={"finish_reason": LEAVES, "logprobs": VALUES, "index": LEAVES}))}, optional={"usage": VALUES}),
    st.fixed_dictionaries({"data": st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=2, max_size=2)}),
)  # fmt: skip
BODIES = st.one_of(st.binary(max_size=100), SHAPED.map(lambda value: json.dumps(value).encode()), streams())


WORDS = st.text(max_size=8)
NAMES = st.sampled_from(["now", "weather"])
WIRE_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["call_1", "call_2"]),
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {
                    "name": NAMES,
                    "arguments": st.sampled_from(["{}", '{"a": 1}', '{"a": "é"}', '{"a": ', "[1]"]),
                }
            ),
        }
    ),
    min_size=1,
    max_size=3,
)
DETAILS = st.lists(
    st.just({"type": "reasoning.text", "text": "Hm.", "signature": "=="}), min_size=1, max_size=2
)


@st.composite
def wire_messages(draw: st.DrawFn) -> dict[str, Any]:
    """A reply's own message, as hosts write it."""
    message: dict[str, Any] = {"role": "assistant", "content": draw(WORDS)}
    if draw(st.booleans()):
        message["tool_calls"] = draw(WIRE_CALLS)
        message["content"] = draw(st.none() | WORDS)
    if draw(st.booleans()):
        message["reasoning_content"] = draw(WORDS)
    if draw(st.booleans()):
        message["reasoning_details"] = draw(DETAILS)
    return message
