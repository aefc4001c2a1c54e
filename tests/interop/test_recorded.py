"""The recorded exchanges through OpenAI's SDK and a router: what was asked is asked, what came is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from polyroute import Router
from polyroute.interop.fields import CHAT, Refused
from polyroute.providers import HOSTS
from tests.conformance.openai_chat import OPENAI_CHAT
from tests.conformance.recorded import DATA, Exchange, deployments, load, replay
from tests.interop.programs import ABANDONED, BASE
from tests.wire_server import WireServer

openai = pytest.importorskip("openai", reason="not installed here; `nox -s interop` installs it")

from openai.types import CreateEmbeddingResponse  # noqa: E402 - after the check
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402

pytestmark = [
    pytest.mark.skipif(
        not DATA.exists(),
        reason=f"the recorded exchanges are not here ({DATA}); name them in POLYROUTE_WIRE_DATA",
    ),
    ABANDONED,
]

CLASSES = {
    "bad_request": openai.BadRequestError,
    "context_window": openai.BadRequestError,
    "content_filter": openai.BadRequestError,
    "authentication": openai.AuthenticationError,
    "permission": openai.PermissionDeniedError,
    "not_found": openai.NotFoundError,
    "rate_limit": openai.RateLimitError,
    "overloaded": openai.InternalServerError,
    "server_error": openai.InternalServerError,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the router's own tests have both


@pytest.fixture(scope="module")
def exchanges() -> Mapping[str, Exchange]:
    return {
        id: exchange
        for id, exchange in load().items()
        if exchange["api"] in ("openai_chat", "openai_embeddings") and exchange["request_body"]
    }


@asynccontextmanager
async def replayed(exchanges: Mapping[str, Exchange]) -> AsyncIterator[tuple[Any, WireServer, Router]]:
    """The SDK before a router of a deployment for each exchange, and the server that answers them."""
    with WireServer(partial(replay, exchanges)) as server:
        async with Router(
            deployments(OPENAI_CHAT, exchanges, server.url), retry=None, send_user=True
        ) as router:
            http = httpx.AsyncClient(transport=router.openai_transport())
            async with openai.AsyncOpenAI(http_client=http, base_url=BASE, api_key="-") as client:
                yield client, server, router


async def sent(client: Any, id: str, exchange: Exchange) -> Any:
    """What the SDK makes of the reply to the recorded request."""
    body = {**exchange["request_body"], "model": id}
    if exchange["api"] == "openai_embeddings":
        return await client.post("/embeddings", body=body, cast_to=CreateEmbeddingResponse)
    if not body.get("stream"):
        return await client.post("/chat/completions", body=body, cast_to=ChatCompletion)
    stream = await client.post(
        "/chat/completions",
        body=body,
        cast_to=ChatCompletionChunk,
        stream=True,
        stream_cls=openai.AsyncStream[ChatCompletionChunk],
    )
    return [chunk async for chunk in stream]


def agree(wrong: Mapping[str, object], total: int) -> None:
    """At least 99 of 100 must be right; what is not is listed."""
    listed = "\n".join(f"{id}: {faults}"[:1000] for id, faults in wrong.items())
    assert len(wrong) <= total // 100, f"{len(wrong)} of {total} are wrong:\n{listed}"
    assert total


async def test_the_sdk_reads_what_the_recorded_reply_said(exchanges):
    good = {id: each for id, each in exchanges.items() if "finish_reason" in each["expected"]}
    wrong: dict[str, object] = {}
    async with replayed(good) as (client, server, router):
        for id, exchange in good.items():
            body = exchange["request_body"]
            beyond = OPENAI_CHAT.unsayable(body) or unknown_key(body) or refused_field(body)
            try:
                said = await sent(client, id, exchange)
            except openai.BadRequestError as error:
                if beyond is None or error.param is None:
                    wrong[id] = beyond, repr(error)
                continue
            except openai.APIError as error:
                if not exchange["expected"].get("or_raises"):
                    wrong[id] = repr(error)
                continue
            if beyond is not None:
                wrong[id] = beyond, "was let pass"
            elif faults := [
                *faults_of(told(said), exchange["expected"]),
                *asked_faults(id, server, exchange),
            ]:
                wrong[id] = faults
        assert not router._core.fleet.busy

    agree(wrong, len(good))


async def test_the_sdk_raises_the_class_of_the_recorded_error(exchanges):
    refused = {id: each for id, each in exchanges.items() if "error_class" in each["expected"]}
    wrong: dict[str, object] = {}
    async with replayed(refused) as (client, _server, _router):
        for id, exchange in refused.items():
            expected = exchange["expected"]
            classes = [CLASSES[name] for name in (expected["error_class"], *expected.get("also_ok", ()))]
            try:
                wrong[id] = await sent(client, id, exchange)
            except openai.APIStatusError as error:
                unsayable = "messages" in exchange["request_body"] and OPENAI_CHAT.unsayable(
                    exchange["request_body"]
                )
                if not isinstance(error, tuple(classes)) and not unsayable:
                    wrong[id] = repr(error)
            except openai.APIError as error:  # an event of a stream that had begun
                if "stream_text" not in exchange:
                    wrong[id] = repr(error)

    agree(wrong, len(refused))


async def test_the_sdk_reads_the_recorded_vectors(exchanges):
    embedded = {id: each for id, each in exchanges.items() if "embeddings" in each["expected"]}
    wrong: dict[str, object] = {}
    async with replayed(embedded) as (client, _server, _router):
        for id, exchange in embedded.items():
            expected = exchange["expected"]["embeddings"]
            given = exchange["request_body"]["input"]
            try:
                reply = await sent(client, id, exchange)
            except openai.BadRequestError as error:
                if isinstance(given, str) or all(isinstance(text, str) for text in given):
                    wrong[id] = repr(error)
                continue
            if len(reply.data) != expected["count"]:
                wrong[id] = len(reply.data), expected

    agree(wrong, len(embedded))


def unknown_key(body: Mapping[str, Any]) -> str | None:
    """What a part has that no part has in OpenAI's own words, and that must be refused."""
    known = {"type", "text", "image_url", "input_audio", "file", "refusal", "thinking", "cache_control"}
    for message in body["messages"]:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            for key in part.keys() - known:
                return key
    return None


