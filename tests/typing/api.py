"""What type checkers make of the public API. This file is checked and never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any, assert_type

import httpx
from pydantic import BaseModel

from polyroute import (
    Attempt,
    Call,
    ChatChunk,
    ChatRequest,
    ChatResponse,
    ChatStream,
    Choice,
    Decision,
    Deployment,
    EmbedResponse,
    ExponentialBackoff,
    Fallback,
    FleetView,
    GiveUp,
    Message,
    Middleware,
    PolyrouteError,
    Price,
    Provider,
    Request,
    Retry,
    RetryPolicy,
    Route,
    Router,
    Strategy,
    Text,
    Timeout,
    Tool,
    ToolCall,
)
from polyroute.testing import FakeProvider


class City(BaseModel):
    name: str


def weather(city: str) -> str:
    return city


async def calls(router: Router) -> None:
    plain = await router.chat(
        "hi", model=["a", "b"], temperature=0, tools=[weather, Tool("f"), {"type": "function"}]
    )
    assert_type(plain, ChatResponse[Any])
    assert_type(plain.text, str)
    assert_type(plain.cost, Decimal | None)
    assert_type(plain.tool_calls, list[ToolCall])
    assert_type(plain.message, Message)

    city = await router.chat([{"role": "user", "content": "hi"}, plain.message], response_format=City)
    assert_type(city, ChatResponse[City])
    assert_type(city.parsed, City)

    loose = await router.chat(
        (Message("user", [Text("hi")]),), response_format={"type": "object"}, timeout=None
    )
    assert_type(loose, ChatResponse[Any])

    async with router.stream("hi", response_format=City, on_break="raise") as stream:
        assert_type(stream, ChatStream[City])
        async for chunk in stream:
            assert_type(chunk, ChatChunk)
        assert_type((await stream.response()).parsed, City)

    vectors = await router.embed(["a"], dimensions=3)
    assert_type(vectors, EmbedResponse)
    assert_type(vectors[0], list[float])
    assert_type(await router.chat_many(["a", "b"]), list[ChatResponse[Any] | PolyrouteError])
    assert_type(await router.explain("hi", tags=["x"]), Decision)
    assert_type(await router.bind(user="ann").chat("hi", response_format=City), ChatResponse[City])

    with router.sync() as client:
        assert_type(client.chat("hi", response_format=City), ChatResponse[City])
        with client.stream("hi", response_format=City) as blocking:
            assert_type(next(iter(blocking)), ChatChunk)
            assert_type(blocking.response(), ChatResponse[City])

    await router.chat("hi", temprature=1)  # type: ignore[call-overload] # a misspelt argument is seen
    await router.chat("hi", temperature="hot")  # type: ignore[call-overload]
    Router(["a/b"], stratgy=1)  # type: ignore[arg-type]
    Deployment("a/b", wieght=1)  # type: ignore[call-arg]


class Own(Strategy):
    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Deployment | Choice | None:
        assert_type(fleet[candidates[0]].in_flight, int)
        return candidates[0]


def program(router: Router) -> tuple[httpx.AsyncClient, httpx.Client]:
    transport = router.openai_transport()
    return httpx.AsyncClient(transport=transport), httpx.Client(transport=transport)


class Once:
    def decide(
        self, history: Sequence[Attempt], *, remaining: float | None, others: int
    ) -> Retry | Fallback | GiveUp:
        return GiveUp()


class Echo:
    name = "echo"

    async def chat(self, call: Call, /) -> ChatResponse[Any]:
        assert_type(call.request, ChatRequest)
        return ChatResponse("hi")

    async def stream(self, call: Call, /) -> AsyncGenerator[ChatChunk, None]:
        yield ChatChunk(text="hi")


policy: RetryPolicy = Once()
backoff: RetryPolicy = ExponentialBackoff()
provider: Provider = Echo()
fake: Provider = FakeProvider(["a"], script=["a", ("b", ValueError()), lambda call: call.model])
router = Router(
    [
        "openai/gpt-5",
        Deployment("echo/1", provider=provider, price=Price(1, "2"), timeout=3, api_key=lambda: "k"),
    ],
    routes={"default": Route(["echo/1"], strategy=Own(), retry=None, timeout=Timeout(attempt=1))},
    retry=policy,
    middleware=[Middleware()],
    timeout=None,
)
