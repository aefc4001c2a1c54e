"""Embeddings of more texts than a host takes in one request: several requests, and one reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial, reduce
from operator import add

from polyroute.deployments import EmbedCall
from polyroute.replies import EmbedResponse
from polyroute.together import together
from polyroute.types import amended

__all__ = ["in_batches"]

_AT_ONCE = 8


async def in_batches(
    call: EmbedCall, most: int, ask: Callable[[EmbedCall], Awaitable[EmbedResponse]]
) -> EmbedResponse:
    """The vectors of all texts of *call*, in their order, where *ask* takes at most *most* of them.

    The first error ends what is under way and comes out as itself.
    """
    texts = call.request.input
    batches = [
        replace(call, request=amended(call.request, input=texts[place : place + most]))
        for place in range(0, len(texts), most)
    ]
    return _joined(await together([partial(ask, batch) for batch in batches], at_once=_AT_ONCE))


def _joined(replies: list[EmbedResponse]) -> EmbedResponse:
    """One reply of them all; each one's own body is in its `raw`, which is a list of them."""
    return amended(
        replies[0],
        vectors=tuple(vector for reply in replies for vector in reply.vectors),
        usage=reduce(add, (reply.usage for reply in replies)),
        raw=[reply.raw for reply in replies],
    )
