"""What a host's error means: one table, by status, code and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pydantic_core import from_json

from polyroute.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from polyroute.providers.hints import retry_after

__all__ = ["ERRORS", "ErrorRow", "Said", "error_of", "read_error"]

HostError: TypeAlias = type[ProviderError] | type[BadRequestError]


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One meaning: an error that matches each condition given here is an *error*.

    *statuses* are HTTP statuses, *codes* the host's own codes or types, and *pattern* a regular
    expression that is searched for, in any case, in code, type and message.
    """

    error: HostError
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    pattern: str | None = None

    def matches(self, said: Said) -> bool:
        return (
            (not self.statuses or said.status in self.statuses)
            and (not self.codes or bool(self.codes & {said.code, said.type}))
            and (self.pattern is None or re.search(self.pattern, said.words, re.IGNORECASE) is not None)
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What a host said when it refused."""

    status: int
    message: str
    code: str = ""
    type: str = ""
    body: Any = None

    @property
    def words(self) -> str:
        return f"{self.code} {self.type} {self.message}"


_TOO_LONG = (
    r"context_length_exceeded|context[ _]length|context[ _]window|prompt is too long|prompt too long"
    r"|maximum context|input token count.{0,40}exceeds|too many (input )?tokens|input is too long"
    r"|input tokens exceed|too_many_prompt_tokens|too large for model|exceeds the (maximum|model).{0,30}tokens"
)

# The first row that matches counts; where none does, the status decides.
ERRORS: tuple[ErrorRow, ...] = (
    # Groq says so of a request that is larger than its tokens a minute.
    ErrorRow(RateLimitError, frozenset({413}), frozenset({"rate_limit_exceeded"})),
    ErrorRow(ContextWindowExceededError, frozenset({400, 413, 422}), pattern=_TOO_LONG),
    ErrorRow(
        ContentFilterError,
        codes=frozenset(
            {
                "content_filter",
                "ResponsibleAIPolicyViolation",
                "content_policy_violation",
                "moderation_blocked",
            }
        ),
    ),
    ErrorRow(ContentFilterError, frozenset({403}), pattern=r"flagged|moderation"),
    ErrorRow(
        AuthenticationError, frozenset({400}), pattern=r"API_KEY_INVALID|API key not valid|incorrect API key"
    ),
    ErrorRow(QuotaExhaustedError, codes=frozenset({"insufficient_quota", "billing_hard_limit_reached"})),
    ErrorRow(
        QuotaExhaustedError,
        frozenset({400, 403, 429}),
        pattern=r"insufficient (balance|credit)|credit balance is too low|exceeded your current quota",
    ),
    ErrorRow(NotFoundError, codes=frozenset({"model_not_found"})),
    # The model wrote a call that its own host cannot read; the next try may be better.
    ErrorRow(ServerError, frozenset({400}), frozenset({"tool_use_failed"})),
    # Groq's word for having no capacity on the flexible tier.
    ErrorRow(OverloadedError, frozenset({498}), pattern=r"capacity"),
)

_BY_STATUS: dict[int, HostError] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaExhaustedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,
    413: ContextWindowExceededError,
    422: BadRequestError,
    425: ServerError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}

# What hosts call an error inside a reply that began with 200, as the status it stands for.
_BY_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
}

_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "mistral-correlation-id")
_HINTED = frozenset({408, 409, 425, 429, 529})
_SNIPPET = 200


def error_of(
    said: Said,
    headers: Mapping[str, str],
    rows: Sequence[ErrorRow] = (),
    *,
    clock: Callable[[], float] | None = None,
) -> ProviderError | BadRequestError:
    """The error that a host's refusal is. *rows* are asked before the table."""
    row = next((row for row in (*rows, *ERRORS) if row.matches(said)), None)
    should_retry = headers.get("x-should-retry", "").lower()
    kind = row.error if row is not None else _of_status(said.status, asks_again=should_retry == "true")
    request_id = next((headers[name] for name in _REQUEST_IDS if name in headers), None)
    text = f"{said.status}: {said.message}" if said.message else f"status {said.status}, without a word"
    if issubclass(kind, BadRequestError):
        return kind(text, status=said.status, body=said.body, request_id=request_id)
    error = kind(text, status=said.status, body=said.body, request_id=request_id)
    if said.status in _HINTED or said.status >= 500:
        error.retry_after = retry_after(headers, clock=clock)
    if said.status in (501, 505):
        error.transient = False
    if should_retry in ("true", "false") and not isinstance(error, QuotaExhaustedError):
        error.transient = should_retry == "true"
    return error


def read_error(body: bytes, status: int) -> Said:
    """What an error's body says, in whichever of the shapes in use."""
    try:
        value = from_json(body)
    except ValueError:
        text = body.decode("utf-8", "replace").strip()
        return Said(status, text[:_SNIPPET], body=text[:_SNIPPET] or None)
    return said_in(value, status)


def said_in(value: object, status: int | None) -> Said:
    """What an error that is parsed already says; *status* None: it came inside of a good reply."""
    if isinstance(value, list) and value:
        value = cast("list[object]", value)[0]  # Google wraps it in a list.
    body = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    inner = body.get("error", body.get("detail", body))
    fields = cast("dict[str, Any]", inner) if isinstance(inner, dict) else body
    message = inner if isinstance(inner, str) else fields.get("message") or fields.get("msg") or ""
    if isinstance(inner, list):
        message = "; ".join(_fault(each) for each in cast("list[object]", inner))
    code, type = _word(fields.get("code")), _word(fields.get("type"))
    nested = fields.get("innererror")
    if isinstance(nested, dict) and not code:
        code = _word(cast("dict[str, Any]", nested).get("code"))
    if status is None:
        status = _effective(fields, code, type)
    return Said(status, message if isinstance(message, str) else str(message), code, type, value)


def _effective(fields: Mapping[str, Any], code: str, type: str) -> int:
    """The status that an error inside of a good reply stands for."""
    for candidate in (fields.get("status_code"), fields.get("status"), code):
        if str(candidate).isdigit() and 400 <= int(str(candidate)) < 600:
            return int(str(candidate))
    return _BY_TYPE.get(type) or _BY_TYPE.get(code) or 500


def _of_status(status: int, *, asks_again: bool) -> HostError:
    if status == 409 and asks_again:
        return ServerError
    return _BY_STATUS.get(status) or (ServerError if 500 <= status < 600 else ProviderError)


def _fault(each: object) -> str:
    """One of the faults in the list that FastAPI's validation gives."""
    if not isinstance(each, dict):
        return str(each)
    fault = cast("dict[str, Any]", each)
    where = ".".join(map(str, fault.get("loc") or ()))
    return f"{where}: {fault.get('msg')}" if where else str(fault.get("msg"))


def _word(value: object) -> str:
    return "" if value is None else str(value)
