"""A key that is asked for takes the attempt's own time."""

from __future__ import annotations

import anyio
import pytest

from polyroute import (
    AttemptTimeoutError,
    DeadlineExceededError,
    Deployment,
    Router,
)
from tests.providers.wire import OK, Response, Scripted
from tests.virtual_time import anyio_backend  # noqa: F401 - the fixture of its name


async def slow() -> str:
    await anyio.sleep(100)
    return "k-0123456789"


async def test_a_key_that_takes_too_long_is_a_timeout_before_anything_was_sent():
    transport = Scripted(Response(OK))
    deployments = [Deployment("openai/gpt-5", api_key=slow), Deployment("groq/any", api_key="k-0123456789")]
    reply = await Router(deployments, transport=transport, timeout=10).chat("hi")

    error = reply.trace.attempts[0].error
    assert isinstance(error, AttemptTimeoutError)
    assert (error.phase, error.may_have_run) == ("attempt", False)
    assert [request.url.split("/")[2] for request in transport.sent] == ["api.groq.com"]
    assert anyio.current_time() == pytest.approx(10, abs=0.1)


async def test_a_key_that_comes_in_time_is_used():
    transport = Scripted(Response(OK))

    await Router([Deployment("openai/gpt-5", api_key=slow)], transport=transport).chat("hi")

    assert dict(transport.sent[0].headers)[b"authorization"] == b"Bearer k-0123456789"


async def test_a_key_that_takes_the_whole_calls_time_ends_the_call():
    router = Router([Deployment("openai/gpt-5", api_key=slow)], transport=Scripted(Response(OK)))

    with pytest.raises(DeadlineExceededError):
        await router.chat("hi", timeout=5)
