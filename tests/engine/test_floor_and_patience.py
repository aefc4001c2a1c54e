"""How long a stream may be silent: before its first token, as its own history says; later, by a floor on its rate."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    AttemptTimeoutError,
    ChatChunk,
    ConfigurationError,
    Route,
    Router,
    StreamInterruptedError,
    Timeout,
)
from polyroute.deadlines import Deadline
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment
from tests.virtual_time import anyio_backend  # noqa: F401


class Drips:
    """A provider that gives a text every *pause* seconds, after waiting *ttft* for the first."""

    name = "drips"

    def __init__(self, texts, *, pause, ttft=0.0):
        self.texts = texts
        self.pause = pause
        self.ttft = ttft

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        await anyio.sleep(self.ttft)
        for text in self.texts:
            yield ChatChunk(text=text)
            await anyio.sleep(self.pause)


async def read(router, pause=0.0, **arguments):
    """What a stream says, or the error that ends it, and how long that took."""
    started = anyio.current_time()
    try:
        async with router.stream("hi", **arguments) as stream:
            async for _ in stream:
                await anyio.sleep(pause)
            outcome = await stream.response()
    except StreamInterruptedError as error:
        outcome = error
    return outcome, anyio.current_time() - started


class TestTheFloor:
    async def test_there_is_none_unless_it_is_asked_for(self):
        async with Router([deployment("a", Drips("x" * 30, pause=19))]) as router:
            reply, took = await read(router)
        assert (reply.text, took) == ("x" * 30, 19 * 30)

    async def test_a_stream_that_drips_is_broken_once_its_reader_has_waited_too_long_in_all(self):
        here = [deployment("a", Drips("x" * 50, pause=10))]
        async with Router(here, timeout=Timeout(min_rate=1)) as router:
            error, took = await read(router)

        # 30 s and one for each token: in the fourth wait of ten seconds 30 + 4 are over.
        assert isinstance(error, StreamInterruptedError)
        assert isinstance(error.__cause__, AttemptTimeoutError)
        assert error.__cause__.phase == "between_tokens"
        assert (error.partial, took) == ("xxxx", 34)

    async def test_a_stream_as_fast_as_the_floor_is_never_broken_however_long_it_is(self):
        here = [deployment("a", Drips("x" * 500, pause=2))]
        async with Router(here, timeout=Timeout(total=None, min_rate=0.5)) as router:
            reply, _ = await read(router)
        assert reply.text == "x" * 500

    async def test_a_chunk_of_many_tokens_counts_as_many(self):
        here = [deployment("a", Drips(["word " * 8] * 30, pause=10))]
        async with Router(here, timeout=Timeout(min_rate=1)) as router:
            reply, _ = await read(router)
        assert len(reply.text) == 40 * 30

    async def test_a_slow_reader_is_not_taken_for_a_slow_host(self):
        here = [deployment("a", Drips("x" * 20, pause=1))]
        async with Router(here, timeout=Timeout(total=None, min_rate=1)) as router:
            reply, _ = await read(router, pause=100)
        assert reply.text == "x" * 20

    async def test_what_came_before_the_first_token_does_not_count(self):
        here = [deployment("a", Drips("x" * 20, pause=1, ttft=29))]
        async with Router(here, timeout=Timeout(min_rate=1)) as router:
            reply, _ = await read(router)
        assert reply.text == "x" * 20

    async def test_also_where_a_single_wait_has_no_limit(self):
        here = [deployment("a", Drips("x" * 50, pause=16))]
        async with Router(here, timeout=Timeout(min_rate=1, between_tokens=None)) as router:
            error, took = await read(router)
        assert (error.partial, took) == ("xx", 32)

    async def test_a_single_wait_is_still_too_long_by_itself(self):
        here = [deployment("a", Drips(["word " * 400, "x"], pause=100))]
        async with Router(here, timeout=Timeout(min_rate=1)) as router:
            _, took = await read(router)
        assert took == 20

    async def test_a_call_a_deployment_and_a_router_may_say_it(self):
        here = [
            deployment("a", Drips("x" * 50, pause=10)),
            deployment("b", Drips("x" * 50, pause=10), timeout=Timeout(min_rate=1)),
        ]
        async with Router(here) as router:
            assert (await read(router, model="a"))[1] == 500
            assert (await read(router, model="b"))[1] == 34
            assert (await read(router, model="a", timeout=Timeout(min_rate=2)))[1] == 32
            assert (await read(router, model="b", timeout=Timeout(min_rate=None)))[1] == 500

    @pytest.mark.parametrize("value", [-1, float("nan"), "1", True])
    def test_it_is_a_number_of_tokens_a_second(self, value):
        with pytest.raises(ConfigurationError, match="min_rate is a number of tokens a second"):
            Timeout(min_rate=value)


class TestPatienceWithTheFirstToken:
    async def first_tokens(self, router, times, waits, **arguments):
        for wait in waits:
            times.append(wait)
            await read(router, **arguments)

    def fleet(self, times, **options):
        """One that takes the last of *times*, and one that stands in at once."""
        return [
            deployment("a", FakeProvider(["a"], ttft=lambda: times[-1], latency=0), **options),
            deployment("b"),
        ]

    async def limit(self, router, times, **arguments):
        """How long a hung deployment is waited for."""
        times.append(1_000_000.0)
        reply, took = await read(router, **arguments)
        assert reply.deployment == "b"
        assert reply.trace.attempts[0].error.phase == "first_token"
        return took

    @pytest.mark.parametrize(
        ("usual", "limit"),
        [(0.2, 5), (2.0, 8), (25.0, 100), (29.0, 116), (30.0, 120)],
        ids=["fast", "usual", "slow", "slower", "slowest"],
    )
    async def test_is_four_times_what_is_usual_of_it_within_reason(self, usual, limit):
        times = []
        async with Router(self.fleet(times), timeout=Timeout(attempt=None, total=None)) as router:
            await self.first_tokens(router, times, [min(usual, 29.9)] * 20)
            assert await self.limit(router, times) == pytest.approx(limit, abs=0.5)

    async def test_is_the_default_until_it_has_streamed_twenty_replies(self):
        times = []
        async with Router(self.fleet(times), timeout=Timeout(attempt=None)) as router:
            await self.first_tokens(router, times, [0.1] * 19)
            assert await self.limit(router, times) == 30
            # Its silence is the twentieth, and so the 95th percentile.
            assert await self.limit(router, times) == 120

    async def test_a_slow_model_is_not_killed_and_a_fast_one_that_hangs_is(self):
        thinking, quick = [], []
        here = [
            deployment("thinker", FakeProvider(["deep"], ttft=lambda: thinking[-1], latency=0)),
            deployment("sprinter", FakeProvider(["quick"], ttft=lambda: quick[-1], latency=0)),
            deployment("b"),
        ]
        routes = {"think": Route(["thinker", "b"]), "sprint": Route(["sprinter", "b"])}
        async with Router(here, routes=routes) as router:
            await self.first_tokens(router, thinking, [20.0] * 20, model="think")
            await self.first_tokens(router, quick, [0.3] * 20, model="sprint")

            thinking.append(75.0)
            reply, took = await read(router, model="think")
            assert (reply.text, took) == ("deep", 75)
            assert await self.limit(router, quick, model="sprint") == 5

    async def test_follows_a_deployment_that_becomes_slow(self):
        times = []
        async with Router(self.fleet(times)) as router:
            await self.first_tokens(router, times, [0.3] * 20)
            for _ in range(3):
                took = await self.limit(router, times)
            # Each silence to its limit is a sample, so the limit rises: no death spiral.
            assert took > 5

    async def test_is_what_was_said_in_so_many_words_at_any_level(self):
        times = []
        here = self.fleet(times, timeout=Timeout(first_token=17))
        async with Router(here) as router:
            await self.first_tokens(router, times, [0.1] * 20)
            assert await self.limit(router, times) == 17
            assert await self.limit(router, times, timeout=Timeout(first_token=11)) == 11
        times.clear()
        async with Router(self.fleet(times), timeout=Timeout(first_token=50)) as router:
            await self.first_tokens(router, times, [0.1] * 20)
            assert await self.limit(router, times) == 50

    async def test_does_not_concern_whole_replies(self):
        times = []
        provider = FakeProvider(["a"], ttft=lambda: 0.1, latency=lambda: 90.0 if times else 0.2)
        async with Router([deployment("a", provider), deployment("b")]) as router:
            await self.first_tokens(router, [], [0.1] * 20)
            times.append(1)
            assert asked(await router.chat("hi")) == ["a"]


MOMENTS = st.floats(0, 1e6)
LIMITS = st.none() | st.floats(0.1, 1e4)


def passed(deadline, tokens, now):
    """What the engine does where a token has come."""
    deadline.token_passed()
    if deadline.floor is not None:
        deadline.floor.passed(tokens, now)


@given(
    end=MOMENTS,
    attempt=MOMENTS,
    first_token=MOMENTS,
    between=LIMITS,
    rate=st.none() | st.floats(0.01, 1e3),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 50), st.floats(0, 100))),
)
def test_no_wait_ever_outlasts_the_call_or_the_limit_between_tokens(
    end, attempt, first_token, between, rate, steps
):
    deadline = Deadline(end, attempt=attempt, first_token=first_token, between_tokens=between, min_rate=rate)
    assert deadline.by(0.0) == min(end, attempt, first_token)
    now = 0.0
    for waited, tokens, read_for in steps:
        now += waited
        passed(deadline, tokens, now)
        now += read_for
        at = deadline.by(now)
        assert at <= end
        assert between is None or at <= now + between
        assert deadline.by(now + 1) == at  # A comment of the host's wins it no time.
        assert deadline.phase == "between_tokens"


@given(
    rate=st.floats(0.01, 100),
    between=st.floats(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 20)), min_size=1),
)
def test_the_floor_is_the_grace_and_the_tokens_less_the_time_that_was_waited(rate, between, steps):
    deadline = Deadline(between_tokens=between, min_rate=rate)
    passed(deadline, 1, 0.0)
    now, tokens, waited = 0.0, 1, 0.0
    for wait, more in steps:
        patience = 1.5 * between + tokens / rate - waited
        assert deadline.by(now) == pytest.approx(now + min(between, patience))
        now, waited, tokens = now + wait, waited + wait, tokens + more
        passed(deadline, more, now)


def test_the_head_of_a_plain_reply_lifts_the_wait_for_the_first_token():
    deadline = Deadline(100.0, attempt=50.0, first_token=3.0)
    assert (deadline.by(0.0), deadline.phase) == (3.0, "first_token")
    deadline.head_came()
    assert (deadline.by(0.0), deadline.phase) == (50.0, "attempt")
