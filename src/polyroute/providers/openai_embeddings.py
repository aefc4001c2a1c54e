"""Vectors in the shape of OpenAI's embeddings."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, cast

from polyroute.providers.error_table import reply_in
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, load, text_or_none, tolerant, unless_all_came
from polyroute.providers.openai_chat_replies import first_count
from polyroute.replies import EmbedResponse
from polyroute.types import Usage

__all__ = ["decode_vectors", "vector_of"]


@tolerant
def decode_vectors(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    rows: list[JSON] = data.get("data") or []
    rows = sorted(rows, key=lambda row: row.get("index") or 0)
    unless_all_came(rows, count, body)
    return EmbedResponse(
        tuple(vector_of(row["embedding"]) for row in rows),
        usage=_embed_usage(data.get("usage") or {}),
        model=text_or_none(data.get("model")),
        raw=data,
    )


def vector_of(given: object) -> list[float]:
    """A list as it is; base64 as the 32-bit floats that it spells, little end first."""
    if isinstance(given, str):
        packed = b64decode(given, validate=True)
        if len(packed) % 4:
            raise ValueError("the base64 of an embedding spells no whole number of floats")
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    return [float(value) for value in cast("Sequence[float]", given)]


def _embed_usage(given: Mapping[str, Any]) -> Usage:
    return Usage(input_tokens=first_count(given, "prompt_tokens", "total_tokens") or 0)
