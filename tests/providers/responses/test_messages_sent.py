"""What messages and their parts become as items of OpenAI's Responses."""

from __future__ import annotations

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
from tests.conformance.openai_responses import message, reply
from tests.providers.responses.wire import SILENT, asked, called, kept, read

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA=="}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
GO_ON = Message("user", "Go on.")


async def items(*messages, **how):
    return (await asked([*messages, GO_ON], **how))["input"][:-1]


async def test_every_role_is_told_as_it_is_and_where_it_stands():
    said = [("system", "Be brief."), ("user", "hi"), ("developer", "In JSON."), ("assistant", "Hello.")]
    messages = [{"role": role, "content": text} for role, text in said]

    assert await items(*messages) == messages


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Text("hi"), {"type": "input_text", "text": "hi"}),
        (Image("https://a.example/a.png"), {"type": "input_image", "image_url": "https://a.example/a.png"}),
        (
            Image("data:image/png;base64,AA==", detail="low"),
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        ),
        (Image(data=b"GIF8"), {"type": "input_image", "image_url": "data:image/gif;base64,R0lGOA=="}),
        (
            File(data=b"%PDF"),
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        ),
        (
            File(data=b"a,b", media_type="text/csv", name="a.csv"),
            {"type": "input_file", "filename": "a.csv", "file_data": "data:text/csv;base64,YSxi"},
        ),
        (File(url="https://a.example/a.pdf"), {"type": "input_file", "file_url": "https://a.example/a.pdf"}),
        (File(id="file-1"), {"type": "input_file", "file_id": "file-1"}),
        (File(id="file-1", media_type="image/png"), {"type": "input_image", "file_id": "file-1"}),
        (File(url="https://a.example/a", media_type="image/png"), {"type": "input_image", "image_url": "https://a.example/a"}),
        (File(data=b"GIF8", media_type="image/gif"), {"type": "input_image", "image_url": "data:image/gif;base64,R0lGOA=="}),
        (Reasoning("Hm."), {"type": "input_text", "text": "Hm."}),
        (kept(type="input_image", file_id="f"), {"type": "input_image", "file_id": "f"}),
    ],
)  # fmt: skip
async def test_each_part_of_a_users_message_is_the_formats_own(part, written):
    assert await items(Message("user", [part])) == [{"role": "user", "content": [written]}]


async def test_what_is_no_part_of_a_message_stands_by_itself_in_its_place():
    output = {"type": "shell_call_output", "call_id": "call_1", "output": []}

    assert await items(Message("user", [Text("One."), Text("Two."), kept(**output), Text("Three.")])) == [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "One."}, {"type": "input_text", "text": "Two."}],
        },
        output,
        {"role": "user", "content": [{"type": "input_text", "text": "Three."}]},
    ]


async def test_a_call_and_its_result_are_bound_by_the_id_of_the_call():
    call = ToolCall("call_1", "now", {"zone": "é"})

    assert await items(Message("assistant", [Text("Wait."), call]), call.result("12")) == snapshot(
        [
            {"role": "assistant", "content": "Wait."},
            {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": '{"zone": "é"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "12"},
        ]
    )


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ("", "{}"),
        (" ", "{}"),
        ('{ "zone":1}', '{ "zone":1}'),
        ('{"zone": ', '{"INVALID_JSON": "{\\"zone\\": "}'),
        ("[1]", '{"INVALID_JSON": "[1]"}'),
    ],
)
async def test_arguments_are_always_those_of_an_object(raw, written):
    call = Message("assistant", [ToolCall("a", "now", raw_arguments=raw)])

    assert [item["arguments"] for item in await items(call)] == [written]


@pytest.mark.parametrize(
    ("id", "fits"), [("functions.now:0", True), ("x" * 64, True), ("x" * 65, False), ("", False)]
)
async def test_an_id_that_the_host_would_refuse_is_another_and_its_result_follows_it(id, fits):
    call = ToolCall(id, "now")
    asked, answered = await items(Message("assistant", [call]), call.result("12"))

    assert asked["call_id"] == answered["call_id"]
    assert 0 < len(asked["call_id"]) <= 64
    assert (asked["call_id"] == id) is fits


