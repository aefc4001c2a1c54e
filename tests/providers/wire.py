"""A provider's two sides without a network: what it sends, and what it makes of what comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyroute import ChatChunk, ChatResponse, Deployment, EmbedResponse, FleetError, PolyrouteError, Router
from polyroute.wire import HTTPRequest

__all__ = [
    "OK",
    "Response",
    "Scripted",
    "Told",
    "choice",
    "completion",
    "delta",
    "embedded",
    "embedded_by",
    "read",
    "refused",
    "sent",
    "told",
]

KEY = "k-0123456789abcdef"


class Response:
    """A response whose head has come, with the body in *pieces*."""

    def __init__(
        self,
        body: bytes | Sequence[bytes] | object,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        in_pieces = isinstance(body, list) and all(isinstance(piece, bytes) for piece in body)
        if not in_pieces and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.drained = self.closed = False
        self._pieces = [body] if isinstance(body, bytes) else list(body)

    async def read(self) -> bytes:
        return b"".join(self._pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)

    async def drain(self) -> None:
        self.drained = True

    async def aclose(self) -> None:
        self.closed = True


class Scripted:
    """A transport that answers with *responses*, one a request, of which the last repeats."""

    keeps_deadlines = True

    def __init__(self, *responses: Response) -> None:
        self.sent: list[HTTPRequest] = []
        self._responses = responses

    async def send(self, request: HTTPRequest, /) -> Response:
        self.sent.append(request)
        return self._responses[min(len(self.sent), len(self._responses)) - 1]

    async def aclose(self) -> None:
        pass


def choice(
    message: Mapping[str, Any] | None, finish_reason: object = "stop", **fields: object
) -> dict[str, Any]:
    said = {} if message is None else {"message": {"role": "assistant", **message}}
    return {"index": 0, **said, "finish_reason": finish_reason, **fields}


def completion(*choices: Mapping[str, Any], **fields: object) -> dict[str, Any]:
    """A whole reply of these choices."""
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {"id": "c-1", "model": "gpt-5-mini-2025", "choices": list(choices), "usage": usage, **fields}


def delta(
    content: str | None = None, *, finish_reason: str | None = None, **fields: object
) -> dict[str, Any]:
    """One event of a stream, with one choice."""
    said = fields if content is None else {"content": content, **fields}
    return {"id": "c-1", "choices": [{"index": 0, "delta": said, "finish_reason": finish_reason}]}


OK = completion(choice({"content": "ok"}))


def _router(transport: Scripted, model: str, options: Mapping[str, Any], **more: Any) -> Router:
    given = {"api_key": KEY, "base_url": "https://host.example/v1", **options}
    return Router([Deployment(model, **given)], transport=transport, retry=None, **more)


async def sent(
    messages: Any = "hi",
    *,
    model: str = "openai/gpt-5-mini",
    stream: bool = False,
    send_user: bool = False,
    options: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """The body that a call sends."""
    if stream:
        event = delta("{}", finish_reason="stop")
        transport = Scripted(Response(f"data: {json.dumps(event)}\n\n".encode()))
    else:
        transport = Scripted(Response(completion(choice({"content": "{}"}))))
    router = _router(transport, model, options or {}, send_user=send_user)
    if stream:
        async with router.stream(messages, **arguments) as streamed:
            await streamed.response()
    else:
        await router.chat(messages, **arguments)
    return json.loads(transport.sent[0].body)


async def read(
    body: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    model: str = "openai/gpt-5-mini",
    **arguments: Any,
) -> ChatResponse[Any]:
    """The reply that is made of *body*, or the error of the attempt."""
    transport = Scripted(Response(body, status, headers))
    try:
        return await _router(transport, model, {}).chat("hi", **arguments)
    except FleetError as error:
        raise error.__cause__ or error from None


async def refused(
    body: object, status: int, headers: Mapping[str, str] | None = None, **how: Any
) -> PolyrouteError:
    """The error that is made of a refusal."""
    try:
        await read(body, status=status, headers=headers, **how)
    except PolyrouteError as error:
        return error
    raise AssertionError("it was taken for a reply")


async def embedded(body: object, count: int = 1, **how: Any) -> EmbedResponse:
    transport = Scripted(Response(body))
    try:
        return await _router(transport, "openai/text-embedding-3-small", {}).embed(["hi"] * count, **how)
    except FleetError as error:
        raise error.__cause__ or error from None


async def embedded_by(
    deployment: Deployment, *bodies: object, count: int = 1, **how: Any
) -> tuple[EmbedResponse, list[Any], list[str]]:
    """The vectors that *deployment* makes of *bodies*, one a request; what was asked, and where."""
    transport = Scripted(*map(Response, bodies))
    router = Router([deployment], transport=transport, retry=None)
    try:
        vectors = await router.embed([f"text {place}" for place in range(count)], **how)
    except FleetError as error:
        raise error.__cause__ or error from None
    return vectors, [json.loads(each.body) for each in transport.sent], [each.url for each in transport.sent]


@dataclass
class Told:
    """What a stream gave: its chunks and, at its end, the whole reply or the error that broke it."""

    chunks: list[ChatChunk] = field(default_factory=list[ChatChunk])
    reply: ChatResponse[Any] | None = None
    error: PolyrouteError | None = None
    response: Response | None = None

    @property
    def cause(self) -> BaseException | None:
        """Why it broke."""
        return self.error.__cause__ if self.error is not None else None


async def told(body: bytes | list[bytes], *, model: str = "openai/gpt-5-mini", **arguments: Any) -> Told:
    """What a stream of these bytes is read as."""
    response = Response(body)
    told = Told(response=response)
    stream = _router(Scripted(response), model, {}).stream("hi", **arguments)
    try:
        async with stream:
            async for chunk in stream:
                told.chunks.append(chunk)
            told.reply = await stream.response()
    except PolyrouteError as error:
        told.error = error
    return told
