"""Streams as OpenAI sends them: chunk by chunk, to their end or to where they break."""

from __future__ import annotations

import json
from contextlib import aclosing

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyroute import (
    ChatChunk,
    ChatResponse,
    ChatStream,
    ConnectError,
    Middleware,
    RateLimitError,
    ReadError,
    Router,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from polyroute.interop.chunks import Telling
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import BASE, HI, events, on_each_library, posted, routed


async def streamed(reply, **body):
    async with routed(deployment("a", FakeProvider([reply]))) as client:
        response = await posted(client, model="a", stream=True, **body)
    assert response.status_code == 200, response.text
    *chunks, last = events(response.text)
    assert last == "[DONE]"
    return chunks


def deltas(chunks):
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


async def test_a_role_comes_first_then_the_words_then_the_reason():
    chunks = await streamed(ChatResponse("one two", id="chatcmpl-7", model="m-2026"))

    assert {chunk.pop("created") for chunk in chunks} != {None}
    head = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "model": "m-2026"}
    assert chunks == [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in (
            ({"role": "assistant", "content": ""}, None),
            ({"content": "one"}, None),
            ({"content": " two"}, None),
            ({}, "stop"),
        )
    ]


async def test_usage_comes_only_where_it_is_asked_for_and_in_a_chunk_of_its_own():
    reply = ChatResponse("x", usage=Usage(7, 5))
    without = await streamed(reply)
    asked = await streamed(reply, stream_options={"include_usage": True, "include_obfuscation": False})

    assert all(chunk["choices"] and "usage" not in chunk for chunk in without)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    assert asked[-1]["id"] == asked[0]["id"]


async def test_reasoning_refusals_and_tool_calls_are_deltas_of_their_own():
    thinking = await streamed(ChatResponse("Yes.", reasoning="Why not?"))
    refusing = await streamed(ChatResponse(refusal="No."))
    calling = await streamed(ChatResponse(tool_calls=[ToolCall("c", "now", {"tz": 1})]))

    begun = {"role": "assistant", "content": None}
    assert deltas(thinking) == [begun, {"reasoning_content": "Why not?"}, {"content": "Yes."}, {}]
    assert deltas(refusing) == [begun, {"refusal": "No."}, {}]
    function = {"name": "now", "arguments": '{"tz": 1}'}
    called = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]}
    assert deltas(calling) == [begun, called, {}]
    assert calling[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_every_choice_has_its_role_its_words_and_its_reason():
    reply = ChatResponse("Ho", choices=(ChatResponse("Ho"), ChatResponse("Hi", finish_reason="length")))
    chunks = await streamed(reply, n=2)

    second = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == 1]
    assert [each["delta"] for each in second] == [{"role": "assistant", "content": ""}, {"content": "Hi"}, {}]
    assert second[-1]["finish_reason"] == "length"


async def test_log_probabilities_come_with_their_words():
    chunks = await streamed(ChatResponse("Ho", logprobs=(TokenLogprob("Ho", -0.5),)))

    told = chunks[1]["choices"][0]
    assert told["delta"] == {"content": "Ho"}
    assert told["logprobs"]["content"][0]["token"] == "Ho"


class Odd:
    """A provider whose chunks the test gives."""

    name = "odd"

    def __init__(self, *chunks):
        self.chunks = chunks
        self.closed = 0

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        try:
            for chunk in self.chunks:
                yield chunk
        finally:
            self.closed += 1


async def told_by(*chunks):
    async with routed(deployment("a", Odd(*chunks))) as client:
        response = await posted(client, model="a", stream=True)
    return list(events(response.text))


async def test_a_stream_without_words_for_its_end_is_ended_all_the_same():
    *chunks, done = await told_by(ChatChunk(text="x"))
    *blank, _ = await told_by(ChatChunk(finish_reason="stop"))

    assert done == "[DONE]"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert deltas(blank) == [{"role": "assistant", "content": None}, {}]


