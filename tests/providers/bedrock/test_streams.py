"""Streams of Bedrock's ConverseStream: what is said, where it ends, and how it breaks."""

from __future__ import annotations

import json

import pytest

from polyroute import (
    BadRequestError,
    ContextWindowExceededError,
    FleetError,
    OverloadedError,
    RateLimitError,
    ReadError,
    ResponseDecodeError,
    ServerError,
    StreamInterruptedError,
    ToolCall,
    Usage,
)
from polyroute.types import Opaque
from tests.providers.bedrock.wire import event, frame, reply, stream, text, told

USAGE = {"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokens": 7, "cacheWriteInputTokens": 0}
START = ("messageStart", {"role": "assistant"})
META = ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 7}})


def stop(reason="end_turn"):
    return ("messageStop", {"stopReason": reason})


def delta(index=0, **said):
    return ("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def end(index=0):
    return ("contentBlockStop", {"contentBlockIndex": index})


async def test_usage_comes_after_the_reason_and_is_waited_for():
    said = await told([stream(START, delta(text="Hel"), delta(text="lo"), end(), stop()), stream(META)])

    assert (said.reply.text, said.reply.finish_reason) == ("Hello", "stop")
    assert said.reply.usage == Usage(12, 3, 7, 0)
    assert said.response.drained


async def test_a_stream_that_ends_after_its_reason_is_whole_without_counts():
    said = await told(stream(START, delta(text="Hello"), stop()))

    assert said.reply.text == "Hello"
    assert said.reply.usage.estimated


async def test_counts_in_the_midst_of_a_stream_do_not_end_it():
    said = await told(stream(START, META, delta(text="Hello"), stop(), META))

    assert (said.reply.text, said.reply.finish_reason) == ("Hello", "stop")


async def test_counts_that_are_cut_are_missed():
    whole = stream(START, delta(text="Hello"), end(), stop(), META)

    said = await told(whole[:-1])

    assert isinstance(said.error, StreamInterruptedError)
    assert isinstance(said.cause, ReadError)


async def test_tool_calls_come_in_pieces_and_one_without_any_has_no_arguments():
    said = await told(
        stream(
            START,
            ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "a", "name": "now"}}}),
            delta(0, toolUse={"input": '{"zone"'}),
            ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "b", "name": "later"}}}),
            delta(1, toolUse={"input": ""}),
            delta(0, toolUse={"input": ': "UTC"}'}),
            end(0), end(1), stop("tool_use"), META,
        )
    )  # fmt: skip

    assert said.reply.tool_calls == [ToolCall("a", "now", {"zone": "UTC"}), ToolCall("b", "later", {})]
    assert said.reply.tool_calls[1].raw_arguments == "{}"
    assert said.reply.finish_reason == "tool_calls"


async def test_what_was_thought_is_kept_with_its_signature_and_goes_with_no_end_of_its_block_too():
    thought = {"reasoningText": {"text": "Hmm.", "signature": "Eq=="}}
    for ends in ((end(0),), ()):
        said = await told(
            stream(
                START, delta(0, reasoningContent={"text": "Hm"}), delta(0, reasoningContent={"text": "m."}),
                delta(0, reasoningContent={"signature": "Eq"}), delta(0, reasoningContent={"signature": "=="}),
                *ends, stop(), META,
            )
        )  # fmt: skip

        assert said.reply.reasoning == "Hmm."
        assert said.reply.parts[-1] == Opaque("bedrock", {"reasoningContent": thought})


async def test_thoughts_without_a_signature_are_words_and_no_more():
    said = await told(
        stream(START, delta(0, reasoningContent={"text": "Hmm."}), end(0), delta(1, text="Hi"), stop(), META)
    )

    assert (said.reply.reasoning, said.reply.text, said.reply.parts) == ("Hmm.", "Hi", ())


async def test_hidden_thoughts_and_the_hosts_own_tools_are_kept_as_they_are():
    call = {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}
    result = {"toolUseId": "t", "status": "success", "type": "nova_grounding_result"}
    said = await told(
        stream(
            START, delta(0, reasoningContent={"redactedContent": "Em=="}), end(0),
            ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": call}}),
            delta(1, toolUse={"input": '{"q": 1}'}), end(1),
            ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolResult": result}}),
            delta(2, toolResult=[{"text": "[HIDDEN]"}]), end(2),
            delta(3, text="It is 4."), delta(3, citation={"title": "a"}), end(3), stop(), META,
        )
    )  # fmt: skip

    assert said.reply.text == "It is 4."
    assert not said.reply.tool_calls
    assert [part.data for part in said.reply.parts if isinstance(part, Opaque)] == [
        {"reasoningContent": {"redactedContent": "Em=="}},
        {"toolUse": {**call, "input": {"q": 1}}},
        {"toolResult": {**result, "content": [{"text": "[HIDDEN]"}]}},
    ]


