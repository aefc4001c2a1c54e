"""What hosts say of their limits in the heads of their replies reaches strategies, and is heeded where there
are limits. In virtual time."""

from __future__ import annotations

import json

import anyio
import pytest

from polyroute import Deployment, LearningLimiter, Limits, LimitTimeoutError, Router, Strategy
from polyroute.limits import LocalLimiter
from tests.doubles import asked, streamed
from tests.virtual_time import anyio_backend  # noqa: F401

REPLY = {
    "id": "r",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1},
}
DELTA = {"id": "r", "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}
EVENTS = f"data: {json.dumps(DELTA)}\n\ndata: [DONE]\n\n"


class Host:
    """A transport to one host, whose heads say what *headers* hold by the deployment's address."""

    def __init__(self, **headers):
        self.headers = headers
        self.status = 200

    async def send(self, request):
        host = request.url.partition("//")[2].partition(".")[0]
        body = EVENTS if b'"stream":true' in request.body else json.dumps(REPLY)
        return Head(self.status, self.headers[host], body.encode())

    async def aclose(self):
        pass


class Head:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    async def read(self):
        return self.body

    async def __aiter__(self):
        yield self.body

    async def drain(self):
        pass

    async def aclose(self):
        pass


def at(name, **options):
    return Deployment(
        "openai/gpt-5-mini", id=name, base_url=f"https://{name}.example/v1", api_key="k-0123456789", **options
    )


def left(remaining, of=100, reset="60s"):
    return {
        "x-ratelimit-limit-requests": str(of),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": reset,
    }


@pytest.mark.parametrize("call", [lambda router: router.chat("hi"), streamed], ids=["chat", "stream"])
async def test_a_strategy_sees_the_share_that_a_host_says_is_left_until_it_is_reset(call):
    async with Router([at("a")], transport=Host(a=left(25))) as router:
        assert router.fleet["a"].headroom == 1.0
        await call(router)
        assert router.fleet["a"].headroom == pytest.approx(0.25)
        await anyio.sleep(61)
        assert router.fleet["a"].headroom == 1.0


async def test_a_refusal_tells_of_the_limits_too():
    host = Host(a={**left(0), "retry-after": "30"}, b=left(90))
    host.status = 429
    async with Router([at("a")], transport=host, retry=None) as router:
        with pytest.raises(Exception, match="429"):
            await router.chat("hi")
        assert router.fleet["a"].headroom == 0.0
        assert router.fleet["a"].barred == pytest.approx(30)


async def test_the_strategy_of_an_application_goes_where_there_is_most():
    class Most(Strategy):
        async def choose(self, request, candidates, history, fleet):
            return max(candidates, key=lambda candidate: fleet[candidate].headroom)

    async with Router([at("a"), at("b")], transport=Host(a=left(10), b=left(90)), strategy=Most()) as router:
        went = [(await router.chat("hi")).deployment for _ in range(3)]
    assert went == ["a", "b", "b"]


async def test_where_there_are_limits_no_more_is_asked_than_the_host_says_is_left():
    limits = Limits(rpm=100)
    host = Host(a=left(0, reset="20s"), b={})
    async with Router([at("a", limits=limits), at("b")], transport=host) as router:
        first = await router.chat("hi")
        second = await router.chat("hi")
        assert (asked(first), asked(second)) == (["a"], ["b"])
        with pytest.raises(LimitTimeoutError):
            await router.chat("hi", model="a", timeout=0.1)
        await anyio.sleep(21)
        assert (await router.chat("hi")).deployment == "a"


async def test_what_is_told_is_read_by_nobody_where_nobody_asks(monkeypatch):
    read = []

    class Counted(dict):
        def items(self):
            read.append(1)
            return super().items()

    async with Router([at("a")], transport=Host(a=Counted(left(25)))) as router:
        for _ in range(5):
            await router.chat("hi")
        assert not read
        assert router.fleet["a"].headroom == pytest.approx(0.25)
        assert read


def test_the_limiter_of_the_library_is_one_that_learns():
    assert isinstance(LocalLimiter(lambda: 0.0), LearningLimiter)
