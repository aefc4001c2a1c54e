"""The transports that every promise is proven on, and the ways to look at what they leave behind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase
from types import ModuleType

import aiohttp
import anyio
import httpx
import httpx2
import pytest
import sniffio
import trio

from polyroute import Deployment, Router
from polyroute.transports.choosing import transport_of
from polyroute.transports.over_aiohttp import AiohttpTransport
from polyroute.transports.pooled import PooledTransport
from tests.transports.faulty_server import FaultyServer

KEY = "sk-of-nobody-0123456789"
RUNS = {"asyncio": asyncio.run, "trio": lambda call: trio.run(lambda: call)}  # a coroutine, by its loop


@dataclass(frozen=True)
class Kind:
    """One transport. *opened* gives what `Router(transport=…)` takes; *own*: it owns its connections
    and so can promise more; *loops*: those that its library knows."""

    name: str
    opened: Callable[[], AbstractAsyncContextManager[object]]
    own: bool = False
    loops: frozenset[str] = frozenset({"asyncio", "trio"})


@asynccontextmanager
async def _owned(name: str) -> AsyncIterator[PooledTransport | AiohttpTransport]:
    transport = transport_of(name)
    try:
        yield transport
        busy, _ = transport.connections
        assert busy == 0, f"{busy} connections are still in use"
    finally:
        await transport.aclose()
    assert transport.connections == (0, 0)


@asynccontextmanager
async def _borrowed(library: ModuleType) -> AsyncIterator[httpx.AsyncClient | httpx2.AsyncClient]:
    # Its own limits and timeouts stand back, and it need not load the world's certificates each time.
    async with library.AsyncClient(timeout=None, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        yield client


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


_ASYNCIO = frozenset({"asyncio"})

POOLED = Kind("httpx", partial(_owned, "httpx"), own=True)
POOLED2 = Kind("httpx2", partial(_owned, "httpx2"), own=True)
AIOHTTP = Kind("aiohttp", partial(_owned, "aiohttp"), own=True, loops=_ASYNCIO)
BORROWED = Kind("httpx.AsyncClient", partial(_borrowed, httpx))
BORROWED2 = Kind("httpx2.AsyncClient", partial(_borrowed, httpx2))
SESSION = Kind("aiohttp.ClientSession", _session, loops=_ASYNCIO)
KINDS = (POOLED, POOLED2, AIOHTTP, BORROWED, BORROWED2, SESSION)
OWN = tuple(kind for kind in KINDS if kind.own)
BORROWERS = tuple(kind for kind in KINDS if not kind.own)
OVER_AIOHTTP = (AIOHTTP, SESSION)

on_each_transport = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
on_httpx_and_httpx2 = pytest.mark.parametrize("kind", [POOLED, POOLED2], ids=lambda kind: kind.name)
on_each_borrowed_client = pytest.mark.parametrize("kind", BORROWERS, ids=lambda kind: kind.name)
on_each_own_transport = pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.name)


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
        for each, id in zip(servers, ascii_lowercase, strict=False)
    ]
    tasks = living_tasks()
    async with kind.opened() as transport, Router(placed, transport=transport, **options) as router:
        yield router
        assert router._core.holds is None
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
async def in_time(seconds: float = 10.0) -> AsyncIterator[None]:
    """What must not take as long as *seconds*, which is generous: machines that test are slow."""
    with anyio.fail_after(seconds):
        yield
