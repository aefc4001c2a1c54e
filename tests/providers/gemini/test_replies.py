"""What is made of whole replies of Gemini's generateContent."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from polyroute import (
    BadRequestError,
    ContentFilterError,
    Deployment,
    Opaque,
    OverloadedError,
    Reasoning,
    ResponseDecodeError,
    Route,
    Router,
    ServerError,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from polyroute.testing import FakeProvider
from tests.providers.gemini.wire import candidate, read, refused, reply
from tests.providers.wire import KEY, Response, Scripted

NOW = {"functionCall": {"name": "now", "args": {"zone": "é"}, "id": "a"}}


async def test_a_reply_of_words_is_read_whole():
    said = await read(reply(candidate("Because ", "it is.")))

    assert (said.text, said.finish_reason, said.id, said.model) == snapshot(
        ("Because it is.", "stop", "r-1", "gemini-2.5-flash-001")
    )
    assert said.usage == Usage(9, 3)
    assert said.message.content == "Because it is."
    assert said.raw["candidates"][0]["finishReason"] == "STOP"
    assert said.choices == ()


async def test_thoughts_are_reasoning_and_no_text():
    said = await read(reply(candidate({"text": "Hm.", "thought": True}, "Yes.")))

    assert (said.text, said.reasoning) == ("Yes.", "Hm.")
    assert said.message.parts == (Reasoning("Hm."), Text("Yes."))


async def test_calls_are_read_with_their_arguments_and_ids():
    said = await read(reply(candidate("Let me see.", NOW, {"functionCall": {"name": "later"}})))

    assert said.tool_calls[0] == ToolCall("a", "now", {"zone": "é"})
    assert said.tool_calls[0].raw_arguments == '{"zone": "é"}'
    assert said.tool_calls[1].arguments == {}
    assert said.finish_reason == "tool_calls"


async def test_calls_without_ids_get_such_as_the_conversation_has_no_other_of():
    bare = {"functionCall": {"name": "now", "args": {}}}
    body = reply(candidate(bare, NOW, bare), candidate(bare, index=1))

    said = await read(body)
    ids = [call.id for choice in said.choices for call in choice.tool_calls]
    assert ids == snapshot(["call_r-1_0_0", "a", "call_r-1_0_2", "call_r-1_1_0"])
    again = await read(body)
    assert [call.id for call in again.tool_calls] == ids[:3]
    other = await read(body | {"responseId": "r-2"})
    assert not {call.id for call in other.tool_calls} & {ids[0], ids[2]}


async def test_without_a_response_s_id_the_turn_tells_calls_apart():
    bare = {"candidates": [candidate({"functionCall": {"name": "now"}})]}
    ids: list[str] = []
    for turn in (1, 3):
        transport = Scripted(Response(bare))
        router = Router([Deployment("gemini/gemini-2.5-flash", api_key=KEY)], transport=transport)
        said = await router.chat([{"role": "user", "content": "hi"}] * turn)
        ids.append(said.tool_calls[0].id)

    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        (1, "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        *(
            (reason, "content_filter")
            for reason in (
                "SAFETY", 3, "RECITATION", 4, "BLOCKLIST", 7, "PROHIBITED_CONTENT", 8, "SPII", "MODEL_ARMOR",
                "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
            )
        ),
        *(
            (reason, "other")
            for reason in (
                "LANGUAGE", "OTHER", 5, "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
                "NEWS", None, "", 0, "FINISH_REASON_UNSPECIFIED",
            )
        ),
    ],
)  # fmt: skip
async def test_finish_reasons_in_our_words(reason, finish):
    assert (await read(reply(candidate("Because", reason=reason)))).finish_reason == finish


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", "tool_calls"), (None, "tool_calls"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter")],
)
async def test_a_reply_that_asks_for_tools_says_so_unless_it_was_cut(reason, finish):
    assert (await read(reply(candidate(NOW, reason=reason)))).finish_reason == finish


async def test_a_filtered_or_spent_reply_may_have_no_content_at_all():
    filtered = await read(reply({"finishReason": "SAFETY", "finishMessage": "Too hot."}))
    assert (filtered.text, filtered.finish_reason) == ("", "content_filter")
    spent = await read(reply({"finishReason": "MAX_TOKENS", "content": {"role": "model"}}))
    assert (spent.text, spent.finish_reason) == ("", "length")


async def test_all_else_is_kept_in_its_place():
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    ran = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}, "thoughtSignature": "s1"}
    said = await read(reply(candidate("Let me run it.", code, ran, "One.", {}, NOW)))

    assert said.parts == (
        Text("Let me run it."),
        Opaque("gemini", code),
        Opaque("gemini", ran),
        Text("One."),
        ToolCall("a", "now", {"zone": "é"}),
    )


async def test_several_candidates_are_choices():
    said = await read(reply(candidate("a"), candidate("b", reason="MAX_TOKENS", index=1), candidate("c")))

    assert [(choice.text, choice.finish_reason) for choice in said.choices] == [
        ("a", "stop"),
        ("b", "length"),
        ("c", "stop"),
    ]
    assert (said.text, said.usage) == ("a", Usage(9, 3))


async def test_log_probabilities_are_told_with_those_that_came_near():
    result = {
        "chosenCandidates": [{"token": "Hi", "tokenId": 1, "logProbability": -0.5}, {"token": "!"}, {}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "Yo"}]}, {}],
    }
    said = await read(reply(candidate("Hi!", logprobsResult=result)))

    assert said.logprobs == (
        TokenLogprob("Hi", -0.5, top=(TokenLogprob("Hi", -0.5), TokenLogprob("Yo", 0.0))),
        TokenLogprob("!", 0.0),
        TokenLogprob("", 0.0),
    )
    assert (await read(reply(candidate("Hi!", logprobsResult={"chosenCandidates": []})))).logprobs is None


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"promptTokenCount": 9, "candidatesTokenCount": 3}, Usage(9, 3)),
        (
            {"promptTokenCount": 9, "candidatesTokenCount": 3, "thoughtsTokenCount": 20},
            Usage(9, 23, reasoning_tokens=20),
        ),
        ({"promptTokenCount": 9, "thoughtsTokenCount": 20}, Usage(9, 20, reasoning_tokens=20)),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, Usage(9, 0)),
        ({"promptTokenCount": 9, "toolUsePromptTokenCount": 100, "candidatesTokenCount": 1}, Usage(109, 1)),
        (
            {"promptTokenCount": 9, "cachedContentTokenCount": 8, "candidatesTokenCount": 1},
            Usage(9, 1, cached_input_tokens=8),
        ),
        ({"candidatesTokenCount": 1}, Usage(0, 1)),
        ({"promptTokenCount": 9.0, "candidatesTokenCount": None}, Usage(9, 0)),
    ],
)
async def test_usage_counts_the_whole_prompt_and_all_that_was_thought(counts, usage):
    assert (await read(reply(candidate("ok"), usage=counts))).usage == usage


@pytest.mark.parametrize("counts", [None, {}, {"trafficType": "ON_DEMAND"}])
async def test_usage_that_nobody_tells_is_our_estimate(counts):
    assert (await read(reply(candidate("ok"), usage=counts))).usage.estimated


async def test_a_blocked_prompt_is_an_error_with_its_reason():
    body = {"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "No jokes."}}
    error = await refused(body, 200)

    assert type(error) is ContentFilterError
    assert str(error) == snapshot("the prompt was blocked: MODEL_ARMOR: No jokes.")
    assert error.body == body
    assert str(await refused({"promptFeedback": {"blockReason": "SAFETY"}}, 200)).endswith("blocked: SAFETY")


async def test_a_route_may_fall_back_from_a_blocked_prompt():
    transport = Scripted(Response({"promptFeedback": {"blockReason": "SAFETY"}}))
    router = Router(
        [
            Deployment("gemini/gemini-2.5-flash", id="first", api_key=KEY),
            Deployment("fake/a", id="other", provider=FakeProvider(replies=["ok"])),
        ],
        routes={"default": Route(["first", "other"], after_content_filter="fallback")},
        transport=transport,
    )

    assert (await router.chat("hi")).deployment == "other"


async def test_feedback_on_a_prompt_that_was_answered_is_no_error():
    body = reply(candidate("ok")) | {"promptFeedback": {"blockReason": "SAFETY"}}

    assert (await read(body)).text == "ok"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "no JSON"),
        (b"", "empty"),
        (b"[]", "object was promised"),
        ({}, "no candidates"),
        ({"candidates": []}, "no candidates"),
        ({"promptFeedback": {"safetyRatings": []}}, "no candidates"),
        ({"candidates": [{}]}, "nothing in it"),
        ({"candidates": [candidate("", reason=None)]}, "nothing in it"),
        ({"candidates": [candidate({"functionCall": {"args": {}}})]}, "without a name"),
        ({"candidates": [candidate({"functionCall": {"name": "now", "args": [1]}})]}, "object was promised"),
        ({"candidates": [candidate({"text": 7})]}, "text was promised"),
        ({"candidates": ["x"]}, "shape"),
        ({"candidates": [candidate("ok")], "usageMetadata": {"promptTokenCount": "x"}}, "shape"),
    ],
)
async def test_what_is_no_reply_is_refused(body, words):
    error = await refused(body, 200)

    assert type(error) is ResponseDecodeError
    assert words in str(error)


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (503, "UNAVAILABLE", OverloadedError),
        (500, "INTERNAL", ServerError),
        (400, "INVALID_ARGUMENT", BadRequestError),
    ],
)
async def test_an_error_that_came_with_200_is_one(code, status, kind, wrap):
    error = await refused(wrap({"error": {"code": code, "message": "Sorry", "status": status}}), 200)

    assert type(error) is kind
