"""Keys taken out of what a host said, where it echoes them: whole, cut short, or masked but for their ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar, cast

from polyroute.errors import PolyrouteError

__all__ = ["scrubbed"]

E = TypeVar("E", bound=PolyrouteError)

_MASK = "***"
_SHORT = 8  # a key of fewer characters may be a part of ordinary words, so only a whole word is masked
_TELLING = 3  # characters of a key that are too many to show
# What looks like a key, whoever's it is, and what a host has masked with stars. The possessive
# quantifiers and the looks behind keep both linear: a body may echo a picture, one word of a megabyte.
_KEYLIKE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|pplx|csk|tgp|fw|r8)[-_][\w*.-]{5,}[\w*]|\bAIza[\w-]{20,}"
    r"|(?<![\w<>-])[\w<>-]*+\*{3,}[\w<>*-]*+"
)
_ABRIDGED = re.compile(r"(?<![\w-])([\w-]*+)(?:\.{2,}|…|•+|\*+)([\w-]*+)")


def scrubbed(error: E, secrets: Iterable[str]) -> E:
    """*error* itself, with every secret in its text and its body masked.

    Where it came from is forgotten: the frames of a decoder hold what the host said as it came.
    """
    secrets = tuple(secret for secret in secrets if secret)
    error.__context__ = error.__cause__ = error.__traceback__ = None
    error.args = tuple(_clean(each, secrets) for each in error.args)
    body = getattr(error, "body", None)
    if body is not None:
        error.body = _clean(body, secrets)  # type: ignore[attr-defined] # those that have one declare it
    return error


def _clean(value: object, secrets: Sequence[str]) -> object:
    if isinstance(value, str):
        return _clean_text(value, secrets)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {_clean_text(name, secrets): _clean(each, secrets) for name, each in fields.items()}
    if isinstance(value, list):
        return [_clean(each, secrets) for each in cast("list[object]", value)]
    return value


def _clean_text(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = re.sub(_written(secret), _MASK, text)
        text = _without_its_beginning(text, secret)
        text = _ABRIDGED.sub(partial(_unless_of, secret), text)
    return _KEYLIKE.sub(_MASK, text)


def _written(secret: str) -> str:
    """The pattern of *secret*, also as JSON or repr writes it in a body that is shown as it came."""
    letters = [{"\\": r"\\+", '"': r'\\*"', "'": r"\\*'"}.get(letter, re.escape(letter)) for letter in secret]
    pattern = "".join(letters)
    return pattern if len(secret) >= _SHORT else rf"(?<!\w){pattern}(?!\w)"


def _without_its_beginning(text: str, secret: str) -> str:
    """*text* without the first part of *secret*, where it was cut in the middle of it."""
    bare = text.rstrip("'\"")
    for length in range(min(len(secret) - 1, len(bare)), _TELLING, -1):
        if bare.endswith(secret[:length]):
            return bare[:-length] + _MASK + text[len(bare) :]
    return text


def _unless_of(secret: str, abridged: re.Match[str]) -> str:
    """What a host abridged, as it is; masked where it shows either end of *secret*."""
    head, tail = abridged.groups()
    shows = (len(head) >= _TELLING and secret.startswith(head)) or (
        len(tail) >= _TELLING and secret.endswith(tail)
    )
    return _MASK if shows else abridged.group()
