"""Replies and messages: built from any subset of their fields, and always in step with themselves."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    Attempt,
    ChatChunk,
    ChatRequest,
    ChatResponse,
    Decision,
    EmbedResponse,
    Exclusion,
    Image,
    Message,
    Opaque,
    Ranked,
    Reasoning,
    ServerError,
    Text,
    ToolCall,
    ToolResult,
    Trace,
    Usage,
)
from polyroute.types import amended


def test_a_text_is_enough_for_a_reply():
    reply = ChatResponse("hi")
    assert (reply.text, reply.finish_reason, reply.tool_calls, reply.usage) == ("hi", "stop", [], Usage())
    assert reply.message == Message("assistant", "hi")


def test_a_finish_reason_left_out_is_tool_calls_where_there_are_some():
    assert ChatResponse(tool_calls=[ToolCall("1", "f", {})]).finish_reason == "tool_calls"
    assert ChatResponse(tool_calls=[ToolCall("1", "f", {})], finish_reason="length").finish_reason == "length"


def test_replies_are_frozen_and_generic():
    reply = ChatResponse[int]("1", parsed=1)
    with pytest.raises(AttributeError):
        reply.text = "2"
    assert pickle.loads(pickle.dumps(ChatResponse("hi"))) == ChatResponse("hi")


class TestTheMessageOfAReply:
    call = ToolCall("1", "f", {"x": 1})

    def test_holds_reasoning_words_and_calls_in_order(self):
        reply = ChatResponse("words", reasoning="hm", tool_calls=[self.call])
        assert reply.message.content == (Reasoning("hm"), Text("words"), self.call)

    def test_keeps_the_wires_order_and_what_only_its_maker_understands(self):
        parts = (Opaque("maker", {"s": 1}), Reasoning("hm"), Text("wo"), Text("rds"), self.call)
        reply = ChatResponse("words", reasoning="hm", tool_calls=[self.call], parts=parts)
        assert reply.message.content == parts

    @pytest.mark.parametrize(
        "changes",
        [{"text": "other"}, {"reasoning": None}, {"tool_calls": []}, {"text": "", "tool_calls": []}],
    )
    def test_is_in_step_after_replace(self, changes):
        parts = (Reasoning("hm"), Opaque("maker", {"s": 1}), Text("words"), self.call)
        reply = replace(ChatResponse("words", reasoning="hm", tool_calls=[self.call], parts=parts), **changes)
        message = reply.message
        assert message.text == reply.text
        assert [part for part in message.parts if isinstance(part, ToolCall)] == reply.tool_calls
        thoughts = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
        assert thoughts == (reply.reasoning or "")
        assert Opaque("maker", {"s": 1}) in message.parts

    def test_of_a_refusal_says_the_refusal(self):
        assert ChatResponse(refusal="I cannot").message == Message("assistant", "I cannot")

    def test_of_a_refusal_after_thought_says_both_and_keeps_what_only_the_host_understands(self):
        thought, sealed, call = (
            Reasoning("Hm."),
            Opaque("openai-responses", {"id": "rs_1"}),
            ToolCall("c", "now"),
        )
        refusing = ChatResponse(reasoning="Hm.", refusal="I cannot")

        assert refusing.message.content == (thought, Text("I cannot"))
        assert replace(refusing, parts=(thought, sealed)).message.content == (
            thought,
            sealed,
            Text("I cannot"),
        )
        assert replace(refusing, tool_calls=[call]).message.content == (thought, Text("I cannot"), call)

    def test_of_a_refusal_in_mid_sentence_says_the_sentence(self):
        cut = ChatResponse(text="Once upon", refusal="Flagged")

        assert cut.message == Message("assistant", "Once upon")
        assert replace(cut, reasoning="Hm.").message.content == (Reasoning("Hm."), Text("Once upon"))


class TestAToolCall:
    def test_makes_its_arguments_from_their_text_and_the_text_from_them(self):
        assert ToolCall("1", "f", raw_arguments='{"x": 1}').arguments == {"x": 1}
        assert ToolCall("1", "f", {"x": "é"}).raw_arguments == '{"x": "é"}'

    @pytest.mark.parametrize("text", ["", " "])
    def test_takes_no_text_for_no_arguments(self, text):
        assert ToolCall("1", "f", raw_arguments=text).arguments == {}

    @pytest.mark.parametrize("text", ["[1]", "1", '{"x": ', "null", "[" * 100_000])
    def test_has_none_where_the_text_is_no_json_object(self, text):
        call = ToolCall("1", "f", raw_arguments=text)
        assert (call.arguments, call.raw_arguments) == (None, text)

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("plain", "plain"),
            ({"a": 1}, '{"a":1}'),
            ([1, None], "[1,null]"),
            (None, "null"),
            (float("nan"), "null"),
            ("\ud83d", "\ud83d"),
            (["\ud83d"], '["\ud83d"]'),
        ],
    )
    def test_is_answered_by_its_result(self, value, text):
        message = ToolCall("1", "f", {}).result(value)
        assert message == Message("tool", (ToolResult("1", text, name="f"),))

    def test_is_answered_by_what_pydantic_can_write(self):
        from datetime import date

        from pydantic import BaseModel

        class City(BaseModel):
            name: str

        assert ToolCall("1", "f").result(City(name="Rome")).content[0].content == '{"name":"Rome"}'
        assert ToolCall("1", "f").result(date(2026, 1, 2)).content[0].content == '"2026-01-02"'

    def test_cannot_be_answered_by_what_nobody_can_write(self):
        with pytest.raises(ValueError, match="Unable to serialize"):
            ToolCall("1", "f").result(object())


def test_a_message_takes_any_sequence_of_parts_and_keeps_a_tuple():
    message = Message("user", [Text("a"), Image("https://x.example/a.png")])
    assert message.content == (Text("a"), Image("https://x.example/a.png"))
    assert message.text == "a"
    assert Message("user", "").parts == ()
    assert Message("user", "x").parts == (Text("x"),)


def test_data_is_not_shown():
    assert "secret" not in repr(Image(data=b"secret", media_type="image/png"))
    assert "secret" not in repr(Opaque("x", "secret"))


@given(st.data())
def test_usage_adds_up_and_what_nobody_told_stays_untold(data):
    count = st.integers(0, 1_000)
    usages = data.draw(
        st.lists(
            st.builds(Usage, count, count, *[st.none() | count] * 3, st.booleans()), min_size=1, max_size=4
        )
    )
    total = usages[0]
    for usage in usages[1:]:
        total += usage
    assert total.input_tokens == sum(usage.input_tokens for usage in usages)
    for name in ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens"):
        told = [getattr(usage, name) for usage in usages if getattr(usage, name) is not None]
        assert getattr(total, name) == (sum(told) if told else None)
    assert total.estimated == any(usage.estimated for usage in usages)
    assert total.total_tokens == total.input_tokens + total.output_tokens


def test_vectors_are_a_sequence():
    vectors = EmbedResponse(([1.0], [2.0]))
    assert len(vectors) == 2
    assert list(vectors) == [[1.0], [2.0]]
    assert vectors[0] == [1.0]
    assert vectors[-1:] == ([2.0],)
    assert "1.0" not in repr(vectors)


@pytest.mark.parametrize(
    ("chunk", "token"),
    [
        (ChatChunk(), False),
        (ChatChunk(finish_reason="stop", usage=Usage(1, 1)), False),
        (ChatChunk(text="x"), True),
        (ChatChunk(reasoning="x"), True),
        (ChatChunk(refusal="x"), True),
    ],
)
def test_a_token_is_a_chunk_that_says_something(chunk, token):
    assert chunk.has_token is token


def test_amended_is_replace():
    reply = ChatResponse("a", reasoning="b", tool_calls=[ToolCall("1", "f", {})])
    assert amended(reply, text="c") == replace(reply, text="c")
    assert reply.text == "a"


def test_a_decision_and_a_trace_read_well():
    decision = Decision(
        (Ranked("a", "the first in order", route="fast"), Ranked("b", score=0.25)),
        (Exclusion("c", "no key", "setup"),),
    )
    assert str(decision) == "1. a (route fast): the first in order\n2. b [0.25]\n-  c: no key"
    assert decision.deployment == "a"
    assert str(Decision()) == "nobody could serve this call"
    assert Decision().deployment is None
    trace = Trace(
        (Attempt("a", 1.0, 1.5, ServerError("x", status=503)), Attempt("b", 1.5, 3.0, kind="fallback"))
    )
    assert str(trace) == "first a: ServerError 503 after 0.50 s\nfallback b: answered after 1.50 s"


def test_an_attempt_is_made_of_what_is_known():
    assert (Attempt("a").started, Attempt("a").latency) == (0.0, 0.0)


class TestACacheKey:
    base = ChatRequest(messages=(Message("user", "hi"),), temperature=0.0)

    def test_is_the_same_for_what_must_be_answered_alike(self):
        other = replace(self.base, user="ann", tags=("x",), metadata={"a": "b"}, priority=3, deadline=5.0)
        assert other.cache_key == self.base.cache_key

    def test_is_the_same_in_whatever_order_and_kind_of_sequence_it_was_said(self):
        one = replace(self.base, extra={"a": [{"x": 1, "y": 2}], "b": 3})
        other = replace(self.base, extra={"b": 3, "a": ({"y": 2, "x": 1},)})
        assert one.cache_key == other.cache_key

    @pytest.mark.parametrize(
        "changes",
        [
            {"model": "m"},
            {"temperature": 0.1},
            {"temperature": None},
            {"seed": 0},
            {"stop": ("x",)},
            {"extra": {"a": 1}},
            {"messages": (Message("system", "hi"),)},
            {"messages": (Message("user", (Reasoning("hi"),)),)},
            {"messages": (Message("user", (Text("h"), Text("i"))),)},
            {"messages": (Message("user", "hi"), Message("user", "hi"))},
            {"messages": (Message("user", (Opaque("x", b"1"),)),)},
            {"messages": (Message("user", (Opaque("x", b"2"),)),)},
        ],
    )
    def test_differs_for_what_may_be_answered_otherwise(self, changes):
        assert replace(self.base, **changes).cache_key != self.base.cache_key
