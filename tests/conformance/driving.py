"""How the suite drives a codec: calls to encode, and streams fed to a decoder as a provider feeds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from polyroute import ChatChunk, ChatRequest, ChatResponse, Deployment, PolyrouteError, Timeout
from polyroute.deadlines import Deadline
from polyroute.deployments import Call
from polyroute.gathered import Gathered
from polyroute.wire import WireFormat

__all__ = ["call", "cut", "gathered", "said", "sent", "told"]


def call(deployment: Deployment, request: ChatRequest | None = None, *, user: str | None = None) -> Call:
    """*request* on its way to *deployment*."""
    model = deployment.model.partition("/")[2]
    return Call(
        request=request or ChatRequest(),
        deployment=deployment,
        model=model,
        timeout=Timeout(),
        deadline=Deadline(),
        user=user,
    )


def sent(deployment: Deployment, wire: WireFormat, request: ChatRequest, **how: Any) -> dict[str, Any]:
    """The body that *request* becomes."""
    return json.loads(wire.encode(call(deployment, request, **how), stream=False))


def told(
    deployment: Deployment, wire: WireFormat, pieces: Sequence[bytes]
) -> tuple[list[ChatChunk], PolyrouteError | None]:
    """What a decoder makes of bytes that come in these pieces."""
    decoder = wire.stream_decoder(call(deployment))
    chunks: list[ChatChunk] = []
    for piece in pieces:
        chunks += decoder.feed(piece)
        if decoder.error is not None or decoder.done:
            break
    else:
        chunks += decoder.finish()
    assert decoder.error is None or isinstance(decoder.error, PolyrouteError)
    return chunks, decoder.error


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def gathered(chunks: Sequence[ChatChunk]) -> ChatResponse[Any]:
    """The reply that *chunks* make."""
    return Gathered(chunks).response()


def said(reply: object) -> object:
    """What a reply says, without how it came about."""
    if not isinstance(reply, ChatResponse):
        return reply
    told = [replace(each, usage=reply.usage, raw=None) for each in (reply, *reply.choices)]
    return [
        (each.id, each.model, each.text, each.message, each.tool_calls, each.finish_reason, each.reasoning,
         each.refusal, each.logprobs, each.usage)
        for each in told
    ]  # fmt: skip
