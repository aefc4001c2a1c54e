"""A stream that breaks after its first token: raised, held back, begun anew elsewhere, or carried on."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from polyroute import (
    AllAttemptsFailedError,
    BadRequestError,
    ChatChunk,
    ChatResponse,
    ContentFilterError,
    OutputValidationError,
    Price,
    ReadError,
    Route,
    Router,
    ServerError,
    StreamInterruptedError,
    Strategy,
    ToolCallDelta,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, dead, deployment, down


class Chunks:
    """A provider that streams these chunks, and then breaks or ends; without a way to begin its answers."""

    def __init__(self, *chunks, error=None, name="chunks"):
        self.name = name
        self.chunks = chunks
        self.error = error
        self.calls = []

    async def chat(self, call):
        raise NotImplementedError

    async def stream(self, call):
        self.calls.append(call)
        for chunk in self.chunks:
            yield ChatChunk(text=chunk) if isinstance(chunk, str) else chunk
            await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error


def breaks(*texts, error=None):
    """It breaks after each of *texts*, one a call."""
    return FakeProvider(script=[(text, error or ReadError("cut")) for text in texts])


async def read(router, question="hi", **arguments):
    async with router.stream(question, **arguments) as stream:
        chunks = [chunk async for chunk in stream]
        return chunks, await stream.response()


def seen(chunks):
    """What a consumer has before him in the end who heeds `restarted`."""
    text = ""
    for chunk in chunks:
        text = chunk.text if chunk.restarted else text + chunk.text
    return text


def kinds(reply):
    return [(attempt.deployment, attempt.kind) for attempt in reply.trace.attempts]


def idle(router):
    return all(router.fleet[each.id].in_flight == 0 for each in router._core.plan.deployments)


class TestHold:
    @pytest.mark.parametrize(("hold", "unseen"), [(1, False), (2, False), (3, True), (9, True)])
    async def test_a_break_before_so_many_tokens_is_unseen(self, hold, unseen):
        async with Router([deployment("a", breaks("one two")), deployment("b")]) as router:
            if unseen:
                chunks, reply = await read(router, hold=hold)
                assert (seen(chunks), kinds(reply)) == ("b", [("a", "first"), ("b", "fallback")])
                assert not any(chunk.restarted for chunk in chunks)
            else:
                with pytest.raises(StreamInterruptedError) as caught:
                    await read(router, hold=hold)
                assert caught.value.partial == "one two"
            assert idle(router)

    async def test_a_stream_is_committed_with_that_token_and_not_before(self):
        told = []

        class Counts(Chunks):
            async def stream(self, call):
                async for chunk in super().stream(call):
                    told.append(chunk.text)
                    yield chunk

        async with Router([deployment("a", Counts(ChatChunk(id="r"), "one", " two", " three"))]) as router:
            async with router.stream("hi", hold=2) as stream:
                assert told == ["", "one", " two"]
                assert [chunk.text async for chunk in stream] == ["", "one", " two", " three"]

    async def test_a_reply_of_fewer_tokens_is_whole(self):
        async with Router([deployment("a", FakeProvider(["one two"]))]) as router:
            chunks, reply = await read(router, hold=50)
        assert seen(chunks) == reply.text == "one two"

    async def test_a_reply_that_is_not_of_its_schema_is_unseen_while_it_is_held(self):
        class City(BaseModel):
            name: str

        here = [deployment("a", FakeProvider(["no city"])), deployment("b", FakeProvider(['{"name": "Rome"}']))]
        async with Router(here) as router:
            _, reply = await read(router, hold=50, response_format=City)
        assert (reply.parsed, asked(reply)) == (City(name="Rome"), ["a", "b"])

    async def test_what_was_held_is_paid_for(self):
        here = [deployment("a", breaks("one two"), price=Price(1, 1)), deployment("b", price=Price(1, 1))]
        async with Router(here) as router:
            _, reply = await read(router, hold=9)
        assert reply.trace.attempts[0].usage.output_tokens >= 2
        assert reply.cost == sum(attempt.cost for attempt in reply.trace.attempts)


class TestRestart:
    async def test_a_chunk_says_that_what_came_is_void_and_another_begins_anew(self):
        second = FakeProvider(["something else"])
        async with Router([deployment("a", breaks("one two")), deployment("b", second)]) as router:
            chunks, reply = await read(router, on_break="restart")

            assert [(chunk.text, chunk.restarted) for chunk in chunks] == [
                ("one", False), (" two", False), ("something", True), (" else", False), ("", False)
            ]  # fmt: skip
            assert (reply.text, reply.deployment) == ("something else", "b")
            assert kinds(reply) == [("a", "first"), ("b", "restart")]
            assert second.calls[0].request.messages == reply_free(router, "hi")
            assert idle(router)

    async def test_the_reply_has_the_usage_of_the_new_answer_and_the_cost_of_both(self):
        price = Price(input=1_000_000, output=1_000_000)
        here = [
            deployment("a", breaks("one two"), price=price),
            deployment("b", FakeProvider(["three"], usage=Usage(7, 1)), price=price),
        ]
        async with Router(here) as router:
            _, reply = await read(router, on_break="restart")

        void, new = reply.trace.attempts
        assert reply.usage == new.usage == Usage(7, 1)
        assert void.usage.estimated
        assert void.usage.output_tokens > 0
        assert reply.cost == void.cost + new.cost == 8 + void.usage.input_tokens + void.usage.output_tokens
        assert reply.cost_estimated

    async def test_also_where_the_new_answer_is_empty(self):
        async with Router([deployment("a", breaks("one")), deployment("b", Chunks())]) as router:
            chunks, reply = await read(router, on_break="restart")

        assert (seen(chunks), reply.text) == ("", "")
        assert [chunk.restarted for chunk in chunks] == [False, True]

    async def test_as_often_as_it_breaks(self):
        here = [deployment("a", breaks("one")), deployment("b", breaks("two")), deployment("c")]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="restart")

        assert seen(chunks) == reply.text == "c"
        assert [chunk.text for chunk in chunks if chunk.restarted] == ["two", "c"]
        assert kinds(reply) == [("a", "first"), ("b", "restart"), ("c", "restart")]

    async def test_passes_over_those_that_fail_at_once(self):
        here = [deployment("a", breaks("one")), deployment("b", down()), deployment("c")]
        async with Router(here) as router:
            _, reply = await read(router, on_break="restart")
        assert kinds(reply) == [("a", "first"), ("b", "restart"), ("c", "restart")]

    async def test_what_was_told_before_is_void_in_a_mapped_stream_too(self):
        def loud(chunk):
            return None if chunk.text == "skipped" else ChatChunk(text=chunk.text.upper())

        here = [deployment("a", breaks("one")), deployment("b", Chunks("skipped", "two"))]
        async with Router(here) as router:
            async with router.stream("hi", on_break="restart").map(loud) as stream:
                chunks = [chunk async for chunk in stream]
                reply = await stream.response()

        assert [(chunk.text, chunk.restarted) for chunk in chunks] == [("ONE", False), ("TWO", True)]
        assert reply.text == "TWO"


def reply_free(router, question):
    from polyroute.messages import read_messages

    return read_messages(question)


class TestResume:
    async def test_another_begins_with_what_there_is_as_its_own_last_words(self):
        second = FakeProvider([" upon a time"])
        async with Router([deployment("a", breaks("Once")), deployment("b", second)]) as router:
            chunks, reply = await read(router, "Tell me", on_break="resume")

            roles = [(message.role, message.text) for message in second.calls[0].request.messages]
            assert roles == [("user", "Tell me"), ("assistant", "Once")]
            assert seen(chunks) == reply.text == "Once upon a time"
            assert not any(chunk.restarted for chunk in chunks)
            assert kinds(reply) == [("a", "first"), ("b", "resume")]
            assert (reply.deployment, reply.message.content) == ("b", "Once upon a time")
            assert idle(router)

    async def test_one_that_cannot_begin_so_is_asked_in_a_word(self):
        second = Chunks(" upon a time")
        async with Router([deployment("a", breaks("Once")), deployment("b", second)]) as router:
            chunks, reply = await read(router, "Tell me", on_break="resume")

        messages = second.calls[0].request.messages
        assert [message.role for message in messages] == ["user", "assistant", "user"]
        assert (messages[1].text, messages[2].text) == ("Once", "Continue exactly where you stopped.")
        assert seen(chunks) == reply.text == "Once upon a time"

    async def test_the_callers_own_messages_are_left_as_they_are(self):
        question = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me"}]
        second = Chunks(" upon")
        async with Router([deployment("a", breaks("Once")), deployment("b", second)]) as router:
            await read(router, question, on_break="resume")

        assert question == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Tell me"},
        ]
        roles = [message.role for message in second.calls[0].request.messages]
        assert roles == ["system", "user", "assistant", "user"]

    @pytest.mark.parametrize("content", ["Once", [{"type": "text", "text": "Once"}]])
    async def test_an_answer_that_the_caller_has_begun_stays_one_turn(self, content):
        question = [{"role": "user", "content": "Tell me"}, {"role": "assistant", "content": content}]
        second = FakeProvider([" a time"])
        async with Router([deployment("a", breaks(" upon")), deployment("b", second)]) as router:
            _, reply = await read(router, question, on_break="resume")

        messages = second.calls[0].request.messages
        assert [(message.role, message.text) for message in messages] == [
            ("user", "Tell me"), ("assistant", "Once upon")
        ]  # fmt: skip
        assert reply.text == " upon a time"

    async def test_space_at_the_end_is_not_shown_to_one_that_takes_none(self):
        class Trims(Chunks):
            def prefill(self, model):
                return "trimmed"

        second = Trims("\n\nThen", " the milk.")
        async with Router([deployment("a", Chunks("The eggs.", "\n\n", error=ReadError("cut"))),
                           deployment("b", second)]) as router:  # fmt: skip
            chunks, reply = await read(router, on_break="resume")

        assert second.calls[0].request.messages[-1].text == "The eggs."
        assert seen(chunks) == reply.text == "The eggs.\n\nThen the milk."

    async def test_one_that_thinks_first_is_asked_in_a_word_and_not_put_in_the_midst(self):
        class Trims(Chunks):
            def prefill(self, model):
                return "trimmed"

        second = Trims(" upon")
        async with Router([deployment("a", breaks("Once")), deployment("b", second)]) as router:
            await read(router, on_break="resume", reasoning_effort="high")
        assert [message.role for message in second.calls[0].request.messages][1:] == ["assistant", "user"]

    async def test_what_is_told_again_is_left_out(self):
        here = [deployment("a", breaks("Once upon a time")), deployment("b", FakeProvider(["upon a time there was"]))]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")
        assert seen(chunks) == reply.text == "Once upon a time there was"

    async def test_what_is_held_back_at_the_end_comes_out(self):
        here = [deployment("a", breaks("Once upon")), deployment("b", Chunks("upon"))]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")
        assert seen(chunks) == reply.text == "Once uponupon"

    async def test_what_is_held_back_comes_before_a_tool_call(self):
        call = ChatChunk(tool_call_delta=ToolCallDelta(0, "1", "f", "{}"))
        here = [deployment("a", breaks("Once upon")), deployment("b", Chunks("upon", call))]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")
        assert seen(chunks) == reply.text == "Once uponupon"
        assert chunks[-1].tool_call_delta is not None
        assert [type(part).__name__ for part in reply.message.parts] == ["Text", "ToolCall"]

    @pytest.mark.parametrize("limit", [100, 5])
    async def test_the_room_for_the_rest_is_smaller_by_what_was_said(self, limit):
        second = FakeProvider([" end"])
        async with Router([deployment("a", breaks("one two three four")), deployment("b", second)]) as router:
            await read(router, on_break="resume", max_tokens=limit)
        left = second.calls[0].request.max_tokens
        assert left == 1 if limit == 5 else 90 <= left <= 97

    async def test_usage_is_of_both_parts_and_cost_of_all(self):
        price = Price(input=1_000_000, output=1_000_000)
        second = Usage(20, 3, cached_input_tokens=4)
        here = [
            deployment("a", breaks("Once"), price=price),
            deployment("b", FakeProvider([" upon"], usage=second), price=price),
        ]
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume")

        first, rest = reply.trace.attempts
        assert rest.usage == second
        assert reply.usage.input_tokens == first.usage.input_tokens + 20
        assert reply.usage.output_tokens == first.usage.output_tokens + 3
        assert (reply.usage.cached_input_tokens, reply.usage.reasoning_tokens) == (4, None)
        assert reply.usage.estimated
        assert reply.cost == reply.usage.input_tokens + reply.usage.output_tokens == first.cost + rest.cost

    async def test_what_the_host_had_told_of_its_usage_is_no_estimate(self):
        first = Chunks(ChatChunk(usage=Usage(9, 1)), "Once", error=ReadError("cut"))
        here = [deployment("a", first), deployment("b", FakeProvider([" upon"], usage=Usage(10, 2)))]
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume")
        assert reply.usage == Usage(19, 3)

    async def test_reasoning_alone_is_nothing_to_carry_on(self):
        first = Chunks(ChatChunk(reasoning="hm"), error=ReadError("cut"))
        async with Router([deployment("a", first), deployment("b")]) as router:
            chunks, reply = await read(router, on_break="resume")
        assert (seen(chunks), reply.text, reply.reasoning) == ("b", "b", None)
        assert kinds(reply)[1] == ("b", "restart")

    @pytest.mark.parametrize(
        "first",
        [
            ("Let me see.", ChatChunk(tool_call_delta=ToolCallDelta(0, "1", "f", '{"x'))),
            (ChatChunk(text="  \n"),),
            ("one", ChatChunk(text="uno", index=1)),
        ],
        ids=["a tool call has begun", "nothing but space was said", "there are several answers"],
    )
    async def test_begins_anew_where(self, first):
        second = FakeProvider(["new"])
        here = [deployment("a", Chunks(*first, error=ReadError("cut"))), deployment("b", second)]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")

        assert kinds(reply)[1] == ("b", "restart")
        assert len(second.calls[0].request.messages) == 1
        assert [chunk.text for chunk in chunks if chunk.restarted] == ["new"]
        assert (reply.text, reply.tool_calls, reply.choices) == ("new", [], ())

    async def test_begins_anew_where_several_answers_were_asked_for(self):
        async with Router([deployment("a", breaks("one")), deployment("b")]) as router:
            _, reply = await read(router, on_break="resume", n=2)
        assert kinds(reply)[1] == ("b", "restart")

    async def test_after_a_restart_it_is_the_new_text_that_is_carried_on(self):
        first = Chunks("old", ChatChunk(tool_call_delta=ToolCallDelta(0, "1", "f")), error=ReadError("cut"))
        third = FakeProvider([" three"], usage=Usage(5, 1))
        here = [deployment("a", first), deployment("b", breaks("two")), deployment("c", third)]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")

        assert seen(chunks) == reply.text == "two three"
        assert kinds(reply) == [("a", "first"), ("b", "restart"), ("c", "resume")]
        assert third.calls[0].request.messages[-1].text == "two"
        second = reply.trace.attempts[1].usage
        assert reply.usage.output_tokens == second.output_tokens + 1

    async def test_a_tool_call_in_the_second_part_voids_both(self):
        second = Chunks(" two", ChatChunk(tool_call_delta=ToolCallDelta(0, "1", "f")), error=ReadError("cut"))
        here = [deployment("a", breaks("one")), deployment("b", second), deployment("c")]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")
        assert seen(chunks) == reply.text == "c"
        assert kinds(reply) == [("a", "first"), ("b", "resume"), ("c", "restart")]

    async def test_three_breaks_one_after_the_other_make_one_text(self):
        fourth = FakeProvider([" four"])
        here = [
            deployment("a", breaks("one")),
            deployment("b", breaks(" two")),
            deployment("c", breaks(" three")),
            deployment("d", fourth),
        ]
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume")

        assert seen(chunks) == reply.text == "one two three four"
        assert fourth.calls[0].request.messages[-1].text == "one two three"
        assert [kind for _, kind in kinds(reply)] == ["first", "resume", "resume", "resume"]
        used = [attempt.usage for attempt in reply.trace.attempts]
        assert reply.usage.input_tokens == sum(each.input_tokens for each in used)
        assert reply.usage.output_tokens == sum(each.output_tokens for each in used)

    async def test_a_lone_deployment_carries_on_by_itself_after_a_wait(self):
        fake = FakeProvider(script=[("one", ReadError("cut")), " two"])
        async with Router([deployment("a", fake)]) as router:
            chunks, reply = await read(router, on_break="resume")
        assert seen(chunks) == reply.text == "one two"
        assert kinds(reply) == [("a", "first"), ("a", "resume")]

    async def test_goes_on_to_the_routes_fallbacks(self):
        here = [deployment("a", breaks("one")), deployment("b", FakeProvider([" two"]))]
        async with Router(
            here, routes={"default": Route(["a"], fallbacks=["b"])}, retry=None
        ) as router:
            _, reply = await read(router, on_break="resume")
        assert (reply.text, kinds(reply)) == ("one two", [("a", "first"), ("b", "resume")])

    async def test_one_that_failed_before_the_break_is_not_asked_again_before_the_others(self):
        fourth = FakeProvider([" end"])
        here = [deployment("a", down()), deployment("b", breaks("one")), deployment("c", fourth)]
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume")
        assert asked(reply) == ["a", "b", "c"]

    async def test_hold_holds_for_the_second_part_too(self):
        here = [deployment("a", breaks("one two three")), deployment("b", breaks(" four")),
                deployment("c", FakeProvider([" five six seven"]))]  # fmt: skip
        async with Router(here) as router:
            chunks, reply = await read(router, on_break="resume", hold=3)
        assert seen(chunks) == reply.text == "one two three five six seven"


class TestComplaintsAboutPrefill:
    def complains(self, *then):
        def refuses(call):
            if call.request.messages[-1].role == "assistant":
                raise BadRequestError("the last message must be the user's", status=400)
            return " two"

        return FakeProvider([refuses])

    async def test_are_never_shown_and_teach(self):
        second = self.complains()
        here = [deployment("a", breaks("one")), deployment("b", second)]
        async with Router(here) as router:
            for _ in range(2):
                chunks, reply = await read(router, on_break="resume")
                assert seen(chunks) == reply.text == "one two"

        roles = [call.request.messages[-1].role for call in second.calls]
        assert roles == ["assistant", "user", "user"]
        assert [attempt.deployment for attempt in reply.trace.attempts] == ["a", "b"]

    async def test_of_a_deployment_that_is_known_not_to_take_any_are_not_provoked(self):
        second = self.complains()
        here = [deployment("a", breaks("one")), deployment("b", second, capabilities={"prefill": False})]
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume")
        assert (reply.text, len(second.calls)) == ("one two", 1)

    async def test_that_do_not_end_are_left_for_another_deployment(self):
        def refuses(call):
            raise BadRequestError("no", status=400, lacks="prefill")

        second = FakeProvider([refuses])
        here = [
            deployment("a", breaks("one")), deployment("b", second), deployment("c", FakeProvider([" two"]))
        ]  # fmt: skip
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume")
        assert (reply.text, len(second.calls)) == ("one two", 2)

    async def test_by_one_that_then_fails_leave_the_others_to_be_asked(self):
        def refuses(call):
            if call.request.messages[-1].role == "assistant":
                raise BadRequestError("no", status=400)
            raise ServerError("down")

        here = [
            deployment("a", breaks("one")),
            deployment("b", FakeProvider([refuses])),
            deployment("c", FakeProvider([" two"])),
        ]
        async with Router(here, retry=None) as router:
            _, reply = await read(router, on_break="resume")
        assert (reply.text, asked(reply)) == ("one two", ["a", "b", "b", "c"])

    async def test_about_something_else_come_out_behind_the_break(self):
        def refuses(call):
            raise BadRequestError("your stop is too long", status=400)

        here = [deployment("a", breaks("one")), deployment("b", FakeProvider([refuses]))]
        async with Router(here) as router:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(router, on_break="resume")
            assert idle(router)
        assert caught.value.partial == "one"
        assert isinstance(caught.value.__cause__, BadRequestError)


class TestWhereNobodyCanGoOn:
    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    async def test_the_break_comes_out_with_all_that_was_said(self, on_break):
        here = [deployment("a", breaks("one")), deployment("b", breaks(" two")), deployment("c", dead())]
        async with Router(here, retry=None) as router:
            texts = []
            with pytest.raises(StreamInterruptedError, match="no other deployment could go on") as caught:
                async with router.stream("hi", on_break=on_break) as stream:
                    async for chunk in stream:
                        texts.append(chunk)
            assert idle(router)

        error = caught.value
        assert error.partial == seen(texts) == ("one two" if on_break == "resume" else " two")
        assert error.deployment == "b"
        assert isinstance(error.__cause__, AllAttemptsFailedError)
        assert [attempt.deployment for attempt in error.__cause__.attempts] == ["a", "b", "c"]
        used = [attempt.usage for attempt in error.__cause__.attempts]
        parts = used[:2] if on_break == "resume" else used[1:2]
        assert error.usage.output_tokens == sum(each.output_tokens for each in parts)

    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    async def test_fallbacks_false_forbids_the_fallbacks(self, on_break):
        here = [deployment("a", breaks("one")), deployment("b")]
        async with Router(
            here, routes={"default": Route(["a"], fallbacks=["b"])}, retry=None
        ) as router:
            with pytest.raises(StreamInterruptedError):
                await read(router, on_break=on_break, fallbacks=False)

    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    async def test_a_filter_that_refuses_is_an_answer_and_no_outage(self, on_break):
        here = [
            deployment("a", breaks("one", error=ContentFilterError("no"))),
            deployment("b", FakeProvider([" two"])),
        ]
        routes = {
            "strict": Route(["a", "b"]),
            "lenient": Route(["a", "b"], after_content_filter="fallback"),
        }
        async with Router(here, routes=routes) as router:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(router, model="strict", on_break=on_break)
            assert isinstance(caught.value.__cause__, ContentFilterError)
            _, reply = await read(router, model="lenient", on_break=on_break)
            assert kinds(reply)[1] == ("b", on_break)

    async def test_tags_bind_those_who_go_on(self):
        second = FakeProvider([" two"])
        here = [deployment("a", breaks("one"), tags=["eu"]), deployment("b", second)]
        async with Router(here, retry=None) as router:
            with pytest.raises(StreamInterruptedError):
                await read(router, on_break="resume", tags=["eu"])
        assert not second.calls


class TestTheWhole:
    class City(BaseModel):
        name: str

    async def test_a_schema_is_judged_on_the_joined_text(self):
        here = [deployment("a", breaks('{"name":')), deployment("b", FakeProvider([' "Rome"}']))]
        async with Router(here) as router:
            _, reply = await read(router, on_break="resume", response_format=self.City)
        assert reply.parsed == self.City(name="Rome")

    async def test_a_joined_text_that_is_not_of_the_schema_is_an_error_with_all_of_it(self):
        here = [deployment("a", breaks('{"name":')), deployment("b", FakeProvider([" 3}"]))]
        async with Router(here) as router:
            with pytest.raises(OutputValidationError) as caught:
                await read(router, on_break="resume", response_format=self.City)
            assert idle(router)
        assert caught.value.text == '{"name": 3}'

    async def test_a_strategy_that_judges_sees_the_joined_text_and_nobody_a_break(self):
        texts = []

        class Judges(Strategy):
            async def choose(self, request, candidates, history, fleet):
                return candidates[0]

            async def accept(self, request, response):
                texts.append(response.text)
                return True

        here = [deployment("a", breaks("one")), deployment("b", FakeProvider(["whole"]))]
        async with Router(here, strategy=Judges()) as router:
            chunks, reply = await read(router, on_break="resume")
        # All of it is held until it was judged, so the break was before the commit point.
        assert (seen(chunks), texts, kinds(reply)[1]) == ("whole", ["whole"], ("b", "fallback"))

    async def test_the_reply_is_what_one_unbroken_call_would_have_given(self):
        whole = ChatResponse("one two three", reasoning="hm", id="r", model="m")
        unbroken = FakeProvider([whole], usage=Usage(3, 4))
        first = Chunks(ChatChunk(id="r", model="m"), ChatChunk(reasoning="hm"), "one two", error=ReadError("x"))
        rest = FakeProvider([ChatResponse(" three", id="r", model="m")])
        async with Router([deployment("a", unbroken)]) as router:
            expected = await router.chat("hi")
        async with Router([deployment("a", first), deployment("b", rest)]) as router:
            _, reply = await read(router, on_break="resume")

        for field in ("text", "reasoning", "id", "model", "message", "finish_reason", "tool_calls", "choices"):
            assert getattr(reply, field) == getattr(expected, field), field

    @settings(max_examples=80, deadline=None)
    @given(
        text=st.text(min_size=1, max_size=40),
        data=st.data(),
        backend=st.sampled_from(["asyncio", "trio"]),
    )
    def test_wherever_it_breaks_the_text_is_that_of_one_unbroken_answer(self, text, data, backend):
        places = sorted(data.draw(st.lists(st.integers(1, len(text)), max_size=3, unique=True)))
        parts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        used = [Usage(n + 1, len(part)) for n, part in enumerate(parts)]

        async def main():
            here = [
                deployment(
                    f"d{n}",
                    Chunks(
                        *part,
                        ChatChunk(usage=used[n], finish_reason=None if n < len(places) else "stop"),
                        error=ReadError("cut") if n < len(places) else None,
                    ),
                    price=Price(1_000_000, 1_000_000),
                )
                for n, part in enumerate(parts)
            ]
            async with Router(here) as router:
                chunks, reply = await read(router, on_break="resume")
                assert idle(router)
            assert seen(chunks) == reply.text == "".join(chunk.text for chunk in chunks if chunk)[-len(reply.text):]
            return chunks, reply

        # What was nothing but space was not carried on, but begun anew.
        if not any("".join(parts[: n + 1]).strip() == "" for n in range(len(places))):
            chunks, reply = anyio.run(main, backend=backend)
            assert reply.text == text
            assert (reply.usage.input_tokens, reply.usage.output_tokens) == (
                sum(each.input_tokens for each in used), sum(each.output_tokens for each in used)
            )  # fmt: skip
            assert reply.cost == reply.usage.input_tokens + reply.usage.output_tokens

    @pytest.mark.parametrize("on_break", ["restart", "resume"])
    def test_also_without_await(self, on_break):
        router = Router([deployment("a", breaks("one")), deployment("b", FakeProvider([" two"]))])
        with router.sync() as client, client.stream("hi", on_break=on_break) as stream:
            assert seen(list(stream)) == stream.response().text
            assert stream.asked == ("a", "b")
