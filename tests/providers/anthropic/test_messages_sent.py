"""How a conversation becomes turns: who speaks, in what order, and what each part is on the wire."""

from __future__ import annotations

import base64
import re
from typing import Any

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
from tests.providers.anthropic.wire import asked, text

PNG, JPEG, GIF, WEBP = b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x00\x00"
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "Eq=="}
HIDDEN = {"type": "redacted_thinking", "data": "Em=="}
UNMARKED = {"capabilities": {"prompt_caching": False}}


async def turns(*messages: Any, **how: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    body = await asked(list(messages), **how)
    return [(turn["role"], turn["content"]) for turn in body["messages"]]


async def sole(part: Any) -> dict[str, Any]:
    """What a part becomes in a message of a user."""
    [(_, [block])] = await turns(Message("user", [part]))
    return block


# --- who speaks ---------------------------------------------------------------------------------


async def test_what_the_system_says_first_stands_apart():
    body = await asked(
        [Message("system", "Be brief."), Message("developer", [Text("Be kind.")]), Message("user", "hi")]
    )

    assert body["system"] == [text("Be brief."), text("Be kind.")]
    assert body["messages"] == [{"role": "user", "content": [text("hi")]}]


async def test_the_hosts_own_blocks_may_stand_in_what_the_system_says():
    kept = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}

    body = await asked([Message("system", [Opaque("anthropic", kept)]), Message("user", "hi")])

    assert body["system"] == [kept]


LATER = (
    Message("user", "hi"),
    Message("assistant", "Hello."),
    Message("user", "And?"),
    Message("system", "Be brief."),
    Message("developer", "Be kind."),
)


async def test_what_the_system_says_later_stays_where_it_was_said():
    body = await asked(list(LATER))

    assert "system" not in body
    assert body["messages"][-1] == {
        "role": "user",
        "content": [text("And?"), text("Be brief."), text("Be kind.")],
    }


@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-opus-5"])
async def test_a_model_that_hears_the_system_later_is_told_who_speaks(model):
    said = await turns(*LATER, model=f"anthropic/{model}")
    answered = await turns(
        *LATER, Message("assistant", "Yes."), Message("user", "So?"), model=f"anthropic/{model}"
    )

    assert said[-2:] == [("user", [text("And?")]), ("system", [text("Be brief."), text("Be kind.")])]
    assert [role for role, _ in answered] == ["user", "assistant", "user", "system", "assistant", "user"]


@pytest.mark.parametrize(
    "messages",
    [
        [*LATER[:2], LATER[3], Message("user", "And?")],
        [*LATER[:2], LATER[3]],
        [LATER[0], LATER[3], Message("user", "And?")],
        [LATER[0], LATER[3], LATER[4], Message("user", "And?")],
    ],
)
async def test_where_the_system_may_have_no_turn_its_words_are_a_users(messages):
    assert {role for role, _ in await turns(*messages, model="anthropic/claude-opus-5")} <= {
        "user",
        "assistant",
    }


async def test_those_who_speak_twice_have_one_turn():
    said = await turns(
        Message("user", "a"), Message("user", "b"), Message("assistant", "c"), Message("assistant", "d"), Message("user", "e")
    )  # fmt: skip

    assert said == [
        ("user", [text("a"), text("b")]),
        ("assistant", [text("c"), text("d")]),
        ("user", [text("e")]),
    ]


async def test_what_says_nothing_is_not_sent():
    said = await turns(
        Message("user", "a"), Message("assistant", " \n"), Message("user", [Text(""), Text("b")]), Message("tool", ())
    )  # fmt: skip

    assert said == [("user", [text("a"), text("b")])]
    assert await turns(Message("tool", ()), Message("user", "a")) == [("user", [text("a")])]


# --- tools --------------------------------------------------------------------------------------


