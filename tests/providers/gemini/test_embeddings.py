"""Gemini's embeddings: what is asked, and what is made of it."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import ContextWindowExceededError, ResponseDecodeError, Usage
from tests.providers.gemini.wire import embedded


def vectors(*rows, **fields):
    return {"embeddings": [{"values": row} for row in rows], **fields}


async def test_each_text_is_a_request_of_one_batch_and_its_vector_stands_in_its_place():
    reply, asked, url = await embedded(vectors([1, 2.5], [3, 4]), count=2)

    assert url.endswith("/v1beta/models/gemini-embedding-001:batchEmbedContents")
    assert asked == snapshot(
        {
            "requests": [
                {"content": {"parts": [{"text": "text 0"}]}, "model": "models/gemini-embedding-001"},
                {"content": {"parts": [{"text": "text 1"}]}, "model": "models/gemini-embedding-001"},
            ]
        }
    )
    assert list(reply) == [[1.0, 2.5], [3.0, 4.0]]
    assert all(type(number) is float for number in reply[0])


async def test_dimensions_and_what_is_in_extra_are_said_of_each():
    _, asked, _ = await embedded(
        vectors([1], [2]), count=2, dimensions=768, extra={"taskType": "RETRIEVAL_QUERY"}
    )

    assert [{**each, "content": None} for each in asked["requests"]] == [
        {
            "content": None,
            "model": "models/gemini-embedding-001",
            "outputDimensionality": 768,
            "taskType": "RETRIEVAL_QUERY",
        }
    ] * 2


async def test_usage_is_the_host_s_where_it_tells_and_our_estimate_where_not():
    told, _, _ = await embedded(vectors([1], usageMetadata={"promptTokenCount": 7}))
    assert told.usage == Usage(7, 0)
    silent, _, _ = await embedded(vectors([1]))
    assert silent.usage.estimated
    assert silent.usage.input_tokens


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (vectors([1]), "2 vectors were asked for and 1 came"),
        (vectors([1], [2], [3]), "3 came"),
        ({}, "0 came"),
        (b"[]", "object was promised"),
        ({"embeddings": [{}, {}]}, "shape"),
        (vectors(["x"], [1]), "shape"),
    ],
)
async def test_what_is_no_batch_of_vectors_is_refused(body, words):
    with pytest.raises(ResponseDecodeError, match=words):
        await embedded(body, count=2)


async def test_an_error_in_place_of_vectors_is_that_error():
    message = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
    with pytest.raises(ContextWindowExceededError):
        await embedded({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})
