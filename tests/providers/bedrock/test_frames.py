"""AWS's event stream: frames are cut from bytes however these come, and both checksums are held to."""

from __future__ import annotations

from struct import pack
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute.providers.framing.eventstream import FrameDecoder
from tests.providers.bedrock.wire import frame

# As AWS's own libraries publish them.
EMPTY = bytes.fromhex("00000010000000000 5c248eb7d98c8ff".replace(" ", ""))
NO_HEADERS = bytes.fromhex("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936")
ONE_HEADER = bytes.fromhex(
    "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
    "7b27666f6f273a27626172277d8d9c08b1"
)
A_NUMBER = bytes.fromhex(
    "0000002d0000001041c424b80a6576656e742d747970650400 00a00c7b27666f6f273a27626172277d36f480a0".replace(
        " ", ""
    )
)
PAYLOAD = b"{'foo':'bar'}"


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        (EMPTY, [({}, b"")]),
        (NO_HEADERS, [({}, PAYLOAD)]),
        (ONE_HEADER, [({"content-type": "application/json"}, PAYLOAD)]),
        (A_NUMBER, [({}, PAYLOAD)]),
        (NO_HEADERS + ONE_HEADER, [({}, PAYLOAD), ({"content-type": "application/json"}, PAYLOAD)]),
    ],
)
def test_the_published_vectors_are_read(data, frames):
    decoder = FrameDecoder()

    assert decoder.feed(data) == frames
    assert decoder.fault is None
    assert not decoder.waiting


def raw(headers: bytes, payload: bytes = b"x", *, size: int | None = None, named: int | None = None) -> bytes:
    """A frame that says what it is told to say, with checksums that agree."""
    lengths = pack(">II", size or 16 + len(headers) + len(payload), len(headers) if named is None else named)
    checked = lengths + pack(">I", crc32(lengths)) + headers + payload
    return checked + pack(">I", crc32(checked))


def test_headers_of_every_type_are_passed_over_but_texts():
    headers = (
        b"\x01t\x00" b"\x01f\x01" b"\x01b\x02\x07" b"\x01s\x03\x00\x07" b"\x01i\x04\0\0\0\x07"
        b"\x01l\x05\0\0\0\0\0\0\0\x07" b"\x01y\x06\x00\x02ab" b"\x01x\x07\x00\x03\xc3\xa9!"
        b"\x01m\x08\0\0\0\0\0\0\0\x07" b"\x01u\x09" + bytes(16) + b"\x01z\x07\x00\x00"
    )  # fmt: skip
    decoder = FrameDecoder()

    assert decoder.feed(raw(headers)) == [({"x": "é!", "z": ""}, b"x")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw(b"\x01t\x0a"), "headers"),  # no such type
        (raw(b"\x05t"), "headers"),  # a name that is longer than they are
        (raw(b"\x01x\x07\x00\x09ab"), "headers"),  # a value that is
        (raw(b"\x01\xff\x00"), "headers"),  # no UTF-8
        (raw(b"\x01i\x04\0\0"), "headers"),
        (raw(b"", size=15), "15 bytes"),
        (raw(b"", named=9), "9 of them headers"),
        (raw(b"", size=26 * 1024 * 1024), "bytes long"),
    ],
)
def test_a_frame_that_lies_about_itself_is_a_fault(data, words):
    decoder = FrameDecoder()

    assert decoder.feed(ONE_HEADER + data + EMPTY) == [({"content-type": "application/json"}, PAYLOAD)]
    assert words in (decoder.fault or "")
    assert decoder.feed(EMPTY) == []


@given(st.integers(0, len(ONE_HEADER) - 1), st.integers(1, 255))
def test_no_byte_of_a_frame_may_change(place, change):
    broken = bytearray(ONE_HEADER)
    broken[place] ^= change
    decoder = FrameDecoder()

    assert decoder.feed(bytes(broken)) == []
    assert decoder.fault is not None


@given(st.lists(st.tuples(st.sampled_from(["a", "é"]), st.binary(max_size=20)), max_size=4), st.data())
def test_any_cut_gives_the_same_frames(given_, data):
    frames = [({name: name * 3}, payload) for name, payload in given_]
    whole = b"".join(frame(headers, payload) for headers, payload in frames)
    decoder = FrameDecoder()
    read = []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        read += decoder.feed(whole[:size])
        assert decoder.fault is None
        whole = whole[size:]

    assert read == frames
    assert not decoder.waiting


def test_what_has_begun_is_waited_for():
    decoder = FrameDecoder()

    assert decoder.feed(ONE_HEADER[:-1]) == []
    assert decoder.waiting
    assert decoder.feed(ONE_HEADER[-1:]) == [({"content-type": "application/json"}, PAYLOAD)]
