"""Who asks, and how a request says so, where that differs from one request to the next."""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from configparser import ConfigParser, Error
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio

from polyroute.deployments import Deployment, clean
from polyroute.errors import AttemptTimeoutError, AuthenticationError, ConfigurationError, ConnectError
from polyroute.providers.addresses import Missing, environment, region_of
from polyroute.providers.aws_signature import AWSKeys, moment_of, signature
from polyroute.providers.hosts import Host
from polyroute.settings import Secret
from polyroute.wire import HTTPRequest

__all__ = ["Credentials", "Proof", "credentials_of", "key_header", "key_of", "keyless"]

T = TypeVar("T")
Header = tuple[bytes, bytes]

_AWS_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, slots=True)
class Proof:
    """The headers that say who asks, and the secrets in them, which the host may echo.

    It is handed about whole, so that no frame of a traceback holds a key in a variable of its own.
    """

    headers: tuple[Header, ...] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


class Credentials(Protocol):
    """What is asked for each attempt, in the attempt's time.

    Raises:
        AuthenticationError, ConnectError, AttemptTimeoutError: There is nothing to show; nothing was sent.
    """

    async def prove(self, request: HTTPRequest, /) -> Proof: ...


def keyless(host: Host, deployment: Deployment) -> str | None:
    """What is missing before a request can say who asks."""
    if deployment.api_key is not None or host.key_optional or host.key_in(os.environ):
        return None
    match host.without_key:
        case "aws-signature":
            if _aws_keys() is None:
                return f"no key: set {host.key_variable}, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            region = region_of(host, deployment)
            return region.reason if isinstance(region, Missing) else None
        case "google-token":
            if _has_google_auth():
                return None
            return "no token: install polyroute[vertex], or give api_key= a callable"
        case _:
            return f"no key: set {host.key_variable}"


def key_of(host: Host, deployment: Deployment) -> str | None:
    """The key that is the same for each request; None where there is none such."""
    given = deployment.api_key
    return None if callable(given) else _text_of(given) or host.key_in(os.environ)


def key_header(host: Host, key: str) -> Header:
    """The header that holds *key*. A token that was lent for an hour goes as such, whatever header a
    host's own keys have: it is known by its form, which is that of a JSON Web Token."""
    if host.key_header == "authorization" or (key.startswith("eyJ") and key.count(".") == 2):
        return b"authorization", b"Bearer " + key.encode()
    return host.key_header.encode(), key.encode()


def credentials_of(host: Host, deployment: Deployment) -> Credentials | None:
    """Who is asked for each attempt; None where a key that stays the same says it all."""
    if callable(deployment.api_key):
        return CallableKey(host, deployment.api_key)
    if key_of(host, deployment) is not None:
        return None
    match host.without_key:
        case "aws-signature":
            region = region_of(host, deployment)
            return None if isinstance(region, Missing) else AWSSignature(region)
        case "google-token":
            return GoogleToken()
        case _:
            return None


@dataclass(frozen=True, slots=True)
class CallableKey:
    """A key that the application's own function gives, plain or async."""

    host: Host
    ask: Callable[[], Any] = field(repr=False)

    async def prove(self, request: HTTPRequest, /) -> Proof:
        given = self.ask()
        if inspect.isawaitable(given):
            given = await _in_time(request, "its api_key callable", given)
        try:
            key = clean("what the api_key callable gave", _text_of(given))
        except ConfigurationError:
            del given  # A traceback may show what its frames hold.
            raise
        return Proof((key_header(self.host, key),), (key,))


