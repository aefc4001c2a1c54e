"""What holds for any stream: cuts change nothing, and nothing but chunks and our own errors comes out."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from polyroute import ChatChunk, ChatRequest, Deployment, PolyrouteError, Timeout, Usage
from polyroute.deployments import Call, Deadline
from polyroute.providers import HOSTS
from polyroute.providers.openai_chat import OpenAIChat
from polyroute.streams import Gathered
from tests.providers.strategies import MANY, SHAPED, broken, streams

OPENAI = OpenAIChat(HOSTS["openai"])
CALL = Call(
    request=ChatRequest(),
    deployment=Deployment("openai/gpt-5"),
    model="gpt-5",
    timeout=Timeout(),
    deadline=Deadline(),
)


def told(*pieces: bytes) -> tuple[list[ChatChunk], type[PolyrouteError] | None]:
    """What a decoder makes of bytes that come in these pieces, driven as a provider drives it."""
    decoder = OPENAI.stream_decoder(CALL)
    chunks: list[ChatChunk] = []
    for piece in pieces:
        chunks += decoder.feed(piece)
        if decoder.error is not None or decoder.done:
            break
    else:
        chunks += decoder.finish()
    assert decoder.error is None or isinstance(decoder.error, PolyrouteError)
    return chunks, None if decoder.error is None else type(decoder.error)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@MANY
@given(streams(), st.lists(st.integers(0, 5_000), max_size=30))
def test_any_cut_of_a_stream_gives_the_same_chunks_and_the_same_end(data, cuts):
    assert told(*cut(data, cuts)) == told(data)


@MANY
@given(streams())
def test_a_stream_that_comes_byte_by_byte_is_the_same_stream(data):
    assert told(*(data[place : place + 1] for place in range(len(data)))) == told(data)


@MANY
@given(broken(), st.lists(st.integers(0, 5_000), max_size=30))
def test_any_cut_of_a_broken_stream_gives_the_same_good_chunks_and_the_same_error(data, cuts):
    assert told(*cut(data, cuts)) == told(data)


@MANY
@given(streams())
def test_the_chunks_of_a_stream_add_up_to_a_reply(data):
    chunks, _ = told(data)
    gathered = Gathered()
    for chunk in chunks:
        gathered.add(chunk)

    reply = gathered.response()
    first = [chunk for chunk in chunks if not chunk.index]
    assert reply.text == "".join(chunk.text for chunk in first)
    assert (reply.reasoning or "") == "".join(chunk.reasoning or "" for chunk in first)
    assert (reply.refusal or "") == "".join(chunk.refusal or "" for chunk in first)
    assert reply.usage == ([chunk.usage for chunk in chunks if chunk.usage] or [Usage()])[-1]


@MANY
@given(st.lists(SHAPED, max_size=2), st.lists(st.integers(0, 5_000), max_size=5), st.booleans())
def test_any_events_are_chunks_and_perhaps_an_error_of_ours(values, cuts, named):
    name = "event: error\n" * named
    data = "".join(f"{name}data: {json.dumps(value)}\n\n" for value in values).encode()

    assert told(*cut(data, cuts)) == told(data)


@MANY
@given(st.binary(max_size=200), st.lists(st.integers(0, 5_000), max_size=5))
def test_any_bytes_are_a_stream_or_an_error_of_ours(data, cuts):
    assert told(*cut(data, cuts)) == told(data)
