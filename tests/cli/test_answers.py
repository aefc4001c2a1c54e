"""What is shown of a reply, whoever gave it."""

from __future__ import annotations

import errno
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from polyroute import ChatResponse, Price, ReadError, Router, StreamInterruptedError, Usage
from polyroute.cli.chat.command import Question, Screen, answer, chat_status
from polyroute.testing import FakeProvider
from tests.cli.loopback import ANSWER, Host
from tests.doubles import deployment, down


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=StringIO()), Console(file=StringIO()))


def shown(console: Console) -> str:
    return console.file.getvalue()


class Failing(StringIO):
    """A file that fails as soon as it is written to."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self._failure = failure

    def write(self, text: str) -> int:
        raise self._failure


EXPLAINED = Question(text="hi", models=("tiny",), base_url="http://127.0.0.1/v1", explain=True, as_json=True)


def test_ctrl_c_is_status_130_and_says_nothing(screen):
    broken = Screen(Console(file=Failing(KeyboardInterrupt())), screen.err)

    assert chat_status(EXPLAINED, broken) == 130
    assert not shown(screen.err)


def test_a_bug_is_called_one_and_its_place_is_shown_on_demand(screen):
    broken = Screen(Console(file=Failing(RuntimeError("oops"))), screen.err)

    assert chat_status(EXPLAINED, broken) == 1
    assert shown(screen.err).startswith("polyroute: this is a bug, please report it: RuntimeError('oops').")
    assert "Traceback" not in shown(screen.err)
    assert chat_status(replace(EXPLAINED, verbose=True), broken) == 1
    assert "Traceback" in shown(screen.err)


def test_a_reader_that_left_is_no_bug(screen):
    broken = Screen(Console(file=Failing(BrokenPipeError(errno.EPIPE, "gone"))), screen.err)

    with pytest.raises(BrokenPipeError):
        chat_status(EXPLAINED, broken)
    assert not shown(screen.err)


def asked(host: Host, **options: object) -> Question:
    return Question(text="hi", models=("tiny",), base_url=host.base_url, **options)


def test_the_time_that_a_call_may_take_is_bounded(host, screen):
    host.hangs = True

    assert chat_status(asked(host, timeout=0.05), screen) == 1
    assert shown(screen.err).endswith("Give it longer with --timeout.\n")


def test_a_terminal_shows_that_the_answer_is_awaited(host, screen):
    err = Console(file=StringIO(), force_terminal=True, color_system=None, _environ={"TERM": "xterm"})

    assert chat_status(asked(host), Screen(screen.out, err)) == 0
    assert "asking" in shown(err)
    assert shown(screen.out) == ANSWER + "\n"


async def test_the_cost_is_told_where_the_price_is_known(screen):
    fake = FakeProvider(["hello"], usage=Usage(1_000, 500))
    async with Router([deployment("mini", fake, price=Price(1, 2))]) as router:
        assert await answer(router, Question(text="hi"), screen) == 0

    assert shown(screen.out) == "hello\n"
    assert shown(screen.err).startswith("mini · 1,000 tokens in, 500 out · $0.0020 · 0.0")


async def test_an_estimate_is_called_one(screen):
    async with Router([deployment("mini", FakeProvider(["hello"]))]) as router:
        await answer(router, Question(text="hi"), screen)

    assert "about 5 tokens in, 1 out" in shown(screen.err)


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
