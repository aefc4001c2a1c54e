"""What Cohere sends, and what is sent to it, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from polyroute import Deployment, EmbedResponse, Router
from tests.providers import wire
from tests.providers.wire import KEY, Response, Scripted
from tests.wire_server import named_events

__all__ = [
    "COHERE",
    "call",
    "embedded",
    "event",
    "read",
    "refused",
    "reply",
    "sent",
    "streamed",
    "text",
    "thinking",
    "told",
]

COHERE = "cohere/command-a-03-2025"
USAGE = {
    "billed_units": {"input_tokens": 2, "output_tokens": 3},
    "tokens": {"input_tokens": 9, "output_tokens": 3},
}

read = partial(wire.read, model=COHERE)
refused = partial(wire.refused, model=COHERE)
told = partial(wire.told, model=COHERE)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words}


def call(id: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def reply(
    *parts: Mapping[str, Any],
    reason: object = "COMPLETE",
    usage: Mapping[str, Any] | None = USAGE,
    plan: str | None = None,
    **fields: object,
) -> dict[str, Any]:
    """A whole reply of these blocks and calls."""
    message: dict[str, Any] = {"role": "assistant"}
    if blocks := [part for part in parts if part["type"] != "function"]:
        message["content"] = blocks
    if plan is not None:
        message["tool_plan"] = plan
    if calls := [part for part in parts if part["type"] == "function"]:
        message["tool_calls"] = calls
    return {"id": "r-1", "message": message, "finish_reason": reason, "usage": usage, **fields}


def event(kind: str, index: int = 0, **message: object) -> dict[str, Any]:
    """One event of a stream that adds to its message."""
    return {"type": kind, "index": index, "delta": {"message": message}}


def streamed(*events: Mapping[str, Any], done: bool = True) -> bytes:
    """Events as Cohere sends them."""
    return named_events(*events) + b"data: [DONE]\n\n" * done


async def sent(
    messages: Any = "hi", *, model: str = COHERE, stream: bool = False, **arguments: Any
) -> dict[str, Any]:
    """The body that a call sends."""
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
    transport = Scripted(Response(streamed(end) if stream else reply(text("{}"))))
    router = Router([Deployment(model, api_key=KEY)], transport=transport, retry=None, send_user=True)
    if stream:
        async with router.stream(messages, **arguments) as chunks:
            await chunks.response()
    else:
        await router.chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


async def embedded(body: object, count: int = 1, **arguments: Any) -> tuple[EmbedResponse, Any, str]:
    """The vectors that are made of *body*, what was asked, and where."""
    deployment = Deployment("cohere/embed-v4.0", api_key=KEY)
    vectors, [asked], [url] = await wire.embedded_by(deployment, body, count=count, **arguments)
    return vectors, asked, url
