"""The calls themselves: chat_many, bind, explain, params, the request that comes out of them, and what they leave."""

from __future__ import annotations

import anyio
import pytest
from pydantic import BaseModel

from polyroute import (
    BadRequestError,
    ChatRequest,
    ChatResponse,
    ConfigurationError,
    Message,
    Middleware,
    Opaque,
    OutputValidationError,
    PolyrouteError,
    Route,
    Router,
    ServerError,
    Text,
    Timeout,
    Tool,
    ToolCall,
    UnknownModelError,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down


async def received(router_options=None, *, deployment_options=None, **arguments):
    """What a provider gets of a call with these arguments."""
    provider = FakeProvider()
    async with Router(
        [deployment("a", provider, **(deployment_options or {}))], **(router_options or {})
    ) as router:
        await router.chat("hi", **arguments)
    return provider.calls[0]


class TestAChat:
    async def test_hands_its_arguments_to_the_provider_under_their_own_names(self):
        call = await received(
            max_tokens=5, temperature=0.5, top_p=0.9, top_k=3, frequency_penalty=0.1, presence_penalty=0.2,
            stop="x", seed=1, tool_choice="auto", parallel_tool_calls=False, reasoning_effort="low",
            logprobs=3, n=2, user="ann", metadata={"app": "shop"}, session="s", priority=4,
        )  # fmt: skip
        request = call.request
        assert isinstance(request, ChatRequest)
        assert request.kind == "chat"
        assert request.messages == (Message("user", "hi"),)
        assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (5, 0.5, 0.9, 3)
        assert (request.frequency_penalty, request.presence_penalty) == (0.1, 0.2)
        assert (request.stop, request.seed, request.tool_choice) == (("x",), 1, "auto")
        assert (request.parallel_tool_calls, request.reasoning_effort) == (False, "low")
        assert (request.logprobs, request.n, request.user) == (3, 2, "ann")
        assert (request.metadata, request.session, request.priority) == ({"app": "shop"}, "s", 4)
        assert (call.model, call.deployment.id) == ("a", "a")

    async def test_tells_the_user_only_where_the_router_may(self):
        assert (await received(user="ann")).user is None
        assert (await received({"send_user": True}, user="ann")).user == "ann"

    async def test_never_changes_what_it_was_given(self):
        import copy

        messages = [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "x"},
        ]  # fmt: skip
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        before = copy.deepcopy((messages, tools))
        async with Router([deployment("a", down()), deployment("b")]) as router:
            await router.chat(messages, tools=tools)
        assert (messages, tools) == before

    async def test_takes_plain_functions_as_tools(self):
        def weather(city: str, days: int = 1) -> str:
            """The weather to come."""
            raise AssertionError("polyroute never runs a tool")

        (tool,) = (await received(tools=[weather])).request.tools
        assert isinstance(tool, Tool)
        assert (tool.name, tool.description) == ("weather", "The weather to come.")
        assert tool.parameters["properties"]["city"] == {"title": "City", "type": "string"}
        assert tool.parameters["required"] == ["city"]

    async def test_an_unknown_argument_is_a_type_error_with_the_nearest_name(self):
        async with Router([deployment("a")]) as router:
            for call in (router.chat, router.explain, router.embed):
                with pytest.raises(TypeError, match="did you mean 'timeout'"):
                    await call("hi", timeuot=3)
            with pytest.raises(TypeError, match="did you mean 'temperature'"):
                router.stream("hi", temprature=3)
            with pytest.raises(TypeError):
                router.bind(temprature=3)
            with pytest.raises(TypeError):
                await router.embed("hi", temperature=3)

    @pytest.mark.parametrize("argument", ["cache"])
    async def test_an_argument_whose_room_is_not_built_takes_its_default_only(self, argument):
        async with Router([deployment("a")]) as router:
            with pytest.raises((ConfigurationError, TypeError), match=argument):
                if argument == "cache":
                    await router.chat("hi", cache="skip")
                else:
                    router.stream("hi", **{argument: {"on_break": "resume", "hold": 3}[argument]})
            async with router.stream("hi", on_break="raise", hold=0, cache=None) as stream:
                assert (await stream.response()).text == "a"

    async def test_what_is_malformed_is_refused_at_the_door_with_its_path(self):
        provider = FakeProvider()
        async with Router([deployment("a", provider)]) as router:
            for messages, path in [
                ("", "messages"),
                ([], "messages"),
                ([{"role": "usr"}], "messages[0].role"),
            ]:
                with pytest.raises(BadRequestError) as caught:
                    await router.chat(messages)
                assert caught.value.path == path
                assert path in str(caught.value)
            with pytest.raises(BadRequestError, match="temperature"):
                await router.chat("hi", temperature="hot")
            with pytest.raises(BadRequestError, match="input"):
                await router.embed([])
        assert not provider.calls


