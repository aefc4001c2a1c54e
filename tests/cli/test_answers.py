"""What is shown of a reply, whoever gave it."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from polyroute import ChatResponse, Price, ReadError, Router, StreamInterruptedError, Usage
from polyroute.cli.chat.command import Question, Screen, answer
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=StringIO()), Console(file=StringIO()))


def shown(console: Console) -> str:
    return console.file.getvalue()


async def test_the_cost_is_told_where_the_price_is_known(screen):
    fake = FakeProvider(["hello"], usage=Usage(1_000, 500))
    async with Router([deployment("mini", fake, price=Price(1, 2))]) as router:
        assert await answer(router, Question(text="hi"), screen) == 0

    assert shown(screen.out) == "hello\n"
    assert shown(screen.err).startswith("mini · 1,000 tokens in, 500 out · $0.0020 · 0.0")


async def test_an_estimate_is_called_one(screen):
    async with Router([deployment("mini", FakeProvider(["hello"]))]) as router:
        await answer(router, Question(text="hi"), screen)

    assert "about 5 tokens in, 2 out" in shown(screen.err)


async def test_each_chunk_is_written_at_once():
    class Watched(StringIO):
        def flush(self) -> None:
            pieces.append(self.getvalue())

    pieces: list[str] = []
    screen = Screen(Console(file=Watched()), Console(file=StringIO()))
    async with Router([deployment("mini", FakeProvider(["one two three"]))]) as router:
        await answer(router, Question(text="hi"), screen)

    assert pieces == ["one", "one two", "one two three", "one two three\n"]


async def test_the_words_before_a_break_stay(screen):
    breaks = FakeProvider(script=[("Once upon", ReadError("cut"))])
    async with Router([deployment("mini", breaks)]) as router:
        with pytest.raises(StreamInterruptedError):
            await answer(router, Question(text="hi"), screen)

    assert shown(screen.out) == "Once upon\n"
    assert not shown(screen.err)


async def test_who_failed_before_is_told(screen):
    async with Router([deployment("one", down()), deployment("two")]) as router:
        await answer(router, Question(text="hi", stream=False), screen)

    assert shown(screen.err).endswith("2 attempts (one: ServerError)\n")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_shown_in_place_of_an_answer(screen, stream):
    refuses = FakeProvider([ChatResponse(refusal="I would rather not.")])
    async with Router([deployment("mini", refuses)]) as router:
        await answer(router, Question(text="hi", stream=stream), screen)

    assert shown(screen.out) == "I would rather not.\n"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (ChatResponse("Once", finish_reason="length"), "the answer is cut short"),
        (ChatResponse("", reasoning="hm", finish_reason="length"), "the answer is empty, all its tokens"),
        (ChatResponse("Once", finish_reason="content_filter"), "the host's content filter cut"),
    ],
)
async def test_an_answer_that_is_not_whole_is_said_not_to_be(screen, reply, said):
    async with Router([deployment("mini", FakeProvider([reply]))]) as router:
        assert await answer(router, Question(text="hi", stream=False), screen) == 0

    assert said in shown(screen.err)
