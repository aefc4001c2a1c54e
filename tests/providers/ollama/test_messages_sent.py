"""What a conversation becomes in Ollama's own chat."""

from __future__ import annotations

import pytest

from polyroute import (
    Audio,
    Deployment,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Router,
    Text,
    ToolCall,
    ToolResult,
    UnsupportedParameterError,
)
from tests.providers.ollama.wire import OLLAMA, call, line, lines, read, reply, sent, told
from tests.providers.wire import Response, Scripted

USER = Message("user", "hi")


async def turns(*messages):
    return (await sent(list(messages)))["messages"]


async def test_who_speaks_stays_who_speaks_and_a_developer_is_the_system():
    said = await turns(
        Message("system", "a"), Message("developer", "b"), USER, Message("assistant", "c"), USER
    )

    assert [(turn["role"], turn["content"]) for turn in said] == [
        ("system", "a"), ("system", "b"), ("user", "hi"), ("assistant", "c"), ("user", "hi")
    ]  # fmt: skip


async def test_pictures_stand_beside_the_words_in_bare_base64():
    said = await turns(
        Message("user", [Text("Look "), Image(data=b"x"), Text("here."), Image("data:image/png;base64,eQ==")])
    )

    assert said == [{"role": "user", "content": "Look here.", "images": ["eA==", "eQ=="]}]


async def test_arguments_are_objects_and_results_bear_the_name_and_the_id():
    said = await turns(
        USER,
        Message(
            "assistant",
            [Text("Let me see."), ToolCall("call_1", "weather", {"city": "Rome"}), ToolCall("call_2", "now")],
        ),
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
        Message(
            "tool",
            [
                ToolResult("call_2", (Text("12"), Text("h")), name="clock"),
                ToolResult("call_9", "?", name="other"),
            ],
        ),
    )

    assert said[1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
                {"id": "call_2", "function": {"name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "tool_name": "weather", "tool_call_id": "call_1", "content": "Sunny."},
        {"role": "tool", "tool_name": "now", "tool_call_id": "call_2", "content": "12h"},
        {"role": "tool", "tool_name": "other", "tool_call_id": "call_9", "content": "?"},
    ]


async def test_calls_without_ids_are_told_apart_by_made_up_ones_and_so_are_their_results():
    calls = [ToolCall("", "now"), ToolCall("", "later")]
    said = await turns(USER, Message("assistant", calls), *(each.result("1") for each in calls))

    ids = [each["id"] for each in said[1]["tool_calls"]]
    assert [(each["tool_call_id"], each["tool_name"]) for each in said[2:]] == list(
        zip(ids, ["now", "later"], strict=True)
    )
    assert len(set(ids) - {""}) == 2


async def test_an_answer_that_says_nothing_is_left_out():
    said = await turns(
        USER, Message("assistant", ""), USER, Message("assistant", [Reasoning("Hm.")]), Message("user", "")
    )

    assert [each["role"] for each in said] == ["user"] * 3


async def test_a_result_of_a_call_that_nobody_made_has_no_name():
    said = await turns(USER, {"role": "tool", "tool_call_id": "call_9", "content": "?"})

    assert said[1] == {"role": "tool", "tool_call_id": "call_9", "content": "?"}


async def test_arguments_that_are_no_object_are_told_as_what_they_are():
    said = await turns(USER, Message("assistant", [ToolCall("call_1", "now", raw_arguments='{"a": ')]), USER)

    assert said[1]["tool_calls"][0]["function"]["arguments"] == {"INVALID_JSON": '{"a": '}


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_a_reply_goes_back_with_its_thoughts_and_its_calls(in_pieces):
    calls = [call("now", {"a": 1}), call("now", {"a": 2}, id="call_x")]
    whole = reply("Let me see.", thinking="Hm.", tool_calls=calls)
    if in_pieces:
        head = [line(thinking="Hm."), line("Let me see."), *(line(tool_calls=[each]) for each in calls)]
        said = (await told(lines(*head, reply()))).reply
    else:
        said = await read(whole)
    back = await turns(USER, said.message, *(each.result("12") for each in said.tool_calls))

    assert back[1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "thinking": "Hm.",
            "tool_calls": [call("now", {"a": 1}, id="call_1_0"), call("now", {"a": 2}, id="call_x")],
        },
        {"role": "tool", "tool_name": "now", "tool_call_id": "call_1_0", "content": "12"},
        {"role": "tool", "tool_name": "now", "tool_call_id": "call_x", "content": "12"},
    ]


async def test_an_id_that_was_made_is_one_that_the_conversation_has_no_other_of():
    router = Router([Deployment(OLLAMA)], transport=Scripted(Response(reply(tool_calls=[call("now")]))))
    first = await router.chat([USER])
    second = await router.chat([USER, first.message, first.tool_calls[0].result("12")])

    assert first.tool_calls[0].id != second.tool_calls[0].id


async def test_what_the_host_alone_has_words_for_may_stand_beside_them():
    said = await turns(Message("user", [Text("hi"), Opaque("ollama", {"images": ["eA=="]})]))

    assert said == [{"role": "user", "content": "hi", "images": ["eA=="]}]


CALL = Message("assistant", [Reasoning("Hm."), ToolCall("call_1", "now")])


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "hi", name="ann")],
        [Message("user", [Image("https://host.example/a.png")])],
        [Message("system", [Image(data=b"x")]), USER],
        [USER, Message("assistant", [Image(data=b"x")]), USER],
        [Message("user", [Audio(b"x", "wav")])],
        [Message("user", [File(data=b"x")])],
        [USER, CALL, Message("tool", [ToolResult("call_1", (Image(data=b"x"),))])],
        [Message("user", [Opaque("ollama", "x")])],
    ],
)
async def test_what_has_no_place_is_refused(messages):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(messages)

    assert caught.value.parameter == "messages"
