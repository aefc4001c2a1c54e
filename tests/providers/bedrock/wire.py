"""What Bedrock sends, and what is sent to it, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from struct import pack
from typing import Any
from zlib import crc32

from polyroute import Deployment, EmbedResponse, Router
from tests.providers import wire
from tests.providers.wire import KEY, Response, Scripted

__all__ = [
    "CLAUDE",
    "NOVA",
    "asked",
    "embedded",
    "frame",
    "read",
    "refused",
    "reply",
    "stream",
    "text",
    "told",
]

CLAUDE = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "bedrock/us.amazon.nova-2-lite-v1:0"

read = partial(wire.read, model=CLAUDE)
refused = partial(wire.refused, model=CLAUDE)
told = partial(wire.told, model=CLAUDE)


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def reply(*content: Mapping[str, Any], stopReason: object = "end_turn", **fields: object) -> dict[str, Any]:  # noqa: N803 - as it stands on the wire
    """A whole reply of these blocks."""
    usage = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": stopReason, "usage": usage, **fields}


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame with both of its checksums."""
    named = b"".join(
        pack(">B", len(name.encode()))
        + name.encode()
        + b"\x07"
        + pack(">H", len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    lengths = pack(">II", 12 + len(named) + len(payload) + 4, len(named))
    checked = lengths + pack(">I", crc32(lengths)) + named + payload
    return checked + pack(">I", crc32(checked))


def event(name: str, value: object, *, kind: str = "event") -> bytes:
    """One event, padded as the host pads it, or an exception in its place."""
    padded = {**value, "p": "abc"} if isinstance(value, dict) else value
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return frame(headers, json.dumps(padded, ensure_ascii=False).encode())


def stream(*events: tuple[str, object] | bytes) -> bytes:
    """Events by name and value, or frames as they are."""
    return b"".join(each if isinstance(each, bytes) else event(*each) for each in events)


def _deployment(model: str, options: Mapping[str, Any] | None) -> Deployment:
    return Deployment(model, **{"api_key": KEY, "region": "us-east-1", **(options or {})})


async def asked(
    messages: Any = "hi", *, model: str = CLAUDE, options: Mapping[str, Any] | None = None, **arguments: Any
) -> dict[str, Any]:
    """The body that a call sends."""
    transport = Scripted(Response(reply(text("{}"))))
    await Router([_deployment(model, options)], transport=transport, retry=None).chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


async def embedded(
    model: str, *bodies: object, count: int = 1, options: Mapping[str, Any] | None = None, **arguments: Any
) -> tuple[EmbedResponse, list[Any], list[str]]:
    """The vectors that are made of *bodies*, one a request; what was asked, and where."""
    return await wire.embedded_by(_deployment(model, options), *bodies, count=count, **arguments)
