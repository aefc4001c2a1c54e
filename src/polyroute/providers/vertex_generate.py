"""Gemini's generateContent as Vertex AI speaks it, which has other ways to embed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from polyroute.deployments import EmbedCall
from polyroute.providers.error_table import reply_in
from polyroute.providers.gemini_embeddings import decode_embeddings
from polyroute.providers.gemini_generate import Gemini, model_path
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump, load, tolerant, unless_all_came
from polyroute.replies import EmbedResponse
from polyroute.types import Usage

__all__ = ["Vertex"]

_MOST_TEXTS = 250
# Gemini's own embedders take one text at a time, and since the second of them they predict nothing.
_ONE_AT_A_TIME = re.compile(r"gemini-embedding")
_EMBEDS_CONTENT = re.compile(r"gemini-embedding-(?!001)")
_OF_AN_INSTANCE = ("task_type", "title")


class Vertex(Gemini):
    """The wire format, as *host* speaks it. For embeddings, what is in `extra` is a parameter of the
    prediction, but for `task_type` and `title`, which are said of each text."""

    # It gives calls no ids, and the first version of its API refuses to be told of any.
    _ids = False

    def embed_path(self, call: EmbedCall, /) -> str:
        return model_path(call) + (":embedContent" if _embeds_content(call) else ":predict")

    def most_texts(self, call: EmbedCall, /) -> int:
        return 1 if _ONE_AT_A_TIME.match(call.model) else _MOST_TEXTS

    def encode_embed(self, call: EmbedCall, /) -> bytes:
        request, extra = call.request, dict(call.request.extra or {})
        sizes = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
        if _embeds_content(call):
            return dump({"content": {"parts": [{"text": request.input[0]}]}, **sizes, **extra})
        common = {name: extra.pop(name) for name in _OF_AN_INSTANCE if name in extra}
        body: JSON = {"instances": [{"content": text, **common} for text in request.input]}
        if parameters := sizes | extra:
            body["parameters"] = parameters
        return dump(body)

    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse:
        count = len(call.request.input)
        if _embeds_content(call):
            return decode_embeddings(body, self._host, count=count)
        return _decode_predictions(body, self._host, count=count)


def _embeds_content(call: EmbedCall) -> bool:
    return _EMBEDS_CONTENT.match(call.model) is not None


@tolerant
def _decode_predictions(body: bytes, host: Host, *, count: int) -> EmbedResponse:
    """Vectors, in the order of the inputs.

    Raises:
        ResponseDecodeError: It is not what the API promises, or there are more or fewer than *count*.
        ProviderError, BadRequestError: It is an error, whatever its status said.
    """
    data = reply_in(load(body), host.errors)
    rows: list[JSON] = [each["embeddings"] for each in data.get("predictions") or ()]
    unless_all_came(rows, count, body)
    tokens = sum(int((row.get("statistics") or {}).get("token_count") or 0) for row in rows)
    return EmbedResponse(
        tuple([float(number) for number in cast("Sequence[float]", row["values"])] for row in rows),
        usage=Usage(input_tokens=tokens),
        raw=data,
    )
