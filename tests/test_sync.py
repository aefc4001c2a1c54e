"""The same calls without `await`: in scripts, in notebooks, on many threads."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    BadRequestError,
    ChatChunk,
    ConfigurationError,
    ReadError,
    Router,
    ServerError,
    StreamInterruptedError,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment


def test_gives_the_same_calls():
    with Router([deployment("a", FakeProvider(["one two"]))]).sync() as client:
        assert client.chat("hi").text == "one two"
        with client.stream("hi") as stream:
            assert [chunk.text for chunk in stream] == ["one", " two", ""]
            assert stream.response().text == "one two"
        assert len(client.embed(["x", "y"])) == 2
        assert [reply.text for reply in client.chat_many(["x", "y"])] == ["one two"] * 2
        assert client.explain("hi").deployment == "a"
        assert client.bind(user="ann").chat("hi").text == "one two"


def test_errors_come_out_as_they_are():
    with Router([deployment("a", FakeProvider(script=[AuthenticationError("no")]))]).sync() as client:
        with pytest.raises(AllAttemptsFailedError):
            client.chat("hi")
        with pytest.raises(BadRequestError):
            client.chat("")
        with pytest.raises(TypeError, match="did you mean"):
            client.chat("hi", temprature=1)
        with pytest.raises(AllAttemptsFailedError), client.stream("hi"):
            pytest.fail("it was entered")


def test_a_stream_that_breaks_raises_where_it_is_read():
    with Router([deployment("a", FakeProvider(script=[("Once", ReadError("cut"))]))]).sync() as client:
        with client.stream("hi") as stream:
            assert next(stream).text == "Once"
            with pytest.raises(StreamInterruptedError):
                next(stream)
            with pytest.raises(StreamInterruptedError):
                stream.response()


def test_a_stream_is_entered_read_and_left_by_one_task():
    tasks = []

    class Notes:
        name = "notes"

        async def chat(self, call):
            raise NotImplementedError

        async def stream(self, call):
            try:
                for _ in range(3):
                    tasks.append(anyio.get_current_task().id)
                    yield ChatChunk(text="x")
            finally:
                tasks.append(anyio.get_current_task().id)

    router = Router([deployment("a", Notes())])
    with router.sync() as client:
        with client.stream("hi") as stream:
            next(stream)
            next(stream)
        assert router._core.fleet["a"].in_flight == 0
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


def test_a_stream_is_entered_once_and_read_only_inside():
    with Router([deployment("a")]).sync() as client:
        stream = client.stream("hi")
        with pytest.raises(ConfigurationError, match="enter the stream"):
            next(stream)
        with stream:
            pass
        stream.close()
        with pytest.raises(ConfigurationError, match="enter the stream"):
            next(stream)
        with pytest.raises(ConfigurationError, match="entered once"), stream:
            pass


def test_many_threads_at_once():
    async def answer(call):
        await anyio.sleep(0.001)
        return call.request.messages[0].text

    router = Router([deployment("a", FakeProvider([answer]))])
    with router.sync() as client, ThreadPoolExecutor(20) as pool:
        texts = [str(n) for n in range(200)]
        assert [reply.text for reply in pool.map(client.chat, texts)] == texts
        assert router._core.fleet["a"].in_flight == 0


def test_also_where_a_loop_is_running():
    async def notebook():
        with Router([deployment("a")]).sync() as client:
            return client.chat("hi").text

    assert asyncio.run(notebook()) == "a"


def test_leaving_it_closes_the_router_and_ends_its_thread():
    router = Router([deployment("a")])
    before = threading.active_count()
    with router.sync() as client:
        client.chat("hi")
    assert threading.active_count() == before
    with pytest.raises(ConfigurationError, match="enter it first"):
        client.chat("hi")
    with pytest.raises(ConfigurationError, match="closed"), router.sync():
        pass


def test_a_router_is_used_either_so_or_from_its_loop():
    router = Router([deployment("a")])

    async def from_a_loop():
        with pytest.raises(ConfigurationError, match="either so or from its event loop"):
            await router.chat("hi")

    with router.sync() as client:
        assert client.chat("hi").text == "a"
        asyncio.run(from_a_loop())
        with pytest.raises(ConfigurationError, match="in use through sync"), router.sync():
            pass


async def test_a_router_that_is_entered_or_has_calls_under_way_is_not_for_sync():
    async with Router([deployment("a")]) as router:
        with pytest.raises(ConfigurationError, match="in use already"), router.sync():
            pass
    router = Router([deployment("a", FakeProvider(["one two"]))])
    async with router.stream("hi") as stream:
        with pytest.raises(ConfigurationError, match="in use already"), router.sync():
            pass
        await stream.response()
    await router.aclose()


def test_where_its_thread_cannot_be_started_the_router_is_free_again(monkeypatch):
    router = Router([deployment("a")])
    with monkeypatch.context() as patched:
        patched.setattr("polyroute.sync.start_blocking_portal", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError), router.sync():
            pass
    with router.sync() as client:
        assert client.chat("hi").text == "a"


def test_an_error_inside_of_the_block_passes():
    with pytest.raises(ZeroDivisionError), Router([deployment("a")]).sync():
        raise ZeroDivisionError


def test_retries_and_fallbacks_work_there_too():
    deployments = [deployment("a", FakeProvider(script=[ServerError("x")])), deployment("b")]
    with Router(deployments).sync() as client:
        assert [attempt.deployment for attempt in client.chat("hi").trace.attempts] == ["a", "b"]
