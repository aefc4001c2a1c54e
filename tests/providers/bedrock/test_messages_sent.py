"""A conversation as Bedrock gets it."""

from __future__ import annotations

import re

import pytest

from polyroute import (
    Audio,
    File,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    UnsupportedParameterError,
)
from polyroute.types import Opaque
from tests.providers.bedrock.wire import CLAUDE, NOVA, asked, read, reply, text

HI = Message("user", "hi")
PNG = b"\x89PNG 1"
DATA = {"bytes": "iVBORyAx"}
UNMARKED = {"capabilities": {"prompt_caching": False}}


async def content(*parts, role="user"):
    """The blocks that a message of these parts becomes."""
    body = await asked([HI, Message("assistant", "yes"), Message(role, parts)], options=UNMARKED)
    return body["messages"][-1]["content"]


async def test_turns_take_turns_and_the_system_stands_apart_until_someone_spoke():
    body = await asked(
        [
            Message("system", "Be brief."), Message("developer", "Be kind."), HI, Message("user", "and"),
            Message("assistant", "yes"), Message("system", "Be loud."), Message("user", "so?"),
        ]
    )  # fmt: skip

    assert body["system"] == [text("Be brief."), text("Be kind.")]
    assert body["messages"] == [
        {"role": "user", "content": [text("hi"), text("and")]},
        {"role": "assistant", "content": [text("yes")]},
        {"role": "user", "content": [text("Be loud."), text("so?")]},
    ]


async def test_words_that_say_nothing_are_left_out_and_so_is_a_turn_of_them():
    body = await asked([HI, Message("assistant", " \n"), Message("user", [Text(""), Text("well?")])])

    assert body["messages"] == [{"role": "user", "content": [text("hi"), text("well?")]}]


async def test_what_tools_gave_back_stands_first_in_one_turn_of_the_user():
    body = await asked(
        [
            HI,
            Message("assistant", [Text("Wait."), ToolCall("a", "now", {"z": 1}), ToolCall("b!" + "x" * 70, "later", raw_arguments="{")]),
            Message("user", "quick"),
            Message("tool", [ToolResult("a", "noon")]),
            Message("tool", [ToolResult("b!" + "x" * 70, (Text("no"), Image(data=PNG)), is_error=True), ToolResult("c", "")]),
        ],
        options=UNMARKED,
    )  # fmt: skip

    id = body["messages"][1]["content"][2]["toolUse"]["toolUseId"]
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", id)
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                text("Wait."),
                {"toolUse": {"toolUseId": "a", "name": "now", "input": {"z": 1}}},
                {"toolUse": {"toolUseId": id, "name": "later", "input": {"INVALID_JSON": "{"}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "a", "content": [text("noon")]}},
                {
                    "toolResult": {
                        "toolUseId": id,
                        "content": [text("no"), {"image": {"format": "png", "source": DATA}}],
                        "status": "error",
                    }
                },
                {"toolResult": {"toolUseId": "c", "content": []}},
                text("quick"),
            ],
        },
    ]


@pytest.mark.parametrize("id", ["", "functions.now:0", "a-B_9", "x" * 64, "x" * 65])
async def test_the_id_of_a_call_is_one_that_the_host_takes(id):
    body = await asked(
        [HI, Message("assistant", [ToolCall(id, "now", {})]), Message("tool", [ToolResult(id, "1")])]
    )

    written = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert body["messages"][2]["content"][0]["toolResult"]["toolUseId"] == written
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", written)
    assert (written == id) is (id in ("a-B_9", "x" * 64))


THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "Eq=="}}}
SEARCH = {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (CLAUDE, [THOUGHT, text("12.")]),
        ("bedrock/arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", [THOUGHT, text("12.")]),
        (NOVA, [text("12.")]),
        ("bedrock/arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-120b-1:0", [text("12.")]),
    ],
)
async def test_what_one_model_thought_is_kept_from_those_of_the_host_s_that_refuse_it(model, kept):
    said = Message("assistant", [Opaque("bedrock", THOUGHT), Text("12.")])

    assert (await asked([HI, said, HI], model=model))["messages"][1]["content"] == kept


async def test_thought_that_led_to_nothing_is_left_out_since_the_host_refuses_it():
    cut = Message("assistant", [Opaque("bedrock", THOUGHT)])

    assert (await asked([HI, cut, HI]))["messages"] == [{"role": "user", "content": [text("hi"), text("hi")]}]


async def test_a_tool_of_the_host_s_own_is_not_offered_as_one_of_the_caller_s():
    said = Message("assistant", [Opaque("bedrock", SEARCH), Text("12.")])

    assert "toolConfig" not in await asked([HI, said, HI], model=NOVA)


