"""Embeddings as Cohere writes them: vectors by the type of their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute.deployments import EmbedCall
from polyroute.providers.cohere_replies import reply_in
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import (
    JSON,
    dump,
    load,
    promised_object,
    text_or_none,
    tolerant,
    unless_all_came,
)
from polyroute.providers.openai_embeddings import vector_of
from polyroute.replies import EmbedResponse
from polyroute.types import Usage

__all__ = ["decode_embeddings", "encode_embeddings"]


def encode_embeddings(call: EmbedCall) -> bytes:
    """The texts, as documents to search in unless `extra` says what else they are: the host must know."""
    request = call.request
    body: JSON = {
        "model": call.model,
        "texts": request.input,
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    body.update(request.extra or {})
    return dump(body)


@tolerant
def decode_embeddings(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs; of the first type, where several were asked for and none is float.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host)
    by_type = promised_object(data.get("embeddings") or {})
    rows: Sequence[object] = by_type.get("float") or next(filter(None, by_type.values()), ())
    unless_all_came(rows, count, body)
    billed = (data.get("meta") or {}).get("billed_units") or {}
    return EmbedResponse(
        tuple(map(vector_of, rows)),
        usage=Usage(input_tokens=int(billed.get("input_tokens") or 0)),
        model=text_or_none(data.get("model")),
        raw=data,
    )
