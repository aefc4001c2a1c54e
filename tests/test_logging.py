"""What a maintainer at night finds in the log: who failed and how, and never a prompt or a key."""

from __future__ import annotations

import logging

import pytest

from polyroute import AllAttemptsFailedError, Deployment, RateLimitError, Router, ServerError
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.virtual_time import anyio_backend  # noqa: F401


async def test_each_failed_attempt_is_a_warning_with_its_deployment_its_class_and_its_time(caplog):
    fake = FakeProvider(script=[ServerError("secret prompt", status=503)], latency=2)
    with caplog.at_level(logging.DEBUG, "polyroute"):
        async with Router([deployment("a", fake), deployment("b")]) as router:
            await router.chat("secret prompt")

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("polyroute", "WARNING")
    assert record.getMessage() == "a: ServerError 503 after 2.00 s"


async def test_a_wait_before_another_try_is_told(caplog):
    fake = FakeProvider(script=[RateLimitError("busy", status=429, retry_after=3), "ok"])
    with caplog.at_level(logging.INFO, "polyroute"):
        async with Router([deployment("a", fake)]) as router:
            await router.chat("hi")

    assert [record.getMessage() for record in caplog.records] == [
        "a: RateLimitError 429 after 0.00 s",
        "a: trying again in 3.00 s",
    ]


async def test_nothing_is_said_while_all_is_well(caplog):
    with caplog.at_level(logging.DEBUG, "polyroute"):
        async with Router([deployment("a")]) as router:
            await router.chat("hi")
            async with router.stream("hi") as stream:
                await stream.response()

    assert not caplog.records


async def test_no_log_holds_a_prompt_a_reply_or_a_key(caplog):
    fake = FakeProvider(
        script=[ServerError("the prompt and sk-123456789"), ("a reply", ServerError("sk-123456789"))]
    )
    deployments = [
        Deployment("fake/a", provider=fake, api_key="sk-123456789", headers={"x-key": "sk-123456789"})
    ]
    with caplog.at_level(logging.DEBUG):
        async with Router(deployments) as router:
            for _ in range(2):
                with pytest.raises(AllAttemptsFailedError):
                    await router.chat("the prompt", retry=None, user="ann", metadata={"a": "private"})

    text = "".join(
        record.getMessage() + str(record.args) for record in caplog.records if record.name == "polyroute"
    )
    assert text
    for secret in ("the prompt", "sk-123", "a reply", "ann", "private"):
        assert secret not in text
