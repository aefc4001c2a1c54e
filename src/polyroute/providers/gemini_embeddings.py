"""Embeddings as Gemini writes them: a batch of requests, and a vector for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from polyroute.deployments import EmbedCall
from polyroute.providers.error_table import reply_in
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump, load, tolerant, unless_all_came
from polyroute.replies import EmbedResponse
from polyroute.types import Usage

__all__ = ["decode_embeddings", "encode_embeddings"]


def encode_embeddings(call: EmbedCall) -> bytes:
    """One request for each text. What is in `extra`, such as `taskType`, is said of every one of them."""
    request = call.request
    common: dict[str, Any] = {"model": f"models/{call.model}"}
    if request.dimensions is not None:
        common["outputDimensionality"] = request.dimensions
    common.update(request.extra or {})
    return dump({"requests": [{"content": {"parts": [{"text": text}]}, **common} for text in request.input]})


@tolerant
def decode_embeddings(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    rows: list[JSON] = data.get("embeddings") or ([data["embedding"]] if "embedding" in data else [])
    unless_all_came(rows, count, body)
    return EmbedResponse(
        tuple([float(number) for number in cast("Sequence[float]", row["values"])] for row in rows),
        usage=Usage(input_tokens=int((data.get("usageMetadata") or {}).get("promptTokenCount") or 0)),
        raw=data,
    )
