"""The recorded exchanges with OpenAI's Responses through the entrance: what was asked is asked, what came is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from polyroute.providers import HOSTS
from tests.conformance.openai_responses import OPENAI_RESPONSES
from tests.conformance.recorded import DATA, Exchange, deployments, load, replay
from tests.conformance.test_recorded_exchanges import agree
from tests.interop.programs import routed
from tests.interop.test_responses import events
from tests.wire_server import WireServer

pytestmark = pytest.mark.skipif(
    not DATA.exists(),
    reason=f"the recorded exchanges are not here ({DATA}); name them in POLYROUTE_WIRE_DATA",
)

HOST = HOSTS["openai-responses"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the router's own tests have both


@pytest.fixture(scope="module")
def exchanges() -> Mapping[str, Exchange]:
    return {
        id: exchange
        for id, exchange in load().items()
        if exchange["api"] == "openai_responses" and exchange["request_body"]
    }


async def test_a_program_reads_what_the_recorded_reply_said_and_the_host_what_it_asked(exchanges):
    good = {id: each for id, each in exchanges.items() if "finish_reason" in each["expected"]}
    wrong: dict[str, object] = {}
    with WireServer(partial(replay, good)) as server:
        async with routed(
            *deployments(OPENAI_RESPONSES, good, server.url), retry=None, send_user=True
        ) as client:
            for id, exchange in good.items():
                body = exchange["request_body"]
                response = await client.post("/responses", json={**body, "model": id})
                beyond = refused_of(body)
                if response.status_code != 200:
                    if beyond is None or response.json()["error"]["param"] != beyond:
                        wrong[id] = beyond, response.text
                    continue
                told = events(response.text)[-1] if body.get("stream") else {"response": response.json()}
                if "response" not in told:
                    if not unfit(body, exchange["expected"]):
                        wrong[id] = told
                    continue
                told = told["response"]
                if faults := [*asked_faults(server, body), *told_faults(told, exchange["expected"])]:
                    wrong[id] = faults

    agree(wrong, len(good))


async def test_a_refusal_has_the_status_of_the_recorded_error(exchanges):
    refused = {id: each for id, each in exchanges.items() if "error_class" in each["expected"]}
    classes = {"bad_request": 400, "context_window": 400, "authentication": 401, "not_found": 404}
    with WireServer(partial(replay, refused)) as server:
        async with routed(*deployments(OPENAI_RESPONSES, refused, server.url), retry=None) as client:
            for id, exchange in refused.items():
                response = await client.post("/responses", json={**exchange["request_body"], "model": id})

                assert response.status_code == classes[exchange["expected"]["error_class"]], id

    assert refused


def refused_of(body: Mapping[str, Any]) -> str | None:
    """The path of what a recorded body has that a router has no words for, and must refuse."""
    if not body.get("input"):
        return "input"
    for at, item in enumerate(body["input"] if isinstance(body["input"], list) else ()):
        content = item.get("content")
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if "prompt_cache_breakpoint" in part:
                return f"input[{at}].content[{place}].prompt_cache_breakpoint"
    return None


def unfit(body: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether the reply was not of the schema that was asked for, of which a router makes an error."""
    try:
        json.loads(expected["text"])
    except ValueError:
        return (body.get("text") or {}).get("format", {}).get("type") == "json_schema"
    return False


def asked_faults(server: WireServer, body: Mapping[str, Any]) -> Iterator[object]:
    """Where the host was asked something else than the program asked."""
    # Left to itself, a router has nothing kept; and `metadata` stays in the process.
    meant = {"store": False, **{name: value for name, value in body.items() if name != "metadata"}}
    one, other = (OPENAI_RESPONSES.plain(each, HOST) for each in (server.asked[-1].json, meant))
    for name in one.keys() | other.keys():
        if one.get(name) != other.get(name):
            yield name, one.get(name), other.get(name)


def told_faults(told: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[object]:
    """Where the response is not what was expected."""
    parts = [part for item in told["output"] if item["type"] == "message" for part in item["content"]]
    calls = [item for item in told["output"] if item["type"] == "function_call"]
    thoughts = [part["text"] for item in told["output"] for part in item.get("summary") or ()]
    said = {
        "text": "".join(part.get("text", "") for part in parts),
        "refusal": "".join(part.get("refusal", "") for part in parts),
        "reasoning": "".join(thoughts),
    }
    for name, words in said.items():
        if expected.get(name) is not None and expected[name] != words:
            yield name, expected[name], words
    wanted = [(call["name"], call["arguments"]) for call in expected["tool_calls"]]
    if wanted != [(call["name"], json.loads(call["arguments"])) for call in calls]:
        yield wanted, calls
    if (expected["finish_reason"] == "length") != (told["status"] == "incomplete"):
        yield expected["finish_reason"], told["status"]
    for name in ("input_tokens", "output_tokens"):
        if (count := (expected["usage"] or {}).get(name)) is not None and told["usage"][name] != count:
            yield name, count, told["usage"]
