"""Keys taken out of what a host said, where it echoes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar, cast

from polyroute.errors import PolyrouteError

__all__ = ["scrubbed"]

E = TypeVar("E", bound=PolyrouteError)

_MASK = "***"
# What looks like a key, and what a host has masked but for its ends.
_KEYLIKE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|pplx|csk|tgp|fw|r8)[-_][\w*.-]{6,}|\bAIza[\w-]{20,}|[\w<>-]*\*{3,}[\w<>*-]*"
)


def scrubbed(error: E, secrets: Iterable[str]) -> E:
    """*error* itself, with every secret in its text and its body masked."""
    secrets = [secret for secret in secrets if secret]
    error.args = tuple(_clean(each, secrets) for each in error.args)
    body = getattr(error, "body", None)
    if body is not None:
        error.body = _clean(body, secrets)  # type: ignore[attr-defined] # those that have one declare it
    return error


def _clean(value: object, secrets: list[str]) -> object:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _MASK)
        return _KEYLIKE.sub(_MASK, value)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {key: _clean(each, secrets) for key, each in fields.items()}
    if isinstance(value, list):
        return [_clean(each, secrets) for each in cast("list[object]", value)]
    return value
