"""What a call cost: every attempt counted, an estimate called one, an unknown price never guessed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from polyroute import (
    AllAttemptsFailedError,
    ChatResponse,
    Price,
    ReadError,
    Router,
    ServerError,
    Strategy,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import deployment, down

PRICE = Price(input=1_000_000, output=2_000_000)  # a dollar a token in, two out


async def test_the_hosts_usage_times_the_price():
    provider = FakeProvider(["hi"], usage=Usage(3, 2))
    async with Router([deployment("a", provider, price=PRICE)]) as router:
        reply = await router.chat("hello")

    assert (reply.cost, reply.cost_estimated, reply.usage) == (Decimal(7), False, Usage(3, 2))
    assert reply.trace.attempts[0].cost == Decimal(7)


async def test_where_the_host_was_silent_usage_and_cost_are_estimates_and_say_so():
    async with Router([deployment("a", FakeProvider(["twelve bytes"]), price=PRICE)]) as router:
        reply = await router.chat("x" * 40)

    assert reply.usage == Usage(12, 3, estimated=True)  # 40 letters by five and the frame of a message
    assert reply.cost == Decimal(18)
    assert reply.cost_estimated


async def test_an_estimate_is_that_of_the_model_that_answered():
    """Cohere puts some five hundred tokens of its own before every prompt."""
    provider = FakeProvider([ChatResponse("four", model="command-a-03-2025"), ChatResponse("four")])
    async with Router([deployment("a", provider, price=PRICE)]) as router:
        estimates = [(await router.chat("hi")).usage.input_tokens for _ in range(2)]

    assert estimates[0] > 490 + estimates[1]


async def test_an_unknown_price_gives_no_cost():
    async with Router([deployment("a", FakeProvider(usage=Usage(1, 1)))]) as router:
        reply = await router.chat("hi")

    assert reply.cost is None
    assert not reply.cost_estimated


async def test_what_failed_before_it_ran_costs_nothing_whatever_its_price():
    deployments = [deployment("a", down()), deployment("b", FakeProvider(usage=Usage(1, 1)), price=PRICE)]
    async with Router(deployments) as router:
        reply = await router.chat("hi")

    assert [attempt.cost for attempt in reply.trace.attempts] == [Decimal(0), Decimal(3)]
    assert reply.cost == Decimal(3)


async def test_what_failed_and_may_have_run_counts_with_an_estimate():
    cut = FakeProvider(script=[ReadError("cut")])
    deployments = [
        deployment("a", cut, price=PRICE),
        deployment("b", FakeProvider(usage=Usage(1, 1)), price=PRICE),
    ]
    async with Router(deployments) as router:
        reply = await router.chat("x" * 16)

    failed, answered = reply.trace.attempts
    assert failed.usage == Usage(8, 0, estimated=True)
    assert (failed.cost, answered.cost, reply.cost) == (Decimal(8), Decimal(3), Decimal(11))
    assert reply.cost_estimated


async def test_what_failed_may_have_run_and_has_no_price_leaves_the_whole_unknown():
    deployments = [deployment("a", FakeProvider(script=[ReadError("cut")])), deployment("b", price=PRICE)]
    async with Router(deployments) as router:
        assert (await router.chat("hi")).cost is None


async def test_a_reply_that_was_rejected_is_paid_for():
    class Second(Strategy):
        async def accept(self, request, response):
            return response.text != "a"

    deployments = [deployment(name, FakeProvider([name], usage=Usage(1, 1)), price=PRICE) for name in "ab"]
    async with Router(deployments, strategy=Second()) as router:
        reply = await router.chat("hi")

    assert [attempt.cost for attempt in reply.trace.attempts] == [Decimal(3), Decimal(3)]
    assert reply.cost == Decimal(6)


async def test_a_stream_costs_what_a_plain_reply_costs():
    provider = FakeProvider(["one two"], usage=Usage(3, 2))
    async with Router([deployment("a", provider, price=PRICE)]) as router:
        async with router.stream("hi") as stream:
            reply = await stream.response()

    assert reply.cost == Decimal(7)


async def test_embeddings_cost_their_input():
    async with Router([deployment("a", FakeProvider(usage=Usage(5)), price=PRICE)]) as router:
        reply = await router.embed(["a", "b"])

    assert (reply.cost, reply.usage) == (Decimal(5), Usage(5))


async def test_the_estimate_that_strategies_see():
    seen = []

    class Looks(Strategy):
        async def choose(self, request, candidates, history, fleet):
            seen.append([fleet.estimate(request, each) for each in candidates])
            return candidates[0]

    provider = FakeProvider(["x" * 4], usage=Usage(10, 100))
    deployments = [deployment("a", provider, price=PRICE), deployment("b")]
    async with Router(deployments, strategy=Looks()) as router:
        await router.chat("x" * 16, max_tokens=10)
        await router.chat("x" * 16)  # by now it is known how long its replies are
        await router.chat("x" * 16, max_tokens=10, n=3)

    assert seen == [[Decimal(28), None], [Decimal(208), None], [Decimal(68), None]]


async def test_failed_calls_tell_what_they_cost_in_their_attempts():
    async with Router([deployment("a", FakeProvider(script=[ServerError("x")]), price=PRICE)]) as router:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await router.chat("hi", retry=None)

    assert [attempt.cost for attempt in caught.value.attempts] == [Decimal(0)]


async def test_every_choice_is_counted_in_an_estimate():
    choices = (ChatResponse("four"), ChatResponse("four"), ChatResponse("four"))
    async with Router([deployment("a", FakeProvider([ChatResponse("four", choices=choices)]))]) as router:
        assert (await router.chat("hi", n=3)).usage.output_tokens == 3