async def test_a_choice_of_which_nothing_came_is_told_too():
    *chunks, _ = await told_by(ChatChunk(text="x", index=1))

    assert [choice["index"] for chunk in chunks for choice in chunk["choices"]] == [1, 1, 0, 0, 1]


async def test_pieces_of_a_tool_call_keep_their_order_and_their_index():
    *chunks, _ = await told_by(
        ChatChunk(tool_call_delta=ToolCallDelta(1, "c", "now", "")),
        ChatChunk(tool_call_delta=ToolCallDelta(1, arguments='{"tz"')),
        ChatChunk(tool_call_delta=ToolCallDelta(1, arguments=":1}")),
        ChatChunk(finish_reason="tool_calls"),
    )

    pieces = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert pieces == [
        {"index": 1, "id": "c", "type": "function", "function": {"name": "now", "arguments": ""}},
        {"index": 1, "function": {"arguments": '{"tz"'}},
        {"index": 1, "function": {"arguments": ":1}"}},
    ]


async def test_a_chunk_that_says_several_things_at_once_loses_none():
    logprobs = (TokenLogprob("y", -0.5),)
    *chunks, _ = await told_by(
        ChatChunk(text="x"),
        ChatChunk(text="y", tool_call_delta=ToolCallDelta(0, "c", "now")),
        ChatChunk(text="y", logprobs=logprobs),
        ChatChunk(logprobs=logprobs),
        ChatChunk(text="z", finish_reason="length"),
    )

    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[2]["delta"]["content"] == "y"
    assert choices[2]["delta"]["tool_calls"][0]["function"]["name"] == "now"
    assert choices[3]["logprobs"]["content"][0]["token"] == "y"
    assert (choices[4]["delta"], choices[4]["logprobs"]) == ({}, choices[3]["logprobs"])
    assert choices[5:] == [{"index": 0, "delta": {"content": "z"}, "finish_reason": "length"}]


async def test_a_chunk_that_says_nothing_is_not_told():
    *chunks, _ = await told_by(
        ChatChunk(text="x"), ChatChunk(usage=Usage(1, 1)), ChatChunk(), ChatChunk(text="y")
    )

    assert [delta.get("content") for delta in deltas(chunks)] == ["", "x", "y", None]


@example(["a half \ud83d", "of a pair \ude00"])
@given(st.lists(st.text(min_size=1), min_size=2, max_size=5))
def test_any_words_are_told_as_they_are(words):
    telling = Telling("m", include_usage=False)
    body = b"".join(telling.chunk(ChatChunk(text=word)) for word in words)

    told = [event["choices"][0]["delta"].get("content") for event in events(body.decode())]
    assert told == ["", *(word.encode("utf-8", "replace").decode() for word in words)]


@given(
    st.lists(
        st.builds(
            ChatChunk,
            text=st.sampled_from(["", "a", "b"]),
            reasoning=st.sampled_from([None, "r"]),
            refusal=st.sampled_from([None, "n"]),
            finish_reason=st.sampled_from([None, None, "stop"]),
            index=st.integers(0, 2),
        )
    )
)
def test_however_it_is_cut_each_choice_begins_once_and_loses_nothing(chunks):
    telling = Telling("m", include_usage=True)
    body = b"".join([*map(telling.chunk, chunks), telling.end(ChatResponse())])

    *told, done = events(body.decode())
    assert done == "[DONE]"
    assert told[-1]["choices"] == []
    for index in range(3):
        mine = [each for chunk in told for each in chunk["choices"] if each["index"] == index]
        roles = [place for place, each in enumerate(mine) if "role" in each["delta"]]
        assert roles == ([0] if mine else [])
        for key, name in (("content", "text"), ("reasoning_content", "reasoning"), ("refusal", "refusal")):
            said = "".join(getattr(chunk, name) or "" for chunk in chunks if chunk.index == index)
            assert "".join(each["delta"].get(key) or "" for each in mine) == said


