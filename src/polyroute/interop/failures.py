"""From a router's errors to OpenAI's, so that its SDK raises its own classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from polyroute.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    FleetError,
    NoDeploymentAvailableError,
    NotFoundError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    RequestError,
    StreamInterruptedError,
    UnknownModelError,
    UnsupportedParameterError,
)

__all__ = ["FINAL", "error_json", "retry_after", "status_of"]

# Without it the SDK asks three times, and the router has done what there was to do.
FINAL = (b"x-should-retry", b"false")


@dataclass(frozen=True, slots=True)
class _Row:
    kind: type[PolyrouteError]
    status: int
    type: str
    code: str | None = None


# The first row whose kind it is holds.
_ROWS = (
    _Row(UnknownModelError, 404, "invalid_request_error", "model_not_found"),
    _Row(ContextWindowExceededError, 400, "invalid_request_error", "context_length_exceeded"),
    _Row(ContentFilterError, 400, "invalid_request_error", "content_filter"),
    _Row(UnsupportedParameterError, 400, "invalid_request_error", "unsupported_parameter"),
    _Row(RequestError, 400, "invalid_request_error"),
    _Row(AuthenticationError, 401, "authentication_error", "invalid_api_key"),
    _Row(PermissionDeniedError, 403, "permission_error"),
    _Row(NotFoundError, 404, "not_found_error"),
    _Row(QuotaExhaustedError, 429, "insufficient_quota", "insufficient_quota"),
    _Row(RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    _Row(NoDeploymentAvailableError, 503, "server_error", "no_deployment_available"),
    _Row(PolyrouteError, 502, "server_error"),
)


def status_of(error: PolyrouteError) -> int:
    """The status that says what *error* is about."""
    return _row(error).status


def error_json(error: PolyrouteError) -> dict[str, Any]:
    """*error* as OpenAI writes one. Its text is ours, with what the host said, and holds no key."""
    row = _row(error)
    return {
        "message": str(error),
        "type": row.type,
        "param": _param(error),
        "code": row.code or _host_code(error),
    }


def retry_after(error: PolyrouteError) -> str | None:
    """The whole seconds after which asking again may help, where that is known."""
    seconds: float | None = getattr(_told(error), "retry_after", None)
    return None if seconds is None else str(ceil(seconds))


def _row(error: PolyrouteError) -> _Row:
    told = _told(error)
    return next(row for row in _ROWS if isinstance(told, row.kind))


def _told(error: PolyrouteError) -> PolyrouteError:
    """What the caller is told of: of the fleet, and of a stream that broke, the last attempt's error."""
    if isinstance(error, FleetError | StreamInterruptedError) and isinstance(error.__cause__, PolyrouteError):
        return error.__cause__
    return error


def _param(error: PolyrouteError) -> str | None:
    match error:
        case UnknownModelError():
            return "model"
        case UnsupportedParameterError():
            return error.parameter
        case BadRequestError():
            return error.path
        case _:
            return None


def _host_code(error: PolyrouteError) -> str | None:
    """The code that the host itself gave, as programs that know it look for it."""
    body: object = getattr(_told(error), "body", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    code = inner.get("code") if isinstance(inner, Mapping) else None
    return code if isinstance(code, str) else None
