"""Keys taken out of what a host said, where it echoes them: whole, cut short, or masked but for their ends."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, partial
from typing import TypeVar, cast

from polyroute.errors import PolyrouteError

__all__ = ["Secrets", "scrubbed"]

E = TypeVar("E", bound=PolyrouteError)

_MASK = "***"
_SHORT = 8  # a key of fewer characters may be a part of ordinary words, so only a whole word is masked
_TELLING = 3  # characters of a key that are too many to show
# What looks like a key, whoever's it is, and what a host has masked with stars. The possessive
# quantifiers and the looks behind keep both linear: a body may echo a picture, one word of a megabyte.
_KEYLIKE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|pplx|csk|tgp|fw|r8)[-_][\w*.-]{5,}[\w*]|\bAIza[\w-]{20,}"
)
_STARRED = re.compile(r"(?<![\w<>-])[\w<>-]*+\*{3,}[\w<>*-]*+")
_ABRIDGING = ("..", "…", "•", "*")
_ABRIDGED = re.compile(r"(?<![\w-])([\w-]*+)(?:\.{2,}|…|•+|\*+)([\w-]*+)")


class Secrets:
    """Keys that must not be shown. How a host may echo them is worked out once, where one does refuse."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def with_more(self, secrets: Iterable[str]) -> Secrets:
        return Secrets((*self._secrets, *secrets))

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(secret, re.compile(_written(secret))) for secret in self._secrets]

    def masked(self, text: str) -> str:
        """*text* without them, and without what looks like one."""
        for secret, pattern in self._patterns:
            text = pattern.sub(_MASK, text)
            text = _without_its_beginning(text, secret)
            if any(sign in text for sign in _ABRIDGING):
                text = _ABRIDGED.sub(partial(_unless_of, secret), text)
        if _MASK in text:
            text = _STARRED.sub(_MASK, text)
        return _KEYLIKE.sub(_MASK, text)


def scrubbed(error: E, secrets: Secrets) -> E:
    """*error* itself, with every secret in its text and its body masked.

    Where it came from is forgotten: the frames of a decoder hold what the host said as it came.
    """
    error.__context__ = error.__cause__ = error.__traceback__ = None
    error.args = tuple(_clean(each, secrets) for each in error.args)
    body = getattr(error, "body", None)
    if body is not None:
        error.body = _clean(body, secrets)  # type: ignore[attr-defined] # those that have one declare it
    return error


def _clean(value: object, secrets: Secrets) -> object:
    if isinstance(value, str):
        return secrets.masked(value)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {secrets.masked(name): _clean(each, secrets) for name, each in fields.items()}
    if isinstance(value, list):
        return [_clean(each, secrets) for each in cast("list[object]", value)]
    return value


def _written(secret: str) -> str:
    """The pattern of *secret*, also as JSON or repr writes it in a body that is shown as it came."""
    letters = [{"\\": r"\\+", '"': r'\\*"', "'": r"\\*'"}.get(letter, re.escape(letter)) for letter in secret]
    pattern = "".join(letters)
    return pattern if len(secret) >= _SHORT else rf"(?<!\w){pattern}(?!\w)"


def _without_its_beginning(text: str, secret: str) -> str:
    """*text* without the first part of *secret*, where it was cut in the middle of it."""
    bare = text.rstrip("'\"")
    beginning = secret[: _TELLING + 1]
    at = bare.find(beginning, max(len(bare) - len(secret) + 1, 0))
    while at >= 0:
        if secret.startswith(bare[at:]):
            return bare[:at] + _MASK + text[len(bare) :]
        at = bare.find(beginning, at + 1)
    return text


def _unless_of(secret: str, abridged: re.Match[str]) -> str:
    """What a host abridged, as it is; masked where it shows either end of *secret*."""
    head, tail = abridged.groups()
    shows = (len(head) >= _TELLING and secret.startswith(head)) or (
        len(tail) >= _TELLING and secret.endswith(tail)
    )
    return _MASK if shows else abridged.group()
