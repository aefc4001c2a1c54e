"""Counting what callers hand in: str, dicts or messages, with tools as `Router.chat` takes them."""

from __future__ import annotations

import time

import pytest

from polyroute import BadRequestError, ChatRequest, Message, Text, Tool, ToolCall
from polyroute.tokens import Count, count, estimate_prompt, estimate_text, measure

MODEL = "claude-sonnet-4-5"


def test_a_str_dicts_and_messages_are_counted_alike():
    text = "Why is the sky blue?"
    counted = count(text, MODEL)

    assert counted == count([{"role": "user", "content": text}], MODEL)
    assert counted == count([{"role": "user", "content": [{"type": "text", "text": text}]}], MODEL)
    assert counted == count([Message("user", text)], MODEL)
    assert counted == count([Message("user", [Text(text)])], MODEL)
    assert counted == estimate_prompt(ChatRequest(messages=(Message("user", text),)), MODEL)


def test_a_model_is_named_with_or_without_its_prefix():
    for spelling in (f"anthropic/{MODEL}", f"bedrock/us.anthropic.{MODEL}-20250929-v1:0", MODEL.upper()):
        assert count("hi", spelling) == count("hi", MODEL)


def weather(city: str) -> str:
    """The weather in a city."""
    return city


def test_tools_are_what_chat_takes():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    as_dict = {
        "type": "function",
        "function": {"name": "weather", "description": "The weather", "parameters": schema},
    }
    counted = count("hi", MODEL, tools=[Tool("weather", "The weather", schema)])

    assert counted == count("hi", MODEL, tools=[as_dict])
    assert counted > count("hi", MODEL) + 500  # Anthropic's own introduction of tools
    assert count("hi", MODEL, tools=[weather]) > count("hi", MODEL) + 500
    assert count("hi", MODEL, tools=[]) == count("hi", MODEL)


def test_a_conversation_with_calls_is_counted_whole():
    call = ToolCall("1", "weather", {"city": "Oslo"})
    start = [Message("user", "How is it?")]

    assert (
        count([*start, Message("assistant", (call,)), call.result("rain")], MODEL) > count(start, MODEL) + 40
    )


def test_a_count_says_which_way_it_was_made():
    assert measure("hi", MODEL) == Count(count("hi", MODEL), vocabulary=None)


@pytest.mark.parametrize(
    ("messages", "tools", "path"),
    [
        ("", (), "messages"),
        ([], (), "messages"),
        ([{"role": "usr", "content": "hi"}], (), "messages[0].role"),
        ("hi", [{"type": "function"}], "tools[0]"),
        ("hi", [3], "tools[0]"),
    ],
)
def test_what_is_malformed_is_refused_with_its_path(messages, tools, path):
    with pytest.raises(BadRequestError) as caught:
        count(messages, MODEL, tools=tools)

    assert caught.value.path.startswith(path)


def test_an_estimate_reads_more_than_five_megabytes_a_second():
    for text in ("Why is the sky blue? " * 50_000, "漢字とかな" * 70_000, "a" * 1_000_000, "\n" * 1_000_000):
        started = time.perf_counter()
        estimate_text(text, MODEL)
        assert len(text.encode()) / (time.perf_counter() - started) > 5e6


def test_a_short_prompt_is_estimated_in_microseconds():
    request = ChatRequest(messages=(Message("user", "Why is the sky blue?"),))

    def took() -> float:
        started = time.perf_counter()
        for _ in range(1_000):
            estimate_prompt(request, MODEL)
        return (time.perf_counter() - started) / 1_000

    assert min(took() for _ in range(20)) < 10e-6  # it takes 1 µs; ten leave room for a busy machine
