"""Short ways to the doubles that most tests use."""

from __future__ import annotations

from collections.abc import Awaitable

import anyio
import pytest

from polyroute import (
    AuthenticationError,
    ChatResponse,
    Deployment,
    RateLimitError,
    Router,
    ServerError,
)
from polyroute.testing import FakeProvider


def deployment(name: str, provider: FakeProvider | None = None, **options: object) -> Deployment:
    """A deployment `fake/<name>` with the id `<name>`; without a provider it answers with its name."""
    return Deployment(f"fake/{name}", id=name, provider=provider or FakeProvider([name]), **options)


def down() -> FakeProvider:
    """It fails in passing, each time."""
    return FakeProvider(script=[ServerError("down", status=500)])


def dead() -> FakeProvider:
    """It refuses for good."""
    return FakeProvider(script=[AuthenticationError("no", status=401)])


def busy(retry_after: float | None = None) -> FakeProvider:
    """It asks to be left alone."""
    return FakeProvider(script=[RateLimitError("busy", status=429, retry_after=retry_after)])


def broken_then_well(failures: int) -> FakeProvider:
    """It fails so many times, and then is well."""
    return FakeProvider(script=[*[ServerError("down", status=500)] * failures, "well"])


def asked(reply_or_error: object) -> list[str]:
    """The ids that were asked, in order, as a reply's trace or an error's attempts tell."""
    trace = getattr(reply_or_error, "trace", None)
    attempts = trace.attempts if trace is not None else reply_or_error.attempts
    return [attempt.deployment for attempt in attempts]


async def outcome(work: Awaitable[object]) -> object:
    """What came of a call: its reply, or its error."""
    try:
        return await work
    except Exception as exc:
        return exc


async def streamed(router: Router, **arguments: object) -> ChatResponse[object]:
    """The reply to a chat that is streamed."""
    async with router.stream("hi", **arguments) as stream:
        return await stream.response()


async def times(count: int, router: Router, **arguments: object) -> list[object]:
    """What came of so many calls, one after another."""
    return [await outcome(router.chat("hi", **arguments)) for _ in range(count)]


async def seconds(work: Awaitable[object]) -> tuple[object, object]:
    """What came of a call, and how long it took, to be compared."""
    began = anyio.current_time()
    result = await outcome(work)
    return result, pytest.approx(anyio.current_time() - began)
