"""What a call sends in OpenAI's Responses, and what is made of what comes from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from polyroute import Deployment, Opaque, Router
from tests.conformance.openai_responses import message, reply
from tests.providers import wire
from tests.providers.wire import KEY, Response, Scripted
from tests.wire_server import named_events as events

__all__ = ["GPT", "SILENT", "asked", "called", "done", "events", "kept", "read", "told"]

GPT = "openai-responses/gpt-5-mini"
SILENT = "openai-responses/gpt-4.1"  # a model that does not reason

read = partial(wire.read, model=GPT)
told = partial(wire.told, model=GPT)


def kept(**item: object) -> Opaque:
    """What is kept for the host alone."""
    return Opaque("openai-responses", item)


def called(arguments: str = "{}", *, name: str = "now", **fields: object) -> dict[str, Any]:
    """An item that calls a function."""
    head = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name}
    return {**head, "arguments": arguments, "status": "completed", **fields}


async def asked(
    messages: Any = "hi", *, model: str = GPT, send_user: bool = False, **arguments: Any
) -> dict[str, Any]:
    """The body that a call sends."""
    transport = Scripted(Response(reply(message("{}"))))
    deployment = Deployment(model, api_key=KEY)
    await Router([deployment], transport=transport, send_user=send_user).chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


def done(*output: Mapping[str, Any], status: str = "completed", **fields: object) -> dict[str, Any]:
    """The event that ends a stream."""
    return {"type": f"response.{status}", "response": reply(*output, status=status, **fields)}