class TestParams:
    async def test_the_calls_value_beats_the_routes_this_the_deployments_and_this_the_routers(self):
        levels = {
            "router_options": {
                "params": {"temperature": 0.1, "top_p": 0.1, "seed": 1, "stop": "r"},
                "routes": {"default": Route(["a"], params={"temperature": 0.3, "seed": 3})},
            },
            "deployment_options": {"params": {"temperature": 0.2, "top_p": 0.2, "seed": 2}},
        }
        request = (await received(**levels, temperature=0.4)).request
        assert (request.temperature, request.seed, request.top_p, request.stop) == (0.4, 3, 0.2, ("r",))

    async def test_zero_and_false_are_values_and_none_is_none(self):
        options = {"params": {"temperature": 0.5, "parallel_tool_calls": True, "seed": 7}}
        request = (await received(options, temperature=0, parallel_tool_calls=False, seed=None)).request
        assert (request.temperature, request.parallel_tool_calls, request.seed) == (0, False, 7)

    async def test_a_schema_in_params_parses_every_reply(self):
        class City(BaseModel):
            name: str

        provider = FakeProvider(['{"name": "Rome"}'])
        async with Router([deployment("a", provider)], params={"response_format": City}) as router:
            assert (await router.chat("hi")).parsed == City(name="Rome")


class TestStructuredOutput:
    class City(BaseModel):
        name: str

    async def test_a_pydantic_class_yields_its_instance(self):
        async with Router([deployment("a", FakeProvider(['{"name": "Rome"}']))]) as router:
            reply = await router.chat("hi", response_format=self.City)
        assert reply.parsed == self.City(name="Rome")

    async def test_a_schema_yields_the_parsed_json(self):
        async with Router([deployment("a", FakeProvider(["[1, 2]"]))]) as router:
            assert (await router.chat("hi", response_format={"type": "array"})).parsed == [1, 2]

    async def test_a_reply_that_is_no_json_at_all_says_so(self):
        async with Router([deployment("a", FakeProvider(["Rome"]))], retry=None) as router:
            with pytest.raises(PolyrouteError) as caught:
                await router.chat("hi", response_format={"type": "array"})
        assert isinstance(caught.value.__cause__, OutputValidationError)
        assert "no JSON" in str(caught.value.__cause__)
        assert caught.value.__cause__.text == "Rome"

    async def test_a_reply_of_another_shape_is_an_error_with_the_text_and_is_tried_again(self):
        fake = FakeProvider(script=["Rome!", '{"nme": "Rome"}', '{"name": "Rome"}'])
        async with Router([deployment("a", fake)]) as router:
            reply = await router.chat("hi", response_format=self.City)
        assert reply.parsed.name == "Rome"
        first, second, _ = reply.trace.attempts
        assert isinstance(first.error, OutputValidationError)
        assert first.error.text == "Rome!"
        assert "no JSON" in str(first.error) or "Invalid JSON" in str(first.error)
        assert "name: Field required" in str(second.error)
        assert "Rome" not in str(second.error)  # where and why, without what was said

    @pytest.mark.parametrize(
        "reply",
        [
            ChatResponse(refusal="no"),
            ChatResponse(tool_calls=[ToolCall("1", "f", {})]),
            ChatResponse(finish_reason="content_filter"),
        ],
    )
    async def test_a_reply_that_refuses_or_calls_a_tool_is_not_parsed(self, reply):
        async with Router([deployment("a", FakeProvider([reply]))]) as router:
            assert (await router.chat("hi", response_format=self.City)).parsed is None

    async def test_every_choice_is_parsed(self):
        choices = (ChatResponse('{"name": "Rome"}'), ChatResponse('{"name": "Oslo"}'))
        reply = ChatResponse('{"name": "Rome"}', choices=choices)
        async with Router([deployment("a", FakeProvider([reply]))]) as router:
            reply = await router.chat("hi", response_format=self.City, n=2)
        assert [choice.parsed.name for choice in reply.choices] == ["Rome", "Oslo"]


