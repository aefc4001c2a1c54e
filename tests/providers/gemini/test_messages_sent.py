"""What a conversation becomes in Gemini's generateContent."""

from __future__ import annotations

import base64

import pytest
from inline_snapshot import snapshot

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
from polyroute.providers.gemini_messages import conversation
from tests.providers.gemini.wire import candidate, reply, sent, sent_back

LATEST = "gemini/gemini-3-flash"
PNG = b"\x89PNG\r\n"
INLINE = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
UNCHECKED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


def user(content="hi"):
    return {"role": "user", "content": content}


async def turns(*messages, **arguments):
    return (await sent(list(messages), **arguments))["contents"]


async def parts(content, **arguments):
    return (await turns(Message("user", content), **arguments))[0]["parts"]


async def test_what_the_system_says_first_stands_apart_and_later_in_its_place():
    body = await sent(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            user("hi"),
            {"role": "assistant", "content": "Hello."},
            {"role": "system", "content": "Now in verse."},
            user("go on"),
        ]
    )

    assert body == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"text": "Hello."}]},
                {"role": "user", "parts": [{"text": "Now in verse."}, {"text": "go on"}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        }
    )


async def test_turns_of_one_role_are_one_turn_and_empty_ones_are_none():
    said = await turns(
        user("a"),
        {"role": "assistant", "content": ""},
        user("b"),
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "d"}]},
        user("e"),
    )

    assert said == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "parts": [{"text": "e"}]},
    ]


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Image(data=PNG), INLINE),
        (Image(data=b"\xff\xd8\xff"), {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}}),
        (
            Image(data=b"x", media_type="image/heic"),
            {"inlineData": {"mimeType": "image/heic", "data": "eA=="}},
        ),
        (Image("data:image/gif;base64,eA=="), {"inlineData": {"mimeType": "image/gif", "data": "eA=="}}),
        (
            Image("DATA:image/svg+xml,%3Csvg"),
            {"inlineData": {"mimeType": "image/svg+xml", "data": "PHN2Zw=="}},
        ),
        (
            Image("https://host.example/a,b.PNG?v=1.2"),
            {"fileData": {"fileUri": "https://host.example/a,b.PNG?v=1.2", "mimeType": "image/png"}},
        ),
        (Image("https://host.example/a"), {"fileData": {"fileUri": "https://host.example/a"}}),
        (
            Image("gs://bucket/a", media_type="image/png"),
            {"fileData": {"fileUri": "gs://bucket/a", "mimeType": "image/png"}},
        ),
        (Image(data=PNG, detail="high"), INLINE),
        (Audio(b"x", "wav"), {"inlineData": {"mimeType": "audio/wav", "data": "eA=="}}),
        (File(data=b"x", name="a.pdf"), {"inlineData": {"mimeType": "application/pdf", "data": "eA=="}}),
        (File(data=b"", media_type="text/csv"), {"inlineData": {"mimeType": "text/csv", "data": ""}}),
        (
            File(url="https://host.example/a.pdf"),
            {"fileData": {"fileUri": "https://host.example/a.pdf", "mimeType": "application/pdf"}},
        ),
        (
            File(id="https://g.example/v1beta/files/abc", media_type="video/mp4"),
            {"fileData": {"fileUri": "https://g.example/v1beta/files/abc", "mimeType": "video/mp4"}},
        ),
        (Opaque("gemini", {"videoMetadata": {"fps": 1}}), {"videoMetadata": {"fps": 1}}),
    ],
)
async def test_what_is_shown_goes_inline_or_by_its_address(part, written):
    assert await parts((Text("Look:"), part)) == [{"text": "Look:"}, written]


async def test_a_call_and_its_result_bear_the_same_name_and_id():
    call = ToolCall("call_1", "weather", {"city": "Rome"})
    said = await turns(
        user(),
        Message("assistant", (Text("Let me see."), call)),
        {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "blue"}'},
    )

    assert said[1:] == snapshot(
        [
            {
                "role": "model",
                "parts": [
                    {"text": "Let me see."},
                    {"functionCall": {"name": "weather", "args": {"city": "Rome"}, "id": "call_1"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "weather",
                            "response": {"sky": "blue"},
                            "id": "call_1",
                        }
                    }
                ],
            },
        ]
    )


async def test_the_name_that_was_called_beats_the_one_that_a_result_gives():
    said = await turns(
        user(),
        Message("assistant", (ToolCall("a", "weather", {}),)),
        Message("tool", (ToolResult("a", "1", name="other"), ToolResult("b", "2", name="lost"))),
    )

    assert [part["functionResponse"]["name"] for part in said[2]["parts"]] == ["weather", "lost"]


