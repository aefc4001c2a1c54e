"""Each seam filled by an application's own part, in about ten lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from polyroute import (
    HOSTS,
    ChatChunk,
    ChatResponse,
    Deployment,
    EmbedResponse,
    GiveUp,
    HTTPProvider,
    Middleware,
    ProviderError,
    Retry,
    Route,
    Router,
    ServerError,
    Strategy,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down


async def test_a_strategy():
    class ShortestName(Strategy):
        async def choose(self, request, candidates, history, fleet):
            return min(candidates, key=lambda candidate: len(candidate.name))

    async with Router([deployment("long"), deployment("x")], strategy=ShortestName()) as router:
        assert (await router.chat("hi")).deployment == "x"


async def test_a_retry_policy():
    class Once:
        def decide(self, history, *, remaining, others):
            return Retry(0.0) if len(history) == 1 else GiveUp()

    fake = FakeProvider(script=[ServerError("down"), "up"])
    async with Router([deployment("a", fake), deployment("b")], retry=Once()) as router:
        assert asked(await router.chat("hi")) == ["a", "a"]


async def test_a_middleware():
    class Signs(Middleware):
        async def chat(self, request, call_next):
            reply = await call_next(request)
            return ChatResponse(f"{reply.text} (signed)")

    async with Router([deployment("a")], middleware=[Signs()]) as router:
        assert (await router.chat("hi")).text == "a (signed)"


async def test_a_provider():
    class Echo:
        name = "echo"

        async def chat(self, call):
            return ChatResponse(call.request.messages[-1].text)

        async def stream(self, call):
            yield ChatChunk(text=call.request.messages[-1].text)

        async def embed(self, call):
            return EmbedResponse(tuple([float(len(text))] for text in call.request.input))

    async with Router([Deployment("echo/1", provider=Echo())]) as router:
        reply = await router.chat("hello")
        async with router.stream("hello") as stream:
            assert (await stream.response()).text == "hello"
        assert list(await router.embed(["a", "bc"])) == [[1.0], [2.0]]

    assert (reply.text, reply.provider, reply.deployment) == ("hello", "echo", "echo/1")


class Pipe:
    """A transport that answers from memory."""

    def __init__(self, body: bytes, status: int = 200):
        self.body, self.status, self.requests = body, status, []

    async def send(self, request):
        self.requests.append(request)
        return self

    headers: dict[str, str] = {}

    async def read(self) -> bytes:
        return self.body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body

    async def drain(self) -> None: ...
    async def aclose(self) -> None: ...


async def test_a_transport():
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
    pipe = Pipe(body)
    async with Router(
        [Deployment("openai/m", api_key="k", base_url="https://h.example/v1")], transport=pipe
    ) as router:
        assert (await router.chat("hi")).text == "hi"

    (request,) = pipe.requests
    assert (request.method, request.url) == ("POST", "https://h.example/v1/chat/completions")
    assert dict(request.headers)[b"authorization"] == b"Bearer k"


async def test_a_wire_format():
    class Lines:
        name = "lines"
        done, error = False, None

        def path(self, call, *, stream):
            return "/lines"

        def encode(self, call, *, stream):
            return call.request.messages[-1].text.encode()

        def decode(self, body, call):
            return ChatResponse(body.decode())

        def decode_error(self, status, headers, body):
            return ProviderError(body.decode(), status=status)

        def stream_decoder(self, call):
            return self

        def feed(self, data):
            return [ChatChunk(text=data.decode())]

        def finish(self):
            return [ChatChunk(finish_reason="stop")]

    provider = HTTPProvider(HOSTS["compatible"], Pipe(b"a line"), wire_format=Lines())
    lines = Deployment("lines/1", provider=provider, base_url="http://h.example")
    async with Router([lines]) as router:
        assert (await router.chat("hi")).text == "a line"
        async with router.stream("hi") as stream:
            assert (await stream.response()).text == "a line"


async def test_a_route_of_them_all_falls_back_across_their_kinds():
    class Broken:
        name = "broken"

        async def chat(self, call):
            raise ServerError("no")

        async def stream(self, call):
            raise ServerError("no")
            yield

    deployments = [Deployment("broken/1", provider=Broken()), deployment("a", down()), deployment("b")]
    routes = {"default": Route(["broken/1", "a", "b"])}
    async with Router(deployments, routes=routes) as router:
        assert asked(await router.chat("hi")) == ["broken/1", "a", "b"]
        async with router.stream("hi") as stream:
            assert asked(await stream.response()) == ["broken/1", "a", "b"]
