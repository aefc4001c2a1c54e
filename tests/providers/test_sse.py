"""Server-sent events against the letter of the standard, however the bytes are cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyroute.providers.framing.sse import SSEDecoder

Event = tuple[str, str]


def decoded(*pieces: bytes) -> list[Event]:
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_each_of_three_ways(end):
    lines = [
        "data: one",
        "",
        ": a comment",
        "",
        "event: two",
        "id: 7",
        "retry: 10",
        "data:2",
        "",
        "data: 3",
        "data:  4",
    ]

    assert decoded(end.join([*lines, "", ""]).encode()) == [("", "one"), ("two", "2"), ("", "3\n 4")]


@pytest.mark.parametrize(
    ("bytes_", "events"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b"data\n\n", [("", "")]),
        (b"data:\n\n", [("", "")]),
        (b"data: \n\n", [("", "")]),
        (b"data\ndata\n\n", [("", "\n")]),
        (b"data: a", [("", "a")]),
        (b"data: a\n", [("", "a")]),
        (b"event: x\n\ndata: a\n\n", [("", "a")]),
        (b"event: x\nevent\ndata: a\n\n", [("", "a")]),
        (b"event: x\nevent: y\ndata: a\n\n", [("y", "a")]),
        (b"event:x\ndata:a\n\ndata:b\n\n", [("x", "a"), ("", "b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("", "a")]),
        (b" data: a\n\n", []),
        (b"DATA: a\n\n", []),
        (b"datax: a\n\n", []),
        (b"data : a\n\n", []),
        (b"data: a\xff\n\n", [("", "a\ufffd")]),
        (b"data: a\r\r\ndata: b\n\r", [("", "a"), ("", "b")]),
        ("data: \u2028\x85\x0b\x0c\n\n".encode(), [("", "\u2028\x85\x0b\x0c")]),  # they end no line here
    ],
)
def test_a_line_is_a_field_a_comment_or_the_end_of_an_event(bytes_, events):
    assert decoded(bytes_) == events


def test_a_line_feed_that_comes_late_ends_no_other_line():
    assert decoded(b"data: a\r", b"\ndata: b\r", b"", b"\n\r", b"\n") == [("", "a\nb")]


def test_an_event_is_told_as_soon_as_it_is_whole():
    decoder = SSEDecoder()

    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [("", "a")]
    assert decoder.feed(b"\ndata: b\n\n") == [("", "b")]


def test_a_name_waits_for_its_event():
    decoder = SSEDecoder()

    assert decoder.feed(b"data: 0\n\n") == [("", "0")]
    assert decoder.feed(b"event: x\n") == []
    assert decoder.feed(b"data: a\n\n") == [("x", "a")]
    assert decoder.feed(b"data: b\n\n") == [("", "b")]


def by_the_letter(data: bytes) -> list[Event]:
    """WHATWG HTML, 9.2.6, read plainly; what is left at the end is forgiven its missing blank line."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff") + "\n\n"
    events: list[Event] = []
    name, buffer = "", ""
    for line in re.split(r"\r\n|\n|\r", text):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if buffer:
                events.append((name, buffer.removesuffix("\n")))
            name, buffer = "", ""
        elif field == "data":
            buffer += value + "\n"
        elif field == "event":
            name = value
    return events


LINES = st.sampled_from(
    [
        "data: a",
        "data:é",
        "data",
        "data: 🙂",
        "event: x",
        "event",
        ": c",
        "",
        "",
        "id: 1",
        "x",
        'data: {"a": 1}',
    ]
)
BYTES = st.one_of(
    st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"]))).map(
        lambda lines: "".join(line + end for line, end in lines).encode()
    ),
    st.lists(
        st.sampled_from(
            [b"data: ", b"\n", b"\r", b"\n\n", b"event:", b"a", b"\xef\xbb\xbf", b"\xe2\x82", b":"]
        )
    ).map(b"".join),
    st.binary(max_size=60),
)


# Whole events, of which each comes in a read of its own, beside what has to be put together.
PIECES = st.lists(
    st.sampled_from(
        [b"data: a\n\n", b"data: b\n\n", b"data: c\n", b"data: d\n\ndata: e\n\n", b"data: f\rdata: g\n\n", b"x",
         b"event: y\n", b"data: h\r", b"\n", b"\r", b"\xef\xbb\xbf", b"data: i\n\r", b"", b": c\n\n"]
    )
)  # fmt: skip


@settings(deadline=None, max_examples=500)
@given(PIECES)
def test_events_are_those_of_the_standard_where_each_comes_by_itself(pieces):
    assert decoded(*pieces) == by_the_letter(b"".join(pieces))


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([b"data: 0\n\n", b"x", b"data: a\n\n"], [("", "0")]),
        ([b"data: 0\n\n", b"data: a\n", b"data: b\n\n"], [("", "0"), ("", "a\nb")]),
        ([b"data: 0\n\n", b"\xef\xbb\xbfdata: a\n\n"], [("", "0")]),
        (
            [b"data: 0\n\n", b"data: a\n\n", b"data: b\n\ndata: c\n\n"],
            [("", "0"), ("", "a"), ("", "b"), ("", "c")],
        ),
        ([b"data: 0\n\n", b"data: a\rdata: b\n\n"], [("", "0"), ("", "a\nb")]),
        ([b"data: 0\n\n", b"event: x\n", b"data: a\n\n", b"data: b\n\n"], [("", "0"), ("x", "a"), ("", "b")]),
    ],
)
def test_a_read_of_one_event_is_taken_for_one_only_where_nothing_waits(pieces, events):
    assert decoded(*pieces) == events


@settings(deadline=None, max_examples=500)
@given(st.booleans(), BYTES, st.lists(st.integers(0, 200)))
def test_events_are_those_of_the_standard_however_they_are_cut(marked, data, cuts):
    data = b"\xef\xbb\xbf" * marked + data
    places = sorted({min(cut, len(data)) for cut in cuts})
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

    assert decoded(*pieces) == by_the_letter(data)


def test_a_line_without_an_end_costs_no_more_than_its_length():
    decoder = SSEDecoder()
    for _ in range(200_000):
        assert decoder.feed(b"data: x") == []

    assert len(decoder.finish()[0][1]) == 7 * 200_000 - 6
