"""A provider over HTTP: encode (pure), send (the only I/O), decode (pure)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

from polyroute._version import __version__
from polyroute.deadlines import Deadline
from polyroute.deployments import Call, Deployment, EmbedCall, clean
from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.providers.addresses import Address, Missing, address_of
from polyroute.providers.batches import in_batches
from polyroute.providers.credentials import Credentials, credentials_of, key_header, key_of, keyless
from polyroute.providers.formats import format_of
from polyroute.providers.hosts import Host, kinds_of
from polyroute.providers.kept_replies import KeptReplies
from polyroute.providers.limits_told import limits_told
from polyroute.providers.model_lists import names_in
from polyroute.providers.scrub import Secrets, scrubbed
from polyroute.replies import ChatChunk, ChatResponse, EmbedResponse, RateLimits
from polyroute.types import Opaque, Request
from polyroute.wire import EmbedFormat, HTTPRequest, HTTPResponse, Transport, WireFormat

__all__ = ["HTTPProvider"]

T = TypeVar("T")

_AGENT = f"polyroute/{__version__}".encode()
_MOST_ENDPOINTS = 1_024


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What one deployment's requests have in common. *credentials* are asked for each attempt, if they
    are there.

    It is handed about whole, so that no frame of a traceback holds a key in a variable of its own.
    """

    address: Address
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    credentials: Credentials | None = field(repr=False)
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
        self._kept = KeptReplies()

    @property
    def format(self) -> str:
        return self._format.name

    def kinds(self, model: str) -> frozenset[str]:
        kinds = kinds_of(self._host, model)
        return kinds - {"embed"} if self._embeds is None else kinds

    def cannot(self, request: Request) -> Sequence[str]:
        cannot = getattr(self._format, "cannot", None)
        return cannot(request) if cannot is not None else ()

    def understands(self, opaque: Opaque) -> bool:
        understands = getattr(self._format, "understands", None)
        return understands is not None and understands(opaque)

    def prefill(self, model: str) -> Literal["exact", "trimmed"] | None:
        """How a model takes the beginning of its own answer; see `Provider`."""
        prefill = getattr(self._format, "prefill", None)
        return None if prefill is None else prefill(model)

    def barred(self, request: Request, deployment: Deployment) -> str | None:
        """Why *deployment* of all cannot serve *request*: another has what it goes on from."""
        goes_on_from = getattr(self._format, "goes_on_from", None)
        id = None if goes_on_from is None else goes_on_from(request)
        return None if id is None else self._kept.barred(id, deployment)

    def needs(self, deployment: Deployment) -> str | None:
        """What is missing before the deployment can be asked."""
        address = self._reached(deployment)
        return address.reason if isinstance(address, Missing) else None

    async def chat(self, call: Call, /) -> ChatResponse[Any]:
        body = self._format.encode(call, stream=False)
        path = self._format.path(call, stream=False)
        reply = await self._whole(call, path, body, lambda data: self._format.decode(data, call))
        if call.request.extra and self._keeps(call):
            self._keep((reply,), call)
        return reply

    async def embed(self, call: EmbedCall, /) -> EmbedResponse:
        embeds = self._embeds
        if embeds is None:
            raise ConfigurationError(f"the wire format {self.format!r} has no embeddings")
        most = getattr(embeds, "most_texts", None)
        if most is None or len(call.request.input) <= (count := most(call)):
            return await self._embedded(call, embeds)
        return await in_batches(call, count, lambda batch: self._embedded(batch, embeds))

    async def _embedded(self, call: EmbedCall, embeds: EmbedFormat) -> EmbedResponse:
        body = embeds.encode_embed(call)
        path = embeds.embed_path(call)
        return await self._whole(call, path, body, lambda data: embeds.decode_embed(data, call))

    async def models(self, deployment: Deployment, deadline: Deadline) -> list[str]:
        """The names of the models that the deployment's key reaches, as the host lists them."""
        listed = self._host.models
        if listed is None:
            raise ConfigurationError(f"{self.name}/ has no list of its models")
        response, endpoint = await self._asked(deployment, deadline, "GET", listed.path)
        try:
            await self._unless_refused(response, endpoint)
            data = await response.read()
        finally:
            await response.aclose()
        return names_in(data, listed)

    async def stream(self, call: Call, /) -> AsyncGenerator[ChatChunk, None]:
        body = self._format.encode(call, stream=True)
        response, endpoint = await self._send(call, self._format.path(call, stream=True), body)
        pieces = aiter(response)
        try:
            if call.hear is not None:
                call.hear(partial(_limits_of, response))
            await self._unless_refused(response, endpoint)
            decoder = self._format.stream_decoder(call)
            keeps = bool(call.request.extra) and self._keeps(call)
            async for data in pieces:
                chunks = decoder.feed(data)
                if keeps:
                    keeps = not self._keep(chunks, call)
                for chunk in chunks:
                    yield chunk
                if decoder.error is not None:
                    break
                if decoder.done:
                    await response.drain()
                    return
            else:
                chunks = decoder.finish()
                if keeps:
                    self._keep(chunks, call)
                for chunk in chunks:
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

    def _keeps(self, call: Call) -> bool:
        """Whether the host keeps the reply, for later calls to go on from."""
        keeps = getattr(self._format, "keeps", None)
        return keeps is not None and keeps(call.request)

    def _keep(self, told: Sequence[ChatResponse[Any] | ChatChunk], call: Call) -> bool:
        """Remember who made the reply, as soon as its id is told; whether it was."""
        id = next((each.id for each in told if each.id), None)
        if id is not None:
            self._kept.add(id, call.deployment)
        return id is not None

    async def _whole(self, call: Call | EmbedCall, path: str, body: bytes, decode: Callable[[bytes], T]) -> T:
        response, endpoint = await self._send(call, path, body)
        call.deadline.head_came()
        try:
            if call.hear is not None:
                call.hear(partial(_limits_of, response))
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
        return await self._asked(call.deployment, call.deadline, "POST", path, body, call.timeout.connect)

    async def _asked(
        self,
        deployment: Deployment,
        deadline: Deadline,
        method: str,
        path: str,
        body: bytes = b"",
        connect: float | None = None,
    ) -> tuple[HTTPResponse, _Endpoint]:
        endpoint = self._endpoints.get(deployment) or self._endpoint(deployment)
        request = HTTPRequest(
            method=method,
            url=endpoint.address.of(path),
            headers=endpoint.headers,
            body=body,
            deadline=deadline,
            connect=connect,
        )
        if endpoint.credentials is not None:
            request, endpoint = await _proven(request, endpoint, endpoint.credentials)
        return await self._transport.send(request), endpoint

    async def _unless_refused(self, response: HTTPResponse, endpoint: _Endpoint) -> None:
        """Raise what the host said, where it did not say 2xx."""
        if not 200 <= response.status < 300:
            raise await self._refusal(response, endpoint)

    async def _refusal(self, response: HTTPResponse, endpoint: _Endpoint) -> PolyrouteError:
        error = self._format.decode_error(response.status, response.headers, await response.read())
        return scrubbed(error, endpoint.secrets)

    def _endpoint(self, deployment: Deployment) -> _Endpoint:
        """What the deployment's requests have in common, worked out once."""
        address = self._reached(deployment)
        if isinstance(address, Missing):
            raise ConfigurationError(f"{deployment.id}: {address.reason}")
        headers: dict[bytes, bytes] = {b"user-agent": _AGENT, b"content-type": b"application/json"}
        headers |= {name.encode(): value.encode() for name, value in self._host.headers}
        secrets = list(_secrets_in(deployment.headers or {}))
        if (key := key_of(self._host, deployment)) is not None:
            field, written = key_header(self._host, clean("api_key", key))
            headers[field] = written
            secrets.append(key)
        for name, value in (deployment.headers or {}).items():
            headers[name.lower().encode()] = value.encode()
        if len(self._endpoints) >= _MOST_ENDPOINTS:
            self._endpoints.clear()
        credentials = credentials_of(self._host, deployment)
        endpoint = _Endpoint(address, tuple(headers.items()), credentials, Secrets(secrets))
        self._endpoints[deployment] = endpoint
        return endpoint

    def _reached(self, deployment: Deployment) -> Address | Missing:
        """Where the deployment is asked, once nothing is missing."""
        host = self._host
        if host.elsewhere is not None and re.search(host.elsewhere, deployment.name):
            return Missing(f"{self.name}/ does not serve it: there it speaks a format of its own")
        if (missing := keyless(host, deployment)) is not None:
            return Missing(missing)
        return address_of(host, deployment)


def _limits_of(response: HTTPResponse) -> RateLimits | None:
    """What the head says of the host's limits; it is read when somebody asks."""
    return limits_told(response.headers)


async def _proven(
    request: HTTPRequest, endpoint: _Endpoint, credentials: Credentials
) -> tuple[HTTPRequest, _Endpoint]:
    """The request with what says who asks, and the endpoint with the secrets in it."""
    proof = await credentials.prove(request)
    # As with a key that stays the same, the deployment's own headers have the last word.
    headers = tuple((dict(proof.headers) | dict(request.headers)).items())
    secrets = endpoint.secrets.with_more(proof.secrets)
    return replace(request, headers=headers), replace(endpoint, secrets=secrets)


def _secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if re.search("key|token|secret|auth|cookie", name, re.IGNORECASE):
            yield value
            yield value.partition(" ")[2]  # without the scheme: `Bearer`, `Basic`
