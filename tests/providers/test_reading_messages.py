"""How a conversation is read as callers hand it in, and how it is refused, with the path to the fault."""

from __future__ import annotations

from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest

from polyroute import (
    Audio,
    BadRequestError,
    ChatResponse,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from polyroute.messages import read_input, read_messages
from tests.providers.wire import sent


def user(content: object, **more: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": content, **more}]


def assistant(**fields: object) -> list[dict[str, object]]:
    return [{"role": "assistant", **fields}]


CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("messages", "path", "words"),
    [
        # The conversation.
        ("", "messages", "is empty"),
        ([], "messages", "is empty"),
        ((), "messages", "is empty"),
        (None, "messages", "not None"),
        (7, "messages", "not int"),
        (b"hi", "messages", "not bytes"),
        ({"role": "user", "content": "hi"}, "messages", "not dict"),
        (Message("user", "hi"), "messages", "not Message"),
        ({"hi"}, "messages", "not set"),
        (["hi"], "messages[0]", "not str"),
        ([None], "messages[0]", "not None"),
        ([*user("hi"), 7], "messages[1]", "not int"),
        # A message.
        ([{}], "messages[0].role", "one of"),
        ([{"content": "hi"}], "messages[0].role", "not None"),
        ([{"role": "robot", "content": "hi"}], "messages[0].role", "not 'robot'"),
        ([{"role": ["user"], "content": "hi"}], "messages[0].role", "one of"),
        ([{"role": 7, "content": "hi"}], "messages[0].role", "one of"),
        ([Message("robot", "hi")], "messages[0].role", "not 'robot'"),
        (user("hi", contnet="x"), "messages[0].contnet", "did you mean 'content'"),
        (user("hi", tool_cals=[]), "messages[0].tool_cals", "did you mean 'tool_calls'"),
        (user("hi", zzz=1), "messages[0].zzz", "is not a key of a message"),
        ([{"role": "user", "content": "hi", 7: 1}], "messages[0].7", "is not a key"),
        (user("hi", name=7), "messages[0].name", "is a str, not int"),
        (user("hi", tool_call_id="c"), "messages[0].tool_call_id", "role tool"),
        (user("hi", tool_calls=[CALL]), "messages[0].tool_calls", "role assistant"),
        (assistant(content="", function_call={"name": "now"}), "messages[0].function_call", "old form"),
        (assistant(content="Once", prefix=True), "messages[0].prefix", "not read"),
        # Its content.
        ([{"role": "user"}], "messages[0].content", "is missing"),
        (user(None), "messages[0].content", "is missing"),
        (user(7), "messages[0].content", "not int"),
        (user(b"hi"), "messages[0].content", "not bytes"),
        (user({"type": "text", "text": "hi"}), "messages[0].content", "not dict"),
        (user([7]), "messages[0].content[0]", "a part with a type, not int"),
        (user([{}]), "messages[0].content[0].type", "not None"),
        (user([{"type": "video_url"}]), "messages[0].content[0].type", "not 'video_url'"),
        (user([{"type": []}]), "messages[0].content[0].type", "one of"),
        (user(["hi", {"type": "text"}]), "messages[0].content[1].text", "is a str, not None"),
        (user([{"type": "text", "text": 7}]), "messages[0].content[0].text", "is a str, not int"),
        (user([{"type": "refusal", "refusal": 7}]), "messages[0].content[0].refusal", "is a str"),
        (user([{"type": "thinking", "thinking": 7}]), "messages[0].content[0].thinking", "a list of texts"),
        (user([{"type": "thinking", "thinking": [{}]}]), "messages[0].content[0].thinking[0].text", "is a str"),
        (user([{"type": "image_url"}]), "messages[0].content[0].image_url", "a dict with a url"),
        (user([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].image_url.url", "not None"),
        (user([{"type": "image_url", "image_url": {"url": 7}}]), "messages[0].content[0].image_url.url", "not int"),
        (user([{"type": "image_url", "image_url": {"url": "u", "detail": 7}}]),
         "messages[0].content[0].image_url.detail", "is a str"),
        (user([{"type": "input_audio"}]), "messages[0].content[0].input_audio", "data and format"),
        (user([{"type": "input_audio", "input_audio": {"data": "a!"}}]),
         "messages[0].content[0].input_audio.data", "is base64"),
        (user([{"type": "input_audio", "input_audio": {"data": "é"}}]),
         "messages[0].content[0].input_audio.data", "is base64"),
        (user([{"type": "input_audio", "input_audio": {"data": None}}]),
         "messages[0].content[0].input_audio.data", "is a str"),
        (user([{"type": "input_audio", "input_audio": {"data": "AA=="}}]),
         "messages[0].content[0].input_audio.format", "is a str"),
        (user([{"type": "file"}]), "messages[0].content[0].file", "file_data or file_id"),
        (user([{"type": "file", "file": {}}]), "messages[0].content[0].file", "has neither"),
        (user([{"type": "file", "file": {"file_id": 7}}]), "messages[0].content[0].file.file_id", "is a str"),
        (user([{"type": "file", "file": {"file_data": 7}}]), "messages[0].content[0].file.file_data", "is a str"),
        (user([{"type": "file", "file": {"file_data": "data:a/b;base64,!"}}]),
         "messages[0].content[0].file.file_data", "is base64"),
        (user([{"type": "file", "file": {"file_id": "f", "filename": 7}}]),
         "messages[0].content[0].file.filename", "is a str"),
        # Typed parts.
        ([Message("user", ["hi"])], "messages[0].content[0]", "a part such as Text or Image, not str"),
        ([Message("user", [Text(7)])], "messages[0].content[0].text", "is a str, not int"),
        ([Message("assistant", [Reasoning(None)])], "messages[0].content[0].text", "not None"),
        ([Message("user", [Image()])], "messages[0].content[0]", "an Image with nothing in it"),
        (user([File()]), "messages[0].content[0]", "a File with nothing in it"),
        ([Message("user", [ToolCall("c", "now")])], "messages[0].content[0]", "role assistant"),
        (user([ToolCall("c", "now")]), "messages[0].content[0]", "role assistant"),
        ([Message("assistant", [ToolResult("c", "x")])], "messages[0].content[0]", "role tool"),
        ([Message("tool", "it rains")], "messages[0].content", "ToolCall.result"),
        ([Message("tool", [Text("it rains")])], "messages[0].content[0]", "not Text"),
        ([Message("tool", [ToolCall("c", "now")])], "messages[0].content[0]", "role assistant"),
        # Calls and results.
        (assistant(tool_calls={}), "messages[0].tool_calls", "is a list of calls, not dict"),
        (assistant(tool_calls="now"), "messages[0].tool_calls", "not str"),
        (assistant(tool_calls=[7]), "messages[0].tool_calls[0].function", "name and arguments"),
        (assistant(tool_calls=[{"id": "c"}]), "messages[0].tool_calls[0].function", "name and arguments"),
        (assistant(tool_calls=[CALL, {"function": {"name": "now"}}]), "messages[0].tool_calls[1].id", "not None"),
        (assistant(tool_calls=[{"id": "c", "function": {}}]), "messages[0].tool_calls[0].function.name", "not None"),
        (assistant(tool_calls=[{"id": "c", "function": {"name": "now", "arguments": 7}}]),
         "messages[0].tool_calls[0].function.arguments", "is JSON text, not int"),
        (assistant(content="x", reasoning=7), "messages[0].reasoning", "is a str"),
        (assistant(content="x", reasoning_content=7), "messages[0].reasoning_content", "is a str"),
        (assistant(refusal=7), "messages[0].refusal", "is a str"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id", "the id of the call"),
        ([{"role": "tool", "content": "x", "tool_call_id": ""}], "messages[0].tool_call_id", "the id of the call"),
        ([{"role": "tool", "content": 7, "tool_call_id": "c"}], "messages[0].content", "not int"),
        ([{"role": "tool", "content": [File(id="f")], "tool_call_id": "c"}], "messages[0].content[0]",
         "a text or an image"),
    ],
)  # fmt: skip
def test_a_bad_conversation_is_refused_with_the_path_to_its_fault(messages, path, words):
    with pytest.raises(BadRequestError) as caught:
        read_messages(messages)

    assert caught.value.path == path
    assert str(caught.value).startswith(path)
    assert words in str(caught.value)
    assert caught.value.status is None


async def test_a_bad_conversation_is_refused_before_anybody_is_asked():
    with pytest.raises(BadRequestError) as caught:
        await sent([*user("hi"), {"role": "robot", "content": ""}])

    assert caught.value.path == "messages[1].role"


@pytest.mark.parametrize(
    ("messages", "read"),
    [
        ("hi", (Message("user", "hi"),)),
        (user("hi"), (Message("user", "hi"),)),
        (user(""), (Message("user", ""),)),
        (user([]), (Message("user", ""),)),
        (user(["a", {"type": "text", "text": "b", "cache_control": None}]), (Message("user", "ab"),)),
        ((Message("user", "hi"),), (Message("user", "hi"),)),
        ([MappingProxyType({"role": "user", "content": "hi"})], (Message("user", "hi"),)),
        ([UserDict({"role": "user", "content": "hi", "name": "ann"})], (Message("user", "hi", name="ann"),)),
        (
            user([{"type": "image_url", "image_url": "u"}, {"type": "image_url", "image_url": {"url": "v", "detail": "low"}}]),
            (Message("user", (Image("u"), Image("v", detail="low"))),),
        ),
        (
            user([{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]),
            (Message("user", (Audio(b"RIFF", "wav"),)),),
        ),
        (
            user([{"type": "file", "file": {"file_id": "f", "filename": "a.pdf"}},
                  {"type": "file", "file": {"file_data": "data:text/csv;base64,eCx5"}},
                  {"type": "file", "file": {"file_data": "eCx5"}}]),
            (Message("user", (File(id="f", name="a.pdf"), File(data=b"x,y", media_type="text/csv"), File(data=b"x,y"))),),
        ),
        (assistant(content="", tool_calls=[]), (Message("assistant", ""),)),
        (assistant(content=None, tool_calls=[CALL]), (Message("assistant", (ToolCall("call_1", "now", {}, "{}"),)),)),
        (assistant(tool_calls=[CALL]), (Message("assistant", (ToolCall("call_1", "now", {}, "{}"),)),)),
        (
            assistant(tool_calls=[{"id": "c", "function": {"name": "now", "arguments": {"a": 1}}}]),
            (Message("assistant", (ToolCall("c", "now", {"a": 1}, '{"a": 1}'),)),),
        ),
        (
            assistant(tool_calls=[{"id": "c", "index": 0, "function": {"name": "now", "arguments": None}}]),
            (Message("assistant", (ToolCall("c", "now", raw_arguments=""),)),),
        ),
        (assistant(tool_calls=[ToolCall("c", "now", {})]), (Message("assistant", (ToolCall("c", "now", {}),)),)),
        (assistant(content=None, refusal="No."), (Message("assistant", "No."),)),
        (assistant(content="Well", refusal="No."), (Message("assistant", "Well"),)),
        (assistant(content=[{"type": "refusal", "refusal": "No."}]), (Message("assistant", "No."),)),
        (
            assistant(content="Yes", reasoning="Hm.", reasoning_content="", reasoning_details=[1]),
            (Message("assistant", (Reasoning("Hm."), Opaque("openrouter", {"reasoning_details": [1]}), Text("Yes"))),),
        ),
        (
            assistant(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "H"}, "m."]}, "Yes"]),
            (Message("assistant", (Reasoning("Hm."), Text("Yes"))),),
        ),
        (
            assistant(content=[{"type": "thinking", "thinking": "Hm."}, "Yes"]),
            (Message("assistant", (Reasoning("Hm."), Text("Yes"))),),
        ),
        (
            assistant(content="Yes", annotations=[{}], audio={"id": "a"}, function_call=None, prefix=False),
            (Message("assistant", "Yes"),),
        ),
        (
            [{"role": "tool", "content": "x", "tool_call_id": "c", "name": "now"}],
            (Message("tool", (ToolResult("c", "x", name="now"),)),),
        ),
        (
            [{"role": "tool", "content": [{"type": "text", "text": "x"}, "y"], "tool_call_id": "c"}],
            (Message("tool", (ToolResult("c", "xy"),)),),
        ),
        (
            [{"role": "tool", "content": ["see", Image("u")], "tool_call_id": "c"}],
            (Message("tool", (ToolResult("c", (Text("see"), Image("u"))),)),),
        ),
        ([{"role": "tool", "content": None, "tool_call_id": "c"}], (Message("tool", (ToolResult("c", ""),)),)),
    ],
)  # fmt: skip
def test_a_conversation_is_read_from_each_of_its_forms(messages, read):
    before = repr(messages)

    assert read_messages(messages) == read
    assert repr(messages) == before, "what a caller hands in is never changed"


def test_a_role_may_be_a_str_of_its_own_class():
    class Role(str):
        __slots__ = ()

    assert read_messages([{"role": Role("user"), "content": "hi"}]) == (Message("user", "hi"),)


async def test_a_reply_is_taken_into_the_history_as_it_is():
    reply: ChatResponse[Any] = ChatResponse(
        "Yes", reasoning="Hm.", tool_calls=[ToolCall("c", "now", {})], parts=(Text("Yes"), Opaque("x", 1))
    )

    assert read_messages([reply.message, reply.tool_calls[0].result("x")]) == (
        reply.message, Message("tool", (ToolResult("c", "x", name="now"),))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "input[0]"),
        ([], "input"),
        (None, "input"),
        (b"hi", "input"),
        (7, "input"),
        (["a", ""], "input[1]"),
        (["a", 7], "input[1]"),
        ([[1, 2]], "input[0]"),
    ],
)
def test_bad_texts_to_embed_are_refused_with_the_path(given, path):
    with pytest.raises(BadRequestError) as caught:
        read_input(given)

    assert caught.value.path == path


def test_texts_to_embed_are_one_or_many():
    assert read_input("a") == ("a",)
    assert read_input(("a", "b")) == ("a", "b")
