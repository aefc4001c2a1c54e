"""AWS Signature Version 4: what proves who asks, worked out from the request and a secret."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from time import gmtime, strftime
from urllib.parse import SplitResult, quote, urlsplit

from polyroute.settings import Secret

__all__ = ["AWSKeys", "moment_of", "signature"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AWSKeys:
    """An access key with its secret, and the token of the session that lent them, where one did."""

    access_key: str
    secret: Secret
    session_token: Secret | None = None


def moment_of(seconds: float) -> str:
    """Seconds since the epoch, as a signature has them."""
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))


def signature(
    keys: AWSKeys,
    *,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    region: str,
    service: str,
    moment: str,
) -> str:
    """The value of the `authorization` header. All of *headers* are signed, and the host; their names
    are in lower case, no two alike."""
    parts = urlsplit(url)
    signed = dict(sorted({**dict(headers), "host": _host(parts)}.items()))
    names = ";".join(signed)
    asked = (
        method,
        # What the path has escaped is escaped once more, or `:` and `%3A` would be the same name.
        quote(parts.path or "/", safe="/-_.~"),
        "&".join(sorted(parts.query.split("&"))),
        *(f"{name}:{' '.join(value.split())}" for name, value in signed.items()),
        "",
        names,
        sha256(body).hexdigest(),
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = sha256("\n".join(asked).encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
    proof = _keyed(_signing_key(keys, scope), to_sign).hex()
    return f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={proof}"


def _host(parts: SplitResult) -> str:
    """The host as the request's own header has it: with its port where that is not the usual one."""
    usual = parts.port in (None, _PORTS.get(parts.scheme))
    host = parts.netloc.lower()
    return host.rpartition(":")[0] if usual and parts.port is not None else host


def _signing_key(keys: AWSKeys, scope: str) -> bytes:
    key = b"AWS4" + keys.secret.get_secret_value().encode()
    for part in scope.split("/"):
        key = _keyed(key, part)
    return key


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
