"""When nobody answers: what is said instead, rung by rung. In virtual time."""

from __future__ import annotations

import anyio
import pytest
from pydantic import BaseModel

from polyroute import (
    AllAttemptsFailedError,
    BadRequestError,
    ChatResponse,
    ConfigurationError,
    ContextWindowExceededError,
    DeadlineExceededError,
    Limits,
    LimitTimeoutError,
    NoDeploymentAvailableError,
    PartFailed,
    Price,
    ReplyDegraded,
    Route,
    Router,
    ServerError,
    StreamInterruptedError,
    UnknownModelError,
    UnsupportedParameterError,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down, outcome
from tests.virtual_time import anyio_backend  # noqa: F401


def ailing(*rungs, provider=None, **options) -> Router:
    return Router([deployment("a", provider or down())], degrade=rungs, retry=None, **options)


async def test_the_first_rung_that_gives_a_reply_takes_its_place_and_says_so():
    async def nothing(request, error):
        return None

    async with ailing(nothing, "Please try later.", "never") as router:
        reply = await router.chat("hi")
    assert (reply.text, reply.degraded, reply.finish_reason) == ("Please try later.", True, "stop")
    assert asked(reply) == ["a"]
    assert reply.deployment is None


async def test_a_reply_that_somebody_gave_is_not_marked():
    async with Router([deployment("a")], degrade=["later"]) as router:
        reply = await router.chat("hi")
    assert (reply.text, reply.degraded) == ("a", False)


async def test_a_rung_may_be_a_whole_reply_or_a_function_plain_or_async_of_request_and_error():
    seen = []

    def plain(request, error):
        seen.append((request.messages[0].text, request.user, type(error)))

    async def waits(request, error):
        await anyio.sleep(2)
        return ChatResponse("a human will answer", model="queue")

    async with ailing(plain, waits) as router:
        reply = await router.chat("hi", user="ann")
    assert seen == [("hi", "ann", AllAttemptsFailedError)]
    assert (reply.text, reply.model, reply.degraded) == ("a human will answer", "queue", True)
    async with ailing(ChatResponse("canned", id="x")) as router:
        assert (await router.chat("hi")).id == "x"


async def test_where_no_rung_holds_the_error_is_what_it_was():
    def nothing(request, error):
        return None

    async with ailing(nothing) as router:
        error = await outcome(router.chat("hi"))
    assert isinstance(error, AllAttemptsFailedError)
    assert asked(error) == ["a"]


@pytest.mark.parametrize("wrong", [KeyError("a bug"), ServerError("down too"), 42, {"text": "x"}])
async def test_a_rung_that_breaks_is_told_of_and_the_next_one_holds(wrong):
    def breaks(request, error):
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    async with ailing(breaks, "still here") as router, router.events() as events:
        assert (await router.chat("hi")).text == "still here"
    told = [event async for event in events]
    failed, degraded = (
        next(each for each in told if isinstance(each, kind)) for kind in (PartFailed, ReplyDegraded)
    )
    assert failed.part == "degrade[0]"
    assert type(failed.error) is (type(wrong) if isinstance(wrong, Exception) else TypeError)
    assert degraded.rung == 1
    assert isinstance(degraded.error, AllAttemptsFailedError)


async def test_a_rung_that_hangs_is_passed_over_after_ten_seconds():
    async def hangs(request, error):
        await anyio.sleep(1_000_000)

    async with ailing(hangs, "still here") as router:
        began = anyio.current_time()
        assert (await router.chat("hi")).text == "still here"
        assert anyio.current_time() - began == pytest.approx(10)


async def test_a_caller_who_gives_up_meanwhile_is_let_go():
    async def hangs(request, error):
        await anyio.sleep(1_000_000)

    async with ailing(hangs, "never") as router:
        with anyio.move_on_after(3) as scope:
            await router.chat("hi")
        assert scope.cancelled_caught


class TestWhatIsNeverPaperedOver:
    @pytest.mark.parametrize(
        ("error", "arguments"),
        [
            (BadRequestError("what?", status=400), {}),
            (ContextWindowExceededError("too long", status=413), {}),
            (None, {"model": "nobody"}),
            (None, {"messages": []}),
        ],
    )
    async def test_is_a_callers_own_mistake(self, error, arguments):
        provider = FakeProvider(script=[error or "ok"])
        async with ailing("later", provider=provider) as router:
            result = await outcome(router.chat(**({"messages": "hi"} | arguments)))
        assert isinstance(result, BadRequestError | UnknownModelError)

    async def test_nor_an_argument_that_nobody_can_honour(self):
        async with ailing("later", provider=Plain()) as router:
            assert isinstance(await outcome(router.chat("hi", seed=1)), UnsupportedParameterError)

    async def test_nor_a_bug(self):
        async with ailing("later", provider=FakeProvider(script=[KeyError("bug")])) as router:
            assert isinstance(await outcome(router.chat("hi")), KeyError)

    async def test_nor_a_stream_that_breaks_after_its_first_token(self):
        provider = FakeProvider(script=[("half", ServerError("cut"))])
        async with ailing("later", provider=provider) as router:
            with pytest.raises(StreamInterruptedError):
                async with router.stream("hi") as stream:
                    await stream.response()


class Plain(FakeProvider):
    def cannot(self, request):
        return [name for name in ("seed",) if getattr(request, name, None) is not None]


class TestWhatItIsFor:
    async def test_a_deadline_that_has_passed(self):
        provider = FakeProvider(latency=100)
        async with ailing("later", provider=provider) as router:
            began = anyio.current_time()
            reply = await router.chat("hi", timeout=5)
            assert (reply.text, reply.degraded) == ("later", True)
            assert anyio.current_time() - began == pytest.approx(5)
        seen = []

        def rung(request, error):
            seen.append(type(error))
            return "later"

        async with ailing(rung, provider=provider) as router:
            await router.chat("hi", timeout=5)
        assert seen == [DeadlineExceededError]

    async def test_no_room(self):
        errors = []

        def rung(request, error):
            errors.append(type(error))
            return "later"

        async with Router([deployment("a", limits=Limits(rpm=1))], degrade=[rung]) as router:
            await router.chat("hi")
            assert (await router.chat("hi", timeout=5)).degraded
            router.pause("a")
            assert (await router.chat("hi")).degraded
        assert errors == [LimitTimeoutError, NoDeploymentAvailableError]

    async def test_a_stream_that_never_began(self):
        async with ailing("Please try later.") as router:
            async with router.stream("hi") as stream:
                chunks = [chunk async for chunk in stream]
                reply = await stream.response()
        assert "".join(chunk.text for chunk in chunks) == "Please try later."
        assert (reply.text, reply.degraded) == ("Please try later.", True)
        assert asked(reply) == ["a"]

    async def test_a_call_behind_middleware(self):
        from polyroute import Middleware

        async with ailing("later", middleware=[Middleware()]) as router:
            reply = await router.chat("hi")
            assert (reply.degraded, asked(reply)) == (True, ["a"])


async def test_what_the_attempts_have_cost_is_told():
    provider = FakeProvider(script=[ChatResponse("no JSON", usage=Usage(1_000_000, 0))])
    routed = deployment("a", provider, price=Price(2, 0))
    async with Router([routed], degrade=['{"ok": false}'], retry=None) as router:
        reply = await router.chat("hi", response_format={"type": "object"})
    assert (reply.cost, reply.degraded) == (2, True)


async def test_the_words_are_parsed_where_they_are_of_the_schema_and_kept_where_they_are_not():
    class Answer(BaseModel):
        ok: bool

    async with ailing('{"ok": false}') as router:
        assert (await router.chat("hi", response_format=Answer)).parsed == Answer(ok=False)
    async with ailing("sorry") as router:
        reply = await router.chat("hi", response_format=Answer)
    assert (reply.text, reply.parsed, reply.degraded) == ("sorry", None, True)


async def test_a_routes_ladder_takes_the_place_of_the_routers():
    routes = {
        "own": Route(["a"], degrade=["own words"]),
        "none": Route(["a"], degrade=None),
        "plain": Route(["a"]),
    }
    async with ailing("the router's", routes=routes) as router:
        assert (await router.chat("hi", model="own")).text == "own words"
        assert (await router.chat("hi", model="plain")).text == "the router's"
        assert isinstance(await outcome(router.chat("hi", model="none")), AllAttemptsFailedError)
        assert (await router.chat("hi", model="a")).text == "the router's"


@pytest.mark.parametrize("rungs", ["later", [""], [42], [None], 7])
def test_rungs_that_make_no_sense_are_refused(rungs):
    with pytest.raises(ConfigurationError, match="degrade"):
        Router([deployment("a")], degrade=rungs)
    with pytest.raises(ConfigurationError, match="degrade"):
        Route(["a"], degrade=rungs)
