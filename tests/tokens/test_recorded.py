"""Estimates and counts against what the hosts themselves said of the recorded prompts."""

from __future__ import annotations

from statistics import median, quantiles

import pytest

from polyroute import ChatRequest
from polyroute.tokens import count, estimate_prompt, measure
from tests.conformance.recorded import DATA
from tests.tokens.exchanges import Prompt, text_only
from tests.tokens.files import needs_files

pytestmark = pytest.mark.skipif(
    not DATA.exists(),
    reason=f"the recorded exchanges are not here ({DATA}); name them in POLYROUTE_WIRE_DATA",
)


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return list(text_only())


def estimated(prompt: Prompt) -> float:
    request = ChatRequest(messages=prompt.messages, tools=prompt.tools)
    return abs(estimate_prompt(request, prompt.model) / prompt.tokens - 1)


def p95(errors: list[float]) -> float:
    return quantiles(errors, n=20)[-1]


def test_there_is_much_to_compare_with(prompts):
    assert len(prompts) > 550
    assert sum(1 for prompt in prompts if prompt.tools) > 200
    assert 200 < sum(prompt.held_out for prompt in prompts) < len(prompts) - 200


def test_an_estimate_is_off_by_a_tenth_at_the_median_and_by_less_than_a_third_in_19_of_20(prompts):
    errors = [estimated(prompt) for prompt in prompts]

    assert median(errors) <= 0.10
    assert p95(errors) <= 0.30


def test_it_is_as_near_for_the_half_whose_texts_were_not_fitted_to(prompts):
    errors = [estimated(prompt) for prompt in prompts if prompt.held_out]

    assert median(errors) <= 0.10
    assert p95(errors) <= 0.30


def test_tools_and_plain_texts_are_each_near(prompts):
    for with_tools in (True, False):
        errors = [estimated(prompt) for prompt in prompts if bool(prompt.tools) is with_tools]
        assert median(errors) <= 0.10
        assert quantiles(errors, n=10)[-1] <= 0.30


@pytest.mark.parametrize(
    "family", ["gpt-", "claude", "gemini", "mistral", "deepseek", "qwen", "llama", "nova"]
)
def test_no_family_is_far_off(prompts, family):
    errors = [estimated(prompt) for prompt in prompts if family in prompt.model.lower()]

    assert len(errors) >= 10
    assert median(errors) <= 0.15


@needs_files
def test_a_count_with_the_vocabulary_is_what_openai_bills(prompts):
    plain = [
        prompt
        for prompt in prompts
        if "gpt-4" in prompt.model
        and not prompt.tools
        and all(isinstance(message.content, str) or len(message.content) == 1 for message in prompt.messages)
        and all(message.role in ("system", "developer", "user") for message in prompt.messages)
    ]
    counts = [measure(prompt.messages, prompt.model) for prompt in plain]

    assert len(plain) > 30
    assert all(each.vocabulary in ("o200k_base", "cl100k_base") for each in counts)
    exact = sum(each.tokens == prompt.tokens for each, prompt in zip(counts, plain, strict=True))
    assert exact / len(plain) > 0.9


def test_a_count_and_an_estimate_are_the_same_where_there_is_no_vocabulary(prompts):
    for prompt in prompts:
        if "claude" in prompt.model:
            request = ChatRequest(messages=prompt.messages, tools=prompt.tools)
            expected = estimate_prompt(request, prompt.model)
            assert count(prompt.messages, prompt.model, tools=prompt.tools) == expected