def refused_field(body: Mapping[str, Any]) -> str | None:
    """A field for which a router has no words, and that must be refused."""
    return next((name for name in body if isinstance(CHAT.get(name), Refused)), None)


def asked_faults(id: str, server: WireServer, exchange: Exchange) -> Iterator[object]:
    """Where the host was asked something else than the program asked."""
    (last,) = [asked for asked in server.asked[-1:] if asked.path.startswith(f"/{id}/")]
    sent, body = last.json, {**exchange["request_body"]}
    prefix = next(each for each in (exchange["provider"], "compatible") if each in HOSTS)
    host = HOSTS[prefix if HOSTS[prefix].wire_format == OPENAI_CHAT.name else "compatible"]
    # What is OpenAI's own business goes to OpenAI, and `metadata` stays in the process.
    for name in ("metadata", *(() if prefix in ("openai", "azure") else HINTS)):
        body.pop(name, None)
    one, other = OPENAI_CHAT.plain(sent, host), OPENAI_CHAT.plain(body, host)
    yield from (
        (name, one.get(name), other.get(name))
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    )


HINTS = (
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
)


def told(said: Any) -> dict[str, Any]:
    """A completion, or the chunks of one, in the words of what is expected."""
    if not isinstance(said, list):
        choice = said.choices[0]
        message = choice.message
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        return {
            "text": message.content or "",
            "reasoning": getattr(message, "reasoning_content", None) or "",
            "refusal": message.refusal or "",
            "finish_reason": choice.finish_reason,
            "tool_calls": calls,
            "usage": said.usage,
        }
    whole: dict[str, Any] = {"text": "", "reasoning": "", "refusal": "", "usage": None}
    calls: dict[int, list[str]] = {}
    for chunk in said:
        whole["usage"] = chunk.usage or whole["usage"]
        for choice in chunk.choices[:1]:
            delta = choice.delta
            if choice.index:
                continue
            whole["text"] += delta.content or ""
            whole["reasoning"] += getattr(delta, "reasoning_content", None) or ""
            whole["refusal"] += delta.refusal or ""
            whole["finish_reason"] = choice.finish_reason
            for piece in delta.tool_calls or ():
                call = calls.setdefault(piece.index, ["", ""])
                call[0] += piece.function.name or ""
                call[1] += piece.function.arguments or ""
    return {**whole, "tool_calls": [(name, text or "{}") for name, text in calls.values()]}


def faults_of(told: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[object]:
    for name in ("text", "reasoning", "refusal"):
        if expected.get(name) is not None and expected[name] != told[name]:
            yield name, expected[name], told[name]
    finish = "stop" if expected["finish_reason"] == "other" else expected["finish_reason"]
    if finish is not None and finish != told["finish_reason"]:
        yield "finish_reason", finish, told["finish_reason"]
    calls = [(call["name"], call["arguments"]) for call in expected["tool_calls"]]
    if calls != [(name, arguments(text)) for name, text in told["tool_calls"]]:
        yield "tool_calls", calls, told["tool_calls"]
    counts = {name: count for name, count in (expected["usage"] or {}).items() if count is not None}
    if told["usage"] is not None:
        given = {
            "input_tokens": told["usage"].prompt_tokens,
            "output_tokens": told["usage"].completion_tokens,
        }
        for name in given.keys() & counts.keys():
            if given[name] != counts[name]:
                yield name, counts[name], given[name]


def arguments(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return {"__invalid_json__": text}
