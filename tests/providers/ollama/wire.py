"""What Ollama sends, and what is sent to it, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from polyroute import Deployment, EmbedResponse, Router
from tests.providers import wire
from tests.providers.wire import Response, Scripted

__all__ = ["OLLAMA", "call", "embedded", "line", "lines", "read", "refused", "reply", "sent", "told"]

OLLAMA = "ollama/qwen3"
USAGE = {"prompt_eval_count": 9, "eval_count": 3}

read = partial(wire.read, model=OLLAMA)
refused = partial(wire.refused, model=OLLAMA)
told = partial(wire.told, model=OLLAMA)


def call(name: str, arguments: object = None, **fields: object) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments or {}}, **fields}


def line(content: str = "", *, done: bool = False, **message: object) -> dict[str, Any]:
    """One line of a stream that is not its last."""
    return {
        "model": "qwen3",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": content, **message},
        "done": done,
    }


def reply(
    content: str = "", *, reason: object = "stop", usage: Mapping[str, Any] = USAGE, **message: object
) -> dict[str, Any]:
    """A whole reply, or the last line of a stream."""
    return {**line(content, done=True, **message), "done_reason": reason, **usage}


def lines(*values: object) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


async def sent(
    messages: Any = "hi", *, model: str = OLLAMA, stream: bool = False, **arguments: Any
) -> dict[str, Any]:
    """The body that a call sends."""
    transport = Scripted(Response(reply("{}")))
    router = Router([Deployment(model)], transport=transport, retry=None, send_user=True)
    if stream:
        async with router.stream(messages, **arguments) as chunks:
            await chunks.response()
    else:
        await router.chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


async def embedded(body: object, count: int = 1, **arguments: Any) -> tuple[EmbedResponse, Any, str]:
    """The vectors that are made of *body*, what was asked, and where."""
    deployment = Deployment("ollama/nomic-embed-text")
    vectors, [asked], [url] = await wire.embedded_by(deployment, body, count=count, **arguments)
    return vectors, asked, url
