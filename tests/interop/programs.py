"""Programs that speak OpenAI's HTTP, with a router where the network would be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import httpx
import pytest

from polyroute import Deployment, Router
from polyroute.testing import FakeProvider
from tests.doubles import deployment

__all__ = [
    "ABANDONED",
    "BASE",
    "HI",
    "LIBRARIES",
    "answering",
    "events",
    "on_each_library",
    "posted",
    "program",
    "responded",
    "routed",
]

BASE = "http://polyroute.invalid/v1"
HI: Mapping[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
LIBRARIES = ("httpx", "httpx2")

# The SDK leaves generators of its own to the garbage collector, and trio says so.
ABANDONED = pytest.mark.filterwarnings("ignore:Async generator 'openai:ResourceWarning")
on_each_library = pytest.mark.parametrize("library", LIBRARIES, indirect=True)


@asynccontextmanager
async def routed(
    *deployments: Deployment | str, library: ModuleType = httpx, **options: Any
) -> AsyncIterator[Any]:
    """A client of *library* before a router of *deployments*."""
    async with Router(list(deployments), **options) as router:
        transport = router.openai_transport(library)
        async with library.AsyncClient(transport=transport, base_url=BASE) as client:
            yield client


@asynccontextmanager
async def program(
    *deployments: Deployment, library: ModuleType = httpx, **options: Any
) -> AsyncIterator[Any]:
    """OpenAI's SDK before a router of *deployments*, as a program's author would make it."""
    import openai

    async with Router(list(deployments), **options) as router:
        http = library.AsyncClient(transport=router.openai_transport(library))
        async with openai.AsyncOpenAI(http_client=http, base_url=BASE, api_key="-") as client:
            yield client


def answering(*replies: Any, **options: Any) -> Deployment:
    return deployment("a", FakeProvider(replies, **options))


async def responded(client: Any, **body: Any) -> Any:
    """The response to a request to the Responses API."""
    return await client.post("/responses", json={"model": "a", "input": "hi", **body})


async def posted(client: Any, path: str = "/chat/completions", **body: Any) -> Any:
    """The response to a chat of *body*, or to whatever *path* is asked for."""
    return await client.post(path, json={**HI, **body} if path == "/chat/completions" else body)


def events(body: str) -> Iterator[Any]:
    """The events of a stream's body: JSON, or a str where one is none."""
    told: Sequence[str] = body.split("\n\n")
    assert told[-1] == "", "the last event has its end too"
    for event in told[:-1]:
        name, _, data = event.partition(": ")
        assert name == "data"
        yield data if data == "[DONE]" else json.loads(data)
