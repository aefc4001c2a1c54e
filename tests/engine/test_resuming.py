"""A stream that breaks is carried on by another deployment: what that one is told, and how the parts are joined."""

from __future__ import annotations

import pytest

from polyroute import (
    BadRequestError,
    ChatChunk,
    Price,
    ReadError,
    Route,
    Router,
    ServerError,
    StreamInterruptedError,
    ToolCallDelta,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down
from tests.engine.breaking import Chunks, breaks, idle, kinds, read, seen


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
        here = [
            deployment("a", breaks("Once upon a time")),
            deployment("b", FakeProvider(["upon a time there was"])),
        ]
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
        async with Router(here, routes={"default": Route(["a"], fallbacks=["b"])}, retry=None) as router:
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
