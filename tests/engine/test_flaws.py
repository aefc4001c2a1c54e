"""Answers that are bad in themselves: what counts against a deployment although it has answered."""

from __future__ import annotations

import pytest

from polyroute import (
    ChatResponse,
    CircuitBreaker,
    OutputValidationError,
    Router,
    ServerError,
    StreamInterruptedError,
    ToolCall,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, streamed


async def ask(work, router, **arguments):
    return await (router.chat("hi", **arguments) if work == "chat" else streamed(router, **arguments))


@pytest.mark.parametrize("work", ["chat", "stream"])
@pytest.mark.parametrize(
    "reply", [ChatResponse(""), ChatResponse("cut", finish_reason="length", usage=Usage(10, 49))]
)
async def test_empty_ones_and_ones_that_were_cut_early_count_half(work, reply):
    flawed = FakeProvider(script=[reply])
    async with Router([deployment("a", flawed), deployment("b")]) as router:
        for _ in range(12):
            last = await ask(work, router, max_tokens=100)
        assert len(flawed.calls) == 10
        assert last.deployment == "b"


@pytest.mark.parametrize("work", ["chat", "stream"])
@pytest.mark.parametrize(
    "reply",
    [
        ChatResponse("cut", finish_reason="length", usage=Usage(10, 50)),
        ChatResponse("", finish_reason="length", usage=Usage(10, 100)),  # all went into thinking
        ChatResponse("", refusal="I will not"),
        ChatResponse("", tool_calls=(ToolCall("1", "look", {}),)),
        ChatResponse("filtered", finish_reason="content_filter"),
        ChatResponse("odd", finish_reason="other"),
    ],
)
async def test_others_do_not(work, reply):
    async with Router([deployment("a", FakeProvider(script=[reply]))]) as router:
        for _ in range(25):
            await ask(work, router, max_tokens=100)
        assert router.fleet["a"].share == 1.0


async def test_without_a_limit_of_the_callers_a_cut_is_the_models_own():
    reply = ChatResponse("cut", finish_reason="length", usage=Usage(10, 1))
    async with Router([deployment("a", FakeProvider(script=[reply]))]) as router:
        for _ in range(25):
            await router.chat("hi")
        assert router.fleet["a"].share == 1.0


async def test_one_that_is_not_of_the_schema_counts_half_and_the_call_goes_on():
    wordy = FakeProvider(script=["no JSON"])
    async with Router([deployment("a", wordy), deployment("b", FakeProvider(["{}"]))]) as router:
        reply = await router.chat("hi", response_format={"type": "object"})
        assert asked(reply) == ["a", "b"]
        assert isinstance(reply.trace.attempts[0].error, OutputValidationError)
        for _ in range(11):
            await router.chat("hi", response_format={"type": "object"})
        assert len(wordy.calls) == 10


@pytest.mark.parametrize("work", ["chat", "stream"])
async def test_finish_reasons_that_the_user_names_are_failures_within_the_call(work):
    odd = FakeProvider(script=[ChatResponse("half", finish_reason="other", usage=Usage(3, 4))])
    breaker = CircuitBreaker(3, failed_finishes=["other"])
    async with Router([deployment("a", odd, breaker=breaker), deployment("b")]) as router:
        for number in range(5):
            reply = await ask(work, router, **({"hold": 100} if work == "stream" else {}))
            assert reply.text == "b"
            if not number:
                assert asked(reply) == ["a", "b"]
                assert reply.trace.attempts[0].usage == Usage(3, 4)  # it is paid for all the same
        assert len(odd.calls) == 3
        assert router.fleet["a"].breaker == "open"


async def test_after_the_first_token_of_a_stream_such_a_finish_is_a_break():
    odd = FakeProvider(script=[ChatResponse("half of it", finish_reason="other")])
    breaker = CircuitBreaker(1, failed_finishes=["other"])
    async with Router([deployment("a", odd, breaker=breaker), deployment("b")]) as router:
        with pytest.raises(StreamInterruptedError, match="'other'") as caught:
            await streamed(router)
        assert caught.value.partial == "half of it"
        assert isinstance(caught.value.__cause__, ServerError)
        assert router.fleet["a"].breaker == "open"
