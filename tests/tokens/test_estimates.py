"""How long a prompt is without a vocabulary: each byte by its weight, and what stands around the texts."""

from __future__ import annotations

import string
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import (
    ChatRequest,
    EmbedRequest,
    Image,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyroute.tokens import estimate_prompt, estimate_text
from polyroute.tokens.families import family_of
from tests.tokens.samples import SAMPLES

FRAMING = 4
LONG = "word " * 20  # of which a token more or less would not be rounded away
MODELS = ("gpt-4o", "gpt-4", "claude-sonnet-4-5", "claude-sonnet-5", "gemini-2.5-flash", "qwen3", "no-such")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_an_estimate_is_near_the_truth_in_every_script(sample):
    """None of these was fitted to."""
    for model, truth in sample.tokens.items():
        assert estimate_text(sample.text, model) == pytest.approx(truth, rel=0.5), model


def test_an_estimate_is_nearer_than_four_bytes_a_token():
    errors, old = [], []
    for sample in SAMPLES:
        for model, truth in sample.tokens.items():
            errors.append(abs(estimate_text(sample.text, model) / truth - 1))
            old.append(abs(len(sample.text.encode()) / 4 / truth - 1))

    assert median(errors) < 0.11 < median(old) / 2
    assert quantiles(errors, n=20)[-1] < 0.40 < quantiles(old, n=20)[-1]


@pytest.mark.parametrize("model", SAMPLES[0].tokens)
def test_it_is_near_for_every_family_by_its_own_weights(model):
    errors = [abs(estimate_text(sample.text, model) / sample.tokens[model] - 1) for sample in SAMPLES]

    assert median(errors) < 0.13


@given(st.text(), st.text(), st.sampled_from(MODELS))
def test_a_longer_text_is_never_shorter_in_tokens(text, more, model):
    whole, parts = estimate_text(text + more, model), (estimate_text(text, model), estimate_text(more, model))

    assert max(parts) <= whole <= sum(parts)


@given(st.text(min_size=1), st.sampled_from(MODELS))
def test_what_is_not_empty_is_a_token_at_least_and_no_character_is_four(text, model):
    assert 1 <= estimate_text(text, model) <= 3 * len(text)


def test_nothing_is_no_token():
    assert estimate_text("") == 0


def test_half_a_surrogate_counts_as_one_letter():
    assert estimate_text("\ud800") == 1


@pytest.mark.parametrize("model", MODELS)
def test_every_character_that_can_be_typed_weighs_something(model):
    for character in string.printable.replace("\x0b", "").replace("\x0c", "") + "éαжאकกあ漢한🎉—":
        assert estimate_text(character * 10, model) >= 1, character


@pytest.mark.parametrize(
    ("content", "texts", "others"),
    [
        (LONG, [LONG], 0),
        ([Text(LONG), Text(LONG)], [LONG, LONG], 0),
        ([Reasoning(LONG)], [LONG], 0),
        ([ToolCall("id", LONG, raw_arguments=LONG)], [LONG, LONG], 5),
        ([ToolResult("id", LONG)], [LONG], 0),
        ([ToolResult("id", [Text(LONG), Image(data=b"x")])], [LONG], 1_000),
        ([Image(url="https://x/" + "y" * 4_000)], [], 1_000),
        ([Opaque("anthropic", {"signature": "y" * 4_000})], [], 0),
    ],
    ids=["str", "texts", "reasoning", "call", "result", "result-with-picture", "picture", "opaque"],
)
def test_a_message_is_its_parts_and_its_framing(content, texts, others):
    request = ChatRequest(messages=[Message("user", content), Message("user", "")])

    assert estimate_prompt(request) == estimate_text("".join(texts)) + others + 2 * FRAMING


def test_parts_are_rounded_once_and_together():
    whole = ChatRequest(messages=[Message("user", "abcd" * 10)])
    parts = ChatRequest(messages=[Message("user", [Text("abcd")] * 10)])

    assert estimate_prompt(parts) == estimate_prompt(whole)


def test_tools_are_part_of_the_prompt_with_what_introduces_them():
    tool = Tool(LONG, description=LONG, parameters={"type": LONG})
    written = estimate_text(LONG + LONG + '{"type": "' + LONG + '"}')

    assert estimate_prompt(ChatRequest(tools=[tool])) == 20 + written
    assert estimate_prompt(ChatRequest(tools=[tool, tool])) == pytest.approx(20 + 2 * written, abs=1)
    shorter = estimate_prompt(ChatRequest(tools=[tool]), "gpt-4o") - 3 - 10
    assert shorter == pytest.approx(written / 2, abs=1)  # OpenAI writes schemas to its models in a short form


def test_a_schema_may_hold_what_json_does_not_know():
    tool = Tool("f", parameters={"default": {1, 2}})

    assert estimate_prompt(ChatRequest(tools=[tool])) > 20


def test_a_schema_in_another_script_is_not_counted_by_its_escapes():
    tool = Tool("f", parameters={"enum": ["日本" * 50]})

    assert estimate_prompt(ChatRequest(tools=[tool])) == pytest.approx(30 + estimate_text("日本" * 50), abs=5)


def test_a_family_adds_its_own_frame():
    request = ChatRequest(messages=[Message("user", "hi"), Message("user", [ToolCall("1", "f", {})])])

    assert estimate_prompt(request, "command-a-03-2025") > 490 + estimate_prompt(request)
    assert estimate_prompt(request, "gemini-3-flash") < estimate_prompt(request)
    family = family_of("claude-sonnet-4-5")
    assert estimate_prompt(request, "claude-sonnet-4-5") == pytest.approx(
        family.base + 2 * family.message + family.call + 2, abs=1
    )


def test_texts_to_embed_have_no_framing():
    assert estimate_prompt(EmbedRequest(input=(LONG, "x"))) == estimate_text(LONG) + 1
    assert estimate_prompt(Request()) == 0
