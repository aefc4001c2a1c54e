"""Asks a host for each feature, through a router, and writes down what reaches the wire or why nothing does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random

from polyroute import PolyrouteError, Router
from polyroute.wire import HTTPRequest
from tests.conformance.format import JSON
from tests.goldens.dialects import KEY, Dialect
from tests.goldens.features import FEATURES, QUESTION, STREAMED, Feature
from tests.goldens.replies import VECTORS
from tests.providers.wire import Response, Scripted

__all__ = ["EMBED", "TIER", "asked", "features", "tells"]

TIER, EMBED = "extra: another service tier", "texts to embed"


async def asked(dialect: Dialect) -> JSON:
    """What is asked of the host, as its golden holds it: where, with what headers, and each body.

    Of its other models there are the cases that differ by more than the model's name.
    """
    usual, *others = dialect.models
    requests = {name: await _case(dialect, usual, feature) for name, feature in features(dialect).items()}
    golden: JSON = {
        "headers": _headers(await _sent(dialect, usual, FEATURES[QUESTION])),
        "urls": {name: (await _sent(dialect, usual, FEATURES[name])).url for name in (QUESTION, STREAMED)},
        "requests": requests,
    }
    if dialect.embedder is not None:
        request = await _embedded(dialect, dialect.embedder)
        golden["urls"][EMBED] = request.url
        requests[EMBED] = {"body": json.loads(request.body)}
    for model in others:
        golden.setdefault("other models", {})[model] = {
            name: case
            for name, feature in features(dialect).items()
            if _named(case := await _case(dialect, model, feature), model) != _named(requests[name], usual)
        }
    return golden


def features(dialect: Dialect) -> dict[str, Feature]:
    """What the host is asked for, in its own words where ours have none."""
    if dialect.tier is None:
        return dict(FEATURES)
    (told,) = dialect.tier
    return {**FEATURES, TIER: Feature(arguments={"extra": dialect.tier}, signs=(told,), beside=QUESTION)}


def tells(requests: Mapping[str, JSON], name: str, feature: Feature) -> bool:
    """Whether the host is told of the *feature* called *name*: neither refused, nor left out in silence."""
    body = requests[name].get("body")
    text = json.dumps(body, ensure_ascii=False)
    alike = requests[feature.beside].get("body")
    return body is not None and body != alike and all(sign in text for sign in feature.signs)


async def _case(dialect: Dialect, model: str, feature: Feature) -> JSON:
    """The body that is sent, or the error that comes in its place."""
    try:
        request = await _sent(dialect, model, feature)
    except PolyrouteError as error:
        return {"refused": {type(error).__name__: str(error)}}
    return {"body": json.loads(request.body)}


async def _sent(dialect: Dialect, model: str, feature: Feature) -> HTTPRequest:
    """The request that a call makes."""
    answer = dialect.format.answer('{"celsius": 21}')
    body = dialect.format.as_stream(answer, Random(0)) if feature.stream else answer
    transport = Scripted(Response(body))
    router = Router([dialect.deployment(model)], transport=transport, retry=None, send_user=feature.send_user)
    if feature.stream:
        async with router.stream(feature.messages, **feature.arguments) as stream:
            await stream.response()
    else:
        await router.chat(feature.messages, **feature.arguments)
    (request,) = transport.sent
    return request


async def _embedded(dialect: Dialect, model: str) -> HTTPRequest:
    """The request by which two texts became the vectors that the host sent."""
    transport = Scripted(Response(dialect.replies.vectors))
    vectors = await Router([dialect.deployment(model)], transport=transport, retry=None).embed(
        ["hi", "Hello!"]
    )
    assert [list(vector) for vector in vectors] == VECTORS
    (request,) = transport.sent
    return request


def _headers(request: HTTPRequest) -> dict[str, str]:
    """They without the key, and without our own version."""
    named = {name.decode(): value.decode().replace(KEY, "…") for name, value in request.headers}
    return {name: value for name, value in named.items() if name != "user-agent"}


def _named(case: JSON, model: str) -> str:
    """The *case* in words that are alike for all models."""
    return json.dumps(case).replace(model.partition("/")[2], "")