@dataclass(frozen=True, slots=True)
class AWSSignature:
    """Signs each request with the keys that the environment, or the shared file of credentials, holds
    at that moment, so that keys which are renewed there are used as they come."""

    region: str
    clock: Callable[[], float] = time.time

    async def prove(self, request: HTTPRequest, /) -> Proof:
        keys = _aws_keys()
        if keys is None:
            raise AuthenticationError("the AWS keys have gone from the environment")
        moment = moment_of(self.clock())
        proof = {"x-amz-date": moment}
        if keys.session_token is not None:
            proof["x-amz-security-token"] = keys.session_token.get_secret_value()
        named = {name.decode(): value.decode() for name, value in request.headers}
        signed = {name: value for name, value in named.items() if name.startswith(("content-type", "x-amz-"))}
        proof["authorization"] = signature(
            keys,
            method=request.method,
            url=request.url,
            headers=(signed | proof).items(),
            body=request.body,
            region=self.region,
            service="bedrock",
            moment=moment,
        )
        headers = tuple((name.encode(), value.encode()) for name, value in proof.items())
        # Where a signature is refused, AWS tells what it signed itself, the session's token among it.
        lent = (keys.session_token,) if keys.session_token is not None else ()
        return Proof(headers, tuple(each.get_secret_value() for each in (keys.secret, *lent)))


class GoogleToken:
    """The token of Google's application default credentials, found and renewed by *renew* on a thread,
    since that asks files and hosts, and blocks."""

    def __init__(self, renew: Callable[[Any], Any] | None = None) -> None:
        self._renew = renew or _renewed
        self._credentials: Any = None
        self._renewing = threading.Lock()

    async def prove(self, request: HTTPRequest, /) -> Proof:
        if not self._is_valid():
            renewal = anyio.to_thread.run_sync(self._renew_once, abandon_on_cancel=True)
            await _in_time(request, "Google's token", renewal)
        token = clean("Google's token", self._credentials.token)
        return Proof(((b"authorization", b"Bearer " + token.encode()),), (token,))

    def _is_valid(self) -> bool:
        return self._credentials is not None and bool(self._credentials.valid)

    def _renew_once(self) -> None:
        """Renew them, unless somebody did while this thread waited for its turn."""
        with self._renewing:
            if not self._is_valid():
                self._credentials = self._renew(self._credentials)


async def _in_time(request: HTTPRequest, what: str, awaited: Awaitable[T]) -> T:
    """What is waited for, in the attempt's time."""
    with anyio.CancelScope(deadline=request.deadline.at):
        return await awaited
    raise AttemptTimeoutError(f"{what} took too long", phase=request.deadline.phase, may_have_run=False)


def _text_of(key: Any) -> Any:
    """The str that a key is, or holds as a secret."""
    return key.get_secret_value() if hasattr(key, "get_secret_value") else key


def _aws_keys() -> AWSKeys | None:
    """The keys in the environment, or else those of the profile in the file that AWS's own tools share."""
    held = {name: environment(name.upper()) for name in _AWS_NAMES}
    return _keys_in(held) or _keys_in(_shared_profile())


def _keys_in(held: Mapping[str, str | None]) -> AWSKeys | None:
    access_key, secret, token = (held.get(name) or None for name in _AWS_NAMES)
    if access_key is None or secret is None:
        return None
    return AWSKeys(access_key, Secret(secret), Secret(token) if token is not None else None)


def _shared_profile() -> Mapping[str, str]:
    path = environment("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    profiles = ConfigParser(interpolation=None)
    try:
        profiles.read(Path(path).expanduser(), "utf-8")
    except (Error, UnicodeDecodeError):
        return {}
    profile = environment("AWS_PROFILE") or "default"
    return dict(profiles[profile]) if profiles.has_section(profile) else {}


def _has_google_auth() -> bool:
    try:
        return find_spec("google.auth") is not None
    except ModuleNotFoundError:  # There is nothing of Google's at all.
        return False


def _renewed(credentials: Any) -> Any:
    """The credentials with a token that is good for a while; found first, where there are none yet."""
    auth, faults = import_module("google.auth"), import_module("google.auth.exceptions")
    transport = import_module("google.auth.transport.requests")
    try:
        if credentials is None:
            credentials, _ = auth.default(scopes=[_GOOGLE_SCOPE])
        credentials.refresh(transport.Request())
    except faults.TransportError as exc:
        raise ConnectError(f"Google's token could not be asked for: {exc}") from exc
    except faults.GoogleAuthError as exc:
        raise AuthenticationError(f"Google gave no token: {exc}") from exc
    return credentials