async def test_results_stand_in_one_turn_of_their_own_beside_what_the_user_says():
    calls = (ToolCall("a", "now", {}), ToolCall("b", "now", {}))
    said = await turns(
        user(), Message("assistant", calls), calls[0].result("1"), calls[1].result("2"), user("And?")
    )

    assert [(turn["role"], [*map(list, turn["parts"])]) for turn in said[2:]] == [
        ("user", [["functionResponse"], ["functionResponse"]]),
        ("user", [["text"]]),
    ]


@pytest.mark.parametrize(
    ("result", "response"),
    [
        (ToolResult("a", "sunny"), {"result": "sunny"}),
        (ToolResult("a", ""), {"result": ""}),
        (ToolResult("a", "[1]"), {"result": "[1]"}),
        (ToolResult("a", ' {"x": {"y": 1}}'), {"x": {"y": 1}}),
        (ToolResult("a", "{not json"), {"result": "{not json"}),
        (ToolResult("a", (Text("sun"), Text("ny"))), {"result": "sunny"}),
        (ToolResult("a", "no such city", is_error=True), {"error": "no such city"}),
        (ToolResult("a", '{"code": 7}', is_error=True), {"error": {"code": 7}}),
    ],
)
async def test_a_result_is_an_object_or_goes_into_one(result, response):
    said = await turns(user(), Message("assistant", (ToolCall("a", "now", {}),)), Message("tool", (result,)))

    assert said[2]["parts"][0]["functionResponse"]["response"] == response


async def test_pictures_of_a_tool_stand_in_its_result_and_after_it_before_gemini_3():
    calls = (ToolCall("a", "see", {}), ToolCall("b", "see", {}))
    results = Message(
        "tool", (ToolResult("a", (Text("one"), Image(data=PNG))), ToolResult("b", (Image("gs://b/x"),)))
    )
    conversation = user(), Message("assistant", calls), results
    held = [[INLINE], [{"fileData": {"fileUri": "gs://b/x"}}]]

    latest = await turns(*conversation, model=LATEST)
    assert [part["functionResponse"]["parts"] for part in latest[2]["parts"]] == held
    assert len(latest) == 3

    older = await turns(*conversation)
    assert all("parts" not in part["functionResponse"] for part in older[2]["parts"])
    assert older[3] == {"role": "user", "parts": [*held[0], *held[1]]}


async def test_calls_without_ids_are_given_some_and_each_result_has_that_and_the_name_of_its_call():
    calls = (ToolCall("", "now", {}), ToolCall("", "later", {}))
    said = await turns(user(), Message("assistant", calls), *(each.result("1") for each in calls))

    asked = [part["functionCall"] for part in said[1]["parts"]]
    answered = [part["functionResponse"] for part in said[2]["parts"]]
    assert [(each["id"], each["name"]) for each in answered] == [(each["id"], each["name"]) for each in asked]
    assert len({each["id"] for each in asked} - {""}) == 2


async def test_arguments_that_are_no_object_are_told_as_what_they_are():
    said = await turns(user(), Message("assistant", (ToolCall("a", "now", raw_arguments='{"x": '),)))

    assert said[1]["parts"][0]["functionCall"]["args"] == {"INVALID_JSON": '{"x": '}


# --- signatures ---------------------------------------------------------------------------------

SIGNED = [
    [{"text": "Hm.", "thought": True}, {"text": "Yes."}, {"text": " No.", "thoughtSignature": "s1"}],
    [{"text": "Yes.", "thoughtSignature": "s1"}, {"text": " No."}],
    [{"text": "Yes."}, {"text": "", "thoughtSignature": "s1"}],
    [{"text": "A"}, {"text": "B", "thoughtSignature": "s1"}, {"text": "C", "thoughtSignature": "s2"}],
    [{"text": "Hm.", "thought": True, "thoughtSignature": "s1"}, {"text": "Yes."}],
    [{"text": "", "thought": True, "thoughtSignature": "s1"}, {"text": "Yes."}],
    [
        {"functionCall": {"name": "now", "args": {}, "id": "a"}, "thoughtSignature": "s1"},
        {"functionCall": {"name": "now", "args": {"x": 1}, "id": "b"}},
    ],
    [
        {"functionCall": {"name": "now", "args": {}, "id": "a"}, "thoughtSignature": "s1"},
        {"text": "It is late."},
        {"functionCall": {"name": "now", "args": {}, "id": "b"}, "thoughtSignature": "s2"},
    ],
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "s1"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"text": "One."},
        {"inlineData": {"mimeType": "image/png", "data": "eA=="}, "thought": True},
    ],
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", SIGNED)
async def test_a_signature_goes_back_on_exactly_the_part_that_it_came_on(said, stream):
    # What was thought goes back with a signature or not at all.
    expected = [
        part for part in said if "thoughtSignature" in part or "text" not in part or not part.get("thought")
    ]

    assert await sent_back(reply(candidate(*said)), model=LATEST, stream=stream) == expected


