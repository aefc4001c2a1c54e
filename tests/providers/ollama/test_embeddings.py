"""Ollama's embeddings: what is asked, and what is made of it."""

from __future__ import annotations

import pytest

from polyroute import NotFoundError, ResponseDecodeError, Usage
from tests.providers.ollama.wire import OLLAMA, embedded, refused


async def test_texts_are_asked_for_together_and_vectors_stand_in_their_order():
    body = {"model": "nomic-embed-text", "embeddings": [[1, 2.5], [3, 4]], "prompt_eval_count": 4}
    reply, asked, url = await embedded(body, count=2)

    assert url == "http://127.0.0.1:11434/api/embed"
    assert asked == {"model": "nomic-embed-text", "input": ["text 0", "text 1"]}
    assert list(reply) == [[1.0, 2.5], [3.0, 4.0]]
    assert (reply.usage, reply.model) == (Usage(4), "nomic-embed-text")


async def test_how_long_the_vectors_are_may_be_said_and_extra_goes_with_the_options():
    _, asked, _ = await embedded(
        {"embeddings": [[1]]}, dimensions=256, extra={"truncate": False, "options": {"num_ctx": 512}}
    )

    assert asked == {
        "model": "nomic-embed-text",
        "input": ["text 0"],
        "dimensions": 256,
        "truncate": False,
        "options": {"num_ctx": 512},
    }


async def test_usage_that_is_not_told_is_our_estimate():
    reply, _, _ = await embedded({"embeddings": [[1]]})

    assert reply.usage.estimated


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"embeddings": [[1]]}, "2 vectors were asked for and 1 came"),
        ({}, "0 came"),
        (b"[]", "object was promised"),
        ({"embeddings": ["x", [1]]}, "shape"),
        ({"embeddings": 7}, "shape"),
    ],
)
async def test_what_is_no_batch_of_vectors_is_refused(body, words):
    with pytest.raises(ResponseDecodeError, match=words):
        await embedded(body, count=2)


async def test_an_error_in_place_of_vectors_is_that_error():
    error = {"error": 'model "x" not found', "status": 404}

    with pytest.raises(NotFoundError):
        await embedded(error)
    assert isinstance(await refused(error, 404, model=OLLAMA), NotFoundError)
