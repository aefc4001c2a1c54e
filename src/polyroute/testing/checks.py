"""Whether a provider, or a wire format, of somebody's own keeps what a router relies on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from polyroute.deadlines import Deadline
from polyroute.deployments import Call, Deployment, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.gathered import Gathered
from polyroute.protocols import Provider
from polyroute.replies import ChatChunk, ChatResponse, EmbedResponse
from polyroute.settings import Timeout
from polyroute.types import (
    ChatRequest,
    EmbedRequest,
    Image,
    Message,
    NamedTool,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    amended,
)
from polyroute.wire import WireFormat

__all__ = ["Refused", "check_provider"]


@dataclass(frozen=True, slots=True)
class Refused:
    """A host's refusal, and the *error* that it is."""

    error: type[PolyrouteError]
    status: int
    body: bytes
    headers: Mapping[str, str] | None = None


async def check_provider(
    given: Provider | WireFormat,
    *,
    model: str = "model",
    reply: bytes | None = None,
    stream: bytes | None = None,
    errors: Sequence[Refused] = (),
) -> None:
    """Try what a router relies on, without a network.

    Args:
        given: A `WireFormat`, which is tried with the samples below; or a `Provider`, which is asked
            a few small questions as a router would ask them.
        model: The model's name, without a prefix.
        reply: The body of a whole reply, as the host sends it. A wire format needs one.
        stream: The body of a stream that says the same. A wire format needs one.
        errors: The host's refusals, with what each should become.

    Raises:
        AssertionError: A promise is not kept; its text says which, and what happened instead.
    """
    asked: Any = given
    if hasattr(given, "encode"):
        if reply is None or stream is None:
            raise TypeError("a wire format is tried with reply= and stream=, as its host sends them")
        _check_format(asked, model, reply, stream, errors)
    else:
        await _check_asked(asked, model)


# --- a wire format --------------------------------------------------------------------------------

_TOOL = Tool("weather", "The weather now.", {"type": "object", "properties": {"city": {"type": "string"}}})
_CALL = ToolCall("call_1", "weather", {"city": "Rome"})
_HISTORY = (
    Message("system", "Be brief."),
    Message("user", "How is the weather in Rome?"),
    Message("assistant", (Text("Let me see."), _CALL)),
    Message("tool", (ToolResult("call_1", "Sunny."),)),
)
_REQUESTS = (
    ChatRequest(messages=_HISTORY, tools=(_TOOL,)),
    ChatRequest(messages=_HISTORY, tools=(_TOOL,), tool_choice="required", parallel_tool_calls=False),
    ChatRequest(messages=_HISTORY, tools=(_TOOL,), tool_choice=NamedTool("weather")),
    ChatRequest(messages=(Message("user", (Text("What is this?"), Image(data=b"\x89PNG", media_type="image/png"))),)),
    ChatRequest(messages=(Message("user", "Ä €uro 🎉"),), temperature=0.0, top_p=0.5, stop=("END",), max_tokens=7),
    ChatRequest(messages=(Message("user", "hi"),), seed=1, n=2, logprobs=True, top_k=3, reasoning_effort="low"),
    ChatRequest(
        messages=(Message("user", "hi"),),
        response_format=ResponseFormat("json_schema", name="city", schema={"type": "object", "properties": {}}),
    ),
    ChatRequest(messages=(Message("user", "hi"),), extra={"x-own": {"a": 1}}),
)  # fmt: skip
_NOISE = (
    b"",
    b"{}",
    b"null",
    b"[]",
    b"[1]",
    b'"x"',
    b'{"a": [{"b": 1e999}]}',
    b"\xff\xfe",
    b"<html>",
    b"{" * 99,
)
_STATUSES = (400, 401, 403, 404, 418, 429, 500, 503, 599)


def _check_format(
    wire: WireFormat, model: str, reply: bytes, stream: bytes, errors: Sequence[Refused]
) -> None:
    for request in _REQUESTS:
        _check_request(wire, model, request)
    call = _call(model, ChatRequest(messages=_HISTORY[:2]))
    whole = _decoded(wire, reply, call)
    _check_stream(wire, stream, whole, call)
    history = (*_HISTORY[:2], whole.message, Message("user", "Go on."))
    _check_request(wire, model, ChatRequest(messages=history))
    for noise in _NOISE:
        _check_noise(wire, noise, call)
    for refused in errors:
        error = wire.decode_error(refused.status, refused.headers or {}, refused.body)
        _promise(
            type(error) is refused.error,
            f"a {refused.status} is a {refused.error.__name__}, and not a {type(error).__name__}: {error}",
        )


def _check_request(wire: WireFormat, model: str, request: ChatRequest) -> None:
    """What the format cannot say it must name; what it does not name it must say, and change nothing."""
    cannot = getattr(wire, "cannot", None)
    missing = tuple(cannot(request)) if cannot is not None else ()
    if "messages" in missing:
        return
    nothing: dict[str, Any] = dict.fromkeys(missing)
    call = _call(model, amended(request, **nothing))
    before = deepcopy(call.request)
    for streams in (False, True):
        path = wire.path(call, stream=streams)
        _promise(
            isinstance(path, str) and path.startswith("/"),
            f"path gives a path after the base URL, not {path!r}",
        )
        body = wire.encode(call, stream=streams)
        _promise(isinstance(body, bytes), f"encode gives bytes, not {type(body).__name__}")
        _promise(wire.encode(call, stream=streams) == body, "encode gives the same bytes for the same call")
    _promise(call.request == before, "encode changes nothing of the request")


