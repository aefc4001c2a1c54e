"""Which transport a router has, and what it says where it cannot have it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import aiohttp
import httpx
import httpx2
import pytest
import trio

from polyroute import ConfigurationError, Router
from polyroute.testing import FakeProvider
from polyroute.transports.borrowed import BorrowedClient
from polyroute.transports.borrowed_session import BorrowedSession
from polyroute.transports.choosing import transport_of
from polyroute.transports.over_aiohttp import AiohttpTransport
from polyroute.transports.pooled import PooledTransport
from tests.transports.faulty_server import FaultyServer
from tests.transports.kinds import deployment, in_time, on_each_borrowed_client, on_each_transport


@on_each_transport
async def test_a_router_shows_its_transport(kind):
    async with kind.opened() as given, Router([deployment("http://x/v1")], transport=given) as router:
        shown = repr(router)
    named = kind.name if not kind.own else f"polyroute.{type(given).__name__}"
    assert f"transport='{named}'" in shown


@pytest.mark.parametrize("name", ["httpx", "httpx2", "aiohttp"])
def test_a_transport_may_be_named(name):
    router = Router([deployment("http://x/v1")], transport=name)
    assert f"transport='{name}'" in repr(router)
    assert type(router._wiring.providers._own) is (AiohttpTransport if name == "aiohttp" else PooledTransport)


async def test_clients_of_ones_own_are_known_by_what_they_have():
    async with httpx.AsyncClient() as one, httpx2.AsyncClient() as two:
        assert type(transport_of(one)) is BorrowedClient
        assert type(transport_of(two)) is BorrowedClient


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_so_is_a_session():
    async with aiohttp.ClientSession() as session:
        assert type(transport_of(session)) is BorrowedSession


def test_a_transport_of_ones_own_is_itself():
    class Own:
        def request(self): ...
        def send(self): ...

        connector = None

    own = Own()
    assert transport_of(own) is own


@pytest.mark.parametrize("given", ["htpx", "", "requests"])
def test_a_name_that_is_none_lists_those_that_are(given):
    with pytest.raises(ConfigurationError, match=r"no transport .*\(there are: httpx, httpx2, aiohttp\)"):
        Router([deployment("http://x/v1")], transport=given)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean 'aiohttp'"):
        Router([deployment("http://x/v1")], transport="aiohtp")


@pytest.mark.parametrize("given", [None, 3, object(), httpx.AsyncClient, httpx.Client(), FakeProvider()])
def test_what_is_no_transport_is_refused_when_the_router_is_built(given):
    with pytest.raises(ConfigurationError, match="transport is a name"):
        Router([deployment("http://x/v1")], transport=given)


_WITHOUT = """
    import sys
    for module in ("aiohttp", "httpx2", "httpcore2"):
        sys.modules[module] = None
    from polyroute import ConfigurationError, Deployment, Router
    from polyroute.testing import FakeProvider

    router = Router([Deployment("fake/a", provider=FakeProvider())], transport={name!r})  # It needs none.
    try:
        Router([Deployment("openai/m", api_key="k")], transport={name!r})
    except ConfigurationError as error:
        print(error)
    Router([Deployment("openai/m", api_key="k")], transport="httpx")
"""


@pytest.mark.parametrize("name", ["httpx2", "aiohttp"])
def test_where_its_library_is_missing_the_command_that_installs_it_is_named(name):
    script = textwrap.dedent(_WITHOUT).format(name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f'transport "{name}" needs {name}, which is not installed: pip install "polyroute[{name}]"\n'
    )


@pytest.mark.parametrize("name", ["httpx2", "aiohttp"])
def test_and_so_it_is_where_something_is_asked_for_later(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match="pip install"):
        transport_of(name)


_LOADED = """
    import sys
    from polyroute import Deployment, Router
    Router([Deployment("openai/m", api_key="k")], transport={name!r})
    print(*sorted({{"aiohttp", "httpx", "httpx2"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", ["httpx", "httpx2", "aiohttp"])
def test_only_the_library_that_was_asked_for_is_loaded(name):
    script = textwrap.dedent(_LOADED).format(name=name)
    environment = {"PATH": "", "HOME": ""}  # no proxies: to read their rules takes httpx
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == [name]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_over_aiohttp_another_event_loop_is_a_matter_of_configuration():
    with FaultyServer() as server:
        async with Router([deployment(server)], transport="aiohttp") as router, in_time():
            for _ in range(2):
                with pytest.raises(ConfigurationError, match='asyncio only; on trio use transport="httpx"'):
                    await router.chat("hi")
        assert not server.accepted


def test_so_it_is_with_a_session_of_ones_own():
    async def opened():
        return aiohttp.ClientSession()

    runner = asyncio.Runner()
    session = runner.run(opened())
    router = Router([deployment("http://127.0.0.1:9/v1")], transport=session)

    async def asked():
        with pytest.raises(ConfigurationError, match="asyncio only"):
            await router.chat("hi")

    trio.run(asked)
    runner.run(session.close())
    runner.close()


@on_each_borrowed_client
async def test_a_client_of_ones_own_is_left_open(kind):
    with FaultyServer() as server:
        async with kind.opened() as given:
            for _ in range(2):
                async with Router([deployment(server)], transport=given) as router, in_time():
                    await router.chat("hi")
                assert not getattr(given, "is_closed", getattr(given, "closed", False))
