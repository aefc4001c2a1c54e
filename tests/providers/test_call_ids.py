"""Ids of tool calls: each fits and is there once, is made of the old one alone, and is its result's too."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from polyroute import Message, ToolCall, ToolResult
from polyroute.providers.call_ids import with_call_ids

NINE = re.compile(r"[A-Za-z0-9]{9}")
USER = Message("user", "hi")


def round_of(*ids):
    calls = [ToolCall(id, "now") for id in ids]
    return (Message("assistant", calls), *(each.result(at) for at, each in enumerate(calls)))


def ids_of(messages):
    """The ids of the calls, and those of the results."""
    parts = [part for message in messages for part in message.parts]
    calls = [part.id for part in parts if isinstance(part, ToolCall)]
    return calls, [part.tool_call_id for part in parts if isinstance(part, ToolResult)]


IDS = st.one_of(
    st.text(max_size=12), st.from_regex(r"[a-b]{9}", fullmatch=True), st.sampled_from(["", "call_0"])
)
ROUNDS = st.lists(st.lists(IDS, min_size=1, max_size=4), max_size=5)


@given(ROUNDS)
def test_every_call_has_an_id_that_fits_and_that_no_other_has_and_its_result_has_the_same(rounds):
    calls, results = ids_of(with_call_ids([each for ids in rounds for each in round_of(*ids)], NINE, 9))

    assert results == calls
    assert all(NINE.fullmatch(id) for id in calls)
    assert len(set(calls)) == len(calls)


@given(ROUNDS, ROUNDS)
def test_a_conversation_that_has_grown_begins_as_it_did_before(rounds, more):
    messages = [each for ids in rounds for each in round_of(*ids)]
    grown = [*messages, *(each for ids in more for each in round_of(*ids))]

    assert list(with_call_ids(grown, NINE, 9))[: len(messages)] == list(with_call_ids(messages, NINE, 9))


@given(ROUNDS)
def test_what_was_put_in_order_once_stays_as_it_is(rounds):
    once = with_call_ids([each for ids in rounds for each in round_of(*ids)], NINE, 9)

    assert with_call_ids(once, NINE, 9) is once


def test_an_id_that_fits_stays_as_it_is_and_so_do_the_messages():
    messages = (USER, *round_of("g6fVbXS8K", "000000000"))

    assert with_call_ids(messages, NINE, 9) is messages


def test_messages_without_calls_are_left_alone():
    messages = (USER, Message("assistant", "Hello."))

    assert with_call_ids(messages, NINE, 9) is messages


def test_the_new_id_is_made_of_the_old_one_alone():
    alone, _ = ids_of(with_call_ids(round_of("call_1"), NINE, 9))
    among_others, _ = ids_of(with_call_ids(round_of("g6fVbXS8K", "call_0", "call_1"), NINE, 9))

    assert among_others[2:] == alone


def test_an_id_that_another_has_become_is_not_given_twice():
    (taken,), _ = ids_of(with_call_ids(round_of("call_1"), NINE, 9))
    calls, results = ids_of(with_call_ids(round_of("call_1", taken), NINE, 9))

    assert calls == results
    assert calls[0] == taken
    assert len(set(calls)) == 2


def test_ids_that_become_the_same_at_first_are_told_apart_in_the_end():
    calls, _ = ids_of(with_call_ids(round_of(*(f"call_{number}" for number in range(50))), NINE, 1))

    assert len(set(calls)) == 50


def test_makers_that_number_their_calls_anew_in_each_reply_are_told_apart():
    calls, results = ids_of(with_call_ids([*round_of("000000000"), USER, *round_of("000000000")], NINE, 9))

    assert calls == results
    assert calls[0] == "000000000" != calls[1]


def test_a_result_answers_the_call_of_its_id_that_was_made_last_and_not_one_that_was_left_unanswered():
    unanswered, answered = Message("assistant", [ToolCall("a", "now")]), round_of("a")
    calls, results = ids_of(with_call_ids([unanswered, USER, *answered], NINE, 9))

    assert results == calls[1:]


def test_results_of_two_messages_in_a_row_are_told_apart():
    first, second = Message("assistant", [ToolCall("a", "now")]), Message("assistant", [ToolCall("b", "now")])
    answers = [Message("tool", [ToolResult(id, "1")]) for id in ("b", "a")]
    calls, results = ids_of(with_call_ids([first, second, *answers], NINE, 9))

    assert results == [calls[1], calls[0]]


def test_a_result_that_answers_nothing_or_what_was_answered_has_an_id_that_fits_all_the_same():
    calls, results = ids_of(with_call_ids([*round_of("a"), *round_of("a")[1:], *round_of("b")[1:]], NINE, 9))

    assert results[:2] == calls * 2
    assert NINE.fullmatch(results[2])
    assert results[2] not in calls
