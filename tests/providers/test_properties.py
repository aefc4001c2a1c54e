"""What holds for any bytes: nothing but our own errors comes out, and what was read can be sent back."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    Audio,
    ChatRequest,
    Deployment,
    EmbedRequest,
    File,
    Image,
    Message,
    Opaque,
    PolyrouteError,
    Reasoning,
    Text,
    Timeout,
    ToolCall,
    ToolResult,
)
from polyroute.deadlines import Deadline
from polyroute.deployments import Call, EmbedCall
from polyroute.messages import read_messages
from polyroute.providers import HOSTS
from polyroute.providers.openai_chat import OpenAIChat
from polyroute.providers.scrub import Secrets, scrubbed
from tests.providers.strategies import BODIES, MANY, WORDS, wire_messages

ADDRESSED: dict[str, Any] = {
    "deployment": Deployment("openai/gpt-5", id="d", api_key="k-0123456789"),
    "model": "gpt-5",
    "timeout": Timeout(),
    "deadline": Deadline(),
}
CALL = Call(request=ChatRequest(messages=(Message("user", "hi"),)), **ADDRESSED)
EMBED = EmbedCall(request=EmbedRequest(input=("a", "b")), **ADDRESSED)
OPENAI, OPENROUTER, DEEPSEEK = (OpenAIChat(HOSTS[name]) for name in ("openai", "openrouter", "deepseek"))


def ours(work: Callable[[], object]) -> None:
    """Whatever is done: it succeeds, or fails with an error of ours that can be scrubbed and read."""
    try:
        work()
    except PolyrouteError as error:
        failure = error
        assert str(scrubbed(failure, Secrets(["k-0123456789"])))


@MANY
@given(BODIES)
def test_any_bytes_are_vectors_or_an_error_of_ours(body):
    ours(lambda: OPENAI.decode_embed(body, EMBED))


# --- there and back ----------------------------------------------------------------------------


def sent_back(wire: OpenAIChat, message: Message) -> dict[str, Any]:
    """A message as it is sent, and then comes back."""
    call = Call(request=ChatRequest(messages=(message,)), **ADDRESSED)
    return json.loads(wire.encode(call, stream=False))["messages"][0]


def orderly(message: dict[str, Any]) -> dict[str, Any]:
    """*message* as the most hosts would write it: it says something, and its calls have ids of their own and
    arguments that can be read. Others are put in order before they are sent back."""
    for number, each in enumerate(message.get("tool_calls", ())):
        each["id"] = f"call_{number}"
        if not each["function"]["arguments"].endswith("}"):
            each["function"]["arguments"] = "{}"
    return message if message.get("tool_calls") else {**message, "content": f"a{message['content']}"}


@MANY
@given(wire_messages().map(deepcopy).map(orderly))
def test_what_was_read_of_a_reply_is_sent_back_and_read_again_as_the_same(message):
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    reply = DEEPSEEK.decode(body, CALL)
    kept = Message("assistant", [part for part in reply.message.parts if not isinstance(part, Opaque)])

    again = read_messages([sent_back(DEEPSEEK, kept)])[0]

    assert again.parts == kept.parts


@MANY
@given(wire_messages().map(deepcopy).map(orderly))
def test_what_only_the_host_understands_is_sent_back_as_it_came(message):
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    reply = OPENROUTER.decode(body, CALL)

    again = sent_back(OPENROUTER, reply.message)

    assert again.get("reasoning_details") == message.get("reasoning_details")
    assert again.get("tool_calls") == message.get("tool_calls")
    assert (again["content"] or "") == (message["content"] or "")


@MANY
@given(wire_messages())
def test_a_replys_own_dict_is_read_as_the_reply_was(message):
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    reply = OPENROUTER.decode(body, CALL)
    thought = message.get("reasoning_content")

    parts = [part for part in reply.message.parts if thought or not isinstance(part, Reasoning)]

    assert list(read_messages([message])[0].parts) == [part for part in parts if part != Text("")]


@pytest.mark.parametrize("part", [ToolCall("c", "now"), ToolResult("c", "12")])
def test_what_no_user_can_say_is_a_bug_of_whoever_made_a_user_say_it(part):
    with pytest.raises(TypeError, match="stands in no message of a user"):
        sent_back(OPENAI, Message("user", [part]))


USERS_PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Image, st.just("https://example.com/a.png"), detail=st.sampled_from([None, "low"])),
    st.builds(Image, data=st.binary(max_size=4), media_type=st.sampled_from([None, "image/webp"])),
    st.builds(Audio, st.binary(max_size=4), st.sampled_from(["wav", "mp3"])),
    st.builds(File, data=st.binary(max_size=4), name=st.sampled_from([None, "a.pdf"]),
              media_type=st.sampled_from([None, "text/csv"])),
    st.builds(File, id=st.just("file-1"), name=st.sampled_from([None, "a.pdf"])),
)  # fmt: skip
MESSAGES = st.one_of(
    st.builds(
        Message, st.sampled_from(["system", "developer", "user"]), WORDS, name=st.sampled_from([None, "ann"])
    ),
    st.builds(Message, st.just("user"), st.lists(USERS_PARTS, min_size=1, max_size=4)),
    st.builds(Message, st.just("tool"), st.tuples(st.builds(ToolResult, st.just("call_1"), WORDS))),
)


@MANY
@given(MESSAGES)
def test_what_is_sent_can_be_read_and_is_sent_the_same_again(message):
    once = sent_back(OPENAI, message)

    again = sent_back(OPENAI, read_messages([once])[0])

    texts = once["role"] != "tool" and isinstance(once["content"], list)
    if texts and all(part["type"] == "text" for part in once["content"]):
        once["content"] = "".join(part["text"] for part in once["content"])
    assert again == once