@on_each_library
async def test_what_fails_before_the_first_token_falls_back_unseen_and_is_counted(library):
    here = [deployment("a", down()), deployment("b", FakeProvider(["yes"]))]
    async with routed(*here, library=library, retry=None) as client:
        async with client.stream(
            "POST", "/chat/completions", json={**HI, "model": ["a", "b"], "stream": True}
        ) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["x-polyroute-deployment"] == "b"
            assert response.headers["x-polyroute-attempts"] == "2"
            await response.aread()
    assert "yes" in response.text


async def test_what_fails_for_everybody_is_a_status_and_no_stream():
    busy = FakeProvider(script=[RateLimitError("busy", status=429, retry_after=30)])
    async with routed(deployment("a", busy), retry=None) as client:
        response = await posted(client, model="a", stream=True)

    assert response.status_code == 429
    assert response.headers["retry-after"] == "30"
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_stream_that_breaks_ends_with_an_error_that_says_why():
    broken = FakeProvider(script=[("Once upon", ReadError("cut"))])
    async with routed(deployment("a", broken)) as client:
        response = await posted(client, model="a", stream=True)

    *chunks, last = events(response.text)
    assert "".join(delta["content"] for delta in deltas(chunks)) == "Once upon"
    assert last["error"]["type"] == "server_error"
    assert "cut" in last["error"]["message"]


async def test_a_broken_streams_error_is_of_the_kind_that_broke_it():
    broken = FakeProvider(script=[("Once", RateLimitError("busy", status=429))])
    async with routed(deployment("a", broken)) as client:
        response = await posted(client, model="a", stream=True)

    assert list(events(response.text))[-1]["error"]["code"] == "rate_limit_exceeded"


async def test_a_bug_in_a_stream_passes():
    async with routed(deployment("a", FakeProvider(script=[("Once", ZeroDivisionError())]))) as client:
        with pytest.raises(ZeroDivisionError):
            await posted(client, model="a", stream=True)


async def test_a_client_that_leaves_early_leaves_nothing_behind():
    odd = Odd(*[ChatChunk(text="x")] * 100)
    async with Router([deployment("a", odd)]) as router:
        async with httpx.AsyncClient(transport=router.openai_transport(), base_url=BASE) as client:
            async with client.stream(
                "POST", "/chat/completions", json={**HI, "model": "a", "stream": True}
            ) as response:
                async with aclosing(aiter(response.stream)) as pieces:
                    await anext(pieces)
                    assert router._core.fleet["a"].in_flight == 1
            assert odd.closed == 1
            assert router._core.fleet["a"].in_flight == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_leaves_nothing_behind(stream):
    async with Router([deployment("a", FakeProvider(["x"], latency=60))]) as router:
        async with httpx.AsyncClient(transport=router.openai_transport(), base_url=BASE) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: posted(client, model="a", stream=stream))
                await anyio.wait_all_tasks_blocked()
                assert router._core.fleet["a"].in_flight == 1
                group.cancel_scope.cancel()
        assert router._core.fleet["a"].in_flight == 0


class Twice(Middleware):
    async def stream(self, request, call_next):
        return (await call_next(request)).map(lambda chunk: chunk)


async def test_streams_that_middleware_made_tell_who_answered_too():
    async with routed(deployment("a"), middleware=[Twice()]) as client:
        response = await posted(client, model="a", stream=True)
        assert response.headers["x-polyroute-deployment"] == "a"


class Whole(Middleware):
    async def stream(self, request, call_next):
        return ChatStream.of(ChatResponse("from elsewhere"))


async def test_a_stream_that_nobody_was_asked_for_tells_of_nobody():
    async with routed(deployment("a"), middleware=[Whole()]) as client:
        response = await posted(client, model="a", stream=True)

    assert response.headers["x-polyroute-attempts"] == "0"
    assert "x-polyroute-deployment" not in response.headers
    assert "from elsewhere" in response.text


async def test_a_stream_that_cannot_begin_is_an_error_of_its_own():
    async with routed(deployment("a", FakeProvider(script=[ConnectError("no")])), retry=None) as client:
        response = await posted(client, model="a", stream=True)

    assert response.status_code == 502
    assert json.loads(response.text)["error"]["type"] == "server_error"