class TestChatMany:
    async def test_keeps_the_order_and_puts_an_error_in_its_items_place(self):
        def answer(call):
            text = call.request.messages[0].text
            if text == "bad":
                raise ServerError("no")
            return text.upper()

        async with Router([deployment("a", FakeProvider([answer]))], retry=None) as router:
            replies = await router.chat_many(["x", "bad", "", "y"], concurrency=2)

        assert [reply.text if isinstance(reply, ChatResponse) else type(reply).__name__ for reply in replies] == [
            "X", "AllAttemptsFailedError", "BadRequestError", "Y"
        ]  # fmt: skip
        assert all(isinstance(reply, ChatResponse | PolyrouteError) for reply in replies)

    async def test_asks_no_more_at_once_than_it_may(self):
        most = now = 0

        async def answer(call):
            nonlocal most, now
            now += 1
            most = max(most, now)
            await anyio.lowlevel.checkpoint()
            now -= 1
            return "x"

        async with Router([deployment("a", FakeProvider([answer]))]) as router:
            assert len(await router.chat_many(["hi"] * 50, concurrency=7)) == 50
        assert most == 7

    async def test_a_bug_cancels_the_rest_and_comes_out_as_itself(self):
        started = []

        async def answer(call):
            started.append(call)
            if len(started) == 3:
                raise ZeroDivisionError("mine")
            await anyio.sleep_forever()

        async with Router([deployment("a", FakeProvider([answer]))]) as router:
            with pytest.raises(ZeroDivisionError, match="mine"):
                await router.chat_many(["hi"] * 50, concurrency=5)
            assert router._core.fleet["a"].in_flight == 0
        assert len(started) <= 5  # nobody took another item

    async def test_of_nothing_is_nothing(self):
        async with Router([deployment("a")]) as router:
            assert await router.chat_many([]) == []
            with pytest.raises(ConfigurationError):
                await router.chat_many(["hi"], concurrency=0)

    async def test_takes_the_arguments_of_chat_for_all(self):
        provider = FakeProvider()
        async with Router([deployment("a", provider)]) as router:
            await router.chat_many((text for text in ("x", "y")), temperature=0.5, user="ann")
        assert [(call.request.temperature, call.request.user) for call in provider.calls] == [
            (0.5, "ann")
        ] * 2


class TestBind:
    async def test_gives_the_same_calls_with_defaults_that_a_call_may_override(self):
        provider = FakeProvider()
        async with Router([deployment("a", provider)]) as router:
            bound = router.bind(
                user="ann", metadata={"app": "shop", "x": "1"}, temperature=0.5, timeout=Timeout(connect=1)
            )
            await bound.chat("hi", metadata={"x": "2"}, timeout=Timeout(total=9))
            await bound.bind(user="bob").chat("hi", temperature=0.0)
            async with bound.stream("hi") as stream:
                await stream.response()
            await bound.embed("x")

        first, second, third, fourth = (call.request for call in provider.calls)
        assert (first.user, first.metadata, first.temperature) == ("ann", {"app": "shop", "x": "2"}, 0.5)
        assert (first.timeout.connect, first.timeout.total) == (1, 9)
        assert (second.user, second.temperature) == ("bob", 0.0)
        assert third.user == fourth.user == "ann"

    async def test_shares_everything_with_its_router(self):
        async with Router([deployment("a")]) as router:
            bound = router.bind(user="ann")
            await bound.chat("hi")
            assert bound._door.core is router._core
            assert repr(bound) == "BoundRouter(user)"
        with pytest.raises(ConfigurationError, match="closed"):
            await bound.chat("hi")

    async def test_retry_none_can_be_bound(self):
        provider = down()
        async with Router([deployment("a", provider)]) as router:
            with pytest.raises(PolyrouteError):
                await router.bind(retry=None).chat("hi")
        assert len(provider.calls) == 1