async def test_words_that_are_none_are_left_out_of_an_answer():
    said = await turns(user(), Message("assistant", (Text(""), Reasoning(""), Text("Yes."))))

    assert said[1]["parts"] == [{"text": "Yes."}]


async def test_thoughts_without_a_signature_do_not_go_back():
    said = await turns(user(), Message("assistant", (Reasoning("Hm."), Text("Yes."))))

    assert said[1]["parts"] == [{"text": "Yes."}]


async def test_a_signature_whose_words_were_changed_is_left_out():
    signature = {"text": 4, "thoughtSignature": "s1"}
    for words in [(), (Text("No."),), (Reasoning("Hmmm."),), (ToolCall("a", "now", {}),)]:
        message = Message("assistant", (*words, Opaque("gemini", signature), Text("So be it.")))
        said = await turns(user(), message, user())
        assert "thoughtSignature" not in str(said)


async def test_of_two_signatures_on_the_same_words_the_first_stands():
    first, second = (Opaque("gemini", {"text": 4, "thoughtSignature": each}) for each in ("s1", "s2"))
    said = await turns(user(), Message("assistant", (Text("Yes."), first, second)))

    assert said[1]["parts"] == [{"text": "Yes.", "thoughtSignature": "s1"}]


async def test_a_signature_whose_call_is_gone_is_left_out():
    signature = Opaque("gemini", {"functionCall": "gone", "thoughtSignature": "s1"})
    said = await turns(user(), Message("assistant", (signature, Text("Yes."))))

    assert said[1]["parts"] == [{"text": "Yes."}]


async def test_calls_of_another_maker_s_model_bear_a_mark_that_gemini_3_accepts_in_place_of_a_signature():
    calls = (ToolCall("a", "now", {}), ToolCall("b", "now", {}))
    conversation = (
        user(), Message("assistant", (Opaque("anthropic", {"signature": "x"}), *calls)), calls[0].result("1")
    )  # fmt: skip

    latest = (await turns(*conversation, model=LATEST))[1]["parts"]
    assert [part.get("thoughtSignature") for part in latest] == [UNCHECKED, None]
    older = (await turns(*conversation))[1]["parts"]
    assert [part.get("thoughtSignature") for part in older] == [None, None]

    alike = Message("assistant", (ToolCall("", "now", {}), ToolCall("", "now", {})))
    latest = (await turns(user(), alike, model=LATEST))[1]["parts"]
    assert [part.get("thoughtSignature") for part in latest] == [UNCHECKED, None]


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "hi", name="ann")],
        [Message("system", (Image("https://host.example/x"),)), Message("user", "hi")],
        [Message("user", "hi"), Message("tool", (ToolResult("lost", "1"),))],
        [Message("tool", (ToolResult("a", "1"),)), Message("assistant", (ToolCall("a", "now", {}),))],
        [Message("user", (Opaque("gemini", "x"),))],
        [Message("system", "Be brief.")],
        [Message("user", ""), Message("assistant", "")],
    ],
)
async def test_what_the_format_has_no_place_for_is_refused(messages):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(messages)

    assert caught.value.parameter == "messages"


def test_a_result_outside_of_a_tool_s_message_is_a_mistake_of_whoever_built_it():
    message = Message("user", (ToolResult("a", "1", name="now"),))

    with pytest.raises(TypeError, match="stands in no message but a tool's"):
        conversation([message], latest=True)


async def test_the_name_of_a_tool_s_message_is_no_speaker_s():
    calls = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "now", "arguments": ""}}]}
    for answer in (
        {"role": "tool", "tool_call_id": "a", "name": "now", "content": "1"},
        Message("tool", (ToolResult("a", "1"),), name="now"),
    ):
        said = await turns(user(), calls, answer)
        assert said[1]["parts"][0]["functionCall"]["args"] == {}
        assert said[2]["parts"][0]["functionResponse"]["response"] == {"result": "1"}
