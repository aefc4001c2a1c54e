"""A provider over HTTP: encode (pure), send (the only I/O), decode (pure)."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import anyio

from polyroute._version import __version__
from polyroute.deployments import Call, Deployment, EmbedCall, check_address, clean
from polyroute.errors import AttemptTimeoutError, ConfigurationError, PolyrouteError
from polyroute.protocols import EmbedFormat, HTTPRequest, HTTPResponse, Transport, WireFormat
from polyroute.providers.formats import format_of
from polyroute.providers.hosts import Host, kinds_of
from polyroute.providers.scrub import Secrets, scrubbed
from polyroute.replies import ChatChunk, ChatResponse, EmbedResponse
from polyroute.types import Request

__all__ = ["HTTPProvider"]

T = TypeVar("T")

_AGENT = f"polyroute/{__version__}".encode()
_MOST_ENDPOINTS = 1_024


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What one deployment's requests have in common. *key* is asked for each attempt, if it is there.

    It is handed about whole, so that no frame of a traceback holds a key in a variable of its own.
    """

    base: str
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    key: Callable[[], Any] | None = field(repr=False)
    secrets: Secrets = field(repr=False)


class HTTPProvider:
    """A host's API over a transport.

    A host of one's own, or one with other rows in its error table, is
    `HTTPProvider(dataclasses.replace(HOSTS["groq"], errors=(…,)), transport)`, given to
    `Deployment(provider=…)`. Who makes the transport closes it.
    """

    def __init__(self, host: Host, transport: Transport, *, wire_format: WireFormat | None = None) -> None:
        self.name: str = host.prefix
        self.keeps_deadlines: bool = getattr(transport, "keeps_deadlines", False)
        self._host = host
        self._transport = transport
        self._format = wire_format or format_of(host)
        self._embeds = self._format if isinstance(self._format, EmbedFormat) else None
        self._endpoints: dict[Deployment, _Endpoint] = {}

    @property
    def format(self) -> str:
        return self._format.name

    def kinds(self, model: str) -> frozenset[str]:
        kinds = kinds_of(self._host, model)
        return kinds - {"embed"} if self._embeds is None else kinds

    def cannot(self, request: Request) -> Sequence[str]:
        cannot = getattr(self._format, "cannot", None)
        return cannot(request) if cannot is not None else ()

    def needs(self, deployment: Deployment) -> str | None:
        """What is missing before the deployment can be asked."""
        host = self._host
        if deployment.api_key is None and not host.key_optional and not host.key_in(os.environ):
            return f"no key: set {host.key_variable}"
        if self._base(deployment) is None:
            variable = f", or set {host.base_url_variable}" if host.base_url_variable else ""
            return f"no address: give base_url={variable}"
        return None

    async def chat(self, call: Call, /) -> ChatResponse[Any]:
        body = self._format.encode(call, stream=False)
        path = self._format.path(call, stream=False)
        return await self._whole(call, path, body, lambda data: self._format.decode(data, call))

    async def embed(self, call: EmbedCall, /) -> EmbedResponse:
        embeds = self._embeds
        if embeds is None:
            raise ConfigurationError(f"the wire format {self.format!r} has no embeddings")
        body = embeds.encode_embed(call)
        path = embeds.embed_path(call)
        return await self._whole(call, path, body, lambda data: embeds.decode_embed(data, call))

    async def stream(self, call: Call, /) -> AsyncGenerator[ChatChunk, None]:
        body = self._format.encode(call, stream=True)
        response, endpoint = await self._send(call, self._format.path(call, stream=True), body)
        pieces = aiter(response)
        try:
            await self._unless_refused(response, endpoint)
            decoder = self._format.stream_decoder(call)
            async for data in pieces:
                for chunk in decoder.feed(data):
                    yield chunk
                if decoder.error is not None:
                    break
                if decoder.done:
                    await response.drain()
                    return
            else:
                for chunk in decoder.finish():
                    yield chunk
            data = b""
            if decoder.error is not None:
                raise scrubbed(decoder.error, endpoint.secrets)
        finally:
            try:
                # A generator that is left in the middle would be ended by the event loop, in nobody's task.
                if isinstance(pieces, AsyncGenerator):
                    await pieces.aclose()
            finally:
                await response.aclose()

    async def _whole(self, call: Call | EmbedCall, path: str, body: bytes, decode: Callable[[bytes], T]) -> T:
        response, endpoint = await self._send(call, path, body)
        call.deadline.head_came()
        try:
            await self._unless_refused(response, endpoint)
            data = await response.read()
        finally:
            await response.aclose()
        try:
            return decode(data)
        except PolyrouteError as error:
            failure = scrubbed(error, endpoint.secrets)
        data = b""
        raise failure

    async def _send(self, call: Call | EmbedCall, path: str, body: bytes) -> tuple[HTTPResponse, _Endpoint]:
        """The response, of which the head has come, and whose secrets it may echo."""
        endpoint = self._endpoints.get(call.deployment) or self._endpoint(call.deployment)
        if endpoint.key is not None:
            endpoint = await self._with_key(endpoint, endpoint.key, call)
        request = HTTPRequest(
            method="POST",
            url=endpoint.base + path,
            headers=endpoint.headers,
            body=body,
            deadline=call.deadline,
            connect=call.timeout.connect,
        )
        return await self._transport.send(request), endpoint

    async def _with_key(
        self, endpoint: _Endpoint, ask: Callable[[], Any], call: Call | EmbedCall
    ) -> _Endpoint:
        key = await _asked(ask, call)
        headers = (*endpoint.headers, self._authorization(key))
        return replace(endpoint, headers=headers, secrets=endpoint.secrets.with_one(key))

    async def _unless_refused(self, response: HTTPResponse, endpoint: _Endpoint) -> None:
        """Raise what the host said, where it did not say 2xx."""
        if not 200 <= response.status < 300:
            raise await self._refusal(response, endpoint)

    async def _refusal(self, response: HTTPResponse, endpoint: _Endpoint) -> PolyrouteError:
        error = self._format.decode_error(response.status, response.headers, await response.read())
        return scrubbed(error, endpoint.secrets)

    def _endpoint(self, deployment: Deployment) -> _Endpoint:
        """What the deployment's requests have in common, worked out once."""
        if missing := self.needs(deployment):
            raise ConfigurationError(f"{deployment.id}: {missing}")
        given = deployment.api_key
        headers: dict[bytes, bytes] = {b"user-agent": _AGENT, b"content-type": b"application/json"}
        headers |= {name.encode(): value.encode() for name, value in self._host.headers}
        key, secrets = None, list(_secrets_in(deployment.headers or {}))
        if callable(given):
            key = given
        elif text := _text_of(given) or self._host.key_in(os.environ):
            field, written = self._authorization(clean("api_key", text))
            headers[field] = written
            secrets.append(text)
        for name, value in (deployment.headers or {}).items():
            headers[name.lower().encode()] = value.encode()
        if len(self._endpoints) >= _MOST_ENDPOINTS:
            self._endpoints.clear()
        endpoint = _Endpoint(self._base(deployment) or "", tuple(headers.items()), key, Secrets(secrets))
        self._endpoints[deployment] = endpoint
        return endpoint

    def _base(self, deployment: Deployment) -> str | None:
        """The address before the operation's own path."""
        host = self._host
        if deployment.base_url is not None:
            return deployment.base_url.rstrip("/")
        given = _environment(host.base_url_variable)
        if given is None:
            return host.base_url
        check_address(host.base_url_variable or "", given)
        return given.rstrip("/").removesuffix(host.base_url_suffix) + host.base_url_suffix

    def _authorization(self, key: str) -> tuple[bytes, bytes]:
        if self._host.key_header == "authorization":
            return b"authorization", b"Bearer " + key.encode()
        return self._host.key_header.encode(), key.encode()


async def _asked(key: Callable[[], Any], call: Call | EmbedCall) -> str:
    """What a callable key gives, in the attempt's time."""
    given = key()
    if inspect.isawaitable(given):
        with anyio.CancelScope(deadline=call.deadline.at) as scope:
            given = await given
        if scope.cancelled_caught:
            raise AttemptTimeoutError(
                "its api_key callable took too long", phase=call.deadline.phase, may_have_run=False
            )
    return clean("what the api_key callable gave", _text_of(given))


def _text_of(key: Any) -> Any:
    """The str that a key is, or holds as a secret."""
    return key.get_secret_value() if hasattr(key, "get_secret_value") else key


def _environment(variable: str | None) -> str | None:
    """The variable's value without the white space that ends up around keys; None where it is empty."""
    return (os.environ.get(variable, "").strip() or None) if variable else None


def _secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if re.search("key|token|secret|auth|cookie", name, re.IGNORECASE):
            yield value
            yield value.partition(" ")[2]  # without the scheme: `Bearer`, `Basic`
