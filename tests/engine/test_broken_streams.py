"""A stream that breaks after its first token: held back till then, begun anew elsewhere, or an error."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from polyroute import (
    AllAttemptsFailedError,
    ChatChunk,
    ContentFilterError,
    Price,
    Route,
    Router,
    StreamInterruptedError,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, dead, deployment, down
from tests.engine.breaking import Chunks, breaks, idle, kinds, read, seen


class TestHold:
    @pytest.mark.parametrize(("hold", "unseen"), [(1, False), (2, False), (3, True), (9, True)])
    async def test_a_break_before_so_many_tokens_is_unseen(self, hold, unseen):
        async with Router([deployment("a", breaks("one two")), deployment("b")]) as router:
            if unseen:
                chunks, reply = await read(router, hold=hold)
                assert (seen(chunks), kinds(reply)) == ("b", [("a", "first"), ("b", "fallback")])
                assert not any(chunk.restarted for chunk in chunks)
            else:
                with pytest.raises(StreamInterruptedError) as caught:
                    await read(router, hold=hold)
                assert caught.value.partial == "one two"
            assert idle(router)

    async def test_a_stream_is_committed_with_that_token_and_not_before(self):
        told = []

        class Counts(Chunks):
            async def stream(self, call):
                async for chunk in super().stream(call):
                    told.append(chunk.text)
                    yield chunk

        async with Router([deployment("a", Counts(ChatChunk(id="r"), "one", " two", " three"))]) as router:
            async with router.stream("hi", hold=2) as stream:
                assert told == ["", "one", " two"]
                assert [chunk.text async for chunk in stream] == ["", "one", " two", " three"]

    async def test_a_reply_of_fewer_tokens_is_whole(self):
        async with Router([deployment("a", FakeProvider(["one two"]))]) as router:
            chunks, reply = await read(router, hold=50)
        assert seen(chunks) == reply.text == "one two"

    async def test_a_reply_that_is_not_of_its_schema_is_unseen_while_it_is_held(self):
        class City(BaseModel):
            name: str

        here = [
            deployment("a", FakeProvider(["no city"])),
            deployment("b", FakeProvider(['{"name": "Rome"}'])),
        ]
        async with Router(here) as router:
            _, reply = await read(router, hold=50, response_format=City)
        assert (reply.parsed, asked(reply)) == (City(name="Rome"), ["a", "b"])

    async def test_what_was_held_is_paid_for(self):
        here = [deployment("a", breaks("one two"), price=Price(1, 1)), deployment("b", price=Price(1, 1))]
        async with Router(here) as router:
            _, reply = await read(router, hold=9)
        assert reply.trace.attempts[0].usage.output_tokens >= 2
        assert reply.cost == sum(attempt.cost for attempt in reply.trace.attempts)


class TestRestart:
    async def test_a_chunk_says_that_what_came_is_void_and_another_begins_anew(self):
        second = FakeProvider(["something else"])
        async with Router([deployment("a", breaks("one two")), deployment("b", second)]) as router:
            chunks, reply = await read(router, on_break="restart")

            assert [(chunk.text, chunk.restarted) for chunk in chunks] == [
                ("one", False), (" two", False), ("something", True), (" else", False), ("", False)
            ]  # fmt: skip
            assert (reply.text, reply.deployment) == ("something else", "b")
            assert kinds(reply) == [("a", "first"), ("b", "restart")]
            assert [message.text for message in second.calls[0].request.messages] == ["hi"]
            assert idle(router)

    async def test_the_reply_has_the_usage_of_the_new_answer_and_the_cost_of_both(self):
        price = Price(input=1_000_000, output=1_000_000)
        here = [
            deployment("a", breaks("one two"), price=price),
            deployment("b", FakeProvider(["three"], usage=Usage(7, 1)), price=price),
        ]
        async with Router(here) as router:
            _, reply = await read(router, on_break="restart")

        void, new = reply.trace.attempts
        assert reply.usage == new.usage == Usage(7, 1)
        assert void.usage.estimated
        assert void.usage.output_tokens > 0
        assert reply.cost == void.cost + new.cost == 8 + void.usage.input_tokens + void.usage.output_tokens
        assert reply.cost_estimated

    async def test_also_where_the_new_answer_is_empty(self):
        async with Router([deployment("a", breaks("one")), deployment("b", Chunks())]) as router:
            chunks, reply = await read(router, on_break="restart")

        assert (seen(chunks), reply.text) == ("", "")
        assert [chunk.restarted for chunk in chunks] == [False, True]

    async def test_as_often_as_it_breaks(self):
        here = [deployment("a", breaks("one")), deployment("b", breaks("two")), deployment("c")]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="restart")

        assert seen(chunks) == reply.text == "c"
        assert [chunk.text for chunk in chunks if chunk.restarted] == ["two", "c"]
        assert kinds(reply) == [("a", "first"), ("b", "restart"), ("c", "restart")]

    async def test_passes_over_those_that_fail_at_once(self):
        here = [deployment("a", breaks("one")), deployment("b", down()), deployment("c")]
        async with Router(here) as router:
            _, reply = await read(router, on_break="restart")
        assert kinds(reply) == [("a", "first"), ("b", "restart"), ("c", "restart")]

    async def test_what_was_told_before_is_void_in_a_mapped_stream_too(self):
        def loud(chunk):
            return None if chunk.text == "skipped" else ChatChunk(text=chunk.text.upper())

        here = [deployment("a", breaks("one")), deployment("b", Chunks("skipped", "two"))]
        async with Router(here) as router:
            async with router.stream("hi", on_break="restart").map(loud) as stream:
                chunks = [chunk async for chunk in stream]
                reply = await stream.response()

        assert [(chunk.text, chunk.restarted) for chunk in chunks] == [("ONE", False), ("TWO", True)]
        assert reply.text == "TWO"


class TestWhereNobodyCanGoOn:
    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    async def test_the_break_comes_out_with_all_that_was_said(self, on_break):
        here = [deployment("a", breaks("one")), deployment("b", breaks(" two")), deployment("c", dead())]
        async with Router(here, retry=None) as router:
            texts = []
            with pytest.raises(StreamInterruptedError, match="no other deployment could go on") as caught:
                async with router.stream("hi", on_break=on_break) as stream:
                    async for chunk in stream:
                        texts.append(chunk)
            assert idle(router)

        error = caught.value
        assert error.partial == seen(texts) == ("one two" if on_break == "resume" else " two")
        assert error.deployment == "b"
        assert isinstance(error.__cause__, AllAttemptsFailedError)
        assert [attempt.deployment for attempt in error.__cause__.attempts] == ["a", "b", "c"]
        used = [attempt.usage for attempt in error.__cause__.attempts]
        parts = used[:2] if on_break == "resume" else used[1:2]
        assert error.usage.output_tokens == sum(each.output_tokens for each in parts)

    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    async def test_fallbacks_false_forbids_the_fallbacks(self, on_break):
        here = [deployment("a", breaks("one")), deployment("b")]
        async with Router(here, routes={"default": Route(["a"], fallbacks=["b"])}, retry=None) as router:
            with pytest.raises(StreamInterruptedError):
                await read(router, on_break=on_break, fallbacks=False)

    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    async def test_a_filter_that_refuses_is_an_answer_and_no_outage(self, on_break):
        here = [
            deployment("a", breaks("one", error=ContentFilterError("no"))),
            deployment("b", FakeProvider([" two"])),
        ]
        routes = {
            "strict": Route(["a", "b"]),
            "lenient": Route(["a", "b"], after_content_filter="fallback"),
        }
        async with Router(here, routes=routes) as router:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(router, model="strict", on_break=on_break)
            assert isinstance(caught.value.__cause__, ContentFilterError)
            _, reply = await read(router, model="lenient", on_break=on_break)
            assert kinds(reply)[1] == ("b", on_break)

    async def test_tags_bind_those_who_go_on(self):
        second = FakeProvider([" two"])
        here = [deployment("a", breaks("one"), tags=["eu"]), deployment("b", second)]
        async with Router(here, retry=None) as router:
            with pytest.raises(StreamInterruptedError):
                await read(router, on_break="resume", tags=["eu"])
        assert not second.calls
