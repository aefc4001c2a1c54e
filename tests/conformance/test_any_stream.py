"""What holds for any stream of any format: cuts change nothing, and only chunks and our own errors come out."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from polyroute import Deployment, ReadError, Usage
from polyroute.wire import WireFormat
from tests.conformance.driving import call, cut, gathered, said, told
from tests.conformance.format import Format
from tests.conformance.formats import on_each_format
from tests.providers.strategies import MANY, broken

CUTS = st.lists(st.integers(0, 5_000), max_size=30)


def same_however_cut(format: Format, data: bytes, cuts: list[int]) -> None:
    for deployment, wire in format.wires():
        whole, error = told(deployment, wire, [data])
        pieces, same = told(deployment, wire, cut(data, cuts))
        assert (pieces, type(same)) == (whole, type(error))


@on_each_format
@MANY
@given(st.data(), CUTS)
def test_any_cut_of_a_stream_gives_the_same_chunks_and_the_same_end(format, data, cuts):
    same_however_cut(format, data.draw(format.streams), cuts)


@on_each_format
@MANY
@given(st.data())
def test_a_stream_that_comes_byte_by_byte_is_the_same_stream(format, data):
    same_however_cut(format, data.draw(format.streams), list(range(5_000)))


@on_each_format
@MANY
@given(st.data(), CUTS)
def test_any_cut_of_a_broken_stream_gives_the_same_good_chunks_and_the_same_error(format, data, cuts):
    same_however_cut(format, data.draw(broken(format.streams)), cuts)


@on_each_format
@MANY
@given(st.data(), CUTS, st.booleans())
def test_any_events_are_chunks_and_perhaps_an_error_of_ours(format, data, cuts, named):
    name = "event: error\n" * named
    values = data.draw(st.lists(format.shaped, max_size=2))
    same_however_cut(
        format, "".join(f"{name}data: {json.dumps(value)}\n\n" for value in values).encode(), cuts
    )


@on_each_format
@MANY
@given(st.binary(max_size=200), CUTS)
def test_any_bytes_are_a_stream_or_an_error_of_ours(format, data, cuts):
    same_however_cut(format, data, cuts)


@on_each_format
@MANY
@given(st.data())
def test_the_chunks_of_a_stream_add_up_to_a_reply(format, data):
    stream = data.draw(format.streams)
    for deployment, wire in format.wires():
        chunks, _ = told(deployment, wire, [stream])

        reply = gathered(chunks)
        first = [chunk for chunk in chunks if not chunk.index]
        assert reply.text == "".join(chunk.text for chunk in first)
        assert (reply.reasoning or "") == "".join(chunk.reasoning or "" for chunk in first)
        assert (reply.refusal or "") == "".join(chunk.refusal or "" for chunk in first)
        assert reply.usage == ([chunk.usage for chunk in chunks if chunk.usage] or [Usage()])[-1]


@on_each_format
@MANY
@given(st.data(), st.randoms(use_true_random=False), CUTS)
def test_a_stream_sums_up_to_what_chat_would_have_given(format, data, rng, cuts):
    body = data.draw(format.replies)
    for deployment, wire in format.wires():
        chunks, error = told(deployment, wire, cut(format.as_stream(body, rng), cuts))

        assert error is None
        assert said(gathered(chunks)) == said(wire.decode(json.dumps(body).encode(), call(deployment)))


@on_each_format
@MANY
@given(st.data(), st.randoms(use_true_random=False), st.integers(8, 5_000))
def test_a_stream_of_which_the_rest_never_comes_is_broken_off(format, data, rng, place):
    whole = format.as_stream(data.draw(format.replies), rng)
    for deployment, wire in format.wires():
        chunks, error = told(deployment, wire, [whole[: min(place, len(whole) - 1)]])

        finished = any(chunk.finish_reason for chunk in chunks)
        assert finished or isinstance(error, ReadError)


def first_text(deployment: Deployment, wire: WireFormat, data: bytes) -> str:
    """The text of what is whole in *data*."""
    return "".join(chunk.text for chunk in wire.stream_decoder(call(deployment)).feed(data))


@on_each_format
def test_what_is_good_in_a_read_is_handed_on_before_the_error_in_it(format):
    event, kind = format.broken_off
    good = format.as_stream(format.answer("Once upon"), Random(1))
    for deployment, wire in format.wires():
        begun = next(good[:end] for end in range(len(good)) if first_text(deployment, wire, good[:end]))

        chunks, error = told(deployment, wire, [begun + event])

        assert type(error) is kind
        assert "".join(chunk.text for chunk in chunks)
        assert "Once upon".startswith("".join(chunk.text for chunk in chunks))


@on_each_format
def test_the_end_of_the_bytes_does_not_change_the_error_that_came_before(format):
    for deployment, wire in format.wires():
        decoder = wire.stream_decoder(call(deployment))
        decoder.feed(format.broken_off[0])
        error = decoder.error

        assert error is not None
        assert not decoder.finish()
        assert decoder.error is error
