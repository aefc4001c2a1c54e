"""Bodies as JSON: parsed once, straight from bytes, and told apart from what is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sized
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from polyroute.errors import BadRequestError, ResponseDecodeError

__all__ = [
    "JSON",
    "MISSHAPEN",
    "dump",
    "listed",
    "load",
    "malformed",
    "misshapen",
    "promised_object",
    "promised_text",
    "text_or_none",
    "tolerant",
    "unless_all_came",
]

P = ParamSpec("P")
T = TypeVar("T")
JSON = dict[str, Any]

_SNIPPET = 200


def load(body: bytes | str) -> Any:
    """The JSON value that *body* is; one that is nested hundreds deep counts as none.

    Raises:
        ResponseDecodeError: It is none.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        pass
    # A byte order mark, or half of a surrogate pair: wrong, and yet what some hosts send.
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        value = json.loads(text.removeprefix("\ufeff"))
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return from_json(whole, allow_inf_nan=False)
    except (ValueError, RecursionError):
        raise malformed("no JSON came", text.encode("utf-8", "replace")) from None


def dump(body: Mapping[str, Any]) -> bytes:
    """*body* as JSON.

    Raises:
        BadRequestError: Something in it has no JSON.
    """
    try:
        return to_json(body)
    except (PydanticSerializationError, ValueError):
        pass
    try:  # Half of a surrogate pair in a text cannot be sent; a question mark can.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError) as exc:
        raise BadRequestError(f"the request cannot be written as JSON: {exc}", path="extra") from None


def malformed(what: str, body: bytes) -> ResponseDecodeError:
    """The error of an answer that is not what the API promises, with how it begins."""
    snippet = body[:_SNIPPET].decode("utf-8", "replace").strip()
    return ResponseDecodeError(
        f"{what}: {snippet!r}" if snippet else f"{what}: the body is empty", body=snippet
    )


# What a decoder trips over where a host sends something other than it promises.
MISSHAPEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def misshapen(exc: Exception) -> ResponseDecodeError:
    """The error that such a fault is."""
    return ResponseDecodeError(f"the reply is not in the shape that the API promises: {exc}")


def tolerant(decode: Callable[P, T]) -> Callable[P, T]:
    """Make whatever a decoder trips over the one error that says so: hosts send anything at all."""

    @wraps(decode)
    def decoded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return decode(*args, **kwargs)
        except MISSHAPEN as exc:
            raise misshapen(exc) from None

    return decoded


def listed(value: object) -> list[JSON]:
    """The objects in *value*, where it is a list of some."""
    each = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("JSON", one) for one in each if isinstance(one, dict)]


def promised_object(value: object) -> JSON:
    """*value*, which the API promises to be an object."""
    if not isinstance(value, dict):
        raise ResponseDecodeError(f"an object was promised and a {type(value).__name__} came")
    return cast("JSON", value)


def promised_text(value: object) -> str:
    """*value*, which the API promises to be a text or null."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"a text was promised and a {type(value).__name__} came")
    return value or ""


def text_or_none(value: object) -> str | None:
    """*value* where it is a text that is not empty."""
    return value if isinstance(value, str) and value else None


def unless_all_came(rows: Sized, count: int, body: bytes) -> None:
    """Raise where there are more or fewer vectors in *body* than the *count* that was asked for."""
    if len(rows) != count:
        raise malformed(f"{count} vectors were asked for and {len(rows)} came", body)
