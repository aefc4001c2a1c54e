"""What a host's error means: one table, by status, code and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

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
    ResponseDecodeError,
    ServerError,
)
from polyroute.providers.hints import retry_after, retry_delay
from polyroute.providers.json_bodies import JSON, listed, load, promised_object
from polyroute.providers.lacking import lacking

__all__ = ["ERRORS", "ErrorRow", "Said", "error_of", "error_within", "read_error", "reply_in"]

HostError: TypeAlias = type[ProviderError] | type[BadRequestError]


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One meaning: an error that matches each condition given here is an *error*.

    *statuses* are HTTP statuses, *codes* the host's own codes or types, and *pattern* a regular
    expression that is searched for, in any case, in code, type and message. Where a host's error
    names no status, code and words alone decide.
    """

    error: HostError
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    pattern: str | None = None

    def matches(self, said: Said) -> bool:
        unsaid = said.guessed and (self.codes or self.pattern is not None)
        return (
            (not self.statuses or said.status in self.statuses or bool(unsaid))
            and (not self.codes or not self.codes.isdisjoint(said.codes))
            and (self.pattern is None or re.search(self.pattern, said.words, re.IGNORECASE) is not None)
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What a host said when it refused. *codes* are its own codes and types; *guessed*: it named no
    status, since the error came inside of a good reply, and this one is ours. *retry_after*: seconds
    that its body asks for."""

    status: int
    message: str
    codes: tuple[str, ...] = ()
    body: Any = None
    guessed: bool = False
    retry_after: float | None = None

    @property
    def words(self) -> str:
        return " ".join((*self.codes, self.message[:_READ]))


_TOO_LONG = (
    r"context_length_exceeded|context[ _](length|window|size)|prompt is too long|prompt too long"
    r"|maximum context|input token count.{0,40}exceeds|too[ _]many[ _](input[ _])?tokens|input is too long"
    r"|exceed context limit|input tokens exceed|too_many_prompt_tokens|too large for model|exceeds the (maximum|model).{0,30}tokens"
)

# The first row that matches counts; where none does, the status decides.
ERRORS: tuple[ErrorRow, ...] = (
    # Groq says so of a request that is larger than its tokens a minute.
    ErrorRow(RateLimitError, frozenset({413}), frozenset({"rate_limit_exceeded"})),
    ErrorRow(ContextWindowExceededError, frozenset({400, 413, 422}), pattern=_TOO_LONG),
    # llama.cpp says so with one status or another.
    ErrorRow(ContextWindowExceededError, codes=frozenset({"exceed_context_size_error"})),
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
    ErrorRow(AuthenticationError, codes=frozenset({"invalid_api_key"})),
    # Google refuses countries as it does malformed requests, though another host may well serve them.
    ErrorRow(
        PermissionDeniedError, frozenset({400}), frozenset({"FAILED_PRECONDITION"}), r"location|country"
    ),
    # Google speaks of the current quota of a minute too, after which there is more; a day is long.
    ErrorRow(QuotaExhaustedError, frozenset({429}), frozenset({"RESOURCE_EXHAUSTED"}), r"per_?day"),
    ErrorRow(RateLimitError, frozenset({429}), frozenset({"RESOURCE_EXHAUSTED"}), r"per_?minute"),
    ErrorRow(QuotaExhaustedError, codes=frozenset({"insufficient_quota", "billing_hard_limit_reached"})),
    ErrorRow(
        QuotaExhaustedError,
        frozenset({400, 403, 429}),
        pattern=r"insufficient (balance|credit)|credit balance is too low|exceeded your current quota"
        r"|credits are depleted",
    ),
    ErrorRow(NotFoundError, codes=frozenset({"model_not_found"})),
    # The model wrote a call that its own host cannot read; the next try may be better.
    ErrorRow(ServerError, frozenset({400}), frozenset({"tool_use_failed"})),
    # Google calls so what it has broken off by itself.
    ErrorRow(ServerError, frozenset({499}), frozenset({"CANCELLED"})),
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
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "mistral-correlation-id")
_SNIPPET = 200  # characters kept of what is no JSON
_READ = 20_000  # characters of a host's message in which patterns are looked for
_LONGEST = 2_000  # of them that stand in an error's text; its body holds them all


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
    message = said.message[:_LONGEST]
    text = f"{said.status}: {message}" if message else f"status {said.status}, without a word"
    if 300 <= said.status < 400:
        text = f"{said.status}: it redirects{_elsewhere(headers)}, which is never followed; correct base_url"
    if issubclass(kind, BadRequestError):
        lacks = lacking(said.words) if kind is BadRequestError else None
        return kind(text, status=said.status, body=said.body, request_id=request_id, lacks=lacks)
    error = kind(text, status=said.status, body=said.body, request_id=request_id)
    if said.status in (501, 505):
        error.transient = False
    if should_retry in ("true", "false") and not isinstance(error, QuotaExhaustedError):
        error.transient = should_retry == "true"
    limited = isinstance(error, RateLimitError)
    if error.transient or limited or isinstance(error, ServerError):
        # A limit's reset is a hint only where the limit is why: a host that fails sends them too.
        error.retry_after = retry_after(headers, resets=limited, clock=clock)
        if error.retry_after is None and not isinstance(error, QuotaExhaustedError):
            error.retry_after = said.retry_after
    return error


def _elsewhere(headers: Mapping[str, str]) -> str:
    """Where a redirect points to: the host alone, since the rest may hold what the request did."""
    try:
        host = urlsplit(headers.get("location", "")).hostname
    except ValueError:
        return ""
    return f" to {host}" if host else ""


def read_error(body: bytes, status: int) -> Said:
    """What an error's body says, in whichever of the shapes in use."""
    try:
        value = load(body)
    except ResponseDecodeError:
        text = body.decode("utf-8", "replace").strip()
        return Said(status, text[:_SNIPPET], body=text[:_SNIPPET] or None)
    return _said_in(value, status)


def error_within(value: object, rows: Sequence[ErrorRow] = ()) -> ProviderError | BadRequestError | None:
    """The error that a reply is although it came as a good one; None where it is none."""
    first = cast("list[object]", value)[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return None
    body = cast("JSON", first)
    answers = body.get("choices") or body.get("data")
    if body.get("error") or body.get("object") == "error" or (not answers and body.get("detail")):
        return error_of(_said_in(value, None), {}, rows)
    return None


def reply_in(value: object, rows: Sequence[ErrorRow] = ()) -> JSON:
    """*value*, which is promised to be a reply's object.

    Raises:
        ProviderError, BadRequestError: It is an error, whatever its status said.
        ResponseDecodeError: It is no object.
    """
    if (error := error_within(value, rows)) is not None:
        raise error
    return promised_object(value)


def _said_in(value: object, status: int | None) -> Said:
    """What an error that is parsed already says; *status* None: it came inside of a good reply."""
    first = cast("list[object]", value)[0] if isinstance(value, list) and value else value
    body = cast("JSON", first) if isinstance(first, dict) else {}
    inner = body.get("error") or body.get("detail") or (body if isinstance(first, dict) else first)
    fields = cast("JSON", inner) if isinstance(inner, dict) else body
    codes = _codes(fields)
    status, guessed = (status, False) if status is not None else _effective(fields, codes)
    return Said(status, _message(inner, fields), codes, value, guessed, retry_delay(fields))


def _message(inner: object, fields: Mapping[str, Any]) -> str:
    """The host's words: *inner* is its error, *fields* where that is an object or stands beside one."""
    if isinstance(inner, str):
        return inner
    if isinstance(inner, list):
        return "; ".join(_fault(each) for each in cast("list[object]", inner))
    message = str(fields.get("message") or fields.get("msg") or "")
    # An aggregator's own words are few; what the host behind it said tells more.
    behind = fields.get("metadata")
    raw = cast("JSON", behind).get("raw") if isinstance(behind, dict) else None
    return f"{message}: {raw}" if raw else message


def _codes(fields: Mapping[str, Any]) -> tuple[str, ...]:
    inner = fields.get("innererror")
    beneath = cast("JSON", inner).get("code") if isinstance(inner, dict) else None
    own = (fields.get("type"), fields.get("error_type"), fields.get("code"), fields.get("status"), beneath)
    return tuple(str(code) for code in (*own, *_detailed(fields)) if code is not None)


def _detailed(fields: Mapping[str, Any]) -> Iterator[object]:
    """The reasons, and the quotas that are used up, in the details that Google gives; and whether it was
    the moderation of an aggregator that refused."""
    for detail in listed(fields.get("details")):
        yield detail.get("reason")
        for violation in listed(detail.get("violations")):
            yield violation.get("quotaId")
    behind = fields.get("metadata")
    if isinstance(behind, dict) and "flagged_input" in behind:
        yield "flagged_input"


def _effective(fields: Mapping[str, Any], codes: Sequence[str]) -> tuple[int, bool]:
    """The status that an error inside of a good reply stands for, and whether that is our guess."""
    for candidate in (fields.get("status_code"), fields.get("status"), *codes):
        if re.fullmatch(r"[45]\d\d", str(candidate), re.ASCII):
            return int(str(candidate)), False
    known = next((_BY_TYPE[code] for code in codes if code in _BY_TYPE), None)
    return known or 500, known is None


def _of_status(status: int, *, asks_again: bool) -> HostError:
    if status == 409 and asks_again:
        return ServerError
    return _BY_STATUS.get(status) or (ServerError if 500 <= status < 600 else ProviderError)


def _fault(each: object) -> str:
    """One of the faults in the list that FastAPI's validation gives."""
    if not isinstance(each, dict):
        return str(each)
    fault = cast("JSON", each)
    place = fault.get("loc")
    where = ".".join(map(str, cast("list[object]", place))) if isinstance(place, list) else ""
    return f"{where}: {fault.get('msg')}" if where else str(fault.get("msg"))
