"""One question, from the command line to the answer on the screen and the exit status."""

from __future__ import annotations

import errno
import json
import logging
import os
import traceback
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from rich.console import Console
from rich.text import Text

from polyroute import ChatResponse, Message, PolyrouteError
from polyroute.arguments import ChatArguments
from polyroute.calls import Calls
from polyroute.cli.chat.advice import told
from polyroute.cli.chat.paper import paper_for
from polyroute.cli.chat.records import decision_record, reply_record
from polyroute.cli.chat.target import models_to_ask, router_for
from polyroute.cli.words import count, listed, money, one_line, seconds

__all__ = ["Question", "Screen", "answer", "chat_status"]

INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked, and how."""

    text: str
    models: tuple[str, ...] = ()
    system: str | None = None
    stream: bool = True
    explain: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    timeout: float | None = None
    base_url: str | None = None
    as_json: bool = False
    verbose: bool = False

    @property
    def messages(self) -> list[Message]:
        before = [Message("system", self.system)] if self.system else []
        return [*before, Message("user", self.text)]

    @property
    def arguments(self) -> ChatArguments:
        arguments: ChatArguments = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        if self.timeout is not None:
            arguments["timeout"] = self.timeout
        return arguments


class Screen:
    """Where answers go, and where everything else goes."""

    def __init__(self, out: Console | None = None, err: Console | None = None) -> None:
        self.out: Console = out or Console()
        self.err: Console = err or Console(stderr=True)

    def data(self, record: dict[str, Any]) -> None:
        self.out.file.write(json.dumps(record, ensure_ascii=False, indent=2) + "\n")

    def aside(self, text: str, style: str = "dim") -> None:
        """One line beside the answer."""
        self.err.print(Text(one_line(text), style=style), soft_wrap=True)

    def failed(self, text: str) -> None:
        self.err.print(Text.assemble(("polyroute: ", "bold red"), text), soft_wrap=True)


def chat_status(question: Question, screen: Screen | None = None) -> int:
    """Ask *question*, show what comes of it, and give the exit status."""
    screen = screen or Screen()
    try:
        with _logged(screen.err if question.verbose else None):
            return anyio.run(partial(_ask, question, screen))
    except KeyboardInterrupt:
        return INTERRUPTED
    except PolyrouteError as error:
        screen.failed(told(error))
        _show_traceback(error, question, screen)
    except Exception as bug:
        if isinstance(bug, OSError) and bug.errno == errno.EPIPE:
            raise  # Whoever read the answer has left, as `head` does.
        screen.failed(f"this is a bug, please report it: {one_line(repr(bug))}. --verbose shows where it is.")
        _show_traceback(bug, question, screen)
    return 1


async def _ask(question: Question, screen: Screen) -> int:
    models = models_to_ask(question.models, question.base_url, os.environ)
    async with router_for(models, question.base_url) as router:
        return await answer(router.bind(model=models), question, screen)


async def answer(router: Calls, question: Question, screen: Screen) -> int:
    """Ask *router*, show what it says, and give the exit status."""
    if question.explain:
        return await _explain(router, question, screen)
    started = anyio.current_time()
    if question.stream:
        reply = await _streamed(router, question, screen)
    else:
        reply = await _whole(router, question, screen)
    screen.aside(_summed_up(reply, anyio.current_time() - started))
    if reply.finish_reason == "length":
        what = "is cut short" if reply.text else "is empty, all its tokens went into reasoning"
        screen.aside(f"the answer {what}; a larger --max-tokens helps", style="yellow")
    elif reply.finish_reason == "content_filter":
        screen.aside("the host's content filter cut the answer short", style="yellow")
    return 0


async def _explain(router: Calls, question: Question, screen: Screen) -> int:
    decision = await router.explain(question.messages, **question.arguments)
    if question.as_json:
        screen.data(decision_record(decision))
    else:
        screen.out.print(Text(str(decision)), soft_wrap=True)
    return 0 if decision.ranking else 1


async def _whole(router: Calls, question: Question, screen: Screen) -> ChatResponse[Any]:
    with _waiting(screen):
        reply = await router.chat(question.messages, **question.arguments)
    if question.as_json:
        screen.data(reply_record(reply))
    else:
        with paper_for(screen.out) as paper:
            paper.write(reply.text or reply.refusal or "")
    return reply


async def _streamed(router: Calls, question: Question, screen: Screen) -> ChatResponse[Any]:
    with _waiting(screen) as waiting:
        async with router.stream(question.messages, **question.arguments) as stream:
            with paper_for(screen.out) as paper:
                async for chunk in stream:
                    if words := chunk.text or chunk.refusal:
                        waiting.close()
                        paper.write(words)
            return await stream.response()


def _waiting(screen: Screen) -> ExitStack:
    """A sign on a terminal that the answer is awaited, until it is closed."""
    stack = ExitStack()
    if screen.err.is_terminal:
        stack.enter_context(screen.err.status(Text("asking", style="dim")))
    return stack


def _summed_up(reply: ChatResponse[Any], length: float) -> str:
    """Who answered, for how much and in what time, and who had failed before."""
    usage, failed = reply.usage, [attempt for attempt in reply.trace.attempts if attempt.error is not None]
    about = "about " if usage.estimated else ""
    said = [
        reply.deployment or "",
        f"{about}{count(usage.input_tokens, 'token')} in, {usage.output_tokens:,} out",
    ]
    if reply.cost is not None:
        said.append(("about " if reply.cost_estimated else "") + money(reply.cost))
    said.append(seconds(length))
    if failed:
        why = listed([f"{attempt.deployment}: {type(attempt.error).__name__}" for attempt in failed])
        said.append(f"{count(len(reply.trace.attempts), 'attempt')} ({why})")
    return " · ".join(said)


@contextmanager
def _logged(console: Console | None) -> Generator[None]:
    """Show what the library logs on *console*; where there is none, nowhere."""
    log = logging.getLogger("polyroute")
    handler = logging.NullHandler() if console is None else logging.StreamHandler(console.file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    level, log.level = log.level, log.level if console is None else logging.DEBUG
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _show_traceback(error: Exception, question: Question, screen: Screen) -> None:
    if question.verbose:
        screen.err.file.write("".join(traceback.format_exception(error)))
