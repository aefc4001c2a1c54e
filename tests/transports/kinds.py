"""The transports that every promise is proven on, and the ways to look at what they leave behind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx
import pytest
import sniffio

from polyroute import Deployment, Router
from polyroute.transports.pooled import PooledTransport
from tests.transports.faulty_server import FaultyServer

KEY = "sk-of-nobody-0123456789"


@dataclass(frozen=True)
class Kind:
    """One transport. *opened* gives what `Router(transport=…)` takes; *pooled*: it is the default
    one, which owns its connections and so can promise more."""

    name: str
    opened: Callable[[], AbstractAsyncContextManager[object]]
    pooled: bool = False


@asynccontextmanager
async def _pooled() -> AsyncIterator[PooledTransport]:
    transport = PooledTransport()
    try:
        yield transport
        busy, _ = transport.connections
        assert busy == 0, f"{busy} connections are still in use"
    finally:
        await transport.aclose()
    assert transport.connections == (0, 0)


@asynccontextmanager
async def _borrowed() -> AsyncIterator[httpx.AsyncClient]:
    # Its own limits and timeouts stand back, and it need not load the world's certificates each time.
    async with httpx.AsyncClient(timeout=None, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        yield client


# One line for each transport that is built later.
POOLED = Kind("httpx", _pooled, pooled=True)
BORROWED = Kind("httpx.AsyncClient", _borrowed)
KINDS = (POOLED, BORROWED)

on_each_transport = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def deployment(server: FaultyServer | str, id: str = "a", **options: object) -> Deployment:
    """A deployment of *server* with the id *id*; its key is `KEY` unless it is given another."""
    url = server if isinstance(server, str) else server.url
    return Deployment("openai/m-1", id=id, base_url=url, **{"api_key": KEY, **options})


@asynccontextmanager
async def routing(
    kind: Kind, *servers: FaultyServer | Deployment, **options: object
) -> AsyncIterator[Router]:
    """A router over *servers*, the first of them primary. Nothing may be left when it is done."""
    placed = [
        each if isinstance(each, Deployment) else deployment(each, id)
        for each, id in zip(servers, "abcdefgh", strict=False)
    ]
    tasks = living_tasks()
    async with kind.opened() as transport, Router(placed, transport=transport, **options) as router:
        yield router
        for each in placed:
            assert router._core.fleet[each].in_flight == 0, f"{each.id} counts calls in flight"
        await settled()
        assert living_tasks() == tasks, "a task was left behind"
    await settled()
    for each in servers:
        if isinstance(each, FaultyServer):
            assert each.open_connections() == 0, "a connection was left open"


def living_tasks() -> int:
    if sniffio.current_async_library() == "asyncio":
        return len(asyncio.all_tasks())
    import trio

    return trio.lowlevel.current_statistics().tasks_living


async def settled() -> None:
    """A few rounds of the event loop, in which what is ending comes to its end."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def in_time(seconds: float = 3.0) -> AsyncIterator[None]:
    """What must not take as long as *seconds*, which is generous: machines that test are slow."""
    with anyio.fail_after(seconds):
        yield
