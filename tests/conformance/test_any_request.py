"""What holds for any request to any format: what can be said is said, and what cannot is refused by name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    NamedTool,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyroute.types import ResponseFormat
from tests.conformance.driving import call, sent
from tests.conformance.formats import on_each_format
from tests.providers.strategies import MANY, WORDS

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = Tool("now", "Tells the time.", SCHEMA)
HI = (Message("user", "hi"),)
CHOICES = ("auto", "none", "required", NamedTool("now"))

ARGUMENTS: dict[str, Any] = {
    "max_tokens": 2_000,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "stop": ("END",),
    "seed": 7,
    "tools": (TOOL,),
    "parallel_tool_calls": False,
    "response_format": ResponseFormat("json_schema", schema=SCHEMA),
    "reasoning_effort": "high",
    "logprobs": 2,
    "n": 2,
    "extra": {"service_tier": "auto"},
}  # fmt: skip


@on_each_format
@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_is_missing_in_the_body_was_refused_by_name(format, name):
    for deployment, wire in format.wires():
        request = ChatRequest(messages=HI, **{name: ARGUMENTS[name]})

        missing = sent(deployment, wire, request) == sent(deployment, wire, ChatRequest(messages=HI))

        refused = list(wire.cannot(request))
        assert refused == [name] if missing else refused in ([], [name])


@on_each_format
@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_a_tool_is_told_apart_or_refused(format, choice):
    for deployment, wire in format.wires():
        request, *others = (
            ChatRequest(messages=HI, tools=(TOOL, Tool("later")), tool_choice=each)
            for each in (choice, *(each for each in CHOICES if each != choice))
        )
        if refused := list(wire.cannot(request)):
            assert refused == ["tool_choice"]
            continue

        said = [sent(deployment, wire, other) for other in others if not wire.cannot(other)]
        assert said
        assert sent(deployment, wire, request) not in said


@on_each_format
@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_every_shape_of_a_reply_is_asked_for_or_refused(format, kind):
    for deployment, wire in format.wires():
        shape = ResponseFormat(kind, schema=SCHEMA if kind == "json_schema" else None)
        request = ChatRequest(messages=HI, response_format=shape)

        missing = sent(deployment, wire, request) == sent(deployment, wire, ChatRequest(messages=HI))

        assert wire.cannot(request) or not missing


@on_each_format
def test_the_user_is_told_only_where_the_call_says_so(format):
    for deployment, wire in format.wires():
        request = ChatRequest(messages=HI, user="ann", metadata={"app": "shop"}, session="s-1", tags=("eu",))

        assert sent(deployment, wire, request) == sent(deployment, wire, ChatRequest(messages=HI))


SIGN = b"a sign of its own"
PLAIN, CODED = SIGN.decode(), base64.b64encode(SIGN).decode()
SAID = {
    "words of the system": (Message("system", PLAIN), PLAIN),
    "words of a developer": (Message("developer", PLAIN), PLAIN),
    "words of a user": (Message("user", PLAIN), PLAIN),
    "words of an assistant": (Message("assistant", PLAIN), PLAIN),
    "a name": (Message("user", "hi", name="a-sign"), "a-sign"),
    "a text among others": (Message("user", [Text("hi"), Text(PLAIN)]), PLAIN),
    "a picture": (Message("user", [Image(data=SIGN, media_type="image/png")]), CODED),
    "a picture in a URI": (Message("user", [Image(f"data:image/png;base64,{CODED}")]), CODED),
    "a picture at an address": (Message("user", [Image("https://a-sign.example/a.png")]), "a-sign"),
    "sound": (Message("user", [Audio(SIGN, "wav")]), CODED),
    "a document": (Message("user", [File(data=SIGN, media_type="application/pdf")]), CODED),
    "a document at an address": (Message("user", [File(url="https://a-sign.example/a.pdf")]), "a-sign"),
    "a document by its id": (Message("user", [File(id="file-sign")]), "file-sign"),
    "a call": (Message("assistant", [ToolCall("call_1", "now", {"zone": PLAIN})]), PLAIN),
    "a call in bad JSON": (Message("assistant", [ToolCall("call_1", "now", raw_arguments=PLAIN)]), PLAIN),
    "a picture of an assistant": (Message("assistant", [Image(data=SIGN, media_type="image/png")]), CODED),
}  # fmt: skip
ANSWERS = {
    "a result": (ToolResult("call_1", PLAIN), PLAIN),
    "a result of texts": (ToolResult("call_1", (Text("hi"), Text(PLAIN))), PLAIN),
    "a result with a picture": (ToolResult("call_1", (Image(data=SIGN, media_type="image/png"),)), CODED),
}
SAID |= {name: (Message("tool", (part,)), sign) for name, (part, sign) in ANSWERS.items()}


@on_each_format
@pytest.mark.parametrize("what", SAID)
def test_whatever_a_message_holds_is_sent_or_refused(format, what):
    message, sign = SAID[what]
    asked = Message("assistant", [ToolCall("call_1", "now", {})])
    history = (*HI, *((asked,) if message.role == "tool" else ()), message, Message("user", "go on"))
    for deployment, wire in format.wires():
        request = ChatRequest(messages=history)

        refused = list(wire.cannot(request)) == ["messages"]
        try:
            missing = sign not in json.dumps(sent(deployment, wire, request))
        except TypeError:
            missing = True

        assert refused or not missing


PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Image, st.just("https://example.com/a.png"), detail=st.sampled_from([None, "low"])),
    st.builds(Image, data=st.binary(max_size=4), media_type=st.sampled_from([None, "image/webp"])),
    st.builds(Audio, st.binary(max_size=4), st.sampled_from(["wav", "mp3"])),
    st.builds(File, data=st.binary(max_size=4), name=st.sampled_from([None, "a.pdf"]),
              media_type=st.sampled_from([None, "text/csv", "application/zip"])),
    st.builds(File, url=st.just("https://example.com/a.pdf")),
)  # fmt: skip
CALLS = st.builds(
    ToolCall,
    st.sampled_from(["call_1", "functions.now:0", ""]),
    st.just("now"),
    raw_arguments=st.sampled_from(["", "{}", '{"a": 1}', '{"a": ', "[1]"]),
)
RESULTS = st.builds(
    ToolResult,
    st.just("call_1"),
    st.one_of(WORDS, st.tuples(st.builds(Text, WORDS), st.builds(Image, data=st.binary(max_size=4)))),
    name=st.sampled_from([None, "now"]),
    is_error=st.booleans(),
)
MESSAGES = st.one_of(
    st.builds(Message, st.sampled_from(["system", "developer", "user", "assistant"]), WORDS),
    st.builds(Message, st.just("user"), st.lists(PARTS, max_size=3)),
    st.builds(Message, st.just("assistant"), st.lists(st.one_of(st.builds(Text, WORDS), st.builds(Reasoning, WORDS), CALLS), max_size=4)),
    st.builds(Message, st.just("tool"), st.lists(RESULTS, min_size=1, max_size=2)),
)  # fmt: skip
REQUESTS = st.builds(
    ChatRequest,
    messages=st.lists(MESSAGES, min_size=1, max_size=5).map(tuple),
    max_tokens=st.sampled_from([None, 1, 64, 100_000]),
    temperature=st.sampled_from([None, 0, 1, 2.0]),
    top_p=st.sampled_from([None, 0.1, 1.0]),
    top_k=st.sampled_from([None, 40]),
    stop=st.sampled_from([None, ("a",), (" ", "b")]),
    seed=st.sampled_from([None, 0]),
    tools=st.sampled_from([None, (), (TOOL,), (Tool("now", parameters={}, strict=True), TOOL)]),
    tool_choice=st.sampled_from([None, "auto", "none", "required", NamedTool("now")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    response_format=st.sampled_from([None, ResponseFormat("text"), ResponseFormat("json_object"),
                                     ResponseFormat("json_schema", schema=SCHEMA, description="A number.")]),
    reasoning_effort=st.sampled_from([None, "none", "minimal", "low", "high", "as you like"]),
    logprobs=st.sampled_from([None, False, True, 2]),
    n=st.sampled_from([None, 1, 2]),
    extra=st.sampled_from([None, {"stream": True, "a": {"b": 1}}]),
)  # fmt: skip


@on_each_format
@MANY
@given(REQUESTS, st.booleans())
def test_whatever_is_not_refused_can_be_sent_and_is_not_changed_by_it(format, request_, stream):
    before = request_.cache_key
    for deployment, wire in format.wires():
        if wire.cannot(request_):
            continue
        body = wire.encode(call(deployment, request_, user="ann"), stream=stream)

        assert isinstance(json.loads(body), dict)
        assert request_.cache_key == before
        assert wire.encode(call(deployment, request_, user="ann"), stream=stream) == body
