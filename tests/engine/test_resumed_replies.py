"""A reply of several parts is what one unbroken answer would have been: text, usage, cost and shape."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from polyroute import (
    ChatChunk,
    ChatResponse,
    OutputValidationError,
    Price,
    ReadError,
    Router,
    Strategy,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.engine.breaking import Chunks, breaks, idle, kinds, read, seen


class Knows(Chunks):
    """A model that knows the answer, says what follows on what it is shown, and breaks after so much of it."""

    def __init__(self, text, length, *, prefills):
        super().__init__()
        self.text = text
        self.length = length
        self.prefills = prefills

    def prefill(self, model):
        return "exact" if self.prefills else None

    async def stream(self, call):
        shown = "".join(each.text for each in call.request.messages if each.role == "assistant")
        assert self.text.startswith(shown)
        rest = self.text[len(shown) :]
        said = rest if self.length is None else rest[: self.length]
        for character in said:
            yield ChatChunk(text=character)
            await anyio.lowlevel.checkpoint()
        yield ChatChunk(usage=Usage(len(shown) + 1, len(said)))
        if len(said) < len(rest):
            raise ReadError("cut")
        yield ChatChunk(finish_reason="stop")


class TestTheWhole:
    class City(BaseModel):
        name: str

    async def test_a_schema_is_judged_on_the_joined_text(self):
        here = [deployment("a", breaks('{"name":')), deployment("b", FakeProvider([' "Rome"}']))]
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume", response_format=self.City)
        assert reply.parsed == self.City(name="Rome")

    async def test_a_joined_text_that_is_not_of_the_schema_is_an_error_with_all_of_it(self):
        here = [deployment("a", breaks('{"name":')), deployment("b", FakeProvider([" 3}"]))]
        async with Router(here) as router:
            with pytest.raises(OutputValidationError) as caught:
                await read(router, on_break="resume", response_format=self.City)
            assert idle(router)
        assert caught.value.text == '{"name": 3}'

    async def test_a_strategy_that_judges_sees_the_joined_text_and_nobody_a_break(self):
        texts = []

        class Judges(Strategy):
            async def choose(self, request, candidates, history, fleet):
                return candidates[0]

            async def accept(self, request, response):
                texts.append(response.text)
                return True

        here = [deployment("a", breaks("one")), deployment("b", FakeProvider(["whole"]))]
        async with Router(here, strategy=Judges()) as router:
            chunks, reply = await read(router, on_break="resume")
        # All of it is held until it was judged, so the break was before the commit point.
        assert (seen(chunks), texts, kinds(reply)[1]) == ("whole", ["whole"], ("b", "fallback"))

    async def test_the_reply_is_what_one_unbroken_call_would_have_given(self):
        whole = ChatResponse("one two three", reasoning="hm", id="r", model="m")
        unbroken = FakeProvider([whole], usage=Usage(3, 4))
        first = Chunks(
            ChatChunk(id="r", model="m"), ChatChunk(reasoning="hm"), "one two", error=ReadError("x")
        )
        rest = FakeProvider([ChatResponse(" three", id="r", model="m")])
        async with Router([deployment("a", unbroken)]) as router:
            expected = await router.chat("hi")
        async with Router([deployment("a", first), deployment("b", rest)]) as router:
            _, reply = await read(router, on_break="resume")

        for field in (
            "text",
            "reasoning",
            "id",
            "model",
            "message",
            "finish_reason",
            "tool_calls",
            "choices",
        ):
            assert getattr(reply, field) == getattr(expected, field), field

    @settings(max_examples=100, deadline=None)
    @given(
        text=st.text(min_size=1, max_size=40),
        lengths=st.lists(st.integers(1, 12), max_size=4),
        prefills=st.booleans(),
        backend=st.sampled_from(["asyncio", "trio"]),
    )
    def test_wherever_it_breaks_the_text_is_that_of_one_unbroken_answer(
        self, text, lengths, prefills, backend
    ):
        assume(text[0].strip())  # What is nothing but space is not carried on, but begun anew.

        async def main():
            here = [
                deployment(f"d{n}", Knows(text, length, prefills=prefills), price=Price(1_000_000, 1_000_000))
                for n, length in enumerate([*lengths, None])
            ]
            async with Router(here) as router:
                chunks, reply = await read(router, on_break="resume")
                assert idle(router)
            return chunks, reply

        chunks, reply = anyio.run(main, backend=backend)
        assert seen(chunks) == reply.text == text
        assert not any(chunk.restarted for chunk in chunks)
        # What was held back when a stream broke is no part of the reply: another one has said it again.
        assert reply.usage.output_tokens == len(text)
        assert reply.cost == sum(attempt.cost for attempt in reply.trace.attempts)
        assert reply.cost >= reply.usage.input_tokens + len(text)

    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    def test_also_without_await(self, on_break):
        router = Router([deployment("a", breaks("one")), deployment("b", FakeProvider([" two"]))])
        with router.sync() as client, client.stream("hi", on_break=on_break) as stream:
            assert seen(list(stream)) == stream.response().text
            assert stream.asked == ("a", "b")
