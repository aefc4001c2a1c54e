"""Cohere's embeddings: what is asked, and what is made of it."""

from __future__ import annotations

import pytest

from polyroute import ContextWindowExceededError, ResponseDecodeError, Usage
from tests.providers.cohere.wire import embedded


def vectors(*rows, kind="float", **fields):
    return {"id": "e-1", "embeddings": {kind: list(rows)}, **fields}


async def test_texts_are_documents_and_vectors_stand_in_their_order():
    reply, asked, url = await embedded(
        vectors([1, 2.5], [3, 4], meta={"billed_units": {"input_tokens": 4}}), count=2
    )

    assert url == "https://api.cohere.com/v2/embed"
    assert asked == {
        "model": "embed-v4.0",
        "texts": ["text 0", "text 1"],
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    assert list(reply) == [[1.0, 2.5], [3.0, 4.0]]
    assert reply.usage == Usage(4)


async def test_what_the_texts_are_for_and_how_long_the_vectors_are_may_be_said():
    _, asked, _ = await embedded(
        vectors([1]), dimensions=256, extra={"input_type": "search_query", "truncate": "NONE"}
    )

    assert (asked["input_type"], asked["output_dimension"], asked["truncate"]) == (
        "search_query",
        256,
        "NONE",
    )


@pytest.mark.parametrize(
    ("body", "vector"),
    [
        (vectors([1, -2], kind="int8"), [1.0, -2.0]),
        (vectors("AACAPwAAAEA=", kind="base64"), [1.0, 2.0]),
        ({"embeddings": {"int8": [[1]], "float": [[0.5]], "uint8": None}}, [0.5]),
        ({"embeddings": {"uint8": None, "int8": [[1]]}}, [1.0]),
    ],
)
async def test_vectors_of_another_type_are_read_too(body, vector):
    reply, _, _ = await embedded(body, extra={"embedding_types": ["any"]})

    assert list(reply) == [vector]


async def test_usage_that_is_not_told_is_our_estimate():
    reply, _, _ = await embedded(vectors([1]))

    assert reply.usage.estimated


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (vectors([1]), "2 vectors were asked for and 1 came"),
        (vectors([1], [2], [3]), "3 came"),
        ({}, "0 came"),
        (b"[]", "object was promised"),
        ({"embeddings": [[1], [2]]}, "object was promised"),
        (vectors(["x"], [1]), "shape"),
    ],
)
async def test_what_is_no_batch_of_vectors_is_refused(body, words):
    with pytest.raises(ResponseDecodeError, match=words):
        await embedded(body, count=2)


async def test_an_error_in_place_of_vectors_is_that_error():
    with pytest.raises(ContextWindowExceededError):
        await embedded({"id": "e-1", "message": "too many tokens: size limit exceeded"})
