"""How long a prompt is, by the one simple rule: four bytes of UTF-8 a token, and what stands around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    ChatRequest,
    EmbedRequest,
    Image,
    Message,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyroute.tokens import estimate_prompt, estimate_text

FRAMING = 4


@given(st.text())
def test_a_text_is_a_token_for_every_four_bytes_begun(text):
    size = len(text.encode("utf-8", "replace"))

    assert estimate_text(text) * 4 - 3 <= size <= estimate_text(text) * 4


def test_half_a_surrogate_counts_as_one_letter():
    assert estimate_text("\ud800") == 1


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("x" * 9, 3),
        ([Text("x" * 9), Text("x" * 4)], 4),
        ([Reasoning("x" * 12)], 3),
        ([ToolCall("id", "f" * 4, {"a": 1})], 1 + 2),
        ([ToolResult("id", "x" * 8)], 2),
        ([ToolResult("id", [Text("x" * 8)])], 2 + FRAMING),
        ([Image(url="https://x/" + "y" * 4_000)], 1_000),
    ],
)
def test_a_message_is_its_parts_and_its_framing(content, tokens):
    request = ChatRequest(messages=[Message("user", content), Message("user", "")])

    assert estimate_prompt(request) == tokens + 2 * FRAMING


def test_tools_are_part_of_the_prompt():
    tool = Tool("f" * 4, description="d" * 4, parameters={"type": "object"})

    assert estimate_prompt(ChatRequest(tools=[tool])) == 2 + 5


def test_texts_to_embed_have_no_framing():
    assert estimate_prompt(EmbedRequest(input=("x" * 4, "x" * 5))) == 1 + 2
    assert estimate_prompt(Request()) == 0