class TestExplain:
    async def test_tells_who_would_serve_in_which_order_and_asks_nobody(self):
        provider = FakeProvider()
        deployments = [
            deployment("a", provider),
            deployment("b", provider, tags=["x"]),
            deployment("c", provider),
        ]
        routes = {"fast": Route(["a", "b"], fallbacks=["c"])}
        async with Router(deployments, routes=routes) as router:
            plan = await router.explain("hi", model="fast", tags=["!x"])
            assert [(r.deployment, r.route) for r in plan.ranking] == [("a", "fast"), ("c", None)]
            assert [(e.deployment, e.reason) for e in plan.excluded] == [("b", "it bears the tag 'x'")]
            assert (await router.explain("hi", model="fast", fallbacks=False)).ranking[-1].deployment == "b"
            with pytest.raises(UnknownModelError):
                await router.explain("hi", model="nobody")
        assert not provider.calls

    async def test_each_calls_own_decision_stands_in_its_trace(self):
        deployments = [deployment("a"), deployment("b", tags=["x"]), deployment("c")]
        async with Router(deployments) as router:
            plain = (await router.chat("hi")).trace.decision
            tagged = (await router.chat("hi", tags=["!x"])).trace.decision
            again = (await router.chat("hi")).trace.decision
            fewer = (await router.chat("hi", model=["a", "c"])).trace.decision

        assert [ranked.deployment for ranked in plain.ranking] == ["a", "b", "c"]
        assert plain == again
        assert [ranked.deployment for ranked in tagged.ranking] == ["a", "c"]
        assert [excluded.deployment for excluded in tagged.excluded] == ["b"]
        assert [ranked.deployment for ranked in fewer.ranking] == ["a", "c"]
        assert not fewer.excluded

    async def test_is_what_then_happens(self):
        deployments = [deployment("a", down()), deployment("b", down()), deployment("c")]
        async with Router(deployments, retry=None) as router:
            plan = await router.explain("hi")
            reply = await router.chat("hi")
        assert [ranked.deployment for ranked in plan.ranking] == asked(reply)
        assert reply.trace.decision == plan or reply.trace.decision.ranking[0] == plan.ranking[0]


class TestOpaqueParts:
    async def test_go_back_to_their_maker_and_to_nobody_else(self):
        one, other = FakeProvider(name="one"), FakeProvider(script=[ServerError("x")], name="other")
        history = [
            Message("user", "hi"),
            Message("assistant", (Opaque("one", {"signature": "s"}), Text("hello"))),
            Message("user", "and?"),
        ]
        async with Router([deployment("b", other), deployment("a", one)]) as router:
            await router.chat(history)

        assert other.calls[0].request.messages[1].content == (Text("hello"),)
        assert one.calls[0].request.messages[1] == history[1]


class TestClosing:
    async def test_may_happen_twice_and_a_call_after_it_is_refused(self):
        router = Router([deployment("a")])
        await router.chat("hi")
        await router.aclose()
        await router.aclose()
        for call in (router.chat("hi"), router.embed("hi"), router.explain("hi")):
            with pytest.raises(ConfigurationError, match="closed"):
                await call
        with pytest.raises(ConfigurationError, match="closed"):
            async with router:
                pass


