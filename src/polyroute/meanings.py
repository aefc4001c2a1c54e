"""What each error means for where a call goes next: one table, which the engine and the policies read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from polyroute.errors import (
    AttemptError,
    AttemptTimeoutError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    RejectedError,
    RequestError,
    ResponseDecodeError,
    ServerError,
)

__all__ = ["MEANINGS", "Meaning", "MeaningRow", "check_meanings", "meaning_of"]

Meaning: TypeAlias = Literal[
    "again",
    "elsewhere",
    "next key",
    "other host",
    "other model",
    "larger window",
    "other provider",
    "stop",
]
"""Where a call may go after an error:

- `again`: to a sibling at once, and where there is none to the same deployment after a wait;
- `elsewhere`: to a sibling; never again to the same deployment in this call;
- `next key`, `other host`, `other model`: as `elsewhere`, and to none that shares that with it;
- `larger window`: to a deployment with a larger context window;
- `other provider`: to another provider, where the route allows it (`after_content_filter="fallback"`);
- `stop`: nowhere, since it is about the request.
"""

MeaningRow: TypeAlias = tuple[type[PolyrouteError], Meaning]

MEANINGS: tuple[MeaningRow, ...] = (
    (ContextWindowExceededError, "larger window"),
    (ContentFilterError, "other provider"),
    (RequestError, "stop"),
    (AuthenticationError, "next key"),
    (QuotaExhaustedError, "next key"),
    (PermissionDeniedError, "elsewhere"),
    (NotFoundError, "elsewhere"),
    (RateLimitError, "again"),
    (ServerError, "again"),
    (ResponseDecodeError, "again"),
    (ConnectError, "again"),
    (ReadError, "again"),
    (AttemptTimeoutError, "elsewhere"),
    (RejectedError, "elsewhere"),
    (AttemptError, "again"),
)
"""The first row whose type an error is of says what it means. One that is not `transient` is never
worth asking the same deployment again, whatever its row."""


def meaning_of(error: PolyrouteError | None, rows: Sequence[MeaningRow] = MEANINGS) -> Meaning:
    """What *error* means for where the call goes next; `stop` for what no row speaks of."""
    for kind, meaning in rows:
        if isinstance(error, kind):
            if meaning == "again" and isinstance(error, AttemptError) and not error.transient:
                return "elsewhere"
            return meaning
    return "stop"


def check_meanings(owner: str, rows: Sequence[MeaningRow]) -> tuple[MeaningRow, ...]:
    """*rows* as a tuple, if they are about failed attempts.

    Raises:
        ConfigurationError: One is not.
    """
    known = ("again", "elsewhere", "next key", "other host", "other model")
    for row in rows:
        if row in MEANINGS:
            continue
        if not (isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], type)):
            raise ConfigurationError(
                f'{owner}: a row is (ServerError, "other host") or the like, not {row!r}'
            )
        if not issubclass(row[0], AttemptError) or row[1] not in known:
            raise ConfigurationError(
                f"{owner}: a row says of an AttemptError one of {', '.join(known)}, not {row!r}"
            )
    return tuple(rows)
