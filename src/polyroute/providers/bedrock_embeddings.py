"""Embeddings on Bedrock, where each maker's models have bodies of their own: Titan's and Cohere's."""

from __future__ import annotations

from typing import Any, cast

from polyroute.deployments import EmbedCall
from polyroute.errors import ConfigurationError
from polyroute.providers.bedrock_errors import error_in_reply
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump, load, promised_object, tolerant, unless_all_came
from polyroute.replies import EmbedResponse
from polyroute.types import Usage

__all__ = ["decode_embeddings", "encode_embeddings", "most_texts"]

_MOST_OF_COHERE = 96


def most_texts(model: str) -> int:
    """How many texts go into one request."""
    return _MOST_OF_COHERE if _is_coheres(model) else 1


def encode_embeddings(call: EmbedCall) -> bytes:
    """Cohere must be told what the vectors are for: it is `search_document`, unless `extra` holds another
    `input_type`, such as `search_query`."""
    request, family = call.request, call.deployment.known_as
    body: JSON
    if _is_coheres(family):
        body = {"texts": request.input, "input_type": "search_document"}
        dimensions = "output_dimension"
    elif "titan-embed" in family:
        body = {"inputText": request.input[0]}
        dimensions = "dimensions"
    else:
        raise ConfigurationError(
            f"{call.deployment.id}: of the embeddings on Bedrock, Titan's and Cohere's are served; "
            "where its name does not tell that it is one of them, like= does"
        )
    if request.dimensions is not None:
        body[dimensions] = request.dimensions
    return dump(body | dict(request.extra or {}))


@tolerant
def decode_embeddings(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = promised_object(load(body))
    if (error := error_in_reply(data, host)) is not None:
        raise error
    rows = _rows(data)
    unless_all_came(rows, count, body)
    return EmbedResponse(
        tuple([float(number) for number in row] for row in rows),
        usage=Usage(input_tokens=int(data.get("inputTextTokenCount") or 0)),
        raw=data,
    )


def _rows(data: JSON) -> list[Any]:
    rows: Any = [data["embedding"]] if "embedding" in data else data.get("embeddings") or []
    if isinstance(rows, dict):  # By type, where types were asked for.
        rows = cast("JSON", rows)["float"]
    return list(rows)


def _is_coheres(model: str) -> bool:
    return "cohere.embed" in model
