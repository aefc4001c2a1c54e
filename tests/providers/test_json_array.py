"""Any JSON array, however its bytes are cut, is its elements."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute.providers.framing.json_array import JSONArrayDecoder
from tests.providers.strategies import MANY

TEXTS = st.lists(st.sampled_from(['"', "\\", "{", "}", "[", "]", ",", "é", "🙂", "\n"]), max_size=6).map(
    "".join
)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ARRAYS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=4)


def elements(*pieces: bytes) -> tuple[list[str], bool]:
    decoder = JSONArrayDecoder()
    return [element for piece in pieces for element in decoder.feed(piece)], decoder.done


@MANY
@given(ARRAYS, st.booleans(), st.sampled_from([None, 1]), st.lists(st.integers(0, 2_000), max_size=20))
def test_any_cut_of_an_array_gives_its_elements(values, escaped, indent, cuts):
    data = json.dumps(values, ensure_ascii=escaped, indent=indent).encode()
    places = sorted({place % (len(data) + 1) for place in cuts})
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

    told, done = elements(*pieces)
    assert [json.loads(element) for element in told] == values
    assert done


@MANY
@given(ARRAYS.filter(len))
def test_an_array_that_is_cut_off_gives_the_elements_that_are_whole(values):
    data = json.dumps(values).encode()

    for end in range(len(data)):
        told, done = elements(data[:end])
        assert [json.loads(element) for element in told] == values[: len(told)]
        assert not done


@pytest.mark.parametrize("data", [b'[{"a": 1}]{"b": 2}', b'[{"a": 1}]]}', b'[1, {"a": 1}, "x{", null]'])
def test_only_objects_count_and_only_before_the_end(data):
    assert elements(data) == (['{"a": 1}'], True)


def test_a_long_element_in_many_pieces_takes_time_by_its_length():
    decoder = JSONArrayDecoder()
    decoder.feed(b'[{"a": "')
    for _ in range(20_000):
        assert decoder.feed(b"x" * 1_000) == []

    assert len(decoder.feed(b'"}')[0]) == 20_000_009