async def test_the_results_of_one_turn_are_one_turn_and_come_first_in_it():
    said = await turns(
        Message("user", "Time and place?"),
        Message(
            "assistant", [Text("Wait."), ToolCall("a", "now", {"zone": "utc"}), ToolCall("b", "where", {})]
        ),
        Message("user", "Quick!"),
        Message("tool", [ToolResult("a", "12")]),
        Message("system", "Be brief."),
        Message("tool", [ToolResult("b", "", is_error=True)]),
    )

    assert said[1:] == snapshot(
        [
            (
                "assistant",
                [
                    {"type": "text", "text": "Wait."},
                    {"type": "tool_use", "id": "a", "name": "now", "input": {"zone": "utc"}},
                    {"type": "tool_use", "id": "b", "name": "where", "input": {}},
                ],
            ),
            (
                "user",
                [
                    {"type": "tool_result", "tool_use_id": "a", "content": "12"},
                    {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                    {"type": "text", "text": "Quick!"},
                    {"type": "text", "text": "Be brief."},
                ],
            ),
        ]
    )


async def test_a_result_may_hold_pictures():
    shown = ToolResult("a", (Text("Here."), Text(" "), Image(data=JPEG)))
    said = await turns(
        Message("user", "?"),
        Message("assistant", [ToolCall("a", "see", {})]),
        Message("tool", [shown]),
        options=UNMARKED,
    )

    assert said[-1] == snapshot(
        (
            "user",
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [
                        {"type": "text", "text": "Here."},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A=="},
                        },
                    ],
                }
            ],
        )
    )


async def test_the_name_of_a_tool_is_known_by_its_call():
    called = Message("assistant", [ToolCall("a", "now", {})])
    answer = Message("tool", [ToolResult("a", "12", name="now")], name="now")

    assert (await turns(Message("user", "?"), called, answer))[-1] == snapshot(
        ("user", [{"type": "tool_result", "tool_use_id": "a", "content": "12"}])
    )


@pytest.mark.parametrize("content", ["", " \n", (Text(""),)])
async def test_an_empty_result_has_no_content(content):
    called = Message("assistant", [ToolCall("a", "see", {})])
    said = await turns(Message("user", "?"), called, Message("tool", [ToolResult("a", content)]))

    assert said[-1] == ("user", [{"type": "tool_result", "tool_use_id": "a"}])


async def test_ids_of_other_makers_become_such_as_the_host_takes_and_no_two_the_same():
    calls = [ToolCall(id, "now", {}) for id in ("functions.now:0", "", "", "call_0", "toolu_1")]
    results = [each.result(number) for number, each in enumerate(calls)]
    said = await turns(
        Message("user", "?"), Message("assistant", calls), *results, Message("assistant", [calls[3]])
    )

    ids = [block["id"] for _, blocks in said for block in blocks if block["type"] == "tool_use"]
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", id) for id in ids)
    assert len(set(ids)) == len(ids)
    assert ids[3:5] == ["call_0", "toolu_1"]
    answered = [(block["tool_use_id"], block["content"]) for block in said[2][1]]
    assert answered == list(zip(ids, "01234", strict=False))


@pytest.mark.parametrize("raw", ['{"zone": ', "[1]"])
async def test_a_call_that_is_no_json_object_is_told_as_what_the_model_wrote(raw):
    said = await turns(
        Message("user", "?"),
        Message("assistant", [ToolCall("a", "now", raw_arguments=raw)]),
        Message("user", "Again."),
    )

    assert said[1][1][0]["input"] == {"INVALID_JSON": raw}


# --- what was thought ---------------------------------------------------------------------------


async def test_what_was_thought_goes_back_as_it_came_and_in_its_order():
    blocks = [HIDDEN, THOUGHT, text("12."), {**THOUGHT, "signature": "other"}, text("No, 13.")]
    parts = [
        Opaque("anthropic", block) if block["type"] != "text" else Text(block["text"]) for block in blocks
    ]

    said = await turns(
        Message("user", "?"), Message("assistant", [Reasoning("Hm."), *parts]), Message("user", "!")
    )

    assert said[1] == ("assistant", blocks)


