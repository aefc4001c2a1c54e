"""What Gemini's hosts send, and what is sent to them, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from polyroute import ChatResponse, Deployment, EmbedResponse, Router
from tests.providers import wire
from tests.providers.wire import KEY, Response, Scripted
from tests.wire_server import events

__all__ = ["GEMINI", "candidate", "embedded", "read", "refused", "reply", "sent", "streamed", "told"]

GEMINI = "gemini/gemini-2.5-flash"
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}

read = partial(wire.read, model=GEMINI)
refused = partial(wire.refused, model=GEMINI)
told = partial(wire.told, model=GEMINI)


def candidate(*parts: object, reason: object = "STOP", **fields: object) -> dict[str, Any]:
    """One candidate of these parts, of which a str is a text."""
    written = [{"text": part} if isinstance(part, str) else part for part in parts]
    said = {"content": {"role": "model", "parts": written}} if parts else {}
    return {**said, **({"finishReason": reason} if reason is not None else {}), **fields}


def reply(*candidates: Mapping[str, Any], usage: Mapping[str, Any] | None = USAGE) -> dict[str, Any]:
    """A whole reply of these candidates, or one event of a stream."""
    head = {"responseId": "r-1", "modelVersion": "gemini-2.5-flash-001"}
    return {**head, "candidates": list(candidates), **({"usageMetadata": usage} if usage is not None else {})}


def streamed(*values: object) -> bytes:
    """Events as Google sends them, without a terminal one."""
    return events(*values, done=False).replace(b"\n", b"\r\n")


async def sent(
    messages: Any = "hi", *, model: str = GEMINI, stream: bool = False, **arguments: Any
) -> dict[str, Any]:
    """The body that a call sends."""
    said = reply(candidate("{}"))
    transport = Scripted(Response(streamed(said) if stream else said))
    router = Router([Deployment(model, api_key=KEY)], transport=transport, retry=None)
    if stream:
        async with router.stream(messages, **arguments) as chunks:
            await chunks.response()
    else:
        await router.chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


async def sent_back(said: Mapping[str, Any], *, model: str = GEMINI, stream: bool = False) -> list[Any]:
    """The parts that a reply's own message becomes, when it is sent back as it is."""
    given: ChatResponse[Any] | None
    if stream:
        given = (await told(streamed(said))).reply
    else:
        given = await read(said)
    assert given is not None
    body = await sent([{"role": "user", "content": "hi"}, given.message, *_answers(given)], model=model)
    return body["contents"][1]["parts"]


def _answers(given: ChatResponse[Any]) -> list[Any]:
    return [call.result("done") for call in given.tool_calls] or [{"role": "user", "content": "go on"}]


async def embedded(body: object, count: int = 1, **arguments: Any) -> tuple[EmbedResponse, Any, str]:
    """The vectors that are made of *body*, what was asked, and where."""
    deployment = Deployment("gemini/gemini-embedding-001", api_key=KEY)
    vectors, [asked], [url] = await wire.embedded_by(deployment, body, count=count, **arguments)
    return vectors, asked, url
