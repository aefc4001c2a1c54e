"""Numbers and foreign text as a terminal shows them."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["count", "listed", "money", "one_line", "printable", "seconds"]


def money(dollars: Decimal) -> str:
    """US dollars with the digits that matter: `$12.34`, `$0.0123`, `$0.000042`."""
    size = abs(dollars)
    digits = 2 if size >= 1 or not size else 4 if size >= Decimal("0.001") else 6
    return f"{'-' if dollars < 0 else ''}${size:,.{digits}f}"


def seconds(length: float) -> str:
    """A length of time: `0.82 s`, `12.3 s`."""
    return f"{length:.2f} s" if length < 9.995 else f"{length:.1f} s"


def count(number: int, thing: str) -> str:
    """So many things: `1 attempt`, `1,200 calls`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(things: list[str]) -> str:
    """Things in a sentence: `a, b and c`."""
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def printable(text: str) -> str:
    """*text* without what a terminal would obey instead of showing."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def one_line(text: str, longest: int = 600) -> str:
    """*text* in one line, cut where it is longer than *longest*."""
    joined = " ".join(printable(text).split())
    return joined if len(joined) <= longest else joined[: longest - 1] + "…"
