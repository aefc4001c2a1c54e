"""What the messages of a conversation become in OpenAI's chat completions."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    Audio,
    ChatResponse,
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
from tests.providers.wire import sent


async def messages_sent(*messages: object, model: str = "openai/gpt-5-mini") -> list[dict[str, object]]:
    return (await sent(list(messages), model=model))["messages"]


async def test_a_conversation_keeps_its_roles_and_its_order():
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "In French."},
        {"role": "user", "content": "Hi", "name": "ann"},
        {"role": "assistant", "content": "Salut"},
        {"role": "user", "content": ""},
    ]

    assert await messages_sent(*conversation) == conversation


@pytest.mark.parametrize(
    "model", ["openai/gpt-5-mini", "openrouter/any", "deepseek/any", "mistral/any", "vllm/any"]
)
async def test_an_answer_that_says_nothing_is_left_out_since_hosts_refuse_it(model):
    details = Opaque("openrouter", {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]})
    nothing = [Message("assistant", ""), Message("assistant", [Reasoning("Hm."), details])]

    sent = await messages_sent(
        {"role": "user", "content": "hi"}, *nothing, {"role": "user", "content": ""}, model=model
    )
    assert [each["role"] for each in sent] == ["user", "user"]


async def test_an_answer_in_a_form_of_the_host_s_own_says_something():
    spoken = {"audio": {"id": "audio_1"}}

    said = (
        await messages_sent(
            {"role": "user", "content": "hi"}, Message("assistant", [Opaque("openai", spoken)])
        )
    )[1]
    assert said == {"role": "assistant", "content": "", **spoken}


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ("", "{}"),
        (" ", "{}"),
        ('{ "a":1}', '{ "a":1}'),
        ('{"a": ', '{"INVALID_JSON": "{\\"a\\": "}'),
        ("[1]", '{"INVALID_JSON": "[1]"}'),
    ],
)
async def test_arguments_are_always_those_of_an_object_since_many_hosts_refuse_others_ever_after(
    raw, written
):
    said = await messages_sent(Message("assistant", [ToolCall("a", "now", raw_arguments=raw)]))

    assert said[0]["tool_calls"][0]["function"]["arguments"] == written


async def test_ids_of_calls_that_are_too_long_or_there_twice_are_others_and_their_results_follow_them():
    calls = [ToolCall(id, "now") for id in ("call_0", "x" * 40, "x" * 41, "call_0", "")]
    _, asked, *answered = await messages_sent(
        {"role": "user", "content": "hi"},
        Message("assistant", calls),
        *(each.result(at) for at, each in enumerate(calls)),
    )

    ids = [each["id"] for each in asked["tool_calls"]]
    assert [(each["tool_call_id"], each["content"]) for each in answered] == list(
        zip(ids, "01234", strict=True)
    )
    assert ids[:2] == ["call_0", "x" * 40]
    assert len(set(ids)) == 5
    assert all(0 < len(id) <= 40 for id in ids)


async def test_typed_messages_are_sent_as_dicts_would_be():
    typed = [
        Message("system", "Be brief."),
        Message("user", "Hi", name="ann"),
        Message("assistant", [Text("Ho")]),
    ]

    assert await messages_sent(*typed) == snapshot(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi", "name": "ann"},
            {"role": "assistant", "content": "Ho"},
        ]
    )


async def test_a_developer_is_a_system_where_the_host_knows_none():
    messages = await messages_sent({"role": "developer", "content": "In French."}, model="groq/llama-3.3-70b")

    assert messages == snapshot([{"role": "system", "content": "In French."}])


async def test_text_in_parts_is_one_text():
    parts = [{"type": "text", "text": "one "}, "two ", Text("three")]

    assert await messages_sent({"role": "user", "content": parts}) == snapshot(
        [{"role": "user", "content": "one two three"}]
    )


async def test_pictures_are_sent_by_address_and_by_data():
    content = [
        Text("Which one?"),
        Image("https://example.com/a.png", detail="low"),
        Image(data=b"\x89PNG", media_type="image/webp"),
        Image(data=b"\x89PNG"),
        {"type": "image_url", "image_url": "data:image/png;base64,iVBORw=="},
        {"type": "image_url", "image_url": {"url": "https://example.com/b.png", "detail": "high"}},
    ]

    assert await messages_sent(
        Message("user", content[:4]), {"role": "user", "content": content}
    ) == snapshot(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Which one?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/webp;base64,iVBORw=="}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Which one?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/webp;base64,iVBORw=="}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://example.com/b.png", "detail": "high"},
                    },
                ],
            },
        ]
    )


async def test_a_picture_of_which_no_type_is_given_is_what_it_begins_like():
    (said,) = await messages_sent(Message("user", [Image(data=b"\xff\xd8\xff\xe0")]))

    assert said["content"] == [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4A=="}}]


async def test_sound_is_sent_as_base64():
    said = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}

    assert await messages_sent(
        Message("user", [Audio(b"RIFF", "wav")]), {"role": "user", "content": [said]}
    ) == [
        {"role": "user", "content": [said]},
        {"role": "user", "content": [said]},
    ]


async def test_files_are_sent_by_data_and_by_id():
    content = [
        File(data=b"%PDF", name="a.pdf"),
        File(data=b"x,y", media_type="text/csv"),
        File(id="file-1"),
        {"type": "file", "file": {"file_data": "data:text/csv;base64,eCx5", "filename": "b.csv"}},
        {"type": "file", "file": {"file_data": "eCx5"}},
        {"type": "file", "file": {"file_id": "file-2"}},
    ]

    assert await messages_sent({"role": "user", "content": content}) == snapshot(
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
                    },
                    {
                        "type": "file",
                        "file": {"file_data": "data:text/csv;base64,eCx5", "filename": "document.csv"},
                    },
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "file", "file": {"file_data": "data:text/csv;base64,eCx5", "filename": "b.csv"}},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,eCx5", "filename": "document.pdf"},
                    },
                    {"type": "file", "file": {"file_id": "file-2"}},
                ],
            }
        ]
    )


async def test_a_round_of_tools_is_sent_call_by_call_and_result_by_result():
    paris = ToolCall("call_1", "weather", {"city": "Paris"})
    rome = ToolCall("call_2", "weather", raw_arguments='{"city":  "Rome"}')
    conversation = [
        Message("user", "Where is it warmer?"),
        Message("assistant", [Text("Let me see."), paris, rome]),
        paris.result({"degrees": 21}),
        rome.result("25 degrees"),
        Message("user", "And now?"),
    ]

    assert await messages_sent(*conversation) == snapshot(
        [
            {"role": "user", "content": "Where is it warmer?"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
                    },
                    {
                        "id": "call_2",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":  "Rome"}'},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees":21}'},
            {"role": "tool", "tool_call_id": "call_2", "content": "25 degrees"},
            {"role": "user", "content": "And now?"},
        ]
    )


async def test_results_of_one_message_are_sent_as_one_message_each():
    results = [ToolResult("call_1", "21"), ToolResult("call_2", (Text("2"), Text("5")), is_error=True)]

    assert await messages_sent({"role": "user", "content": "?"}, Message("tool", results)) == snapshot(
        [
            {"role": "user", "content": "?"},
            {"role": "tool", "tool_call_id": "call_1", "content": "21"},
            {"role": "tool", "tool_call_id": "call_2", "content": "25"},
        ]
    )


async def test_a_call_without_arguments_is_sent_with_an_empty_object():
    call = ToolCall("call_1", "now", raw_arguments="")

    assert await messages_sent({"role": "user", "content": "?"}, Message("assistant", [call])) == snapshot(
        [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
                ],
            },
        ]
    )


async def test_a_reply_is_sent_back_as_it_is():
    reply = ChatResponse(
        "Let me see.", tool_calls=[ToolCall("call_1", "now", {})], reasoning="What time is it?"
    )

    messages = await messages_sent(
        {"role": "user", "content": "?"}, reply.message, reply.tool_calls[0].result(12)
    )

    assert messages == snapshot(
        [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "12"},
        ]
    )


async def test_a_refusal_is_sent_back_as_what_was_said():
    refused = {
        "role": "assistant",
        "content": None,
        "refusal": "I will not.",
        "annotations": [],
        "audio": None,
    }

    assert (await messages_sent(refused, ChatResponse(refusal="No.").message)) == snapshot(
        [{"role": "assistant", "content": "I will not."}, {"role": "assistant", "content": "No."}]
    )


async def test_reasoning_goes_back_only_where_the_host_wants_it():
    thought = Message("assistant", [Reasoning("Hm. "), Reasoning("Yes."), Text("Yes")])

    assert await messages_sent(thought) == [{"role": "assistant", "content": "Yes"}]
    assert await messages_sent(thought, model="deepseek/deepseek-chat") == snapshot(
        [{"role": "assistant", "content": "Yes", "reasoning_content": "Hm. Yes."}]
    )


async def test_what_only_its_maker_understands_goes_back_to_its_maker_alone_and_whole():
    first = Opaque("openrouter", {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]})
    then = Opaque("openrouter", {"reasoning_details": [{"type": "reasoning.encrypted", "data": "=="}]})
    message = Message("assistant", [first, Text("Yes"), then])

    assert await messages_sent(message, model="openrouter/any") == snapshot(
        [
            {
                "role": "assistant",
                "content": "Yes",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm."},
                    {"type": "reasoning.encrypted", "data": "=="},
                ],
            }
        ]
    )
    assert await messages_sent(message) == [{"role": "assistant", "content": "Yes"}]


async def test_an_opaque_part_of_a_users_is_sent_as_the_part_it_is():
    part = Opaque("openrouter", {"type": "video_url", "video_url": {"url": "https://example.com/v.mp4"}})

    assert await messages_sent(Message("user", [Text("See:"), part]), model="openrouter/any") == snapshot(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See:"},
                    {"type": "video_url", "video_url": {"url": "https://example.com/v.mp4"}},
                ],
            }
        ]
    )


@pytest.mark.parametrize(
    "message",
    [
        Message("user", [File(url="https://example.com/a.pdf")]),
        Message("assistant", [Image("https://example.com/a.png")]),
        Message("assistant", [Audio(b"", "wav")]),
        Message("tool", [ToolResult("call_1", (Text("see"), Image("https://example.com/a.png")))]),
        Message("user", [Opaque("openai", "not an object")]),
    ],
)
async def test_what_the_format_has_no_place_for_is_never_dropped_in_silence(message):
    with pytest.raises(UnsupportedParameterError) as caught:
        await messages_sent(message)

    assert caught.value.parameter == "messages"


async def test_what_a_user_thought_is_sent_as_text():
    assert await messages_sent(Message("user", [Reasoning("Hm."), Text("Yes")])) == [
        {"role": "user", "content": [{"type": "text", "text": "Hm."}, {"type": "text", "text": "Yes"}]}
    ]


async def test_half_a_surrogate_pair_is_sent_as_a_question_mark():
    assert await messages_sent({"role": "user", "content": "a\ud83db"}) == [
        {"role": "user", "content": "a?b"}
    ]


async def test_special_tokens_are_plain_text():
    assert await messages_sent({"role": "user", "content": "<|endoftext|>"}) == [
        {"role": "user", "content": "<|endoftext|>"}
    ]