def _decoded(wire: WireFormat, reply: bytes, call: Call) -> ChatResponse[Any]:
    whole = wire.decode(reply, call)
    _promise(isinstance(whole, ChatResponse), f"decode gives a ChatResponse, not {type(whole).__name__}")
    _promise(bool(whole.text or whole.tool_calls), "decode finds the text or the tool calls of the reply")
    _promise(wire.decode(reply, call) == whole, "decode gives the same for the same bytes")
    return whole


def _check_stream(wire: WireFormat, stream: bytes, whole: ChatResponse[Any], call: Call) -> None:
    once, error = _told(wire, [stream], call)
    _promise(error is None, f"the stream is read to its end, and not broken off: {error!r}")
    for name in ("text", "tool_calls", "finish_reason", "reasoning", "refusal"):
        one, other = getattr(once, name), getattr(whole, name)
        _promise(
            one == other, f"the stream adds up to the whole reply; of {name} it makes {one!r}, not {other!r}"
        )
    for pieces in _cuts(stream):
        cut, error = _told(wire, pieces, call)
        _promise(error is None, f"a stream may be cut anywhere, but after {pieces[0][-20:]!r}: {error!r}")
        _promise(
            cut == once, f"a stream may be cut anywhere, but after {pieces[0][-20:]!r} it says something else"
        )
    _, error = _told(wire, [stream[: len(stream) // 3]], call)
    _promise(error is not None, "a stream of which the rest never comes sets the decoder's error in finish()")


def _cuts(stream: bytes) -> Iterator[list[bytes]]:
    yield [stream[place : place + 1] for place in range(len(stream))]
    for place in range(1, len(stream), max(1, len(stream) // 200)):
        yield [stream[:place], stream[place:]]


def _check_noise(wire: WireFormat, noise: bytes, call: Call) -> None:
    """Whatever comes is a reply or an error of ours."""
    try:
        _promise(
            isinstance(wire.decode(noise, call), ChatResponse), f"decode({noise!r}) gives a ChatResponse"
        )
    except PolyrouteError:
        pass
    except Exception as exc:
        raise AssertionError(f"decode({noise!r}) gives a reply or a PolyrouteError, not {exc!r}") from exc
    try:
        _told(wire, [noise], call)
    except Exception as exc:
        raise AssertionError(f"a decoder fed {noise!r} sets `error`, and does not raise {exc!r}") from exc
    for status in _STATUSES:
        error = wire.decode_error(status, {}, noise)
        _promise(isinstance(error, PolyrouteError), f"decode_error gives a PolyrouteError, not {error!r}")


def _told(
    wire: WireFormat, pieces: Sequence[bytes], call: Call
) -> tuple[ChatResponse[Any], PolyrouteError | None]:
    """What a decoder makes of a stream that comes in these *pieces*, driven as a provider drives it."""
    decoder, gathered = wire.stream_decoder(call), Gathered()
    for piece in pieces:
        for chunk in decoder.feed(piece):
            gathered.add(chunk)
        if decoder.error is not None or decoder.done:
            break
    else:
        for chunk in decoder.finish():
            gathered.add(chunk)
    return replace(gathered.response(), raw=None), decoder.error


# --- a provider -----------------------------------------------------------------------------------


async def _check_asked(provider: Provider, model: str) -> None:
    name = getattr(provider, "name", None)
    _promise(isinstance(name, str) and bool(name), f"name is a str, not {name!r}")
    call = _call(model, ChatRequest(messages=(Message("user", "Say hello."),)))
    before = deepcopy(call.request)
    whole = await provider.chat(call)
    _promise(isinstance(whole, ChatResponse), f"chat gives a ChatResponse, not {type(whole).__name__}")
    chunks = provider.stream(call)
    _promise(inspect.isasyncgen(chunks), "stream is an async generator: `async def` with `yield`")
    gathered = Gathered()
    async with aclosing(chunks):
        async for chunk in chunks:
            _promise(isinstance(chunk, ChatChunk), f"stream yields ChatChunks, not {type(chunk).__name__}")
            gathered.add(chunk)
    reply = gathered.response()
    _promise(bool(reply.text or reply.tool_calls), "stream says something")
    left = provider.stream(call)
    async with aclosing(left):
        async for _ in left:
            break
    _promise(call.request == before, "a provider changes nothing of the request")
    if (embed := getattr(provider, "embed", None)) is not None:
        texts = EmbedCall(request=EmbedRequest(input=("one", "two")), **_addressed(model))
        vectors = await embed(texts)
        _promise(isinstance(vectors, EmbedResponse), "embed gives an EmbedResponse")
        _promise(len(vectors) == 2, f"embed gives a vector for each text, and not {len(vectors)} for two")


def _call(model: str, request: ChatRequest) -> Call:
    return Call(request=request, **_addressed(model))


def _addressed(model: str) -> dict[str, Any]:
    deployment = Deployment(f"checked/{model}", id=f"checked/{model}")
    return {
        "deployment": deployment, "model": model, "timeout": Timeout(), "deadline": Deadline(), "user": None
    }  # fmt: skip


def _promise(kept: bool, promise: str) -> None:
    if not kept:
        raise AssertionError(promise)
