"""Tool calls that come in pieces: which piece belongs to which call, in every host's way of saying so."""

from __future__ import annotations

import pytest

from polyroute import ToolCall, ToolCallDelta
from tests.providers.wire import delta, told
from tests.wire_server import events

ROLE = delta("", role="assistant")
STOP = delta(finish_reason="stop")


def called(*pieces: object, finish_reason: str | None = None) -> dict[str, object]:
    return delta(tool_calls=list(pieces), finish_reason=finish_reason)


NOW = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}


async def test_a_call_comes_in_pieces_that_its_index_holds_together():
    pieces = [NOW, *({"index": 0, "function": {"arguments": piece}} for piece in ('{"zo', 'ne": 1}'))]
    stream = await told(events(*map(called, pieces), delta(finish_reason="tool_calls")))

    assert [chunk.tool_call_delta for chunk in stream.chunks[:3]] == [
        ToolCallDelta(0, "call_1", "now"),
        ToolCallDelta(0, arguments='{"zo'),
        ToolCallDelta(0, arguments='ne": 1}'),
    ]
    assert stream.reply.tool_calls == [ToolCall("call_1", "now", {"zone": 1}, '{"zone": 1}')]
    assert stream.reply.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            [(0, "a", "f", "1"), (1, "b", "g", "2"), (0, None, None, "3"), (1, None, None, "4")],
            [("a", "f", "13"), ("b", "g", "24")], id="by index, in turns",
        ),
        pytest.param(
            [(0, "a", "f", "1"), (0, "b", "g", "2"), (0, "a", None, "3")],
            [("a", "f", "13"), ("b", "g", "2")], id="one index for all: by id",
        ),
        pytest.param(
            [(None, "a", "f", "1"), (None, "a", None, "3"), (None, "b", "g", "2")],
            [("a", "f", "13"), ("b", "g", "2")], id="without an index: by id",
        ),
        pytest.param(
            [(None, None, "f", "1"), (None, None, None, "3"), (None, None, "f", "2")],
            [("", "f", "13"), ("", "f", "2")], id="with neither: a name begins one",
        ),
        pytest.param(
            [(None, "a", "f", "1"), (None, "b", "g", "2"), (None, None, None, "3"), (None, "a", None, "4")],
            [("a", "f", "14"), ("b", "g", "23")], id="without an id either: with the last one",
        ),
        pytest.param(
            [(0, None, "f", "1"), (0, "a", None, "3")],
            [("a", "f", "13")], id="an id that comes late",
        ),
        pytest.param(
            [(0, "a", "f", "1"), (0, "a", "f", "3")],
            [("a", "f", "13")], id="id and name each time",
        ),
        pytest.param(
            [(7, "a", "f", "1"), (3, "b", "g", "2")],
            [("a", "f", "1"), ("b", "g", "2")], id="in the order in which they began",
        ),
        pytest.param(
            [(0, "a", None, ""), (1, "b", "g", "2")],
            [("b", "g", "2")], id="one without a name is none",
        ),
    ],
)  # fmt: skip
async def test_pieces_find_their_call(pieces, calls):
    told_pieces = [
        called(
            {
                **({} if index is None else {"index": index}),
                **({} if id is None else {"id": id}),
                "function": {**({} if name is None else {"name": name}), "arguments": arguments},
            }
        )
        for index, id, name, arguments in pieces
    ]
    stream = await told(events(*told_pieces, delta(finish_reason="stop")))

    assert [(call.id, call.name, call.raw_arguments) for call in stream.reply.tool_calls] == calls
    assert stream.reply.finish_reason == "tool_calls"


async def test_a_whole_call_may_come_with_the_reason():
    call = {"id": "abc123def", "function": {"name": "now", "arguments": '{"zone": 1}'}}
    stream = await told(events(ROLE, called(call, finish_reason="tool_calls")), model="mistral/any")

    assert stream.reply.tool_calls == [ToolCall("abc123def", "now", {"zone": 1}, '{"zone": 1}')]


async def test_arguments_may_come_as_the_object_itself():
    stream = await told(
        events(called({"index": 0, "function": {"name": "now", "arguments": {"zone": 1}}}), STOP)
    )

    assert stream.reply.tool_calls == [ToolCall("", "now", {"zone": 1}, '{"zone": 1}')]


async def test_pieces_of_no_named_call_are_no_reason_to_ask_for_tools():
    empty = {"index": 0, "function": {"name": "", "arguments": ""}, "custom": {}, "function_call": {}}
    stream = await told(events(delta("ok"), called(empty), called({"index": 0, "id": "x"}), STOP))

    assert (stream.reply.finish_reason, stream.reply.tool_calls) == ("stop", [])


async def test_arguments_that_were_cut_are_told_raw():
    call = {"index": 0, "id": "a", "function": {"name": "now", "arguments": '{"zone": "C'}}
    stream = await told(events(called(call), delta(finish_reason="length")))

    assert (stream.reply.tool_calls[0].arguments, stream.reply.tool_calls[0].raw_arguments) == (
        None,
        '{"zone": "C',
    )
    assert stream.reply.finish_reason == "length"
