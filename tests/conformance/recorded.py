"""The recorded exchanges of OpenAI's wire format, and a server that gives their replies again."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from polyroute import Deployment
from polyroute.providers import HOSTS
from tests.wire_server import Answer, Asked, cut_anywhere, events

__all__ = ["DATA", "Exchange", "as_stream", "deployments", "load", "replay", "streamed_anew"]

Exchange: TypeAlias = Mapping[str, Any]

_ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("POLYROUTE_WIRE_DATA") or _ROOT / "../shared/data/wire/exchanges.jsonl.gz")

_ELSEWHERE = frozenset({"ollama", "gemini", "vertex", "anthropic"})  # their prefix speaks another format
# The recorder had the body unpacked and whole, so these headers would lie.
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection"})


def load() -> dict[str, Exchange]:
    """The exchanges by id."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        exchanges = [json.loads(line) for line in lines]
    return {
        exchange["id"]: exchange
        for exchange in exchanges
        if exchange["api"] in ("openai_chat", "openai_embeddings")
    }


def deployments(exchanges: Mapping[str, Exchange], url: str) -> list[Deployment]:
    """One for each exchange, with its id, at an address of its own on the server."""
    return [
        Deployment(
            f"{_prefix(exchange)}/{_model(exchange)}", id=id, base_url=f"{url}/{id}", api_key="k-recorded"
        )
        for id, exchange in exchanges.items()
    ]


def _prefix(exchange: Exchange) -> str:
    provider = exchange["provider"]
    return provider if provider in HOSTS and provider not in _ELSEWHERE else "compatible"


def _model(exchange: Exchange) -> str:
    return (exchange["request_body"] or {}).get("model") or "unnamed"


def replay(exchanges: Mapping[str, Exchange], asked: Asked) -> Answer:
    """The recorded reply to the exchange that the path names; a stream is cut anywhere."""
    exchange = exchanges[asked.path.split("/")[1]]
    headers = {
        name: value
        for name, value in exchange["response_headers_subset"].items()
        if name.lower() not in _OF_THE_BODY
    }
    if "stream_text" in exchange:
        pieces = cut_anywhere(exchange["stream_text"].encode(), Random(exchange["id"]))
        return Answer(pieces, status=exchange["status"], headers=headers, framing="chunked")
    body = exchange.get("response_text") or json.dumps(exchange["response_body"], ensure_ascii=False)
    return Answer(body.encode(), status=exchange["status"], headers=headers)


def streamed_anew(exchanges: Mapping[str, Exchange], asked: Asked) -> Answer:
    """What the recorded whole reply might have been as a stream."""
    exchange = exchanges[asked.path.split("/")[1]]
    rng = Random(exchange["id"])
    return Answer(cut_anywhere(as_stream(exchange["response_body"], rng), rng), framing="chunked")


def as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as OpenAI would."""
    head = {"id": body.get("id"), "model": body.get("model"), "object": "chat.completion.chunk"}
    told: list[dict[str, Any]] = []
    for place, choice in enumerate(body["choices"]):
        index = choice.get("index", place)
        told += [{"index": index, **piece} for piece in _pieces(choice, rng)]
    chunks = [{**head, "choices": [choice]} for choice in told]
    return events(*chunks, {**head, "choices": [], "usage": body.get("usage")})


def _pieces(choice: Mapping[str, Any], rng: Random) -> list[dict[str, Any]]:
    message = choice.get("message") or {}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "reasoning"):
        deltas += [{name: piece} for piece in _cut(message.get(name), rng)]
    deltas += [{"reasoning_details": [detail]} for detail in message.get("reasoning_details") or ()]
    content = message.get("content")
    deltas += (
        [{"content": content}] if isinstance(content, list) else [{"content": p} for p in _cut(content, rng)]
    )
    deltas += [{"refusal": piece} for piece in _cut(message.get("refusal"), rng)]
    for place, call in enumerate(message.get("tool_calls") or ()):
        deltas += [{"tool_calls": [piece]} for piece in _call_pieces(place, call, rng)]
    pieces = [{"delta": delta, "finish_reason": None} for delta in deltas]
    if choice.get("logprobs"):
        pieces[-1]["logprobs"] = choice["logprobs"]
    return [*pieces, {"delta": {}, "finish_reason": choice.get("finish_reason")}]


def _call_pieces(place: int, call: Mapping[str, Any], rng: Random) -> list[dict[str, Any]]:
    function = call.get("function") or {}
    begin = {
        "index": place,
        "id": call.get("id"),
        "function": {"name": function.get("name"), "arguments": ""},
    }
    return [
        begin,
        *({"index": place, "function": {"arguments": p}} for p in _cut(function.get("arguments"), rng)),
    ]


def _cut(text: str | None, rng: Random) -> Sequence[str]:
    pieces: list[str] = []
    while text:
        size = rng.randint(1, 9)
        pieces.append(text[:size])
        text = text[size:]
    return pieces
