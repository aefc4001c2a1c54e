"""The provider that applications test with."""

from __future__ import annotations

from math import hypot

import anyio
import pytest

from polyroute import (
    AllAttemptsFailedError,
    Call,
    ChatResponse,
    ConfigurationError,
    Deployment,
    ReadError,
    Router,
    ServerError,
    StreamInterruptedError,
    ToolCall,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.virtual_time import anyio_backend  # noqa: F401


def router(fake):
    return Router([Deployment("fake/a", provider=fake)], retry=None)


async def outcomes(fake, count):
    told = []
    async with router(fake) as r:
        for _ in range(count):
            try:
                told.append((await r.chat("hi")).text)
            except AllAttemptsFailedError as error:
                told.append(str(error.__cause__))
    return told


async def test_replies_cycle():
    assert await outcomes(FakeProvider(["x", ChatResponse("y")]), 5) == ["x", "y", "x", "y", "x"]
    assert await outcomes(FakeProvider(), 1) == ["ok"]


async def test_of_a_script_the_last_step_repeats():
    fake = FakeProvider(
        script=["x", ServerError("boom"), ("half", ReadError("cut")), lambda call: call.model]
    )
    assert await outcomes(fake, 6) == ["x", "boom", "cut", "a", "a", "a"]


async def test_a_callable_gets_the_call_and_may_be_async_or_raise():
    async def slow(call: Call):
        await anyio.sleep(1)
        return ChatResponse(call.request.messages[-1].text.upper())

    def refuses(call):
        raise ServerError("not today")

    assert await outcomes(FakeProvider(script=[slow, refuses]), 2) == ["HI", "not today"]


async def test_a_scripted_exception_is_raised_as_a_fresh_copy():
    scripted = ServerError("boom", status=503)
    fake = FakeProvider(script=[scripted])
    async with router(fake) as r:
        errors = []
        for _ in range(2):
            with pytest.raises(AllAttemptsFailedError) as caught:
                await r.chat("hi")
            errors.append(caught.value.__cause__)

    assert errors[0] is not errors[1]
    assert scripted not in errors
    assert (errors[0].status, str(errors[0])) == (503, "boom")
    assert scripted.__traceback__ is None
    assert scripted.deployment is None

    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    odd = OddError(1, 2)
    async with router(FakeProvider(script=[odd])) as r:
        with pytest.raises(OddError):
            await r.chat("hi")


async def test_latency_and_ttft_are_waits_on_the_event_loops_clock():
    async with router(FakeProvider(["one two three"], latency=10, ttft=4)) as r:
        started = anyio.current_time()
        await r.chat("hi")
        assert anyio.current_time() - started == pytest.approx(10)
        started = anyio.current_time()
        times = []
        async with r.stream("hi") as stream:
            async for _ in stream:
                times.append(anyio.current_time() - started)
        assert times == pytest.approx([4, 6, 8, 10])
    async with router(FakeProvider(["one two"], latency=3)) as r:
        started = anyio.current_time()
        async with r.stream("hi") as stream:
            await anext(stream)
            assert anyio.current_time() - started == pytest.approx(3)
    seconds = iter([1.0, 2.0])
    async with router(FakeProvider(latency=lambda: next(seconds))) as r:
        assert [(await r.chat("hi")).trace.attempts[0].latency for _ in range(2)] == pytest.approx([1, 2])


@pytest.mark.parametrize("text", ["one two", " lead and trail ", "a\n\nb  c", "", "   ", "wörd 日本 語"])
async def test_a_stream_is_split_at_words_and_loses_nothing(text):
    async with router(FakeProvider([text])) as r, r.stream("hi") as stream:
        chunks = [chunk.text async for chunk in stream]
        assert "".join(chunks) == text
        assert (await stream.response()).text == text
    if text == "one two":
        assert chunks == ["one", " two", ""]


async def test_a_pair_of_a_text_and_an_exception_is_a_stream_that_breaks_there():
    async with router(FakeProvider(script=[("Once upon a", ReadError("cut"))])) as r:
        with pytest.raises(StreamInterruptedError) as caught:
            async with r.stream("hi") as stream:
                await stream.response()
        assert caught.value.partial == "Once upon a"
        with pytest.raises(AllAttemptsFailedError):
            await r.chat("hi")


async def test_usage_is_what_each_reply_says_unless_it_says_so_itself():
    own = ChatResponse("y", usage=Usage(1, 1))
    async with router(FakeProvider(["x", own], usage=Usage(7, 8))) as r:
        assert (await r.chat("hi")).usage == Usage(7, 8)
        assert (await r.chat("hi")).usage == Usage(1, 1)
        async with r.stream("hi") as stream:
            assert (await stream.response()).usage == Usage(7, 8)


async def test_an_embedding_is_a_fixed_unit_vector_made_from_the_text():
    async with router(FakeProvider()) as r, router(FakeProvider(name="other")) as other:
        one = await r.embed(["a", "b", "a"])
        assert one[0] == one[2] != one[1]
        assert list(await other.embed("a")) == [one[0]]
        assert hypot(*one[0]) == pytest.approx(1)
        assert len((await r.embed("a", dimensions=3))[0]) == 3
    async with router(FakeProvider(script=[ServerError("boom"), ("x", ServerError("boom")), "fine"])) as r:
        for _ in range(2):
            with pytest.raises(AllAttemptsFailedError):
                await r.embed("a")
        assert len(await r.embed("a")) == 1


async def test_it_remembers_what_it_was_asked():
    fake = FakeProvider([ChatResponse(tool_calls=[ToolCall("1", "f", {})])])
    async with router(fake) as r:
        reply = await r.chat("hi", temperature=0.5)
        await r.chat([{"role": "user", "content": "hi"}, reply.message, reply.tool_calls[0].result("4")])
        await r.embed("x")

    first, second, third = fake.calls
    assert (first.request.temperature, first.deployment.id, first.model) == (0.5, "fake/a", "a")
    assert [message.role for message in second.request.messages] == ["user", "assistant", "tool"]
    assert third.request.input == ("x",)
    assert repr(fake) == "FakeProvider(3 calls)"


@pytest.mark.parametrize(
    "options", [{"replies": "hello"}, {"script": "hello"}, {"replies": []}, {"script": []}]
)
def test_refuses_what_would_mean_something_else(options):
    with pytest.raises(ConfigurationError):
        FakeProvider(**options)
