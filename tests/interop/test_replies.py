"""Whole replies as OpenAI writes them, and what the headers tell beside."""

from __future__ import annotations

import struct
from base64 import b64decode
from decimal import Decimal

import pytest

from polyroute import ChatResponse, Deployment, Price, TokenLogprob, ToolCall, Usage
from polyroute.interop.fields import CHAT
from polyroute.testing import FakeProvider
from tests.conformance.formats import on_each_format
from tests.doubles import deployment, down
from tests.interop.programs import on_each_library, posted, routed
from tests.wire_server import Answer, WireServer

PRICE = Price(input=1, output=2)


async def replied(reply, **body):
    async with routed(deployment("a", FakeProvider([reply]))) as client:
        response = await posted(client, model="a", **body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def test_a_reply_is_a_chat_completion():
    usage = Usage(7, 5, 3, 2, 1)
    said = await replied(ChatResponse("Hello", id="chatcmpl-7", model="gpt-5-mini-2026", usage=usage))

    assert said.pop("created") > 1_700_000_000
    assert said == {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "model": "gpt-5-mini-2026",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }


async def test_what_a_host_does_not_tell_of_its_usage_is_not_zero():
    said = await replied(ChatResponse("Hello", usage=Usage(7, 5, cached_input_tokens=0)))

    assert said["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


async def test_a_reply_without_id_and_model_gets_an_id_and_the_model_that_was_asked_for():
    first, second = await replied("Hello"), await replied("Hello")

    assert first["id"].startswith("chatcmpl-")
    assert first["id"] != second["id"]
    assert first["model"] == "a"


async def test_tool_calls_have_no_content_beside_them():
    calls = [ToolCall("c1", "weather", {"city": "Rome"}), ToolCall("c2", "now")]
    (choice,) = (await replied(ChatResponse(tool_calls=calls)))["choices"]

    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
            },
            {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }


async def test_words_before_a_tool_call_are_kept():
    (choice,) = (await replied(ChatResponse("Let me see.", tool_calls=[ToolCall("c", "now")])))["choices"]

    assert choice["message"]["content"] == "Let me see."


async def test_a_refusal_and_reasoning_stand_apart_from_the_text():
    (refusing,) = (await replied(ChatResponse(refusal="No.")))["choices"]
    (thinking,) = (await replied(ChatResponse("Yes.", reasoning="Why not?")))["choices"]
    (empty,) = (await replied(ChatResponse(finish_reason="length")))["choices"]

    assert refusing["message"] == {"role": "assistant", "content": None, "refusal": "No."}
    assert thinking["message"]["reasoning_content"] == "Why not?"
    assert thinking["message"]["content"] == "Yes."
    assert (empty["message"]["content"], empty["finish_reason"]) == ("", "length")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("other", "stop")],
)
async def test_finish_reasons_are_words_that_openai_has(ours, theirs):
    (choice,) = (await replied(ChatResponse("x", finish_reason=ours)))["choices"]

    assert choice["finish_reason"] == theirs


async def test_every_choice_is_told_and_its_log_probabilities_with_it():
    top = TokenLogprob("Hi", -0.25)
    logprobs = (TokenLogprob("Ho", -0.5, (72, 111), (top,)),)
    one, two = ChatResponse("Ho", logprobs=logprobs), ChatResponse("Hi")
    first, second = (await replied(ChatResponse("Ho", logprobs=logprobs, choices=(one, two))))["choices"]

    assert (first["index"], first["message"]["content"]) == (0, "Ho")
    assert (second["index"], second["message"]["content"], second["logprobs"]) == (1, "Hi", None)
    assert first["logprobs"] == {
        "content": [
            {
                "token": "Ho",
                "logprob": -0.5,
                "bytes": [72, 111],
                "top_logprobs": [{"token": "Hi", "logprob": -0.25, "bytes": None}],
            }
        ],
        "refusal": None,
    }


async def test_a_reply_that_was_sent_back_is_understood():
    told = ChatResponse("Yes.", reasoning="Why not?", tool_calls=[ToolCall("c", "now", {"tz": 1})])
    fake = FakeProvider([told])
    async with routed(deployment("a", fake)) as client:
        message = (await posted(client, model="a")).json()["choices"][0]["message"]
        history = [
            {"role": "user", "content": "hi"},
            message,
            {"role": "tool", "tool_call_id": "c", "content": "3"},
        ]
        assert (await posted(client, model="a", messages=history)).status_code == 200

    assert fake.calls[1].request.messages[1] == told.message


@on_each_library
async def test_headers_tell_who_answered_after_how_many_attempts_and_at_what_cost(library):
    fake = FakeProvider(["x"], usage=Usage(7, 5))
    spare = Deployment("fake/b", id="größer-東", provider=fake, price=PRICE)
    async with routed(deployment("a", down(), price=PRICE), spare, library=library, retry=None) as client:
        chat = await posted(client, model=["a", "größer-東"])
        vectors = await posted(client, "/embeddings", model="größer-東", input="x")

    assert isinstance(chat, library.Response)
    assert chat.headers["x-polyroute-deployment"] == "größer-東"
    assert chat.headers["x-polyroute-attempts"] == "2"
    assert Decimal(chat.headers["x-polyroute-cost"]) == Decimal("0.000017")
    assert vectors.headers["x-polyroute-deployment"] == "größer-東"
    assert vectors.headers["x-polyroute-attempts"] == "1"


@on_each_format
async def test_whatever_format_the_host_speaks_the_reply_is_openais(format):
    with WireServer(Answer.of(format.answer("Hello"))) as server:
        here = Deployment(format.models[0], id="a", api_key="k-0123456789", base_url=server.url)
        async with routed(here) as client:
            said = (await posted(client, model="a", max_tokens=9, prompt_cache_key="x")).json()
            told = await posted(client, model="a", logit_bias={"1": 2})

    assert said["choices"][0]["message"]["content"] == "Hello"
    # What only OpenAI's format can say is for nobody who speaks another.
    speaks_it = format.name == "openai-chat"
    assert told.status_code == (200 if speaks_it else 400)
    assert len(server.asked) == (2 if speaks_it else 1)


async def test_a_cost_that_is_not_known_is_not_told():
    async with routed(deployment("a")) as client:
        assert "x-polyroute-cost" not in (await posted(client, model="a")).headers


async def test_vectors_come_as_lists_or_as_base64():
    async with routed(deployment("a", FakeProvider(usage=Usage(4)))) as client:
        plain = await posted(client, "/embeddings", model="a", input=["x", "y"], dimensions=3)
        packed = await posted(
            client, "/embeddings", model="a", input=["x", "y"], dimensions=3, encoding_format="base64"
        )

    said = plain.json()
    vectors = [row["embedding"] for row in said["data"]]
    assert [row["index"] for row in said["data"]] == [0, 1]
    assert all(row["object"] == "embedding" for row in said["data"])
    assert (said["object"], said["usage"]) == ("list", {"prompt_tokens": 4, "total_tokens": 4})
    assert vectors[0] != vectors[1]
    for vector, row in zip(vectors, packed.json()["data"], strict=True):
        assert struct.unpack("<3f", b64decode(row["embedding"])) == pytest.approx(vector, abs=1e-7)


def test_the_table_is_not_changed_by_a_reader():
    with pytest.raises(TypeError):
        CHAT["x"] = None
