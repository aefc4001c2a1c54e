"""What an answer is written on: a terminal, where markdown is set, or a plain file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Protocol, Self

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

from polyroute.cli.words import printable

__all__ = ["Paper", "PlainPaper", "SetPaper", "finished", "paper_for"]


class Paper(Protocol):
    """Takes an answer piece by piece; what was written stays, however its `with` block is left."""

    def write(self, text: str) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def paper_for(console: Console) -> Paper:
    """What *console* can show: set markdown on a terminal that can, plain text anywhere else."""
    if console.is_terminal and not console.is_dumb_terminal:
        return SetPaper(console)
    return PlainPaper(console.file, obeys=console.is_terminal)


class PlainPaper:
    """Text as it comes, each piece at once. *obeys*: the file is a terminal, which must not be
    told by an answer to do anything but show it."""

    def __init__(self, file: IO[str], *, obeys: bool = False) -> None:
        self._file = file
        self._obeys = obeys
        self._last = ""

    def write(self, text: str) -> None:
        text = printable(text) if self._obeys else text
        self._file.write(text)
        self._file.flush()
        self._last = text[-1:] or self._last

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._last not in ("", "\n") and not isinstance(exc, BrokenPipeError):
            self.write("\n")


class SetPaper:
    """Markdown, set block by block: finished blocks scroll away, the one being written is redrawn."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Drawn by `write` alone: a second thread that draws would meet the printing of finished blocks.
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._block = ""

    def write(self, text: str) -> None:
        self._block += printable(text)
        end = finished(self._block)
        if end:
            whole, self._block = self._block[:end], self._block[end:]
            self._live.update("")
            self._console.print(_Block(whole))
            self._console.print()
        self._live.start()
        self._live.update(_Block(self._tail(), self._console.height - 2), refresh=True)

    def _tail(self) -> str:
        """As much of the block as the screen can show, which is all that drawing it may cost."""
        lines = self._block.splitlines(keepends=True)
        left = lines[-self._console.height :]
        opening = lines[:1] if len(left) < len(lines) and _FENCE.match(lines[0]) else []
        return "".join([*opening, *left])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.update("")
        self._live.stop()
        if self._block.strip():
            self._console.print(_Block(self._block))


class _Block:
    """A block of markdown without the blank lines around it; of a tall one the last *height* lines."""

    def __init__(self, markdown: str, height: int | None = None) -> None:
        self._markdown = Markdown(markdown)
        self._height = height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        lines = console.render_lines(self._markdown, options, pad=False)
        blank = [not "".join(segment.text for segment in line).strip() for line in lines]
        while blank and blank[0]:
            del blank[0], lines[0]
        while blank and blank[-1]:
            del blank[-1], lines[-1]
        for line in lines if self._height is None else lines[-max(self._height, 1) :]:
            yield from line
            yield Segment.line()


_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def finished(text: str) -> int:
    """Where the last finished block of *text* ends: at a blank line outside of a fence, after which
    a line begins that is not indented and so does not belong to what came before."""
    fence, end, place = "", 0, 0
    lines = text.splitlines(keepends=True)
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        place += len(line)
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            fence = mark[1]
        elif not line.strip() and following.strip() and not following[0].isspace():
            end = place
    return end
