"""Who may be how patient: the client less than the router, and never more. In virtual time."""

from __future__ import annotations

import anyio
import httpx
import pytest

from polyroute import DeadlineExceededError, Route, Timeout
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.interop.programs import on_each_library, posted, routed
from tests.virtual_time import anyio_backend  # noqa: F401


def hung():
    return deployment("hung", FakeProvider(["late"], latency=1_000))


async def timed_out(client, library=httpx, path="/chat/completions", **body):
    """After how many seconds the client's own timeout error came."""
    started = anyio.current_time()
    with pytest.raises(library.ReadTimeout) as caught:
        await posted(client, path, model="hung", **body)
    assert isinstance(caught.value.__cause__, DeadlineExceededError)
    assert caught.value.request.method == "POST"
    return anyio.current_time() - started


@on_each_library
@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_is_the_clients_own_timeout(library, stream):
    async with routed(hung(), library=library, timeout=Timeout(total=20, first_token=None)) as client:
        client.timeout = None
        assert await timed_out(client, library, stream=stream) == pytest.approx(20)


@pytest.mark.parametrize(("patience", "taken"), [(600, 20), (None, 20), (20, 20), (7, 7)])
async def test_a_clients_patience_shortens_the_routers_and_never_widens_it(patience, taken):
    async with routed(hung(), timeout=Timeout(total=20)) as client:
        client.timeout = httpx.Timeout(patience)
        assert await timed_out(client) == pytest.approx(taken)
        assert await timed_out(client, path="/embeddings", input="x") == pytest.approx(taken)


async def test_a_routes_own_time_is_kept_too():
    routes = {"quick": Route(["hung"], timeout=Timeout(total=3))}
    async with routed(hung(), routes=routes) as client:
        client.timeout = httpx.Timeout(10)
        started = anyio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await posted(client, model="quick")
        assert anyio.current_time() - started == pytest.approx(3)


async def test_where_the_router_has_no_limit_the_clients_holds():
    async with routed(hung(), timeout=None) as client:
        client.timeout = httpx.Timeout(10)
        assert await timed_out(client) == pytest.approx(10)


async def test_a_stream_may_take_longer_than_its_client_waits_for_a_plain_reply():
    slow = deployment("slow", FakeProvider(["a b c d e"], ttft=1, latency=21))
    async with routed(slow) as client:
        client.timeout = httpx.Timeout(5)
        response = await posted(client, model="slow", stream=True)

    assert response.text.endswith("data: [DONE]\n\n")
