"""Embeddings as Ollama writes them."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute.deployments import EmbedCall
from polyroute.providers.encoding import merged
from polyroute.providers.error_table import reply_in
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    dump,
    load,
    text_or_none,
    tolerant,
    unless_all_came,
)
from polyroute.providers.openai_embeddings import vector_of
from polyroute.replies import EmbedResponse
from polyroute.types import Usage

__all__ = ["decode_embeddings", "encode_embeddings"]


def encode_embeddings(call: EmbedCall) -> bytes:
    """The texts; one that is too long is cut without a word, unless `extra={"truncate": False}`."""
    request = call.request
    body: JSON = {"model": call.model, "input": request.input}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return dump(merged(body, request.extra or {}))


@tolerant
def decode_embeddings(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    rows: Sequence[object] = data.get("embeddings") or ()
    unless_all_came(rows, count, body)
    return EmbedResponse(
        tuple(map(vector_of, rows)),
        usage=Usage(input_tokens=int(data.get("prompt_eval_count") or 0)),
        model=text_or_none(data.get("model")),
        raw=data,
    )
