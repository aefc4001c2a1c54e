"""Answers on a terminal and in a file."""

from __future__ import annotations

import re
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from polyroute.cli.chat.paper import PlainPaper, SetPaper, finished, paper_for
from polyroute.cli.words import money, one_line, printable


def terminal(height: int = 24) -> Console:
    return Console(
        file=StringIO(),
        force_terminal=True,
        color_system=None,
        width=40,
        height=height,
        _environ={"TERM": "xterm"},
    )


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("one", ""),
        ("one\n\n", ""),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\ntwo\n\nthree", "one\n\ntwo\n\n"),
        ("- one\n\n  more of one", ""),
        ("- one\n\n  more of one\n\ntwo", "- one\n\n  more of one\n\n"),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n\nc", "```\na\n\nb\n```\n\n"),
        ("````\n```\n\nb", ""),
        ("~~~\n```\n\nb\n~~~\n\nc", "~~~\n```\n\nb\n~~~\n\n"),
    ],
)
def test_a_block_ends_at_a_blank_line_that_nothing_of_it_follows(text, done):
    assert text[: finished(text)] == done


def test_a_terminal_gets_markdown_and_a_file_the_text():
    assert isinstance(paper_for(terminal()), SetPaper)
    assert isinstance(paper_for(Console(file=StringIO())), PlainPaper)
    dumb = Console(file=StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(paper_for(dumb), PlainPaper)


def test_a_file_gets_the_answer_to_the_letter():
    file = StringIO()
    with PlainPaper(file) as paper:
        for piece in ("**one**\x1b[2J ", "[red]two[/red]\n"):
            paper.write(piece)

    assert file.getvalue() == "**one**\x1b[2J [red]two[/red]\n"


def test_a_terminal_shows_an_answer_and_never_obeys_it():
    console = terminal()
    with SetPaper(console) as paper:
        paper.write("**one** [red]two[/red] \x1b]0;title\x07")

    shown = console.file.getvalue()
    assert "one [red]two[/red] ]0;title" in shown
    assert "\x1b]0;" not in shown
    assert "**" not in shown


def test_each_block_is_printed_once_and_the_last_one_too():
    console = terminal()
    answer = "## Title\n\nSome words.\n\n- a\n- b\n\n```python\nx = 1\n\ny = 2\n```\n\nThe end."
    with SetPaper(console) as paper:
        for letter in answer:
            paper.write(letter)

    assert _screen(console.file.getvalue()) == [
        "Title", "", "Some words.", "", "• a", "• b", "", "x = 1", "", "y = 2", "", "The end."
    ]  # fmt: skip


def test_an_answer_without_a_word_leaves_nothing():
    console = terminal()
    with SetPaper(console) as paper:
        paper.write("")

    assert not "".join(_screen(console.file.getvalue()))


def test_of_a_block_taller_than_the_screen_the_last_lines_are_drawn():
    console = terminal(height=8)
    with SetPaper(console) as paper:
        paper.write("```\n" + "\n".join(f"line {number}" for number in range(100)))
        drawn = console.file.getvalue()

    assert "line 99" in drawn
    assert "line 50" not in drawn
    assert "line 50" in console.file.getvalue()


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [
        ("0", "$0.00"),
        ("0.000042", "$0.000042"),
        ("0.0123", "$0.0123"),
        ("1234.5", "$1,234.50"),
        ("-2", "-$2.00"),
    ],
)
def test_money_has_the_digits_that_matter(dollars, shown):
    assert money(Decimal(dollars)) == shown


def test_foreign_text_fits_a_line_and_commands_nothing():
    assert one_line("a\n\tb \x1b[31mc") == "a b [31mc"
    assert one_line("abcdef", 4) == "abc…"
    assert printable("é\u202e\n") == "é\n"


def _screen(written: str) -> list[str]:
    """The lines that a terminal shows after it was told *written*."""
    lines = [""]
    row = 0
    for ups, control, words in re.findall(
        r"\x1b\[(\d+)A|(\x1b\[[?\d]*[a-zA-Z]|\r|\n)|([^\x1b\r\n]+)", written
    ):
        if ups:
            row -= int(ups)
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control == "\x1b[2K":
            lines[row] = ""
        lines[row] += words
    return "\n".join(line.strip() for line in lines).rstrip().split("\n")
