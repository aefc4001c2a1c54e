"""What holds for a conversation that goes on elsewhere, in the midst of a task: anyone can play it on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyroute import (
    ChatRequest,
    ChatResponse,
    Deployment,
    Image,
    Message,
    Opaque,
    Router,
    Text,
    ToolResult,
    UnsupportedParameterError,
)
from polyroute.types import Part
from polyroute.wire import HTTPRequest, WireFormat
from tests.conformance.driving import call, gathered, sent, told
from tests.conformance.format import JSON, Format
from tests.conformance.formats import ALL
from tests.conformance.openai_chat import OPENAI_CHAT
from tests.conformance.openai_responses import reply as response
from tests.conformance.playable import check_playable
from tests.providers.anthropic.wire import reply as message
from tests.providers.bedrock.wire import CLAUDE
from tests.providers.bedrock.wire import reply as converse
from tests.providers.gemini.wire import candidate
from tests.providers.gemini.wire import reply as generated
from tests.providers.wire import Response, choice
from tests.providers.wire import completion as chat_completion

FEW = settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))


def as_mistral_writes(body: JSON) -> JSON:
    """Thoughts stand in the content, and nothing else that others have is there."""
    for each in body["choices"]:
        said = each["message"]
        said.pop("reasoning_details", None)
        if thought := said.pop("reasoning_content", None):
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}
            said["content"] = [thinking, {"type": "text", "text": said["content"] or ""}]
    return body


MISTRAL = replace(
    OPENAI_CHAT,
    name="mistral",
    models=("mistral/mistral-large-latest",),
    replies=OPENAI_CHAT.replies.map(as_mistral_writes),
)
FORMATS = {format.name: format for format in (*ALL, MISTRAL)}
# Those whose tools can show a picture; to the others a result that does cannot be told.
SHOW_PICTURES = ("openai-responses", "anthropic-messages", "gemini", "bedrock-converse")
# Those whose hosts see to it that no id is there twice, and build on it.
NUMBERED = ("openai-responses", "gemini")
IDS = ("id", "call_id", "responseId")
PAIRS = [pytest.param(one, other, id=f"{one}, then {other}") for one in FORMATS for other in FORMATS]

USER = Message("user", "hi")
GO_ON = Message("user", "go on")


# --- conversations --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """One answer, who gave it, and what the tools that it called gave back."""

    origin: str
    answer: Message
    results: tuple[Message, ...]


def numbered(body: Any, turn: int, count: Iterator[int]) -> Any:
    """*body* with ids that are there once."""
    if isinstance(body, list):
        return [numbered(each, turn, count) for each in body]
    if not isinstance(body, dict):
        return body
    return {
        name: f"{value}_{turn}_{next(count)}" if name in IDS and value else numbered(value, turn, count)
        for name, value in body.items()
    }


SIGNED = ("signature", "encrypted_content", "thoughtSignature", "redactedContent", "tool_plan", "thinking",
          "data", "namespace", "phase")  # fmt: skip


def signed(data: Any, sign: str) -> Any:
    """*data* with a sign by which it is known again."""
    return _signed(data, sign) or {**data, "sign": sign}


def _signed(data: Any, sign: str) -> Any:
    if isinstance(data, list):
        return [*data[:-1], inner] if data and (inner := _signed(data[-1], sign)) else None
    if not isinstance(data, Mapping):
        return None
    for name in SIGNED:
        if isinstance(value := data.get(name), str):
            return {**data, name: value + sign}
    for name, value in data.items():
        if inner := _signed(value, sign):
            return {**data, name: inner}
    return None


SIGN = re.compile(r"<\d+\.\d+>")


def signs_in(body: object) -> list[str]:
    return SIGN.findall(json.dumps(body))


VALUES = st.sampled_from(["12", "", " \n", {"a": 1}, ["é"], '{"a": 1}', None])
PICTURE = Image(data=b"\x89PNG", media_type="image/png")


@st.composite
def turns(draw: st.DrawFn, one: str, other: str) -> list[Turn]:
    """Some turns, of which the first two were taken by *one* and *other*."""
    makers = [one, other, *draw(st.lists(st.sampled_from([one, other, *FORMATS]), max_size=2))]
    pictures = draw(st.booleans())
    taken: list[Turn] = []
    for number, name in enumerate(makers[: draw(st.integers(1, len(makers)))]):
        format = FORMATS[name]
        deployment, wire = draw(st.sampled_from(format.wires()))
        body = draw(format.replies)
        if name in NUMBERED:
            body = numbered(body, number, count())
        so_far = ChatRequest(messages=(USER,) * (2 * number + 1))
        reply = read(
            body, format, deployment, wire, so_far, draw(st.none() | st.randoms(use_true_random=False))
        )
        content = [
            Opaque(part.origin, signed(part.data, f"<{number}.{place}>"))
            if isinstance(part, Opaque)
            else part
            for place, part in enumerate(reply.message.parts)
        ]
        results = [result for each in reply.tool_calls for result in each.result(draw(VALUES)).parts]
        if pictures and results:
            results[-1] = replace(results[-1], content=(Text("see"), PICTURE))
        taken.append(
            Turn(deployment.prefix, Message("assistant", content), answers(results, draw(st.booleans())))
        )
    return taken


def read(
    body: JSON,
    format: Format,
    deployment: Deployment,
    wire: WireFormat,
    request: ChatRequest,
    rng: Random | None,
) -> ChatResponse[Any]:
    """The reply: whole, or put together from a stream that *rng* cuts."""
    if rng is None:
        return wire.decode(json.dumps(body).encode(), call(deployment, request))
    chunks, error = told(deployment, wire, [format.as_stream(body, rng)])
    assert error is None
    return gathered(chunks)


def answers(results: Sequence[Part], together: bool) -> tuple[Message, ...]:
    """The results as the messages of tools: one, or one each."""
    return (
        (Message("tool", results),) * bool(results)
        if together
        else tuple(Message("tool", [each]) for each in results)
    )


def history(turns: Sequence[Turn], *, waits: bool) -> tuple[Message, ...]:
    """The whole conversation. *waits*: the tools have just answered; else the user goes on."""
    messages = [USER]
    for turn in turns:
        messages += [turn.answer, *turn.results]
        if not turn.results:
            messages.append(GO_ON)
    return tuple(messages) if waits else (*messages, GO_ON)


def understood(messages: Sequence[Message], origin: str) -> tuple[Message, ...]:
    """*messages* as the router hands them to a host: without what only others understand."""
    return tuple(
        replace(
            each,
            content=tuple(
                part for part in each.parts if not isinstance(part, Opaque) or part.origin == origin
            ),
        )
        for each in messages
    )


def has_pictures(messages: Sequence[Message]) -> bool:
    results = [part for each in messages for part in each.parts if isinstance(part, ToolResult)]
    return any(not isinstance(result.content, str) for result in results)


# --- what holds of them ---------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), PAIRS)
@FEW
@given(st.data(), st.booleans())
def test_a_conversation_that_one_began_is_played_on_by_another(one, other, data, waits):
    taken = data.draw(turns(one, other))
    messages = history(taken, waits=waits)
    before = deepcopy(messages)
    for deployment, wire in FORMATS[other].wires():
        request = ChatRequest(messages=understood(messages, deployment.prefix))
        refused = list(wire.cannot(request))
        if other not in SHOW_PICTURES and has_pictures(messages):
            assert refused == ["messages"]
            continue

        assert not refused
        body = sent(deployment, wire, request)
        check_playable(other, deployment.model, body)
        assert messages == before
        # What only a host understands goes back to it where it stood, as if nobody had spoken between, and
        # to no other.
        own = [turn for turn in taken if turn.origin == deployment.prefix]
        alone = [sent(deployment, wire, ChatRequest(messages=history([turn], waits=waits))) for turn in own]
        assert signs_in(body) == [sign for each in alone for sign in signs_in(each)]


# --- there, to another, and back, through a router ------------------------------------------------


def asking(name: str, seal: str) -> tuple[str, JSON, str | None]:
    """A model, a reply of its own that calls a tool, and *seal* where that stands in what only the host
    understands of it."""
    given = {"name": "now", "arguments": '{"zone": "é"}'}
    called = [{"id": "call_1", "type": "function", "function": given}]
    match name:
        case "openai-chat":
            sealed = {"reasoning_details": [{"type": "reasoning.encrypted", "data": seal, "index": 0}]}
            said = {"content": None, "tool_calls": called, **sealed}
            return "openrouter/any", chat_completion(choice(said, "tool_calls")), seal
        case "mistral":
            return (
                "mistral/any",
                chat_completion(choice({"content": "", "tool_calls": called}, "tool_calls")),
                None,
            )
        case "openai-responses":
            thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal}
            call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", **given}
            return "openai-responses/gpt-5", response(thought, call), seal
        case "anthropic-messages":
            thought = {"type": "thinking", "thinking": "Hm.", "signature": seal}
            call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "é"}}
            return "anthropic/claude-opus-5", message(thought, call, stop_reason="tool_use"), seal
        case "gemini":
            call = {"functionCall": {"name": "now", "args": {"zone": "é"}}, "thoughtSignature": seal}
            return "gemini/gemini-3-flash", {**generated(candidate(call)), "responseId": seal[:2]}, seal
        case "cohere-chat":
            plan = {"tool_plan": seal, "tool_calls": called, "content": []}
            return "cohere/command-a", {"id": "r-1", "message": plan, "finish_reason": "TOOL_CALL"}, seal
        case "ollama-chat":
            said = {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "now", "arguments": {}}}],
            }
            return (
                "ollama/qwen3",
                {"model": "qwen3", "message": said, "done": True, "done_reason": "stop"},
                None,
            )
        case _:
            thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": seal}}}
            call = {"toolUse": {"toolUseId": "tooluse_1", "name": "now", "input": {"zone": "é"}}}
            return CLAUDE, converse(thought, call, stopReason="tool_use"), seal


class Hosts:
    """A transport to some hosts, by name, each of which has its answers ready."""

    keeps_deadlines = True

    def __init__(self, **answers: list[Response]) -> None:
        self.sent: list[tuple[str, JSON]] = []
        self._answers = answers

    async def send(self, request: HTTPRequest, /) -> Response:
        name = request.url.removeprefix("https://").partition(".")[0]
        self.sent.append((name, json.loads(request.body)))
        return self._answers[name].pop(0)

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_a_task_that_another_took_over_goes_back_whole_to_who_began_it(one, other):
    (model, begun, seal), (elsewhere, taken_over, its_seal) = asking(one, "Eq=="), asking(other, "Fr==")
    busy = Response({"error": {"message": "Busy"}}, 503)
    began = Response(FORMATS[one].as_stream(begun, Random(1)))
    hosts = Hosts(one=[began, busy, Response(FORMATS[one].answer("Done."))], other=[Response(taken_over)])
    known = {"api_key": "k-0123456789abcdef", "region": "us-east-1"}
    router = Router(
        [
            Deployment(model, id="one", base_url="https://one.example", **known),
            Deployment(elsewhere, id="other", base_url="https://other.example", **known),
        ],
        transport=hosts,
        retry=None,
    )
    tools = [{"type": "function", "function": {"name": "now"}}]
    messages = [USER]

    async with router.stream(messages, tools=tools) as stream:
        first = await stream.response()
    messages += [first.message, *(each.result("12") for each in first.tool_calls)]
    second = await router.chat(messages, tools=tools)
    messages += [second.message, *(each.result("13") for each in second.tool_calls)]
    before = deepcopy(messages)
    third = await router.chat(messages, tools=tools)

    assert [reply.deployment for reply in (first, second, third)] == ["one", "other", "one"]
    assert [name for name, _ in hosts.sent] == ["one", "one", "other", "one"]
    assert third.text == "Done."
    assert messages == before
    for name, body in hosts.sent[2:]:
        check_playable(one if name == "one" else other, model if name == "one" else elsewhere, body)
    to_other, back = (json.dumps(body) for _, body in hosts.sent[2:])
    same = model.partition("/")[0] == elsewhere.partition("/")[0]
    assert (seal is not None and seal in to_other) is (same and seal is not None)
    assert seal is None or seal in back
    assert (its_seal is not None and its_seal in back) is (same and its_seal is not None)


@pytest.mark.parametrize("other", [name for name in FORMATS if name not in SHOW_PICTURES])
async def test_who_cannot_be_shown_what_a_tool_showed_says_so_by_name(other):
    model, body, _ = asking(other, "Eq==")
    router = Router([Deployment(model, api_key="k-0123456789abcdef")], transport=Hosts(), retry=None)
    (asked,) = (
        FORMATS[other].wires()[0][1].decode(json.dumps(body).encode(), call(Deployment(model))).tool_calls
    )
    shown = Message("tool", [ToolResult(asked.id, (Text("see"), PICTURE))])

    with pytest.raises(UnsupportedParameterError) as caught:
        await router.chat([USER, Message("assistant", [asked]), shown])

    assert caught.value.parameter == "messages"
