"""What OpenAI's streams, and those of its imitators, are read as."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    ChatChunk,
    ContentFilterError,
    Deployment,
    OverloadedError,
    ReadError,
    ResponseDecodeError,
    Router,
    ServerError,
    StreamInterruptedError,
    Usage,
)
from tests.providers.wire import OK, Response, Scripted, delta, told
from tests.wire_server import events

ROLE = delta("", role="assistant")
STOP = delta(finish_reason="stop")
USED = {"id": "c-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}


def called(*pieces: object, finish_reason: str | None = None) -> dict[str, object]:
    return delta(tool_calls=list(pieces), finish_reason=finish_reason)


async def test_a_stream_is_told_in_chunks_and_summed_up_at_its_end():
    stream = await told(events(ROLE, delta("Hel"), delta("lo"), STOP, USED))

    common = {"id": "c-1", "deployment": "openai/gpt-5-mini"}
    assert stream.chunks == [
        ChatChunk("Hel", **common),
        ChatChunk("lo", **common),
        ChatChunk(finish_reason="stop", **common),
        ChatChunk(usage=Usage(9, 3), **common),
    ]
    assert (stream.reply.text, stream.reply.finish_reason, stream.reply.usage) == (
        "Hello",
        "stop",
        Usage(9, 3),
    )
    assert stream.reply.raw is None
    assert stream.response.drained
    assert stream.response.closed


async def test_id_and_model_are_those_that_the_stream_named_last():
    named = [
        {**delta("a"), "id": "", "model": ""},
        {**delta("b"), "model": "m-1"},
        {**delta("c"), "id": None},
        STOP,
    ]
    stream = await told(events(*named))

    assert [(chunk.id, chunk.model) for chunk in stream.chunks[:3]] == [
        (None, None),
        ("c-1", "m-1"),
        ("c-1", "m-1"),
    ]
    assert (stream.reply.id, stream.reply.model) == ("c-1", "m-1")


# --- its end -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(events(delta("ok"), STOP), id="a reason and [DONE]"),
        pytest.param(events(delta("ok"), STOP, done=False), id="a reason and a clean end"),
        pytest.param(events(delta("ok"), STOP, done=False).rstrip(), id="without its last blank line"),
        pytest.param(events(delta("ok"), STOP) + b"data: {garbage", id="garbage after the end"),
        pytest.param(
            events(delta("ok"), STOP).replace(b"[DONE]\n\n", b"[DONE]"), id="[DONE] without a line's end"
        ),
        pytest.param(events(delta("ok"), STOP).replace(b"[DONE]", b" [DONE] "), id="[DONE] with spaces"),
        pytest.param(events(delta("ok", finish_reason="stop")), id="a reason with the last text"),
    ],
)
async def test_a_stream_has_ended_with_its_terminal_event_or_a_reason_and_a_clean_end(body):
    stream = await told(body)

    assert stream.error is None
    assert (stream.reply.text, stream.reply.finish_reason) == ("ok", "stop")


async def test_a_stream_that_never_gives_a_reason_has_another_one():
    stream = await told(events(delta("ok")))

    assert (stream.reply.text, stream.reply.finish_reason) == ("ok", "other")


async def test_a_stream_of_calls_that_never_gives_a_reason_asks_for_tools():
    stream = await told(
        events(called({"index": 0, "id": "call_1", "function": {"name": "now", "arguments": "{}"}}))
    )

    assert (stream.reply.finish_reason, stream.chunks[-1].finish_reason) == ("tool_calls", "tool_calls")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(events(delta("ok"), done=False), id="neither reason nor [DONE]"),
        pytest.param(events(delta("ok"), USED, done=False), id="usage is no reason"),
        pytest.param(events(delta("ok"), STOP, done=False)[:-20], id="cut in an event"),
        pytest.param(events(delta("ok"), STOP, done=False) + b'data: {"choi', id="cut after its reason"),
    ],
)
async def test_a_stream_that_ends_too_early_is_broken_and_what_came_is_told(body):
    stream = await told(body)

    assert isinstance(stream.error, StreamInterruptedError)
    assert isinstance(stream.cause, ReadError)
    assert (stream.error.partial, stream.error.deployment) == ("ok", "openai/gpt-5-mini")
    assert stream.error.usage.estimated == (b"usage" not in body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing at all"),
        pytest.param(b"\n\n\n", id="blank lines"),
        pytest.param(b": OPENROUTER PROCESSING\n\n" * 3, id="comments"),
        pytest.param(events(ROLE, done=False), id="a role"),
        pytest.param(events({"choices": []}, done=False), id="no choices"),
        pytest.param(b"event: ping\nid: 7\nretry: 10\n", id="fields without data"),
        pytest.param(b"\xef\xbb\xbf: hi\n", id="a byte order mark and a comment"),
    ],
)
async def test_a_stream_that_ends_before_its_first_token_is_a_failed_attempt(body):
    stream = await told(body)

    assert isinstance(stream.error, AllAttemptsFailedError)
    assert isinstance(stream.cause, ReadError)
    assert stream.chunks == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(events(), id="nothing but [DONE]"),
        pytest.param(events({"choices": []}), id="no choices"),
        pytest.param(events(ROLE), id="a role and no more"),
        pytest.param(events(USED), id="usage and no more"),
    ],
)
async def test_a_stream_with_nothing_in_it_and_no_reason_is_a_failed_attempt(body):
    assert isinstance((await told(body)).cause, ResponseDecodeError)


async def test_an_empty_stream_with_a_reason_is_an_answer():
    stream = await told(events(ROLE, delta(finish_reason="length"), USED))

    assert (stream.reply.text, stream.reply.finish_reason, stream.reply.usage) == ("", "length", Usage(9, 3))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>Sign in</html>", ResponseDecodeError),
        (json.dumps(OK).encode(), ResponseDecodeError),
        (json.dumps(OK, indent=1).encode(), ResponseDecodeError),
        (b'{"error": {"message": "busy", "code": 503}}', OverloadedError),
        (
            json.dumps({"error": {"message": "no", "code": "invalid_api_key"}}, indent=1).encode(),
            AuthenticationError,
        ),
        (b'\n\n{"error": {"message": "no", "type": "server_error"}}', ServerError),
    ],
)
async def test_a_plain_body_instead_of_a_stream_is_what_it_says(body, error):
    assert type((await told(body)).cause) is error


async def test_the_pieces_of_a_response_may_be_a_generators():
    class Generated(Response):
        async def __aiter__(self):
            for piece in self._pieces:
                yield piece

    response = Generated([events(delta("Hel"), done=False), events(delta("lo"), STOP), b"late"])
    router = Router([Deployment("openai/gpt-5", api_key="k-0123456789")], transport=Scripted(response))
    async with router.stream("hi") as stream:
        assert (await stream.response()).text == "Hello"

    assert response.closed


async def test_one_who_leaves_early_closes_the_response():
    response = Response([events(delta("Hel"), done=False), events(delta("lo"), STOP)])
    router = Router([Deployment("openai/gpt-5", api_key="k-0123456789")], transport=Scripted(response))

    async with router.stream("hi") as stream:
        async for chunk in stream:
            assert chunk.text == "Hel"
            break

    assert response.closed
    assert not response.drained


# --- what breaks it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"message": "busy", "type": "overloaded_error"}}, OverloadedError),
        ({"error": {"message": "x", "code": "content_filter"}}, ContentFilterError),
        ({"error": "on fire"}, ServerError),
        (
            {"error": {"message": "up", "code": 502}, "choices": [{"delta": {}, "finish_reason": "error"}]},
            ServerError,
        ),
        (
            {"choices": [{"delta": {"content": ""}, "error": {"code": 503}, "finish_reason": "error"}]},
            OverloadedError,
        ),
        ({"object": "error", "message": "no", "code": 503}, OverloadedError),
        ({"x_groq": {"error": {"message": "no", "status_code": 503}}, "choices": []}, OverloadedError),
        ("{not json", ResponseDecodeError),
        ("[1]", ResponseDecodeError),
        ("null", ResponseDecodeError),
        ({"choices": [7]}, ResponseDecodeError),
        ({"choices": 7}, ResponseDecodeError),
        ({"choices": [{"delta": {"content": 7}}]}, ResponseDecodeError),
        ({"choices": [{"index": "first", "delta": {"content": "x"}}]}, ResponseDecodeError),
        ({"choices": [{"delta": {"tool_calls": [{"function": "x"}]}}]}, ResponseDecodeError),
        ({"choices": [], "usage": {"prompt_tokens": "nine", "completion_tokens": 1}}, ResponseDecodeError),
    ],
)
async def test_an_event_that_is_an_error_or_none_at_all_breaks_the_stream_where_it_stands(event, error):
    stream = await told(events(delta("Hel"), delta("lo"), event, delta("never")))

    assert isinstance(stream.error, StreamInterruptedError)
    assert type(stream.cause) is error
    assert stream.error.partial == "Hello"
    assert "".join(chunk.text for chunk in stream.chunks) == "Hello"
    assert stream.response.closed


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('{"message": "busy", "code": 503}', OverloadedError),
        ('"on fire"', ServerError),
        ('{"error": {"message": "busy", "code": 503}}', OverloadedError),
        ("{}", ServerError),
        ('{"message": "busy", "code": 503, "choices": []}', OverloadedError),
    ],
)
async def test_an_event_that_is_named_an_error_is_one(data, error):
    body = events(delta("Hel"), done=False) + f"event: error\ndata: {data}\n\n".encode()

    assert type((await told(body)).cause) is error


async def test_an_error_without_its_last_blank_line_is_an_error_all_the_same():
    body = events(delta("Hel"), {"error": {"message": "busy", "code": 503}}, done=False).rstrip()

    assert type((await told(body)).cause) is OverloadedError


async def test_an_event_of_nothing_but_spaces_is_none():
    stream = await told(events(delta("ok"), "   ", "", STOP))

    assert (stream.error, stream.reply.text) == (None, "ok")


async def test_what_is_good_in_a_read_is_told_before_what_is_broken_in_it():
    both = {"choices": [*delta("Hel")["choices"], {"delta": {"content": 7}}]}

    assert (await told(events(both))).error.partial == "Hel"


async def test_an_error_before_the_first_token_is_the_attempts():
    stream = await told(events(ROLE, {"error": {"message": "busy", "code": 503}}))

    assert isinstance(stream.error, AllAttemptsFailedError)
    assert isinstance(stream.cause, OverloadedError)


async def test_after_the_end_nothing_counts():
    stream = await told(events(delta("ok"), STOP) + events({"error": {"message": "late"}}, delta("more")))

    assert (stream.error, stream.reply.text) == (None, "ok")