EXCEPTIONS = [
    ("throttlingException", "Too many requests", RateLimitError),
    ("modelStreamErrorException", "The model stumbled", ServerError),
    ("internalServerException", "Sorry", ServerError),
    ("serviceUnavailableException", "Come back later", OverloadedError),
    ("modelTimeoutException", "Too slow", ServerError),
    ("validationException", "Bad field", BadRequestError),
    ("validationException", "Input is too long for requested model.", ContextWindowExceededError),
    ("unheardOfException", "?", ServerError),
]


@pytest.mark.parametrize(("name", "message", "kind"), EXCEPTIONS)
async def test_an_exception_before_the_first_token_is_the_error_that_its_type_says(name, message, kind):
    said = await told(stream(START, event(name, {"message": message}, kind="exception")))

    error = said.cause if isinstance(said.error, FleetError) else said.error
    assert type(error) is kind
    assert message in str(error)


async def test_an_exception_after_it_breaks_the_stream_with_what_was_said():
    said = await told(
        stream(START, delta(text="Once"), event("throttlingException", {"message": "no"}, kind="exception"))
    )

    assert isinstance(said.error, StreamInterruptedError)
    assert said.error.partial == "Once"
    assert isinstance(said.cause, RateLimitError)


async def test_an_error_of_the_stream_itself_tells_in_its_headers():
    headers = {":message-type": "error", ":error-code": "ThrottlingException", ":error-message": "Slow down"}
    said = await told(stream(START, frame(headers, b"")))

    assert type(said.cause) is RateLimitError
    assert "Slow down" in str(said.cause)


async def test_an_exception_without_a_word_is_an_error_all_the_same():
    headers = {":message-type": "exception", ":exception-type": "serviceUnavailableException"}

    assert type((await told(frame(headers, b""))).cause) is OverloadedError


@pytest.mark.parametrize("place", [3, 10, 40, -2])
async def test_bytes_that_changed_on_the_way_are_no_answer(place):
    good = stream(START, delta(text="Once"))
    bad = bytearray(stream(delta(text=" upon"), stop(), META))
    bad[place] ^= 1
    said = await told([good + bytes(bad)])

    if place == -2:  # In what comes after the end nothing is lost but counts.
        assert [chunk.text for chunk in said.chunks if chunk.text] == ["Once", " upon"]
    else:
        assert said.error.partial == "Once"
    assert isinstance(said.cause, ResponseDecodeError)
    assert "checksum" in str(said.cause)


@pytest.mark.parametrize("cut", [1, 7, 12, 60])
async def test_a_stream_that_is_cut_in_its_first_event_was_cut(cut):
    said = await told(stream(START, delta(text="Hi"))[:cut])

    assert isinstance(said.cause, ReadError)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"message": "no", "__type": "ThrottlingException"}).encode(), RateLimitError),
        (json.dumps(reply(text("Hi"))).encode(), ResponseDecodeError),
        (b"<html>a page</html>", ResponseDecodeError),
        (b"", ReadError),
    ],
)
async def test_what_came_instead_of_a_stream_is_told(body, kind):
    assert type((await told([body[:9], body[9:]])).cause) is kind


@pytest.mark.parametrize(
    "events",
    [
        [START, stop(None), META],
        [START, ("contentBlockDelta", {"delta": {"text": "no index"}})],
        [START, delta(toolUse={"input": "of no call"})],
        [START, ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {}}})],
        [("contentBlockStart", [])],
    ],
)
async def test_what_no_stream_may_be_is_no_answer(events):
    said = await told(stream(*events))

    assert isinstance(said.cause, ResponseDecodeError)


async def test_what_was_not_known_when_this_was_written_is_passed_over():
    said = await told(
        stream(START, ("unheardOf", {}), delta(unheardOf=1), delta(text="Hi"), stop("unheard_of"), META)
    )

    assert (said.reply.text, said.reply.finish_reason) == ("Hi", "other")
