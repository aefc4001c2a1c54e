"""Vertex: Gemini's format at another address, and other ways to embed."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    ContextWindowExceededError,
    Deployment,
    Message,
    ResponseDecodeError,
    Router,
    ToolCall,
    Usage,
)
from polyroute.types import Opaque
from tests.providers.gemini.wire import candidate, reply
from tests.providers.wire import KEY, Response, Scripted, embedded_by


async def embedded(name, *bodies, count=1, **arguments):
    vertex = Deployment(f"vertex/{name}", api_key=KEY, base_url="https://x.example")
    vectors, asked, urls = await embedded_by(vertex, *bodies, count=count, **arguments)
    return vectors, asked, urls[0]


def predicted(*rows, tokens=2):
    return {
        "predictions": [
            {"embeddings": {"values": row, "statistics": {"token_count": tokens}}} for row in rows
        ]
    }


async def test_texts_are_instances_of_one_prediction():
    vectors, asked, url = await embedded(
        "text-embedding-005", predicted([1, 2.5], [3, 4]), count=2, dimensions=256,
        extra={"task_type": "RETRIEVAL_QUERY", "autoTruncate": False},
    )  # fmt: skip

    assert url == "https://x.example/models/text-embedding-005:predict"
    assert asked == [
        {
            "instances": [
                {"content": "text 0", "task_type": "RETRIEVAL_QUERY"},
                {"content": "text 1", "task_type": "RETRIEVAL_QUERY"},
            ],
            "parameters": {"outputDimensionality": 256, "autoTruncate": False},
        }
    ]
    assert list(vectors) == [[1.0, 2.5], [3.0, 4.0]]
    assert vectors.usage == Usage(4, 0)


async def test_more_texts_than_one_prediction_takes_are_several():
    _, asked, _ = await embedded("text-embedding-005", predicted(*[[1]] * 250), predicted([2]), count=251)

    assert [len(each["instances"]) for each in asked] == [250, 1]
    assert asked[0] == {"instances": [{"content": f"text {place}"} for place in range(250)]}


async def test_geminis_first_embedder_predicts_one_text_at_a_time():
    vectors, asked, _ = await embedded("gemini-embedding-001", predicted([1]), count=3)

    assert sorted(each["instances"][0]["content"] for each in asked) == ["text 0", "text 1", "text 2"]
    assert len(vectors) == 3


async def test_those_after_it_embed_content():
    body = {"embedding": {"values": [1, 2]}, "usageMetadata": {"promptTokenCount": 4}}
    vectors, asked, url = await embedded("gemini-embedding-2-preview", body, count=2, dimensions=256)

    assert url.endswith("/models/gemini-embedding-2-preview:embedContent")
    assert sorted(each["content"]["parts"][0]["text"] for each in asked) == ["text 0", "text 1"]
    assert {each["outputDimensionality"] for each in asked} == {256}
    assert (list(vectors), vectors.usage) == ([[1.0, 2.0]] * 2, Usage(8, 0))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "1 vectors were asked for and 0 came"),
        (predicted([1], [2]), "2 came"),
        ({"predictions": [{}]}, "shape"),
        (b"[]", "object was promised"),
    ],
)
async def test_what_is_no_prediction_is_refused(body, words):
    with pytest.raises(ResponseDecodeError, match=words):
        await embedded("text-embedding-005", body)


async def test_an_error_in_place_of_vectors_is_that_error():
    message = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
    for name in ("text-embedding-005", "gemini-embedding-2"):
        with pytest.raises(ContextWindowExceededError):
            await embedded(name, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})


async def test_signatures_are_vertexs_own_and_go_back_there_alone():
    said = reply(candidate({"text": "Hm.", "thoughtSignature": "s1=="}))
    transport = Scripted(Response(said))
    vertex = Deployment("vertex/gemini-3-flash", api_key=KEY, base_url="https://x.example")
    gemini = Deployment("gemini/gemini-3-flash", api_key=KEY)
    router = Router([vertex, gemini], transport=transport)
    given = await router.chat("hi")

    assert [part.origin for part in given.parts if isinstance(part, Opaque)] == ["vertex"]
    history = [{"role": "user", "content": "hi"}, given.message, {"role": "user", "content": "go on"}]
    for deployment, signed in ((vertex, True), (gemini, False)):
        await router.chat(history, model=deployment.model)
        assert (b"s1==" in transport.sent[-1].body) is signed


async def test_calls_and_their_results_bear_no_ids():
    transport = Scripted(Response(reply(candidate("Sunny."))))
    vertex = Deployment("vertex/gemini-3-flash", api_key=KEY, base_url="https://x.example")
    call = ToolCall("call_1", "weather", {"id": 7})
    history = [Message("user", "hi"), Message("assistant", [call]), call.result({"id": 8})]

    await Router([vertex], transport=transport).chat(history)

    _, asked, told = json.loads(transport.sent[0].body)["contents"]
    assert asked["parts"][0]["functionCall"] == {"name": "weather", "args": {"id": 7}}
    assert told["parts"] == [{"functionResponse": {"name": "weather", "response": {"id": 8}}}]