class TestMiddleware:
    async def test_wraps_a_whole_call_the_first_outermost(self):
        seen = []

        class Notes(Middleware):
            def __init__(self, name):
                self.name = name

            async def chat(self, request, call_next):
                seen.append(f"{self.name} in")
                reply = await call_next(request)
                seen.append(f"{self.name} out after {len(reply.trace.attempts)}")
                return reply

        async with Router(
            [deployment("a", down()), deployment("b")], middleware=[Notes("1"), Notes("2")]
        ) as router:
            await router.chat("hi")
        assert seen == ["1 in", "2 in", "2 out after 2", "1 out after 2"]

    async def test_may_change_the_request_also_where_it_goes(self):
        from dataclasses import replace

        class Redirects(Middleware):
            async def chat(self, request, call_next):
                return await call_next(replace(request, model="b", temperature=0.0))

        provider = FakeProvider()
        async with Router([deployment("a"), deployment("b", provider)], middleware=[Redirects()]) as router:
            reply = await router.chat("hi", model="a")
        assert reply.deployment == "b"
        assert provider.calls[0].request.temperature == 0.0

    async def test_may_answer_by_itself_and_may_ask_twice_on_one_deadline(self):
        class Answers(Middleware):
            async def chat(self, request, call_next):
                return ChatResponse("mine")

        class Twice(Middleware):
            async def chat(self, request, call_next):
                await call_next(request)
                return await call_next(request)

        provider = FakeProvider()
        async with Router([deployment("a", provider)], middleware=[Answers()]) as router:
            assert (await router.chat("hi")).text == "mine"
        assert not provider.calls
        async with Router([deployment("a", provider)], middleware=[Twice()]) as router:
            reply = await router.chat("hi")
        assert asked(reply) == ["a", "a"]
        assert provider.calls[0].request.deadline == provider.calls[1].request.deadline

    async def test_may_mend_a_request_and_ask_again(self):
        from dataclasses import replace

        class Mends(Middleware):
            async def chat(self, request, call_next):
                try:
                    return await call_next(request)
                except BadRequestError:
                    return await call_next(replace(request, temperature=1.0))

        fake = FakeProvider(script=[BadRequestError("too cold"), "warm"])
        async with Router([deployment("a", fake)], middleware=[Mends()]) as router:
            reply = await router.chat("hi", temperature=0.0)
        assert reply.text == "warm"
        assert asked(reply) == ["a"]  # the caller's own mistake counts for nothing

    async def test_changes_a_stream_that_has_not_started(self):
        ended = []

        class Shouts(Middleware):
            async def stream(self, request, call_next):
                stream = await call_next(request)
                assert not provider.calls
                return stream.map(
                    lambda chunk: type(chunk)(**{**chunk.__dict__, "text": chunk.text.upper()})
                ).on_end(ended.append)

        provider = FakeProvider(["one two"])
        async with Router([deployment("a", provider)], middleware=[Shouts()]) as router:
            async with router.stream("hi") as stream:
                assert [chunk.text async for chunk in stream] == ["ONE", " TWO", ""]
                reply = await stream.response()
            assert router._core.fleet["a"].in_flight == 0
        assert reply.text == "ONE TWO"
        assert reply.deployment == "a"
        assert ended == [reply]

    async def test_wraps_embeddings_too(self):
        from polyroute import EmbedResponse

        class Halves(Middleware):
            async def embed(self, request, call_next):
                reply = await call_next(request)
                return EmbedResponse(reply.vectors[:1])

        async with Router([deployment("a")], middleware=[Halves()]) as router:
            assert len(await router.embed(["a", "b"])) == 1

    async def test_passes_everything_through_by_default(self):
        async with Router([deployment("a")], middleware=[Middleware()]) as router:
            assert (await router.chat("hi", timeout=None)).text == "a"
            assert (await router.chat("hi")).text == "a"
            assert len(await router.embed("hi")) == 1
            async with router.stream("hi") as stream:
                assert (await stream.response()).text == "a"
            async with router.stream("hi") as stream:
                await anext(stream)
            assert router._core.fleet["a"].in_flight == 0
