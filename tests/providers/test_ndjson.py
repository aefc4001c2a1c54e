"""Newline-delimited JSON, cut into lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute.providers.framing.ndjson import NDJSONDecoder


def decoded(pieces):
    decoder = NDJSONDecoder()
    lines = [line for piece in pieces for line in decoder.feed(piece)]
    return [data for name, data in (*lines, *decoder.finish()) if data and not name]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"{}\n[]\n", ["{}", "[]"]),
        (b"{}\n[]", ["{}", "[]"]),
        (b"\n\n{}\n\n", ["{}"]),
        (b"{}\r\n[]\r\n", ["{}\r", "[]\r"]),
        ("é\u2028\n".encode(), ["é\u2028"]),
        (b"\xff\n", ["\ufffd"]),
    ],
)
def test_a_line_ends_at_its_line_feed_and_nowhere_else(data, lines):
    assert decoded([data]) == lines


@given(st.lists(st.text(st.sampled_from('{}"é🙂\r\u2028 ')), max_size=5), st.lists(st.integers(0, 40)))
def test_any_cut_gives_the_same_lines(texts, cuts):
    data = "\n".join(texts).encode()
    places = sorted({min(place, len(data)) for place in cuts})
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

    assert decoded(pieces) == [text for text in texts if text]