async def test_a_result_may_show_pictures():
    result = ToolResult("call_1", (Text("See:"), Image("https://a.example/a.png")))
    call = Message("assistant", [ToolCall("call_1", "now")])

    assert (await items(call, Message("tool", [result])))[1]["output"] == [
        {"type": "input_text", "text": "See:"},
        {"type": "input_image", "image_url": "https://a.example/a.png"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message("user", "hi", name="ann"),
        Message("user", [Audio(b"", "wav")]),
        Message("assistant", [Image("https://a.example/a.png")]),
        Message("assistant", [File(id="f")]),
        Message("assistant", [Opaque("openai-responses", "no object")]),
    ],
)
async def test_what_has_no_place_is_refused_and_not_dropped(message):
    with pytest.raises(UnsupportedParameterError, match="cannot honour messages"):
        await asked([message, GO_ON])


async def test_thoughts_of_another_maker_stay_at_home():
    assert await items(Message("assistant", [Reasoning("Hm."), Text("12."), Opaque("anthropic", {})])) == [
        {"role": "assistant", "content": "12."}
    ]


async def test_texts_that_stand_together_are_one_and_an_empty_one_is_none():
    said = Message("assistant", [Text(""), Text("It is "), Text("12.")])

    assert await items(said, Message("assistant", "")) == [{"role": "assistant", "content": "It is 12."}]


# --- what goes back as it came ------------------------------------------------------------------


async def test_what_was_reasoned_goes_back_before_what_it_led_to_and_each_with_its_id():
    output = [THOUGHT, message("Wait.", phase="commentary"), SEARCH, called('{"a": 1}', namespace="clocks")]
    said = await read(reply(*output))

    told = await items(GO_ON, said.message, said.tool_calls[0].result("12"))

    text = {"type": "output_text", "text": "Wait.", "annotations": []}
    assert told[1:-1] == [
        THOUGHT,
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "commentary",
            "content": [text],
        },
        SEARCH,
        {name: value for name, value in output[3].items() if name != "status"},
    ]


async def test_an_answer_keeps_its_phase_and_needs_no_id_where_nothing_was_reasoned():
    said = await read(reply(message("Wait.", phase="commentary"), message("12.", phase="final_answer")))

    assert await items(said.message) == [
        {"role": "assistant", "content": "Wait.", "phase": "commentary"},
        {"role": "assistant", "content": "12.", "phase": "final_answer"},
    ]


async def test_who_does_not_reason_is_told_nothing_of_what_was_and_no_ids_that_are_bound_to_it():
    said = await read(reply(THOUGHT, message("Wait.", phase="commentary"), called()))

    assert await items(said.message, said.tool_calls[0].result("12"), model=SILENT) == [
        {"role": "assistant", "content": "Wait.", "phase": "commentary"},
        {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "12"},
    ]


@pytest.mark.parametrize(
    "after", [[], [Message("user", "And?")], [Message("tool", [ToolResult("call_0", "12")])]]
)
async def test_reasoning_that_led_nowhere_is_left_out_since_the_host_refuses_it(after):
    cut = Message("assistant", [kept(**THOUGHT), kept(**THOUGHT)])

    told = (await asked([GO_ON, cut, *after]))["input"]
    assert "reasoning" not in [item.get("type") for item in told]


async def test_reasoning_stays_where_more_follows_and_has_no_id_where_that_has_none():
    first, then = Message("assistant", [kept(**THOUGHT)]), Message("assistant", "12.")
    open_thought = kept(type="reasoning", id="rs_2", content=[{"type": "reasoning_text", "text": "Hm."}])

    without_id = {name: value for name, value in THOUGHT.items() if name != "id"}
    assert await items(first, then) == [without_id, {"role": "assistant", "content": "12."}]
    # Its id is all by which the host may know it.
    assert (await items(Message("assistant", [open_thought, Text("12.")])))[0] == open_thought.data


async def test_a_call_that_is_given_a_text_is_answered_in_kind():
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_3", "name": "run", "input": "ls -l"}
    said = await read(reply(custom, called()))
    assert [(call.name, call.arguments, call.raw_arguments) for call in said.tool_calls] == [
        ("run", None, "ls -l"),
        ("now", {}, "{}"),
    ]

    told = await items(said.message, *(call.result("ok") for call in said.tool_calls))

    assert told[0] == {name: value for name, value in custom.items() if name != "id"}
    assert [item["type"] for item in told[2:]] == ["custom_tool_call_output", "function_call_output"]


async def test_what_marks_nothing_changes_nothing():
    marks = [kept(type="message", phase="commentary"), kept(type="function_call", call_id="b", id="fc_9")]
    call = ToolCall("a", "now")

    assert await items(Message("assistant", [*marks, call, *marks])) == await items(
        Message("assistant", [call])
    )
