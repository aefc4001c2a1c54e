"""Embeddings on Bedrock: Titan's, one text a request, and Cohere's."""

from __future__ import annotations

import pytest

from polyroute import ConfigurationError, RateLimitError, ResponseDecodeError, Usage
from tests.providers.bedrock.wire import embedded

TITAN = "bedrock/amazon.titan-embed-text-v2:0"
COHERE = "bedrock/cohere.embed-multilingual-v3"


def titan(*numbers, tokens=3):
    return {"embedding": list(numbers), "inputTextTokenCount": tokens}


async def test_titan_is_asked_for_each_text_and_each_vector_stands_in_its_place():
    vectors, asked, urls = await embedded(
        TITAN, titan(1), titan(2, tokens=4), titan(3), count=3, dimensions=256, extra={"normalize": False}
    )

    assert sorted(each["inputText"] for each in asked) == ["text 0", "text 1", "text 2"]
    by_text = {each["inputText"]: [float(place + 1)] for place, each in enumerate(asked)}
    assert list(vectors) == [by_text[f"text {place}"] for place in range(3)]
    assert vectors.usage == Usage(10, 0)
    assert {key: value for key, value in asked[0].items() if key != "inputText"} == {
        "dimensions": 256, "normalize": False
    }  # fmt: skip
    assert urls[0].endswith("/model/amazon.titan-embed-text-v2%3A0/invoke")
    assert len(vectors.raw) == 3


async def test_one_text_is_one_request_with_the_hosts_own_body():
    vectors, _, _ = await embedded(TITAN, titan(1, 2.5))

    assert list(vectors) == [[1.0, 2.5]]
    assert vectors.raw == titan(1, 2.5)


@pytest.mark.parametrize("rows", [[[1, 2], [3, 4]], {"float": [[1, 2], [3, 4]], "int8": [[0, 0], [0, 0]]}])
async def test_cohere_is_told_what_the_vectors_are_for(rows):
    vectors, asked, urls = await embedded(COHERE, {"embeddings": rows, "id": "x"}, count=2, dimensions=256)

    assert asked == [
        {"texts": ["text 0", "text 1"], "input_type": "search_document", "output_dimension": 256}
    ]
    assert list(vectors) == [[1.0, 2.0], [3.0, 4.0]]
    assert urls[0].endswith("/model/cohere.embed-multilingual-v3/invoke")
    assert vectors.usage.estimated


async def test_cohere_takes_ninety_six_texts_at_a_time():
    body = {"embeddings": [[1.0]] * 96}
    rest = {"embeddings": [[2.0]] * 4}
    vectors, asked, _ = await embedded(COHERE, body, rest, count=100, extra={"input_type": "search_query"})

    assert [len(each["texts"]) for each in asked] == [96, 4]
    assert asked[1]["texts"][0] == "text 96"
    assert {each["input_type"] for each in asked} == {"search_query"}
    assert [vector[0] for vector in vectors] == [1.0] * 96 + [2.0] * 4


async def test_a_name_that_tells_nothing_may_be_like_another():
    arn = "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/1arbu5hu2sjr"
    _, asked, _ = await embedded(arn, titan(1), options={"like": TITAN})
    assert asked == [{"inputText": "text 0"}]

    with pytest.raises(ConfigurationError, match="Titan's and Cohere's"):
        await embedded(arn, titan(1))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "1 vectors were asked for and 0 came"),
        ({"embeddings": [[1], [2]]}, "2 came"),
        ({"embeddings": {"int8": [[1]]}}, "shape"),
        ({"embedding": ["x"]}, "shape"),
        ({"embedding": 7}, "shape"),
        (b"[]", "object was promised"),
    ],
)
async def test_what_is_no_batch_of_vectors_is_refused(body, words):
    with pytest.raises(ResponseDecodeError, match=words):
        await embedded(TITAN, body)


async def test_an_error_in_place_of_vectors_is_that_error_for_one_text_as_for_many():
    for count in (1, 20):
        with pytest.raises(RateLimitError):
            await embedded(TITAN, {"__type": "ThrottlingException", "message": "no"}, count=count)
