"""What is in OpenAI's streams beside text: usage, reasoning, refusals, log probabilities, further choices."""

from __future__ import annotations

import pytest

from polyroute import Opaque, ReadError, Reasoning, Text, TokenLogprob, Usage
from tests.providers.wire import delta, told
from tests.wire_server import events

STOP = delta(finish_reason="stop")
USED = {"id": "c-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}


def called(*pieces: object, finish_reason: str | None = None) -> dict[str, object]:
    return delta(tool_calls=list(pieces), finish_reason=finish_reason)


@pytest.mark.parametrize(
    "uses",
    [
        pytest.param([STOP, USED], id="a chunk of its own"),
        pytest.param([{**STOP, "usage": USED["usage"]}], id="with the reason"),
        pytest.param([{**delta(""), "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)] + [STOP],
                     id="cumulative"),
        pytest.param([{**STOP, "usage": None}, {**USED, "x_groq": {"usage": USED["usage"]}}], id="twice"),
        pytest.param([{**STOP, "x_groq": {"id": "r", "usage": USED["usage"]}}], id="as Groq has it"),
        pytest.param([{**STOP, "usage": USED["usage"]}, {"choices": [], "usage": {}}], id="then an empty one"),
    ],
)  # fmt: skip
async def test_usage_is_the_last_that_was_told_wherever_it_stands(uses):
    stream = await told(events({**delta("ok"), "usage": None}, *uses))

    assert stream.reply.usage == Usage(9, 3)


async def test_usage_is_estimated_where_a_stream_never_tells_it():
    assert (await told(events(delta("ok"), STOP))).reply.usage.estimated


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_told_apart_from_text(name):
    stream = await told(events(delta(**{name: "H"}), delta(**{name: "m."}), delta("Yes", **{name: ""}), STOP))

    assert [(chunk.reasoning, chunk.text) for chunk in stream.chunks[:3]] == [
        ("H", ""),
        ("m.", ""),
        (None, "Yes"),
    ]
    assert (stream.reply.reasoning, stream.reply.text) == ("Hm.", "Yes")


async def test_reasoning_and_text_in_one_event_are_told_in_their_order():
    stream = await told(events(delta("Yes", reasoning="Hm."), STOP))

    assert stream.reply.message.content == (Reasoning("Hm."), Text("Yes"))


async def test_content_in_parts_is_told_as_text_and_reasoning():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [delta(), delta()]
    parts[0]["choices"][0]["delta"] = {"content": [thinking]}
    parts[1]["choices"][0]["delta"] = {"content": [{"type": "text", "text": "Yes"}]}
    stream = await told(events(*parts, STOP), model="mistral/any")

    assert (stream.reply.reasoning, stream.reply.text) == ("Hm.", "Yes")


def detail(text: str | None = None, **fields: object) -> dict[str, object]:
    said = {} if text is None else {"text": text}
    return {"type": "reasoning.text", "index": 0, **said, **fields}


async def test_reasoning_for_the_host_alone_is_put_together_and_told_once():
    stream = await told(
        events(
            delta(reasoning="H", reasoning_details=[detail("H", signature=None)]),
            delta(reasoning="m.", reasoning_details=[detail("m.")]),
            delta("", reasoning_details=[detail(signature="==", format=None)]),
            delta("", reasoning_details=[{"type": "reasoning.encrypted", "data": "a", "index": 1}]),
            delta("", reasoning_details=[{"type": "reasoning.encrypted", "data": "b", "index": 1}]),
            delta("Yes"),
            STOP,
        ),
        model="openrouter/any",
    )

    kept = Opaque(
        "openrouter",
        {
            "reasoning_details": [
                detail("Hm.", signature="=="),
                {"type": "reasoning.encrypted", "data": "a", "index": 1},
                {"type": "reasoning.encrypted", "data": "b", "index": 1},
            ]
        },
    )
    assert [chunk.opaque for chunk in stream.chunks if chunk.opaque] == [kept]
    assert stream.reply.message.content == (Reasoning("Hm."), kept, Text("Yes"))


async def test_reasoning_that_is_told_in_words_and_again_in_details_is_told_once():
    stream = await told(
        events(delta(reasoning="Hm."), delta("", reasoning_details=[detail("Hm.")]), delta("Yes"), STOP)
    )

    assert stream.reply.reasoning == "Hm."
    assert stream.chunks[1].opaque.data == {"reasoning_details": [detail("Hm.")]}


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([delta("Yes"), STOP], id="text"),
        pytest.param([delta("Yes", refusal=""), STOP], id="text among other things"),
        pytest.param([delta(refusal="No"), STOP], id="a refusal"),
        pytest.param([called({"index": 0, "id": "c", "function": {"name": "now"}}), STOP], id="a call"),
        pytest.param([STOP], id="the reason"),
        pytest.param([], id="the end"),
    ],
)
async def test_what_is_for_the_host_alone_is_told_before_what_follows_it(after):
    stream = await told(events(delta(reasoning="Hm.", reasoning_details=[detail("Hm.")]), *after))

    assert [bool(chunk.opaque) for chunk in stream.chunks[:2]] == [False, True]


async def test_pieces_of_different_kinds_or_places_are_kept_apart():
    summary = {"type": "reasoning.summary", "summary": "Su", "index": 0}
    details = [detail("a"), detail("b", index=1), summary, {**summary, "summary": "m"}]
    stream = await told(events(*(delta(reasoning_details=[each]) for each in details), delta("Yes"), STOP))

    opaque = next(chunk.opaque for chunk in stream.chunks if chunk.opaque)
    assert opaque.data["reasoning_details"] == [
        detail("a"),
        detail("b", index=1),
        {**summary, "summary": "Sum"},
    ]
    assert stream.reply.reasoning == "abSum"


async def test_a_refusal_is_a_token_and_no_text():
    stream = await told(events(delta(refusal="I will "), delta(refusal="not."), STOP))

    assert (stream.reply.refusal, stream.reply.text) == ("I will not.", "")
    assert stream.chunks[0].has_token


async def test_log_probabilities_come_with_their_text():
    event = delta("a")
    event["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}
    stream = await told(events(event, STOP))

    assert stream.chunks[0].logprobs == (TokenLogprob("a", -0.5, (97,)),)
    assert stream.reply.logprobs == (TokenLogprob("a", -0.5, (97,)),)


async def test_each_choice_is_told_by_its_index():
    second = delta("b", finish_reason="length")
    second["choices"][0]["index"] = 1
    more = {"choices": [{"index": 1, "delta": {"content": "B"}}]}
    stream = await told(events(delta("a"), more, second, STOP), n=2)

    assert [(each.text, each.finish_reason) for each in stream.reply.choices] == [
        ("a", "stop"),
        ("Bb", "length"),
    ]


async def test_one_choice_that_never_ended_is_a_stream_that_never_ended():
    second = delta("b")
    second["choices"][0]["index"] = 1
    body = events(delta("a"), second, STOP, done=False)

    assert isinstance((await told(body, n=2)).cause, ReadError)
