"""What distinguishes Mistral from others that speak OpenAI's chat completions."""

from __future__ import annotations

import re

import pytest

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    File,
    Image,
    Message,
    OverloadedError,
    RateLimitError,
    Text,
    ToolCall,
    ToolResult,
    UnsupportedParameterError,
    Usage,
)
from tests.providers.wire import choice, completion, delta, read, refused, sent, told
from tests.wire_server import events

MISTRAL = "mistral/mistral-large-latest"
USER = Message("user", "hi")


def round_of(*ids):
    calls = Message("assistant", [ToolCall(id, "now") for id in ids])
    return [USER, calls, Message("tool", [ToolResult(id, "12") for id in ids])]


async def ids_of(*ids):
    """The ids of the calls and of their results, as they are sent."""
    _, calls, *results = (await sent(round_of(*ids), model=MISTRAL))["messages"]
    return [call["id"] for call in calls["tool_calls"]], [result["tool_call_id"] for result in results]


async def test_an_id_of_its_own_stays_as_it_is():
    assert await ids_of("g6fVbXS8K", "000000000") == (["g6fVbXS8K", "000000000"],) * 2


@pytest.mark.parametrize(
    "id", ["call_0123456789abcdef", "toolu_01", "abcdefgh", "abcdefghij", "abcd_fghi", "é" * 9, ""]
)
async def test_another_maker_s_id_becomes_nine_letters_and_digits_and_its_result_bears_the_same(id):
    (call,), (result,) = await ids_of(id)

    assert re.fullmatch(r"[A-Za-z0-9]{9}", call)
    assert result == call


async def test_what_the_caller_handed_in_is_not_changed():
    messages = round_of("call_1")
    await sent(messages, model=MISTRAL)

    assert messages == round_of("call_1")


async def test_others_are_sent_the_id_as_it_is():
    _, calls, result = (await sent(round_of("call_1"), model="groq/any"))["messages"]

    assert calls["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"


async def test_a_turn_of_the_assistant_s_that_stands_last_is_the_beginning_of_the_answer():
    history = [USER, Message("assistant", "Hello."), USER, Message("assistant", "Once upon")]

    said = (await sent(history, model=MISTRAL))["messages"]
    assert [turn.get("prefix") for turn in said] == [None, None, None, True]
    others = (await sent(history, model="groq/any"))["messages"]
    assert all("prefix" not in turn for turn in others)


@pytest.mark.parametrize("after", [USER, Message("system", "Be brief.")])
async def test_who_speaks_after_a_tool_speaks_after_a_blank_of_the_assistant_s_since_it_refuses_it_otherwise(
    after,
):
    history = [*round_of("g6fVbXS8K"), after, USER, Message("assistant", "Hello."), *round_of("call_1")[1:]]

    said = (await sent(history, model=MISTRAL))["messages"]
    blank = {"role": "assistant", "content": " "}
    assert said[2:5] == [{"role": "tool", "tool_call_id": "g6fVbXS8K", "content": "12"}, blank, said[4]]
    assert [each["role"] for each in said[4:]] == [after.role, "user", "assistant", "assistant", "tool"]
    assert blank not in (await sent(history, model="groq/any"))["messages"]


@pytest.mark.parametrize(
    "message",
    [
        Message("user", "hi", name="ann"),
        Message("user", [File(data=b"x")]),
    ],
)
async def test_what_it_has_no_field_for_is_refused_since_it_refuses_fields_that_it_does_not_know(message):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent([message], model=MISTRAL)

    assert caught.value.parameter == "messages"


async def test_the_name_of_a_tool_is_no_speaker_s():
    result = Message("tool", [ToolResult("g6fVbXS8K", "12")], name="now")
    said = (await sent([*round_of("g6fVbXS8K")[:2], result], model=MISTRAL))["messages"]

    assert said[2] == {"role": "tool", "tool_call_id": "g6fVbXS8K", "content": "12"}


async def test_pictures_are_sent_as_to_others():
    said = (await sent([Message("user", [Text("hi"), Image("https://a.example/a.png")])], model=MISTRAL))[
        "messages"
    ]

    assert said[0]["content"][1] == {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


async def test_thoughts_stand_in_the_content():
    content = [THOUGHT, {"type": "text", "text": "144."}]
    whole = await read(completion(choice({"content": content})), model=MISTRAL)
    stream = await told(
        events(
            delta(content=None),
            *({"choices": [{"delta": {"content": [part]}}]} for part in content),
            delta(finish_reason="stop"),
        ),
        model=MISTRAL,
    )

    for reply in (whole, stream.reply):
        assert (reply.reasoning, reply.text) == ("Hm.", "144.")


async def test_a_streamed_call_comes_whole_without_index_or_type_and_with_the_reason():
    calls = [{"id": id, "function": {"name": "now", "arguments": "{}"}} for id in ("g6fVbXS8K", "VzeppoSaq")]
    stream = await told(
        events(delta(""), delta("", tool_calls=calls, finish_reason="tool_calls")), model=MISTRAL
    )

    assert [call.id for call in stream.reply.tool_calls] == ["g6fVbXS8K", "VzeppoSaq"]
    assert stream.reply.finish_reason == "tool_calls"


async def test_a_reply_that_was_cut_by_the_model_s_window_is_cut():
    assert (
        await read(completion(choice({"content": "a"}, "model_length")), model=MISTRAL)
    ).finish_reason == "length"


@pytest.mark.parametrize("usage", [{"num_cached_tokens": 4}, {"prompt_tokens_details": {"cached_tokens": 4}}])
async def test_what_was_cached_is_told_under_one_name_or_another(usage):
    counts = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, **usage}

    assert (await read(completion(choice({"content": "a"}), usage=counts), model=MISTRAL)).usage == Usage(
        9, 3, 4
    )


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"detail": "Invalid API Key"}, AuthenticationError, "Invalid API Key"),
        (
            422,
            {
                "detail": [
                    {
                        "loc": ["body", "user"],
                        "msg": "Extra inputs are not permitted",
                        "type": "extra_forbidden",
                    }
                ]
            },
            BadRequestError,
            "body.user: Extra inputs are not permitted",
        ),
        (
            400,
            {
                "object": "error",
                "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
                "type": "invalid_request_error",
                "code": "3051",
            },
            ContextWindowExceededError,
            "too large for model",
        ),
        (429, {"message": "Requests rate limit exceeded", "request_id": "r"}, RateLimitError, "rate limit"),
        (
            429,
            {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"},
            OverloadedError,
            "capacity",
        ),
        (
            429,
            {"object": "error", "message": "Busy", "type": "service_tier_capacity_exceeded"},
            OverloadedError,
            "Busy",
        ),
    ],
)
async def test_errors_come_in_four_shapes(status, body, kind, words):
    """Synthetic: no refusal of Mistral's was recorded."""
    error = await refused(body, status, model=MISTRAL)

    assert type(error) is kind
    assert words in str(error)


async def test_the_reset_of_its_older_limits_is_a_wait():
    headers = {"ratelimitbysize-limit": "9", "ratelimitbysize-remaining": "0", "ratelimitbysize-reset": "41"}
    error = await refused({"message": "Requests rate limit exceeded"}, 429, headers, model=MISTRAL)

    assert error.retry_after == 41
