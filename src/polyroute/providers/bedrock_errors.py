"""What AWS says when it refuses: by the type of an exception, in a header, in a body or in a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from polyroute.errors import BadRequestError, ProviderError
from polyroute.providers.error_table import Said, error_of, read_error
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump

__all__ = ["error_in_reply", "error_in_stream", "refusal"]

# The statuses that exceptions within a stream, or within a good reply, stand for.
_STATUSES = {
    "AccessDeniedException": 403,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, host: Host
) -> ProviderError | BadRequestError:
    """The error that a response of *status* is."""
    said = read_error(body, status)
    return error_of(_named(said, headers.get("x-amzn-errortype")), headers, host.errors)


def error_in_stream(name: str, body: bytes, host: Host) -> ProviderError | BadRequestError:
    """The error that an exception called *name* is which came inside of a stream."""
    status = _STATUSES.get(_plain(name), 500)
    return error_of(_named(read_error(body, status), name), {}, host.errors)


def error_in_reply(data: JSON, host: Host) -> ProviderError | BadRequestError | None:
    """The error that a reply is although it came as a good one; None where it is none."""
    inner = data.get("Output") or data
    name = inner.get("__type") if isinstance(inner, dict) else None
    return error_in_stream(str(name), dump(cast("JSON", inner)), host) if name else None


def _named(said: Said, kind: str | None) -> Said:
    """What was said, with the exception's type as a code, from wherever it is named."""
    body: Any = said.body if isinstance(said.body, dict) else {}
    name = _plain(kind or body.get("__type") or "")
    message = said.message or str(body.get("Message") or "")
    return replace(said, message=message, codes=(name, *said.codes) if name else said.codes)


def _plain(kind: object) -> str:
    """The type's own name: namespaces stand before it, addresses after it, and in streams it begins small."""
    name = str(kind).rpartition("#")[2].partition(":")[0]
    return name[:1].upper() + name[1:]
