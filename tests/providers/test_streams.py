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
    Opaque,
    OverloadedError,
    ReadError,
    Reasoning,
    ResponseDecodeError,
    Router,
    ServerError,
    StreamInterruptedError,
    Text,
    TokenLogprob,
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


# --- what else is in it ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uses",
    [
        pytest.param([STOP, USED], id="a chunk of its own"),
        pytest.param([{**STOP, "usage": USED["usage"]}], id="with the reason"),
        pytest.param([{**delta(""), "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)] + [STOP],
                     id="cumulative"),
        pytest.param([{**STOP, "usage": None}, {**USED, "x_groq": {"usage": USED["usage"]}}], id="twice"),
        pytest.param([{**STOP, "x_groq": {"id": "r", "usage": USED["usage"]}}], id="as Groq has it"),
        pytest.param([{**STOP, "usage": USED["usage"]}, {"choices": [], "usage": {}}], id="then an empty one"),
    ],
)  # fmt: skip
async def test_usage_is_the_last_that_was_told_wherever_it_stands(uses):
    stream = await told(events({**delta("ok"), "usage": None}, *uses))

    assert stream.reply.usage == Usage(9, 3)


async def test_usage_is_estimated_where_a_stream_never_tells_it():
    assert (await told(events(delta("ok"), STOP))).reply.usage.estimated


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_told_apart_from_text(name):
    stream = await told(events(delta(**{name: "H"}), delta(**{name: "m."}), delta("Yes", **{name: ""}), STOP))

    assert [(chunk.reasoning, chunk.text) for chunk in stream.chunks[:3]] == [
        ("H", ""),
        ("m.", ""),
        (None, "Yes"),
    ]
    assert (stream.reply.reasoning, stream.reply.text) == ("Hm.", "Yes")


async def test_reasoning_and_text_in_one_event_are_told_in_their_order():
    stream = await told(events(delta("Yes", reasoning="Hm."), STOP))

    assert stream.reply.message.content == (Reasoning("Hm."), Text("Yes"))


async def test_content_in_parts_is_told_as_text_and_reasoning():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [delta(), delta()]
    parts[0]["choices"][0]["delta"] = {"content": [thinking]}
    parts[1]["choices"][0]["delta"] = {"content": [{"type": "text", "text": "Yes"}]}
    stream = await told(events(*parts, STOP), model="mistral/any")

    assert (stream.reply.reasoning, stream.reply.text) == ("Hm.", "Yes")


def detail(text: str | None = None, **fields: object) -> dict[str, object]:
    said = {} if text is None else {"text": text}
    return {"type": "reasoning.text", "index": 0, **said, **fields}


async def test_reasoning_for_the_host_alone_is_put_together_and_told_once():
    stream = await told(
        events(
            delta(reasoning="H", reasoning_details=[detail("H", signature=None)]),
            delta(reasoning="m.", reasoning_details=[detail("m.")]),
            delta("", reasoning_details=[detail(signature="==", format=None)]),
            delta("", reasoning_details=[{"type": "reasoning.encrypted", "data": "a", "index": 1}]),
            delta("", reasoning_details=[{"type": "reasoning.encrypted", "data": "b", "index": 1}]),
            delta("Yes"),
            STOP,
        ),
        model="openrouter/any",
    )

    kept = Opaque(
        "openrouter",
        {
            "reasoning_details": [
                detail("Hm.", signature="=="),
                {"type": "reasoning.encrypted", "data": "a", "index": 1},
                {"type": "reasoning.encrypted", "data": "b", "index": 1},
            ]
        },
    )
    assert [chunk.opaque for chunk in stream.chunks if chunk.opaque] == [kept]
    assert stream.reply.message.content == (Reasoning("Hm."), kept, Text("Yes"))


async def test_reasoning_that_is_told_in_words_and_again_in_details_is_told_once():
    stream = await told(
        events(delta(reasoning="Hm."), delta("", reasoning_details=[detail("Hm.")]), delta("Yes"), STOP)
    )

    assert stream.reply.reasoning == "Hm."
    assert stream.chunks[1].opaque.data == {"reasoning_details": [detail("Hm.")]}


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([delta("Yes"), STOP], id="text"),
        pytest.param([delta("Yes", refusal=""), STOP], id="text among other things"),
        pytest.param([delta(refusal="No"), STOP], id="a refusal"),
        pytest.param([called({"index": 0, "id": "c", "function": {"name": "now"}}), STOP], id="a call"),
        pytest.param([STOP], id="the reason"),
        pytest.param([], id="the end"),
    ],
)
async def test_what_is_for_the_host_alone_is_told_before_what_follows_it(after):
    stream = await told(events(delta(reasoning="Hm.", reasoning_details=[detail("Hm.")]), *after))

    assert [bool(chunk.opaque) for chunk in stream.chunks[:2]] == [False, True]


async def test_pieces_of_different_kinds_or_places_are_kept_apart():
    summary = {"type": "reasoning.summary", "summary": "Su", "index": 0}
    details = [detail("a"), detail("b", index=1), summary, {**summary, "summary": "m"}]
    stream = await told(events(*(delta(reasoning_details=[each]) for each in details), delta("Yes"), STOP))

    opaque = next(chunk.opaque for chunk in stream.chunks if chunk.opaque)
    assert opaque.data["reasoning_details"] == [
        detail("a"),
        detail("b", index=1),
        {**summary, "summary": "Sum"},
    ]
    assert stream.reply.reasoning == "abSum"


async def test_a_refusal_is_a_token_and_no_text():
    stream = await told(events(delta(refusal="I will "), delta(refusal="not."), STOP))

    assert (stream.reply.refusal, stream.reply.text) == ("I will not.", "")
    assert stream.chunks[0].has_token


async def test_log_probabilities_come_with_their_text():
    event = delta("a")
    event["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}
    stream = await told(events(event, STOP))

    assert stream.chunks[0].logprobs == (TokenLogprob("a", -0.5, (97,)),)
    assert stream.reply.logprobs == (TokenLogprob("a", -0.5, (97,)),)


async def test_each_choice_is_told_by_its_index():
    second = delta("b", finish_reason="length")
    second["choices"][0]["index"] = 1
    more = {"choices": [{"index": 1, "delta": {"content": "B"}}]}
    stream = await told(events(delta("a"), more, second, STOP), n=2)

    assert [(each.text, each.finish_reason) for each in stream.reply.choices] == [
        ("a", "stop"),
        ("Bb", "length"),
    ]


async def test_one_choice_that_never_ended_is_a_stream_that_never_ended():
    second = delta("b")
    second["choices"][0]["index"] = 1
    body = events(delta("a"), second, STOP, done=False)

    assert isinstance((await told(body, n=2)).cause, ReadError)
