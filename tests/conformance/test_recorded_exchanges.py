"""Every recorded exchange over loopback: what came is read, what was asked is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from math import isclose
from random import Random
from typing import Any

import pytest

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ChatResponse,
    ContentFilterError,
    ContextWindowExceededError,
    EmbedResponse,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyrouteError,
    RateLimitError,
    Router,
    ServerError,
    StreamInterruptedError,
)
from polyroute.providers import HOSTS
from tests.conformance.driving import said
from tests.conformance.format import Format
from tests.conformance.formats import ALL, on_each_format
from tests.conformance.recorded import DATA, Exchange, deployments, is_stream, load, replay, streamed_anew
from tests.wire_server import Answer, Asked, WireServer

pytestmark = pytest.mark.skipif(
    not DATA.exists(),
    reason=f"the recorded exchanges are not here ({DATA}); name them in POLYROUTE_WIRE_DATA",
)

CLASSES: dict[str, type[PolyrouteError]] = {
    "bad_request": BadRequestError,
    "context_window": ContextWindowExceededError,
    "authentication": AuthenticationError,
    "permission": PermissionDeniedError,
    "not_found": NotFoundError,
    "rate_limit": RateLimitError,
    "overloaded": OverloadedError,
    "server_error": ServerError,
    "content_filter": ContentFilterError,
}
USAGE = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "cached_input_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
}


# Exchanges of which less is expected than came, each with the reason.
MISTOLD = {
    "bedrock-bedrock_converse-11aa3a488dcb": "its text leaves out the words on which citations stand",
}


@pytest.fixture(scope="module")
def exchanges() -> Mapping[str, Exchange]:
    return load()


def chats(exchanges: Mapping[str, Exchange], format: Format) -> dict[str, Exchange]:
    return {
        id: exchange
        for id, exchange in exchanges.items()
        if exchange["api"] == format.api and "error_class" not in exchange["expected"]
    }


@asynccontextmanager
async def replayed(
    format: Format, exchanges: Mapping[str, Exchange], answer: Any = replay
) -> AsyncIterator[Router]:
    with WireServer(partial(answer, exchanges)) as server:
        async with Router(deployments(format, exchanges, server.url), retry=None) as router:
            yield router


def agree(wrong: Mapping[str, object], total: int) -> None:
    """At least 99 of 100 must be right; what is not is listed."""
    wrong = {id: faults for id, faults in wrong.items() if id not in MISTOLD}
    listed = "\n".join(f"{id}: {faults}"[:1000] for id, faults in wrong.items())
    assert len(wrong) <= total // 100, f"{len(wrong)} of {total} are wrong:\n{listed}"
    assert total


@on_each_format
async def test_whole_replies_are_read_as_they_were_meant(format, exchanges):
    whole = {id: exchange for id, exchange in chats(exchanges, format).items() if not is_stream(exchange)}
    wrong: dict[str, object] = {}
    async with replayed(format, whole) as router:
        for id, exchange in whole.items():
            reply = await tried(router.chat("hi", model=id))
            if faults := list(faults_of(reply, exchange["expected"])):
                wrong[id] = faults

    agree(wrong, len(whole))


@on_each_format
async def test_streams_are_read_as_they_were_meant_however_they_are_cut(format, exchanges):
    streams = {id: exchange for id, exchange in chats(exchanges, format).items() if is_stream(exchange)}
    wrong: dict[str, object] = {}
    async with replayed(format, streams) as router:
        for id, exchange in streams.items():
            reply = await tried(streamed(router, id))
            if faults := list(faults_of(reply, exchange["expected"])):
                wrong[id] = faults

    agree(wrong, len(streams))


@on_each_format
async def test_a_stream_sums_up_to_what_chat_would_have_given(format, exchanges):
    whole = {
        id: exchange
        for id, exchange in chats(exchanges, format).items()
        if not is_stream(exchange) and not exchange["expected"].get("or_raises")
    }
    anew = partial(streamed_anew, format)
    wrong: dict[str, object] = {}
    async with replayed(format, whole) as at_once, replayed(format, whole, anew) as in_pieces:
        for id in whole:
            reply, summed = await at_once.chat("hi", model=id), await tried(streamed(in_pieces, id))
            if said(reply) != said(summed):
                wrong[id] = said(reply), said(summed)

    agree(wrong, len(whole))


@on_each_format
async def test_errors_are_told_apart(format, exchanges):
    refused = {
        id: each
        for id, each in exchanges.items()
        if each["api"] in (format.api, format.embeddings) and "error_class" in each["expected"]
    }
    if not refused:
        pytest.skip("none was recorded")
    wrong: dict[str, object] = {}
    async with replayed(format, refused) as router:
        for id, exchange in refused.items():
            if exchange["api"] == format.embeddings:
                call = router.embed("hi", model=id)
            elif is_stream(exchange):
                call = streamed(router, id)
            else:
                call = router.chat("hi", model=id)
            if faults := list(error_faults(await tried(call), exchange["expected"])):
                wrong[id] = faults

    agree(wrong, len(refused))


@pytest.mark.parametrize("format", [each for each in ALL if each.embeddings is not None], ids=str)
async def test_vectors_come_as_they_were_sent(format, exchanges):
    embedded = {
        id: each
        for id, each in exchanges.items()
        if each["api"] == format.embeddings and "embeddings" in each["expected"]
    }
    wrong: dict[str, object] = {}
    async with replayed(format, embedded) as router:
        for id, exchange in embedded.items():
            expected = exchange["expected"]
            reply = await tried(router.embed(["hi"] * expected["embeddings"]["count"], model=id))
            if faults := list(vector_faults(reply, expected)):
                wrong[id] = faults

    agree(wrong, len(embedded))


@on_each_format
async def test_what_was_asked_is_asked_again(format, exchanges):
    asked = {id: each for id, each in chats(exchanges, format).items() if each["request_body"]}
    wrong: dict[str, object] = {}
    with WireServer(partial(answered, format, asked)) as server:
        by_id = {each.id: each for each in deployments(format, asked, server.url)}
        async with Router(list(by_id.values()), retry=None, send_user=True) as router:
            for id, exchange in asked.items():
                body, host = exchange["request_body"], HOSTS[by_id[id].prefix]
                given = await tried(asked_again(router, id, exchange, format.arguments(body, host)))
                if (beyond := format.unsayable(body)) is not None:
                    if not isinstance(given, BadRequestError) or given.path is None:
                        wrong[id] = beyond, given
                elif isinstance(given, PolyrouteError):
                    wrong[id] = repr(given)
                elif (sent := format.plain(server.asked[-1].json, host)) != format.plain(body, host):
                    wrong[id] = sent, format.plain(body, host)

    agree(wrong, len(asked))


def answered(format: Format, exchanges: Mapping[str, Exchange], asked: Asked) -> Answer:
    """The shortest reply there is, in the form that was asked for."""
    reply = format.answer("{}")
    if is_stream(exchanges[asked.path.split("/")[1]]):
        return Answer(format.as_stream(reply, Random(0)))
    return Answer.of(reply)


async def asked_again(
    router: Router, id: str, exchange: Exchange, arguments: Mapping[str, Any]
) -> ChatResponse[Any]:
    before = json.dumps(exchange["request_body"])
    try:
        if not is_stream(exchange):
            return await router.chat(model=id, **arguments)
        async with router.stream(model=id, **arguments) as stream:
            return await stream.response()
    finally:
        assert json.dumps(exchange["request_body"]) == before, "what a caller hands in is never changed"


async def tried(call: Any) -> Any:
    """What a call gives, an error too."""
    try:
        return await call
    except PolyrouteError as error:
        return error


async def streamed(router: Router, id: str) -> ChatResponse[Any]:
    async with router.stream("hi", model=id) as stream:
        return await stream.response()


def faults_of(reply: object, expected: Mapping[str, Any]) -> Iterator[object]:
    """Where *reply* is not what was expected."""
    if not isinstance(reply, ChatResponse):
        if not expected.get("or_raises"):
            yield repr(reply)
        return
    calls = [(call.name, call.arguments, call.raw_arguments) for call in reply.tool_calls]
    for name, given in {"text": reply.text, "reasoning": reply.reasoning, "refusal": reply.refusal}.items():
        if expected.get(name) is not None and expected[name] != given:
            yield name, expected[name], given
    if expected["finish_reason"] is not None and expected["finish_reason"] != reply.finish_reason:
        yield "finish_reason", expected["finish_reason"], reply.finish_reason
    if [(call["name"], arguments(call)) for call in expected["tool_calls"]] != [
        (name, read if read is not None else raw) for name, read, raw in calls
    ]:
        yield "tool_calls", expected["tool_calls"], calls
    yield from usage_faults(reply, expected)


def arguments(call: Mapping[str, Any]) -> object:
    given = call["arguments"]
    return given.get("__invalid_json__", given)


def usage_faults(reply: ChatResponse[Any] | EmbedResponse, expected: Mapping[str, Any]) -> Iterator[object]:
    usage = expected["usage"] or {}
    counts = {name: count for name, count in usage.items() if count is not None}
    for name, count in counts.items():
        if getattr(reply.usage, USAGE[name]) != count:
            yield name, count, getattr(reply.usage, USAGE[name])
    if reply.usage.estimated != (not counts):
        yield "estimated", reply.usage, usage


def error_faults(given: object, expected: Mapping[str, Any]) -> Iterator[object]:
    classes = [CLASSES[name] for name in (expected["error_class"], *expected.get("also_ok", ()))]
    error = given if isinstance(given, BadRequestError) else getattr(given, "__cause__", None)
    if type(error) not in classes:
        yield classes, repr(given), repr(error)
    if isinstance(given, StreamInterruptedError) and given.partial != expected["partial_text"]:
        yield "partial", expected["partial_text"], given.partial


def vector_faults(reply: object, expected: Mapping[str, Any]) -> Iterator[object]:
    if not isinstance(reply, EmbedResponse):
        yield repr(reply)
        return
    shape = expected["embeddings"]
    if len(reply) != shape["count"] or any(len(vector) != shape["dims"] for vector in reply):
        yield len(reply), [len(vector) for vector in reply]
    if not all(
        isclose(one, other, rel_tol=1e-6) for one, other in zip(reply[0], shape["head"], strict=False)
    ):
        yield reply[0][:4], shape["head"]
    yield from usage_faults(reply, expected)
