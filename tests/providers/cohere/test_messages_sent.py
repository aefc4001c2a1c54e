"""What a conversation becomes in Cohere's chat."""

from __future__ import annotations

import pytest

from polyroute import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    UnsupportedParameterError,
)
from tests.providers.cohere.wire import call, event, read, reply, sent, streamed, text, thinking, told

PNG = b"\x89PNG\r\n"
USER = Message("user", "hi")


async def turns(*messages):
    return (await sent(list(messages)))["messages"]


async def test_who_speaks_stays_who_speaks_and_a_developer_is_the_system():
    said = await turns(
        Message("system", "a"),
        Message("developer", "b"),
        USER,
        Message("assistant", "c"),
        Message("system", "d"),
        USER,
    )

    assert [(turn["role"], turn["content"]) for turn in said] == [
        ("system", "a"),
        ("system", "b"),
        ("user", "hi"),
        ("assistant", [text("c")]),
        ("system", "d"),
        ("user", "hi"),
    ]


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Image("https://host.example/a.png"), {"url": "https://host.example/a.png"}),
        (
            Image("https://host.example/a.png", detail="low"),
            {"url": "https://host.example/a.png", "detail": "low"},
        ),
        (Image("data:image/gif;base64,eA=="), {"url": "data:image/gif;base64,eA=="}),
        (Image(data=b"x", media_type="image/heic"), {"url": "data:image/heic;base64,eA=="}),
        (Image(data=b"\xff\xd8\xff"), {"url": "data:image/jpeg;base64,/9j/"}),
    ],
)
async def test_a_picture_stands_among_the_words(part, written):
    said = await turns(Message("user", [Text("Look:"), part]))

    assert said[0]["content"] == [text("Look:"), {"type": "image_url", "image_url": written}]


async def test_a_call_stands_beside_the_words_and_its_result_by_its_id():
    asked = ToolCall("weather_1", "weather", raw_arguments='{"city": "Rome"}')
    said = await turns(
        USER,
        Message("assistant", [Text("Let me see."), asked, ToolCall("now_1", "now")]),
        Message("tool", [ToolResult("weather_1", "Sunny."), ToolResult("now_1", (Text("12"), Text("h")))]),
    )

    assert said[1:] == [
        {
            "role": "assistant",
            "content": [text("Let me see.")],
            "tool_calls": [call("weather_1", "weather", '{"city": "Rome"}'), call("now_1", "now")],
        },
        {"role": "tool", "tool_call_id": "weather_1", "content": "Sunny."},
        {"role": "tool", "tool_call_id": "now_1", "content": "12h"},
    ]


async def test_an_assistant_who_said_nothing_is_no_turn():
    said = await turns(
        USER, Message("assistant", ""), Message("assistant", [Text(""), Reasoning("Hm.")]), USER
    )

    assert [turn["role"] for turn in said] == ["user", "user"]


PARTS = [thinking("Hm."), text("Let me see."), call("now_1", "now", '{"a": 1}')]
START = {"type": "message-start", "id": "r-1", "delta": {}}


EVENTS = [
    START,
    event("content-start", 0, content=thinking("")),
    event("content-delta", 0, content={"thinking": "Hm."}),
    {"type": "content-end", "index": 0},
    event("content-start", 1, content=text("")),
    event("content-delta", 1, content={"text": "Let me see."}),
    {"type": "content-end", "index": 1},
    event("tool-plan-delta", 0, tool_plan="I will "),
    event("tool-plan-delta", 0, tool_plan="look."),
    event("tool-call-start", 0, tool_calls=call("now_1", "now", "")),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"a": 1}'}}),
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
]


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_a_reply_goes_back_as_it_came_with_its_thoughts_and_its_plan(in_pieces):
    if in_pieces:
        said = (await told(streamed(*EVENTS))).reply
    else:
        said = await read(reply(*PARTS, plan="I will look.", reason="TOOL_CALL"))
    back = await turns(USER, said.message, said.tool_calls[0].result("12"))

    assert back[1] == {
        "role": "assistant",
        "content": [thinking("Hm."), text("Let me see.")],
        "tool_plan": "I will look.",
        "tool_calls": [call("now_1", "now", '{"a": 1}')],
    }


async def test_another_maker_s_thoughts_are_left_out():
    said = await turns(
        USER, Message("assistant", [Reasoning("Hm."), Opaque("other", {"a": 1}), Text("Yes.")]), USER
    )

    assert said[1] == {"role": "assistant", "content": [text("Yes.")]}


async def test_what_the_host_alone_has_words_for_may_stand_among_them():
    document = {"type": "document", "document": {"data": "x"}}
    said = await turns(Message("user", [Text("hi"), Opaque("cohere", document)]))

    assert said[0]["content"] == [text("hi"), document]


CALL = Message("assistant", [ToolCall("now_1", "now")])


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "hi", name="ann")],
        [Message("user", [Audio(b"x", "wav")])],
        [Message("user", [File(data=b"x")])],
        [Message("system", [Image(data=PNG)]), USER],
        [USER, Message("assistant", [Image(data=PNG)]), USER],
        [USER, CALL, Message("tool", [ToolResult("now_1", (Image(data=PNG),))])],
        [Message("user", [Opaque("cohere", "x")])],
    ],
)
async def test_what_has_no_place_is_refused(messages):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(messages)

    assert caught.value.parameter == "messages"


async def test_the_name_of_a_tool_is_no_speaker_s():
    said = await turns(USER, CALL, Message("tool", [ToolResult("now_1", "12", name="now")], name="now"))

    assert said[2] == {"role": "tool", "tool_call_id": "now_1", "content": "12"}