@pytest.mark.parametrize(
    ("image", "block"),
    [
        (Image(data=PNG), {"format": "png", "source": DATA}),
        (Image(data=b"RIFF", media_type="image/webp"), {"format": "webp", "source": {"bytes": "UklGRg=="}}),
        (Image("data:image/jpg;base64,eA=="), {"format": "jpeg", "source": {"bytes": "eA=="}}),
        (Image("s3://b/a.gif"), {"format": "gif", "source": {"s3Location": {"uri": "s3://b/a.gif"}}}),
        (Image("s3://b/a"), {"format": "png", "source": {"s3Location": {"uri": "s3://b/a"}}}),
        (File(data=PNG, media_type="image/png"), {"format": "png", "source": DATA}),
    ],
)
async def test_pictures_are_told_by_their_format_and_by_their_bytes_or_their_place_in_s3(image, block):
    assert await content(Text("see"), image) == [text("see"), {"image": block}]


OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("kind", "format"),
    [
        (None, "pdf"), ("application/pdf", "pdf"), ("text/plain", "txt"), ("text/x-python", "txt"),
        ("text/markdown", "md"), ("text/csv", "csv"), ("text/html", "html"), ("application/msword", "doc"),
        (f"{OFFICE}.wordprocessingml.document", "docx"), ("application/vnd.ms-excel", "xls"),
        (f"{OFFICE}.spreadsheetml.sheet", "xlsx"),
    ],
)  # fmt: skip
async def test_documents_are_told_by_their_format(kind, format):
    assert await content(File(data=b"x", media_type=kind)) == [
        {"document": {"format": format, "name": "document", "source": {"bytes": "eA=="}}}
    ]


async def test_documents_may_come_in_a_uri_or_from_s3():
    blocks = await content(File(url="data:text/csv;base64,eA=="), File(url="s3://b/a.pdf"))

    assert [each["document"]["source"] for each in blocks] == [
        {"bytes": "eA=="},
        {"s3Location": {"uri": "s3://b/a.pdf"}},
    ]
    assert [each["document"]["format"] for each in blocks] == ["csv", "pdf"]


@pytest.mark.parametrize(
    ("names", "written"),
    [
        ([None, None, "document.pdf"], ["document", "document 2", "document 3"]),
        (["report.pdf", "report.docx"], ["report", "report 2"]),
        (["John's  résumé_(v1).pdf"], ["John s r sum (v1)"]),
        (["報告.pdf"], ["document"]),
        (["a" * 300], ["a" * 200]),
        (["x.y.z"], ["x y"]),
    ],
)
async def test_documents_have_names_that_the_host_takes_and_no_two_the_same(names, written):
    blocks = await content(*(File(data=b"x", name=name) for name in names))

    assert [each["document"]["name"] for each in blocks] == written


async def test_the_hosts_own_blocks_go_back_as_they_are_and_thoughts_only_with_a_signature():
    point = {"cachePoint": {"type": "default"}}
    body = await asked(
        [
            Message("system", [Text("Be brief."), Opaque("bedrock", point)]),
            Message("user", [Text("hi"), Opaque("bedrock", point), Opaque("anthropic", {"type": "x"})]),
            Message("assistant", [Reasoning("Hm."), Text("yes")]),
            HI,
        ]
    )

    assert body["system"] == [text("Be brief."), point]
    assert body["messages"][0]["content"] == [text("hi"), point]
    assert body["messages"][1]["content"] == [text("yes")]


async def test_a_reply_goes_back_as_it_came():
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "Eq=="}}},
        {"reasoningContent": {"redactedContent": "Em=="}},
        text("I see."),
        {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
        {"toolUse": {"toolUseId": "t", "name": "now", "input": {"z": 1}}},
    ]
    said = await read(reply(*blocks, stopReason="tool_use"))

    body = await asked([HI, said.message, said.tool_calls[0].result("noon")])

    assert body["messages"][1] == {"role": "assistant", "content": blocks}


@pytest.mark.parametrize(
    "message",
    [
        Message("user", "hi", name="ann"),
        Message("user", [Audio(b"x", "wav")]),
        Message("user", [Image("https://x.example/a.png")]),
        Message("user", [Image(data=b"x", media_type="image/tiff")]),
        Message("assistant", [Image(data=PNG)]),
        Message("system", [File(data=b"x")]),
        Message("user", [File(id="file-1")]),
        Message("user", [File(url="https://x.example/a.pdf")]),
        Message("user", [File(data=b"x", media_type="application/zip")]),
        Message("user", [Opaque("bedrock", ["no object"])]),
        Message("tool", [ToolResult("t", (Image("https://x.example/a.png"),))]),
    ],
)
async def test_what_the_format_has_no_place_for_is_refused(message):
    with pytest.raises(UnsupportedParameterError) as caught:
        await asked([HI, Message("assistant", [ToolCall("t", "now", {})]), message])

    assert caught.value.parameter == "messages"
