"""Clients that block: the same answers, from any thread, on an event loop that the router's clients share."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import anyio
import httpx
import pytest

from polyroute import ConfigurationError, DeadlineExceededError, ReadError, Router, Timeout
from polyroute.interop.transport import make_transport
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down
from tests.interop.programs import BASE, HI, events, on_each_library


def client_of(router, library=httpx):
    return library.Client(transport=router.openai_transport(library), base_url=BASE)


def loops():
    return [thread for thread in threading.enumerate() if thread.name == "polyroute"]


@on_each_library
def test_gives_the_same_answers(library):
    router = Router([deployment("a", down()), deployment("b", FakeProvider(["one two"]))], retry=None)
    with client_of(router, library) as client:
        chat = client.post("/chat/completions", json={**HI, "model": ["a", "b"]})
        vectors = client.post("/embeddings", json={"model": "b", "input": ["x", "y"]})
        models = client.get("/models")
        with client.stream(
            "POST", "/chat/completions", json={**HI, "model": ["a", "b"], "stream": True}
        ) as stream:
            told = list(events(stream.read().decode()))

    assert isinstance(chat, library.Response)
    assert chat.json()["choices"][0]["message"]["content"] == "one two"
    assert chat.headers["x-polyroute-attempts"] == "2"
    assert len(vectors.json()["data"]) == 2
    assert [model["id"] for model in models.json()["data"]] == ["a", "b"]
    assert stream.headers["x-polyroute-deployment"] == "b"
    assert stream.headers["x-polyroute-attempts"] == "2"
    assert [each["choices"][0]["delta"].get("content") for each in told[:-1]] == ["", "one", " two", None]
    assert told[-1] == "[DONE]"


def test_errors_are_the_same_too():
    router = Router([deployment("a", down())], retry=None)
    with client_of(router) as client:
        assert client.post("/chat/completions", json={**HI, "model": "a"}).status_code == 502
        assert client.post("/chat/completions", json={**HI, "model": "a", "stream": True}).status_code == 502
        assert client.post("/chat/completions", json={**HI, "model": "b"}).status_code == 404
        assert client.post("/chat/completions", json={"model": "a"}).status_code == 400


def test_a_deadline_is_the_clients_own_timeout():
    router = Router([deployment("a", FakeProvider(latency=60))], timeout=Timeout(total=0.01))
    with client_of(router) as client, pytest.raises(httpx.ReadTimeout) as caught:
        client.post("/chat/completions", json={**HI, "model": "a"})
    assert isinstance(caught.value.__cause__, DeadlineExceededError)


def test_a_stream_that_breaks_ends_with_an_error():
    router = Router([deployment("a", FakeProvider(script=[("Once", ReadError("cut"))]))])
    with client_of(router) as client:
        body = client.post("/chat/completions", json={**HI, "model": "a", "stream": True}).text
    assert "cut" in list(events(body))[-1]["error"]["message"]


def test_a_client_that_leaves_early_leaves_nothing_behind():
    router = Router([deployment("a", FakeProvider(["word " * 100]))])
    with client_of(router) as client:
        with client.stream("POST", "/chat/completions", json={**HI, "model": "a", "stream": True}) as stream:
            next(stream.iter_raw())
            assert router._core.fleet["a"].in_flight == 1
        assert router._core.fleet["a"].in_flight == 0


def test_many_threads_at_once():
    async def answer(call):
        await anyio.sleep(0.001)
        return call.request.messages[0].text

    router = Router([deployment("a", FakeProvider([answer]))])
    with client_of(router) as client, ThreadPoolExecutor(20) as pool:

        def ask(text):
            body = {"model": "a", "messages": [{"role": "user", "content": text}]}
            reply = client.post("/chat/completions", json=body)
            return reply.json()["choices"][0]["message"]["content"]

        texts = [str(n) for n in range(100)]
        assert list(pool.map(ask, texts)) == texts
        assert len(loops()) == 1
    assert not loops()


def test_all_clients_of_a_router_share_one_event_loop_until_the_last_is_closed():
    router = Router([deployment("a")])
    one, other, idle = client_of(router), client_of(router), client_of(router)
    assert not loops()
    for client in (one, other):
        client.post("/chat/completions", json={**HI, "model": "a"})
    idle.close()
    assert len(loops()) == 1
    one.close()
    assert len(loops()) == 1
    assert other.post("/chat/completions", json={**HI, "model": "a"}).status_code == 200
    other.close()
    other.close()
    assert not loops()


def test_closing_the_client_leaves_the_router_open():
    router = Router([deployment("a")])
    for _ in range(2):
        with client_of(router) as client:
            assert client.post("/chat/completions", json={**HI, "model": "a"}).status_code == 200

    async def from_a_loop():
        async with router, httpx.AsyncClient(transport=router.openai_transport(), base_url=BASE) as client:
            await client.post("/chat/completions", json={**HI, "model": "a"})
            await client.aclose()
            return (await router.chat("hi")).text

    assert asyncio.run(from_a_loop()) == "a"


def test_from_a_loop_and_from_threads_at_once_is_a_mistake_that_says_so():
    router = Router([deployment("a")])

    async def from_a_loop():
        async with httpx.AsyncClient(transport=router.openai_transport(), base_url=BASE) as client:
            with pytest.raises(ConfigurationError, match="either so or from its event loop"):
                await client.post("/chat/completions", json={**HI, "model": "a"})

    with client_of(router) as client:
        client.post("/chat/completions", json={**HI, "model": "a"})
        asyncio.run(from_a_loop())
    with router.sync(), client_of(router) as client:
        with pytest.raises(ConfigurationError, match="in use through sync"):
            client.post("/chat/completions", json={**HI, "model": "a"})


def test_a_script_that_never_closes_its_client_ends_all_the_same():
    script = (
        "import httpx; from polyroute import Router, Deployment; from polyroute.testing import FakeProvider;"
        "router = Router([Deployment('fake/a', provider=FakeProvider(['bye']))]);"
        "client = httpx.Client(transport=router.openai_transport());"
        "body = {'model': 'a', 'messages': [{'role': 'user', 'content': 'hi'}]};"
        "print(client.post('http://polyroute.invalid/v1/chat/completions', json=body).text)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "bye" in done.stdout


@on_each_library
def test_it_is_a_transport_of_the_clients_own_library(library):
    transport = Router([deployment("a")]).openai_transport(library)

    assert isinstance(transport, library.AsyncBaseTransport)
    assert isinstance(transport, library.BaseTransport)


def test_a_module_that_is_not_like_httpx_is_refused():
    router = Router([deployment("a")])
    with pytest.raises(ConfigurationError, match="has no AsyncBaseTransport"):
        router.openai_transport(asyncio)
    almost = SimpleNamespace(**{name: object for name in dir(httpx) if name != "ReadTimeout"})
    with pytest.raises(ConfigurationError, match="has no ReadTimeout"):
        make_transport(router, lambda: None, None, almost)
