"""What a call sends to Anthropic, and what is made of what comes from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from polyroute import ChatResponse, Deployment, Router
from tests.conformance.anthropic_messages import reply
from tests.providers import wire
from tests.providers.wire import KEY, Response, Scripted, Told
from tests.wire_server import named_events as events

__all__ = ["CLAUDE", "asked", "events", "read", "text", "told"]

CLAUDE = "anthropic/claude-haiku-4-5"


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


async def asked(
    messages: Any = "hi",
    *,
    model: str = CLAUDE,
    send_user: bool = False,
    options: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """The body that a call sends."""
    transport = Scripted(Response(reply(text("{}"))))
    deployment = Deployment(model, api_key=KEY, **(options or {}))
    await Router([deployment], transport=transport, send_user=send_user).chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


async def read(body: object, **how: Any) -> ChatResponse[Any]:
    """The reply that is made of *body*, or the error of the attempt."""
    return await wire.read(body, model=CLAUDE, **how)


async def told(body: bytes | list[bytes]) -> Told:
    """What a stream of these bytes is read as."""
    return await wire.told(body, model=CLAUDE)
