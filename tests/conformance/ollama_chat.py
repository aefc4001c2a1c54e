"""Ollama's own chat, for the suite that every wire format must pass."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import strategies as st

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from polyroute.providers import Host
from tests.conformance.format import JSON, Failure, Format, in_pieces
from tests.providers.ollama.wire import call, line, lines, reply
from tests.providers.strategies import LEAVES, WORDS, arranged

__all__ = ["OLLAMA_CHAT"]


def _answer(text: str) -> JSON:
    return reply(text)


# --- replies, whole and in pieces ---------------------------------------------------------------

_ARGUMENTS = st.dictionaries(st.sampled_from(["a", "é"]), st.one_of(WORDS, st.integers(0, 9)), max_size=2)
_CALLS = st.one_of(
    st.builds(call, st.just("now"), _ARGUMENTS),
    st.builds(call, st.just("now"), _ARGUMENTS, id=st.sampled_from(["call_a", "call_b"])),
)
_MESSAGES = st.fixed_dictionaries(
    {"content": WORDS}, optional={"thinking": WORDS, "tool_calls": st.lists(_CALLS, max_size=2)}
)
_COUNTS = st.fixed_dictionaries(
    {}, optional={"prompt_eval_count": st.integers(0, 99), "eval_count": st.integers(0, 99)}
)
_REASONS = st.sampled_from(["stop", "length", "load", "new"])
_LOGPROBS = st.just(
    [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -2}]}]
)


@st.composite
def _replies(draw: st.DrawFn) -> JSON:
    said = reply(**draw(_MESSAGES), reason=draw(_REASONS), usage=draw(_COUNTS))
    if draw(st.booleans()):
        said["logprobs"] = draw(_LOGPROBS)
    return said


def _as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told line by line, as the host would."""
    message = body["message"]
    told = [line("", thinking=piece) for piece in in_pieces(message.get("thinking"), rng)]
    told += [line(piece) for piece in in_pieces(message["content"], rng)]
    told += [line("", tool_calls=[each]) for each in message.get("tool_calls") or ()]
    return lines(*told, {**body, "message": {"role": "assistant", "content": ""}})


_LINES = st.fixed_dictionaries(
    {"model": st.sampled_from(["m", None]), "message": _MESSAGES},
    optional={"done": st.booleans(), "done_reason": st.none() | _REASONS, "logprobs": _LOGPROBS, "eval_count": st.just(3)},
)  # fmt: skip
_STREAMS = st.builds(
    lambda values, end, last: (lines(*values).replace(b"\n", end) + b" \n\n" * last)[: None if last else -1],
    st.lists(_LINES, max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    st.booleans(),
)

_KEYS = st.sampled_from(
    ["model", "message", "content", "thinking", "tool_calls", "function", "name", "arguments", "id", "done",
     "done_reason", "prompt_eval_count", "eval_count", "logprobs", "token", "logprob", "bytes", "top_logprobs", "error",
     "embeddings"]
)  # fmt: skip
_VALUES = arranged(_KEYS)
_SHAPED = st.one_of(
    _VALUES,
    st.fixed_dictionaries({"message": _VALUES, "done": LEAVES}, optional={"logprobs": _VALUES, "eval_count": LEAVES}),
    st.fixed_dictionaries({"message": st.fixed_dictionaries(
        {}, optional={"content": LEAVES, "thinking": LEAVES, "tool_calls": st.lists(_VALUES, max_size=2)}),
        "done": st.booleans()}, optional={"prompt_eval_count": LEAVES, "eval_count": LEAVES, "done_reason": LEAVES}),
)  # fmt: skip


def _played_back(body: Mapping[str, Any]) -> JSON:
    turns = [message for message in body["messages"] if message["role"] == "assistant"]
    return {**reply(), "message": turns[0] if turns else {}}


# --- what was asked, asked again ----------------------------------------------------------------

_OURS = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
    "seed": "seed",
}


def _arguments(body: Mapping[str, Any], host: Host) -> dict[str, Any]:
    plain = _plain(body, host)
    options = plain.get("options", {})
    known = {ours: options[theirs] for theirs, ours in _OURS.items() if theirs in options}
    tools = {"tools": plain["tools"]} if "tools" in plain else {}
    return {"messages": body["messages"], **known, **tools}


def _plain(body: Mapping[str, Any], _: Host) -> JSON:
    """What is empty, or is what comes anyway, is as good as not there."""
    return {name: value for name, value in body.items() if value or name == "stream"}


def _nothing(_: Mapping[str, Any]) -> None:
    """All that the recorded bodies say can be said."""


# --- what goes wrong ----------------------------------------------------------------------------


def _error(error: type[PolyrouteError], status: int, message: str) -> Failure:
    return Failure(error=error, status=status, body={"error": message})


OLLAMA_CHAT = Format(
    name="ollama-chat",
    models=("ollama/qwen3",),
    answer=_answer,
    replies=_replies(),
    as_stream=_as_stream,
    streams=_STREAMS,
    shaped=_SHAPED,
    failures=(
        _error(BadRequestError, 400, "invalid options: num_ctx"),
        _error(ContextWindowExceededError, 400, "prompt too long; exceeded max context length by 7 tokens"),
        _error(AuthenticationError, 401, "unauthorized"),
        _error(NotFoundError, 404, "model 'x' not found"),
        _error(RateLimitError, 429, "too many concurrent requests"),
        _error(QuotaExhaustedError, 429, "you've reached your weekly usage limit, please wait or upgrade to continue"),
        _error(ServerError, 500, "llama runner process has terminated"),
        _error(OverloadedError, 503, "server busy, please try again. maximum pending requests exceeded"),
    ),
    broken_off=(lines({"error": "llama runner process has terminated"}), ServerError),
    played_back=_played_back,
    api="ollama_chat",
    arguments=_arguments,
    plain=_plain,
    unsayable=_nothing,
)  # fmt: skip