async def test_thought_that_led_to_nothing_is_left_out_since_the_host_refuses_it():
    cut = Message("assistant", [Text("Wait."), Opaque("anthropic", THOUGHT), Opaque("anthropic", HIDDEN)])
    said = await turns(Message("user", "?"), cut, Message("user", "!"), Message("assistant", cut.parts[1:]))

    assert said == [("user", [text("?")]), ("assistant", [text("Wait.")]), ("user", [text("!")])]


async def test_what_others_thought_is_not_sent():
    foreign = Opaque("openrouter", {"type": "reasoning", "encrypted": "=="})
    said = await turns(
        Message("user", "?"),
        Message("assistant", [Reasoning("Hm."), foreign, Text("12.")]),
        Message("user", "!"),
    )

    assert said[1] == ("assistant", [text("12.")])


# --- pictures and documents ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "source"),
    [
        (
            Image("https://example.com/a.png", detail="low"),
            {"type": "url", "url": "https://example.com/a.png"},
        ),
        (Image("data:image/webp;base64,UklGRg=="), {"media_type": "image/webp", "data": "UklGRg=="}),
        (Image("DATA:image/gif;name=a;base64,R0lG"), {"media_type": "image/gif", "data": "R0lG"}),
        (Image("data:image/png,%89PNG"), {"media_type": "image/png", "data": "iVBORw=="}),
        (Image(data=b"?", media_type="image/webp"), {"media_type": "image/webp", "data": "Pw=="}),
        (Image(data=PNG), {"media_type": "image/png", "data": base64.b64encode(PNG).decode()}),
        (Image(data=JPEG), {"media_type": "image/jpeg", "data": base64.b64encode(JPEG).decode()}),
        (Image(data=GIF), {"media_type": "image/gif", "data": base64.b64encode(GIF).decode()}),
        (Image(data=WEBP), {"media_type": "image/webp", "data": base64.b64encode(WEBP).decode()}),
        (Image(data=b"?"), {"media_type": "image/png", "data": "Pw=="}),
    ],
)
async def test_a_picture_is_sent_by_its_address_or_with_its_kind(image, source):
    assert await sole(image) == {"type": "image", "source": {"type": "base64", **source}}


@pytest.mark.parametrize(
    ("file", "block"),
    [
        (
            File(data=b"%PDF", name="a.pdf"),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
             "title": "a.pdf"},
        ),
        (
            File(url="https://example.com/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ),
        (
            File(data="é".encode(), media_type="text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
        (File(id="file_1"), {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (
            File(data=b"GIF8", media_type="image/gif"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0lGOA=="}},
        ),
        (
            File(url="https://example.com/a", media_type="image/png"),
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a"}},
        ),
    ],
)  # fmt: skip
async def test_a_file_is_a_document_or_a_picture(file, block):
    assert await sole(file) == block


@pytest.mark.parametrize(
    "message",
    [
        Message("user", [Audio(b"?", "wav")]),
        Message("user", [File(data=b"PK", media_type="application/zip")]),
        Message("user", [File(url="https://example.com/a.zip", media_type="application/zip")]),
        Message("user", [File(data=b"\xff", media_type="text/plain")]),
        Message("user", "hi", name="ann"),
        Message("assistant", "hi", name="bot"),
        Message("system", "Be brief.", name="boss"),
        Message("user", [Opaque("anthropic", "no object")]),
        Message("assistant", [Image(data=PNG)]),
        Message("system", [Image(data=PNG)]),
        Message("assistant", [File(id="file_1")]),
    ],
)
async def test_what_has_no_place_in_a_turn_is_refused_by_name(message):
    with pytest.raises(UnsupportedParameterError, match="messages"):
        await asked([Message("user", "hi"), message])
