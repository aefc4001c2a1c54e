"""Replies as OpenAI's Responses: whole, event by event, and carried through a program that knows no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    ChatChunk,
    ChatResponse,
    Deployment,
    Opaque,
    RateLimitError,
    ReadError,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from polyroute.gathered import Gathered
from polyroute.interop.response_events import ResponseTelling
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import responded, routed


async def whole(reply: Any, **body: Any) -> Any:
    async with routed(deployment("a", FakeProvider([reply]))) as client:
        response = await responded(client, **body)
    assert response.status_code == 200, response.text
    return response.json()


async def streamed(reply: Any, **body: Any) -> list[Any]:
    async with routed(deployment("a", FakeProvider([reply]))) as client:
        response = await responded(client, stream=True, **body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    return events(response.text)


def events(text: str) -> list[Any]:
    """The events, each named by its type and numbered in order."""
    told: list[Any] = []
    *written, last = text.split("\n\n")
    assert last == ""
    for number, event in enumerate(written):
        name, data = event.split("\n")
        told.append(json.loads(data.removeprefix("data: ")))
        assert (name, told[-1]["sequence_number"]) == (f"event: {told[-1]['type']}", number)
    return told


def without_ids(output: list[Any]) -> list[Any]:
    return [{name: value for name, value in item.items() if name not in ("id", "status")} for item in output]


def text_item(text: str, **more: object) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "role": "assistant", "content": [part], **more}


async def test_a_whole_reply_is_a_response_that_says_what_was_asked():
    reply = ChatResponse("Hello", id="resp_7", model="m-2026", usage=Usage(7, 5, 3, None, 1))
    tools = [{"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}]
    body = await whole(reply, temperature=0.5, tools=tools)

    assert body.pop("created_at") > 0
    (item,) = body.pop("output")
    assert without_ids([item]) == [text_item("Hello")]
    assert body == {
        "id": "resp_7",
        "object": "response",
        "model": "m-2026",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": True,
        "temperature": 0.5,
        "tool_choice": "auto",
        "tools": tools,
        "usage": {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 12,
        },
    }


@pytest.mark.parametrize(
    ("finish", "status", "why"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("other", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
async def test_how_a_reply_ended_is_its_status(finish, status, why):
    reply = ChatResponse("x", finish_reason=finish)
    body, told = await whole(reply), await streamed(reply)

    assert (body["status"], body["incomplete_details"]) == (status, why)
    assert told[-1]["type"] == f"response.{status}"
    assert (told[-1]["response"]["status"], told[-1]["response"]["incomplete_details"]) == (status, why)


REPLIES = {
    "words": ChatResponse("Hello there"),
    "a thought": ChatResponse("Hello", reasoning="Hm."),
    "a refusal": ChatResponse(refusal="Not that."),
    "calls": ChatResponse(
        "Wait.", tool_calls=[ToolCall("c1", "now", {"a": 1}), ToolCall("c2", "then", raw_arguments="{")]
    ),
    "nothing": ChatResponse("", finish_reason="length"),
    "probabilities": ChatResponse("a", logprobs=(TokenLogprob("a", -1.0, top=(TokenLogprob("b", -2.0),)),)),
    "secrets": ChatResponse("12.", parts=(Opaque("fake", {"s": 1}), Text("12."), Opaque("fake", {"s": 2}))),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_a_stream_ends_with_what_a_whole_reply_would_have_been(reply):
    body, told = await whole(reply), await streamed(reply)

    last = told[-1]["response"]
    assert without_ids(last["output"]) == without_ids(body["output"])
    assert told[0]["response"]["id"] == last["id"]
    assert (told[0]["response"]["status"], told[0]["response"]["output"]) == ("in_progress", [])


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_each_item_begins_is_told_in_pieces_and_ends_as_it_stands_in_the_response(reply):
    told = await streamed(reply)

    output = told[-1]["response"]["output"]
    begun = {event["output_index"]: event["item"] for event in told if event["type"].endswith("item.added")}
    ended = {event["output_index"]: event["item"] for event in told if event["type"].endswith("item.done")}
    assert [begun[place]["id"] for place in range(len(output))] == [item["id"] for item in output]
    assert [ended[place] for place in range(len(output))] == output
    for place, item in enumerate(output):
        pieces = [
            event["delta"]
            for event in told
            if event["type"].endswith(".delta") and event["output_index"] == place
        ]
        parts = item.get("content") or item.get("summary") or [{"text": item.get("arguments", "")}]
        said = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
        assert "".join(pieces) == said or "encrypted_content" in item


async def test_words_are_told_in_the_sequence_of_openais_own_events():
    told = await streamed(ChatResponse("one two", reasoning="Hm."))

    assert [event["type"].removeprefix("response.") for event in told] == [
        "created",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


async def test_what_a_host_did_by_itself_is_told_as_it_ended():
    search = {"type": "web_search_call", "id": "ws_1", "status": "failed"}
    reply = ChatResponse("x", parts=(Opaque("openai-responses", search), Text("x")))

    assert (await whole(reply))["output"][0] == (await streamed(reply))[-1]["response"]["output"][0] == search


async def test_a_stream_answers_once_it_is_committed_and_says_who_answers():
    here = [deployment("a", down()), deployment("b", FakeProvider(["x"]))]
    async with routed(*here, retry=None) as client:
        response = await responded(client, model=["a", "b"], stream=True)

    assert response.headers["x-polyroute-deployment"] == "b"
    assert response.headers["x-polyroute-attempts"] == "2"


async def test_a_stream_that_breaks_ends_with_an_error():
    told = await streamed(("one two", ReadError("cut")))
    fake = FakeProvider(script=[RateLimitError("slow down", retry_after=3)])
    async with routed(deployment("a", fake), retry=None) as client:
        refused = await responded(client, stream=True)

    assert [event["type"] for event in told[-2:]] == ["response.output_text.delta", "error"]
    assert told[-1]["message"] == told[-1]["error"]["message"]
    assert refused.status_code == 429
    assert refused.headers["x-should-retry"] == "false"


def telling(*chunks: ChatChunk) -> list[Any]:
    """The events that tell *chunks*."""
    told = ResponseTelling("m", {})
    text = b"".join(map(told.chunk, chunks))
    return events((text + told.end(Gathered(chunks).response())).decode())


def test_calls_may_come_side_by_side_and_unnamed_at_first():
    pieces = [
        ToolCallDelta(0, "c1", "now"),
        ToolCallDelta(1, "c2", None, '{"b"'),
        ToolCallDelta(0, arguments='{"a": 1}'),
        ToolCallDelta(1, name="then", arguments=": 2}"),
        ToolCallDelta(2, "c3", None, "{}"),
    ]
    told = telling(*(ChatChunk(tool_call_delta=piece) for piece in pieces))

    assert [
        (item["call_id"], item["name"], item["arguments"]) for item in told[-1]["response"]["output"]
    ] == [
        ("c1", "now", '{"a": 1}'),
        ("c2", "then", '{"b": 2}'),
    ]
    assert [event["delta"] for event in told if event["type"].endswith("arguments.delta")] == [
        '{"a": 1}',
        '{"b": 2}',
    ]


def test_a_call_without_an_id_is_given_one_to_be_answered_by():
    told = telling(ChatChunk(tool_call_delta=ToolCallDelta(0, None, "now")))

    (item,) = told[-1]["response"]["output"]
    assert item["call_id"].startswith("call_")
    assert item["arguments"] == "{}"


def test_another_choice_has_no_place():
    told = telling(ChatChunk("one"), ChatChunk("two", index=1))

    assert without_ids(told[-1]["response"]["output"]) == [text_item("one")]


def test_half_of_a_surrogate_pair_is_a_question_mark():
    told = telling(ChatChunk("\ud83d"))

    assert told[3]["delta"] == "?"


@given(
    st.lists(
        st.one_of(
            st.builds(ChatChunk, st.text(max_size=3)),
            st.builds(ChatChunk, reasoning=st.text(max_size=3)),
            st.builds(ChatChunk, refusal=st.text(max_size=3)),
            st.builds(ChatChunk, opaque=st.just(Opaque("fake", {"a": 1}))),
            st.builds(
                ChatChunk,
                tool_call_delta=st.builds(
                    ToolCallDelta,
                    st.sampled_from([0, 1]),
                    st.sampled_from([None, "c1"]),
                    st.sampled_from([None, "now"]),
                    st.sampled_from(["", "{", "}"]),
                ),
            ),
        ),
        max_size=8,
    )
)
def test_any_chunks_are_told_to_the_end(chunks):
    told = telling(*chunks)
    reply = Gathered(chunks).response()

    output = told[-1]["response"]["output"]
    parts = [part for item in output for part in item.get("content", ())]
    assert "".join(part.get("text", "") for part in parts) == reply.text
    assert "".join(part.get("refusal", "") for part in parts) == (reply.refusal or "")
    summaries = [part["text"] for item in output for part in item.get("summary", ())]
    assert "".join(summaries) == (reply.reasoning or "")
    assert sorted(item["name"] for item in output if "name" in item) == sorted(
        call.name for call in reply.tool_calls
    )


# --- what a program carries for others ----------------------------------------------------------


async def carried(reply: ChatResponse[Any], origin: str, *, stream: bool) -> Any:
    """The model's turn as it comes back where a program hands the items of a reply back."""
    fake = FakeProvider(script=[reply, "ok"])
    fake.name = origin
    async with routed(Deployment("fake/a", id="a", provider=fake)) as client:
        response = await responded(client, stream=stream)
        output = events(response.text)[-1]["response"]["output"] if stream else response.json()["output"]
        again = await responded(
            client, input=[{"role": "user", "content": "hi"}, *output, {"role": "user", "content": "go on"}]
        )
    assert again.status_code == 200, again.text
    return fake.calls[1].request.messages[1]


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "Eq=="}
SIGNED = ChatResponse(
    "12.",
    reasoning="Hm.",
    parts=(Reasoning("Hm."), Opaque("anthropic", THINKING), Text("12."), Opaque("anthropic", {"é": [1]})),
)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_only_its_maker_understands_comes_back_to_it_through_a_program_of_openais(stream):
    message = await carried(SIGNED, "anthropic", stream=stream)

    assert message.parts == SIGNED.parts


@pytest.mark.parametrize("stream", [False, True])
async def test_what_openai_reasoned_searched_and_called_comes_back_as_it_was(stream):
    def theirs(**item: object) -> Opaque:
        return Opaque("openai-responses", item)

    thought = theirs(
        type="reasoning", id="rs_1", summary=[{"type": "summary_text", "text": "Hm."}], encrypted_content="g"
    )
    search = theirs(type="web_search_call", id="ws_1", status="completed")
    phase = theirs(type="message", phase="commentary")
    call, space = ToolCall("c1", "now", {"a": 1}), theirs(type="function_call", call_id="c1", namespace="n")
    parts = (Reasoning("Hm."), thought, search, Text("Wait."), phase, call, space)
    reply = ChatResponse("Wait.", reasoning="Hm.", tool_calls=[call], parts=parts)

    message = await carried(reply, "openai-responses", stream=stream)

    # A whole reply that is told as a stream has its calls last.
    assert [part for part in message.parts if part != space] == [part for part in parts if part != space]
    assert stream or message.parts == parts
