"""What is asked: the prompts that come with the package, or a file of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import typer

__all__ = ["LONG", "bundled_prompts", "cycled", "prompts_in"]

LONG = 80
"""Characters from which on a prompt counts as a long one: more than a line of a terminal."""


def bundled_prompts() -> list[str]:
    """The prompts that come with the package."""
    return _lines(files("polyroute.cli.demo").joinpath("prompts.txt").read_text("utf-8"))


def prompts_in(path: Path) -> list[str]:
    """The prompts of a file, one a line; empty lines count for nothing.

    Raises:
        BadParameter: It cannot be read.
    """
    try:
        return _lines(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(
            f"{path} cannot be read as UTF-8 text: {exc}", param_hint="--prompts"
        ) from None


def cycled(prompts: Sequence[str], calls: int) -> list[str]:
    """*calls* prompts, from the first one again where there are fewer."""
    return [prompts[place % len(prompts)] for place in range(calls)]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
