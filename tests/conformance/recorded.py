"""The recorded exchanges, and a server that gives their replies again."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, TypeAlias
from urllib.parse import unquote

from polyroute import Deployment
from polyroute.providers import HOSTS
from polyroute.providers.formats import format_of
from tests.conformance.format import Format
from tests.wire_server import Answer, Asked, cut_anywhere

__all__ = ["DATA", "Exchange", "deployments", "is_stream", "load", "replay", "streamed_anew"]

Exchange: TypeAlias = Mapping[str, Any]

_ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("POLYROUTE_WIRE_DATA") or _ROOT / "../shared/data/wire/exchanges.jsonl.gz")

# The recorder had the body unpacked and whole, so these headers would lie.
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection"})


def load() -> dict[str, Exchange]:
    """The exchanges by id."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        exchanges = [json.loads(line) for line in lines]
    return {exchange["id"]: exchange for exchange in exchanges}


def deployments(format: Format, exchanges: Mapping[str, Exchange], url: str) -> list[Deployment]:
    """One for each exchange, with its id, at an address of its own on the server."""
    return [
        Deployment(
            f"{_prefix(exchange, format)}/{_model(exchange)}",
            id=id,
            base_url=f"{url}/{id}",
            api_key="k-recorded",
            capabilities=_capabilities(exchange),
        )
        for id, exchange in exchanges.items()
    ]


def _capabilities(exchange: Exchange) -> Mapping[str, bool]:
    """Whoever marked nothing had nothing marked; and where he did, it is all that there is."""
    marked = re.search(r'"cache_control"|"cachePoint"', json.dumps(exchange["request_body"]))
    return {} if marked else {"prompt_caching": False}


def _prefix(exchange: Exchange, format: Format) -> str:
    """The provider, where its prefix speaks the format; many speak OpenAI's beside their own."""
    for prefix in (exchange["provider"], "compatible"):
        if prefix in HOSTS and format_of(HOSTS[prefix]).name == format.name:
            return prefix
    return format.models[0].partition("/")[0]


def _model(exchange: Exchange) -> str:
    in_path = re.search(r"/models/([^:]+):|/model/([^/]+)/", exchange["endpoint_url"])
    return (
        unquote(in_path[1] or in_path[2])
        if in_path
        else (exchange["request_body"] or {}).get("model") or "unnamed"
    )


def is_stream(exchange: Exchange) -> bool:
    return "stream_text" in exchange or "stream_eventstream_base64" in exchange


def _streamed(exchange: Exchange) -> bytes:
    if "stream_text" in exchange:
        return exchange["stream_text"].encode()
    return base64.b64decode(exchange["stream_eventstream_base64"])


def replay(exchanges: Mapping[str, Exchange], asked: Asked) -> Answer:
    """The recorded reply to the exchange that the path names; a stream is cut anywhere."""
    exchange = exchanges[asked.path.split("/")[1]]
    headers = {
        name: value
        for name, value in exchange["response_headers_subset"].items()
        if name.lower() not in _OF_THE_BODY
    }
    if is_stream(exchange):
        pieces = cut_anywhere(_streamed(exchange), Random(exchange["id"]))
        return Answer(pieces, status=exchange["status"], headers=headers, framing="chunked")
    body = exchange.get("response_text") or json.dumps(exchange["response_body"], ensure_ascii=False)
    return Answer(body.encode(), status=exchange["status"], headers=headers)


def streamed_anew(format: Format, exchanges: Mapping[str, Exchange], asked: Asked) -> Answer:
    """What the recorded whole reply might have been as a stream."""
    exchange = exchanges[asked.path.split("/")[1]]
    rng = Random(exchange["id"])
    return Answer(cut_anywhere(format.as_stream(exchange["response_body"], rng), rng), framing="chunked")
