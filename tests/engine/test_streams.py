"""Streams: what is unseen before the first token, what is raised after it, and what is left at the end."""

from __future__ import annotations

import anyio
import pytest
from pydantic import BaseModel

from polyroute import (
    AllAttemptsFailedError,
    AttemptError,
    AuthenticationError,
    ChatChunk,
    ChatResponse,
    ChatStream,
    ConfigurationError,
    Opaque,
    OutputValidationError,
    ReadError,
    Reasoning,
    Router,
    ServerError,
    Strategy,
    StreamInterruptedError,
    Text,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment
from tests.engine.breaking import Chunks, read


async def test_tells_who_was_asked_from_its_first_token_to_its_end():
    here = [
        deployment("a", FakeProvider(script=[ServerError("down")])),
        deployment("b", FakeProvider(["one two"])),
    ]
    async with Router(here) as router:
        stream = router.stream("hi")
        assert stream.asked == ()
        async with stream:
            assert stream.asked == ("a", "b")
            whole = await stream.response()
            assert stream.asked == ("a", "b")
        async with ChatStream.of(whole).map(lambda chunk: chunk) as told_again:
            assert told_again.asked == ("a", "b")


async def test_gives_the_text_in_pieces_and_the_same_reply_that_chat_gives():
    provider = FakeProvider(["Once upon a time"], usage=Usage(3, 4))
    async with Router([deployment("a", provider)]) as router:
        chunks, streamed = await read(router)
        whole = await router.chat("hi")

    assert [chunk.text for chunk in chunks] == ["Once", " upon", " a", " time", ""]
    assert {chunk.deployment for chunk in chunks} == {"a"}
    assert streamed.raw is None
    for field in (
        "text",
        "finish_reason",
        "usage",
        "cost",
        "deployment",
        "provider",
        "route",
        "message",
        "parts",
    ):
        assert getattr(streamed, field) == getattr(whole, field), field


async def test_everything_a_reply_can_hold_comes_through_a_stream():
    reply = ChatResponse(
        text="42", reasoning="hm", tool_calls=[ToolCall("1", "f", {"x": 1}), ToolCall("2", "g", {})], id="r"
    )
    async with Router([deployment("a", FakeProvider([reply]))]) as router:
        _, streamed = await read(router)

    assert (streamed.text, streamed.reasoning, streamed.tool_calls) == ("42", "hm", reply.tool_calls)
    assert streamed.finish_reason == "tool_calls"
    assert streamed.message == reply.message


async def test_every_kind_of_chunk_finds_its_place_in_the_reply():
    told = Chunks(
        ChatChunk(id="r", model="m"),
        ChatChunk(opaque=Opaque("chunks", {"s": 1})),
        ChatChunk(text="a", logprobs=(TokenLogprob("a", -0.1),)),
        ChatChunk(text="b", logprobs=(TokenLogprob("b", -0.2),), id=""),
        ChatChunk(refusal="no"),
        ChatChunk(text="other", index=1),
        ChatChunk(tool_call_delta=ToolCallDelta(1, "2", "g", "{}")),
        ChatChunk(tool_call_delta=ToolCallDelta(0, "1", "f", '{"x"')),
        ChatChunk(tool_call_delta=ToolCallDelta(0, None, None, ": 1}")),
        ChatChunk(tool_call_delta=ToolCallDelta(2, "3")),
        ChatChunk(finish_reason="stop", index=1),
        ChatChunk(finish_reason="length"),
        ChatChunk(usage=Usage(1, 2)),
    )
    async with Router([deployment("a", told)]) as router:
        _, reply = await read(router)

    assert (reply.id, reply.model, reply.text, reply.refusal) == ("r", "m", "ab", "no")
    assert [each.token for each in reply.logprobs] == ["a", "b"]
    assert reply.tool_calls == [ToolCall("1", "f", {"x": 1}, '{"x": 1}'), ToolCall("2", "g", {}, "{}")]
    assert (reply.finish_reason, reply.usage) == ("length", Usage(1, 2))
    assert reply.parts[0] == Opaque("chunks", {"s": 1})
    assert [(choice.text, choice.finish_reason) for choice in reply.choices] == [
        ("ab", "length"),
        ("other", "stop"),
    ]


async def test_what_fails_before_the_first_token_falls_back_unseen():
    first = FakeProvider(script=[("", ReadError("cut"))])
    async with Router([deployment("a", first), deployment("b")]) as router:
        chunks, reply = await read(router)

    assert [chunk.text for chunk in chunks if chunk.text] == ["b"]
    assert asked(reply) == ["a", "b"]


async def test_a_chunk_without_a_token_does_not_commit_a_stream():
    class Role:
        name = "role"

        async def chat(self, call):
            raise NotImplementedError

        async def stream(self, call):
            yield ChatChunk(id="r")
            yield ChatChunk(usage=Usage(1, 0))
            raise ReadError("cut")

    async with Router([deployment("a", Role()), deployment("b")], retry=None) as router:
        chunks, reply = await read(router)

    assert [chunk.text for chunk in chunks] == ["b", ""]
    assert asked(reply) == ["a", "b"]


async def test_a_stream_that_breaks_after_its_first_token_is_not_retried():
    first = FakeProvider(script=[("Once upon", ReadError("cut"))], usage=Usage(7, 2))
    other = FakeProvider(["never"])
    async with Router([deployment("a", first), deployment("b", other)]) as router:
        with pytest.raises(StreamInterruptedError) as caught:
            async with router.stream("hi") as stream:
                async for _ in stream:
                    pass

    assert caught.value.partial == "Once upon"
    assert caught.value.deployment == "a"
    assert caught.value.usage.estimated
    assert caught.value.usage.output_tokens > 0
    assert isinstance(caught.value.__cause__, ReadError)
    assert caught.value.__cause__.deployment == "a"
    assert not other.calls


async def test_a_broken_stream_raises_the_same_error_again_and_never_a_half_reply():
    async with Router([deployment("a", FakeProvider(script=[("Once", ReadError("cut"))]))]) as router:
        async with router.stream("hi") as stream:
            for _ in range(2):
                with pytest.raises(StreamInterruptedError):
                    await stream.response()
            with pytest.raises(StreamInterruptedError):
                await anext(stream)


async def test_when_all_fail_the_error_comes_on_entering():
    async with Router([deployment("a", FakeProvider(script=[AuthenticationError("no")]))]) as router:
        with pytest.raises(AllAttemptsFailedError):
            async with router.stream("hi"):
                pytest.fail("it was entered")


async def test_nothing_is_asked_before_it_is_entered():
    provider = FakeProvider()
    async with Router([deployment("a", provider)]) as router:
        stream = router.stream("hi")
        with pytest.raises(ConfigurationError, match="enter the stream"):
            await anext(stream)
        with pytest.raises(ConfigurationError, match="enter the stream"):
            await stream.response()
        assert not provider.calls
        async with stream:
            pass
        with pytest.raises(ConfigurationError, match="entered once"):
            async with stream:
                pass


async def test_leaving_early_gives_everything_back():
    closed = []

    class Endless:
        name = "endless"

        async def chat(self, call):
            raise NotImplementedError

        async def stream(self, call):
            try:
                while True:
                    yield ChatChunk(text="on and ")
            finally:
                closed.append(True)

    async with Router([deployment("a", Endless())]) as router:
        async with router.stream("hi") as stream:
            assert router._core.fleet["a"].in_flight == 1
            async for chunk in stream:
                assert chunk.text == "on and "
                break
        assert closed == [True]
        assert router._core.fleet["a"].in_flight == 0
        with pytest.raises(StreamInterruptedError, match="closed before its end"):
            await stream.response()


async def test_a_slot_is_held_until_the_end_and_given_back_once():
    async with Router([deployment("a")]) as router:
        async with router.stream("hi") as stream:
            await stream.response()
            assert router._core.fleet["a"].in_flight == 0
            await stream.aclose()
            await stream.aclose()
        assert router._core.fleet["a"].in_flight == 0


async def test_a_stream_of_nothing_but_its_end_is_an_answer():
    async with Router([deployment("a", FakeProvider([ChatResponse("", finish_reason="length")]))]) as router:
        chunks, reply = await read(router)

    assert (reply.text, reply.finish_reason) == ("", "length")
    assert not any(chunk.has_token for chunk in chunks)


async def test_the_time_to_the_first_token_is_told_in_the_trace():
    async with Router([deployment("a")]) as router:
        _, reply = await read(router)

    assert reply.trace.attempts[0].ttft is not None
    assert reply.trace.attempts[0].ttft <= reply.trace.attempts[0].latency


class TestStructuredOutput:
    class City(BaseModel):
        name: str

    async def test_is_parsed_at_the_end(self):
        async with Router([deployment("a", FakeProvider(['{"name": "Rome"}']))]) as router:
            async with router.stream("hi", response_format=self.City) as stream:
                assert (await stream.response()).parsed == self.City(name="Rome")

    async def test_that_never_came_falls_back_since_nobody_saw_it(self):
        deployments = [
            deployment("a", FakeProvider([""])),
            deployment("b", FakeProvider(['{"name": "Rome"}'])),
        ]
        async with Router(deployments) as router:
            async with router.stream("hi", response_format=self.City) as stream:
                reply = await stream.response()
        assert reply.parsed == self.City(name="Rome")
        assert asked(reply) == ["a", "b"]

    async def test_of_the_wrong_shape_is_an_error_with_the_text(self):
        async with Router([deployment("a", FakeProvider(["no city"]))]) as router:
            async with router.stream("hi", response_format=self.City) as stream:
                with pytest.raises(OutputValidationError) as caught:
                    await stream.response()
            assert caught.value.text == "no city"
            assert router._core.fleet["a"].in_flight == 0


class TestAJudge:
    class Picky(Strategy):
        async def choose(self, request, candidates, history, fleet):
            return candidates[0]

        async def accept(self, request, response):
            return "good" in response.text

    async def test_sees_the_whole_reply_before_the_stream_commits(self):
        deployments = [
            deployment("a", FakeProvider(["bad one"])),
            deployment("b", FakeProvider(["a good one"])),
        ]
        async with Router(deployments, strategy=self.Picky()) as router:
            chunks, reply = await read(router)
            whole = await router.chat("hi")

        assert "".join(chunk.text for chunk in chunks) == "a good one"
        for each in (reply, whole):
            assert asked(each) == ["a", "b"]
            error = each.trace.attempts[0].error
            assert type(error).__name__ == "RejectedError"
            assert error.response.text == "bad one"


class TestOf:
    async def test_tells_a_whole_reply_as_a_stream(self):
        reply = ChatResponse(
            "hello", reasoning="hm", tool_calls=[ToolCall("1", "f", {})], usage=Usage(1, 2), model="m"
        )
        async with ChatStream.of(reply) as stream:
            chunks = [chunk async for chunk in stream]
            assert await stream.response() is reply

        assert [(chunk.reasoning, chunk.text) for chunk in chunks[:2]] == [("hm", ""), (None, "hello")]
        assert chunks[-1].finish_reason == "tool_calls"
        assert chunks[-1].usage == Usage(1, 2)
        assert {chunk.model for chunk in chunks} == {"m"}

    async def test_tells_every_choice(self):
        choices = (ChatResponse("a"), ChatResponse("b"))
        async with ChatStream.of(ChatResponse("a", choices=choices)) as stream:
            chunks = [chunk async for chunk in stream]

        assert [(chunk.index, chunk.text) for chunk in chunks if chunk.text] == [(0, "a"), (1, "b")]

    async def test_tells_what_is_bound_to_its_maker_a_refusal_and_probabilities(self):
        signed, likely = Opaque("x", {"signature": "s"}), (TokenLogprob("a", -0.1),)
        async with ChatStream.of(ChatResponse("a", parts=(signed, Text("a")), logprobs=likely)) as stream:
            chunks = [chunk async for chunk in stream]
        async with ChatStream.of(ChatResponse(refusal="no")) as stream:
            refused = [chunk async for chunk in stream]

        assert [(chunk.opaque, chunk.text, chunk.logprobs) for chunk in chunks[:-1]] == [
            (signed, "", None), (None, "a", likely)
        ]  # fmt: skip
        assert [chunk.refusal for chunk in refused] == ["no", None]

    async def test_is_at_its_end_once_it_was_read(self):
        stream = ChatStream.of(ChatResponse("a"))
        await stream.aclose()  # It was not entered, so there is nothing to close.
        async with stream:
            assert [chunk.text async for chunk in stream] == ["a", ""]
            assert [chunk async for chunk in stream] == []


class TestMap:
    async def test_changes_the_chunks_and_the_reply_with_them(self):
        async with Router([deployment("a", FakeProvider(["one two three"]))]) as router:
            stream = router.stream("hi").map(
                lambda chunk: (
                    None
                    if "two" in chunk.text
                    else ChatChunk(**{**chunk.__dict__, "text": chunk.text.upper()})
                )
            )
            async with stream:
                texts = [chunk.text async for chunk in stream]
                reply = await stream.response()

        assert texts == ["ONE", " THREE", ""]
        assert reply.text == "ONE THREE"
        assert reply.message.content == "ONE THREE"
        assert reply.deployment == "a"

    async def test_closes_what_it_stands_on(self):
        async with Router([deployment("a", FakeProvider(["one two"]))]) as router:
            async with router.stream("hi").map(lambda chunk: chunk) as stream:
                await anext(stream)
            assert router._core.fleet["a"].in_flight == 0


class TestOnEnd:
    async def test_is_told_the_whole_reply_once(self):
        told = []
        async with Router([deployment("a")]) as router:
            async with router.stream("hi").on_end(told.append) as stream:
                reply = await stream.response()
                await stream.response()

        assert told == [reply]

    async def test_each_callback_is_told_in_its_order(self):
        told = []
        stream = ChatStream.of(ChatResponse("x"))
        stream.on_end(lambda outcome: told.append(1)).on_end(lambda outcome: told.append(2))
        async with stream:
            await stream.response()

        assert told == [1, 2]

    async def test_may_be_async(self):
        told = []

        async def callback(outcome):
            await anyio.lowlevel.checkpoint()
            told.append(outcome)

        async with ChatStream.of(ChatResponse("x")).on_end(callback) as stream:
            await stream.response()

        assert [outcome.text for outcome in told] == ["x"]

    async def test_is_told_the_error_where_it_breaks_fails_to_open_or_is_left_early(self):
        told = []
        scripts = [("Once", ReadError("cut"))], [AuthenticationError("no")], ["one two"]
        for script in scripts:
            async with Router([deployment("a", FakeProvider(script=script))], retry=None) as router:
                try:
                    async with router.stream("hi").on_end(told.append) as stream:
                        await anext(stream)
                        if script != scripts[2]:
                            await stream.response()
                except Exception:
                    pass

        assert [type(outcome).__name__ for outcome in told] == [
            "StreamInterruptedError", "AllAttemptsFailedError", "StreamInterruptedError"
        ]  # fmt: skip


async def test_a_bug_in_a_provider_comes_out_as_itself_and_leaves_nothing():
    async with Router([deployment("a", Chunks("x", error=ZeroDivisionError()))]) as router:
        with pytest.raises(ZeroDivisionError):
            async with router.stream("hi") as stream:
                await stream.response()
        assert router._core.fleet["a"].in_flight == 0


async def test_parts_that_alternate_keep_their_order():
    class Alternates:
        name = "alternates"

        async def chat(self, call):
            raise NotImplementedError

        async def stream(self, call):
            for chunk in (
                ChatChunk(reasoning="hm "), ChatChunk(reasoning="so"), ChatChunk(text="A"),
                ChatChunk(reasoning="but"), ChatChunk(text="B"),
            ):  # fmt: skip
                yield chunk

    async with Router([deployment("a", Alternates())]) as router:
        _, reply = await read(router)

    assert reply.parts == (Reasoning("hm so"), Text("A"), Reasoning("but"), Text("B"))
    assert (reply.text, reply.reasoning) == ("AB", "hm sobut")
    assert reply.message.content == reply.parts


async def test_a_chunk_that_says_restarted_voids_what_came_before():
    class Restarts:
        name = "restarts"

        async def chat(self, call):
            raise NotImplementedError

        async def stream(self, call):
            yield ChatChunk(text="void")
            yield ChatChunk(text="new", restarted=True)

    async with Router([deployment("a", Restarts())]) as router:
        _, reply = await read(router)

    assert reply.text == "new"


async def test_one_failed_attempt_learns_once():
    async with Router([deployment("a", FakeProvider(script=[("x", ServerError("boom"))]))]) as router:
        async with router.stream("hi") as stream:
            with pytest.raises(StreamInterruptedError):
                await stream.response()
        assert router._core.fleet["a"].error_rate == pytest.approx(0.1)
        assert issubclass(ServerError, AttemptError)
