"""Where the question comes from: the command line, or stdin."""

from __future__ import annotations

import sys

import typer

__all__ = ["question_from"]


def question_from(argument: str | None) -> str:
    """The question that *argument* is, or that stdin holds where it is `-`, or left out in a pipe.

    Raises:
        BadParameter: There is none.
    """
    if argument is None and sys.stdin.isatty():
        raise typer.BadParameter('ask something, such as: polyroute chat "Why is the sky blue?"')
    text = _read() if argument in (None, "-") else argument
    if not text.strip():
        raise typer.BadParameter("the question is empty")
    return text


def _read() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as exc:
        raise typer.BadParameter(f"stdin is no UTF-8 text: {exc.reason} at byte {exc.start}") from None
