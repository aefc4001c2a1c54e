"""Which family a model is of, by its name as any host spells it."""

from __future__ import annotations

import pytest

from polyroute import HOSTS
from polyroute.tokens.families import family_of

UNKNOWN = family_of("no-such-model")


@pytest.mark.parametrize(
    ("spellings", "vocabulary"),
    [
        (
            "gpt-4o openai/gpt-4o openrouter/openai/gpt-4o-mini GPT-4o chatgpt-4o-latest gpt-4.1-nano",
            "o200k_base",
        ),
        ("gpt-5-mini openai-responses/gpt-5.4 o3-mini openai/o1 gpt-6 bedrock/openai.gpt-5.5", "o200k_base"),
        ("gpt-oss:120b groq/openai/gpt-oss-20b bedrock/openai.gpt-oss-120b-1:0 ollama/gpt-oss", "o200k_base"),
        ("gpt-4 gpt-4-turbo-2024-04-09 gpt-3.5-turbo azure/gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small openai/text-embedding-ada-002", "cl100k_base"),
        ("azure/my-deployment openai/ft:something-new", "o200k_base"),
        ("anthropic/claude-haiku-4-5 bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0 claude-2", None),
        ("gemini/gemini-2.5-flash gemini/gemini-embedding-001 cohere/embed-v4.0", None),
    ],
)
def test_the_vocabulary_of_a_model_is_known_by_its_name(spellings, vocabulary):
    for spelling in spellings.split():
        assert family_of(spelling).vocabulary == vocabulary, spelling


@pytest.mark.parametrize(
    "spellings",
    [
        "claude-sonnet-4-5 anthropic/claude-sonnet-4-6 openrouter/anthropic/claude-haiku-4.5 claude-opus-4-5",
        "claude-opus-4-20250514 bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0 claude-sonnet-4-0 claude-3-7-sonnet",
        "claude-sonnet-5 anthropic/claude-opus-5 claude-opus-4-8 openrouter/anthropic/claude-opus-4.7",
        "gemini-2.5-flash vertex/gemini-2.5-pro openrouter/google/gemini-2.5-flash-lite",
        "gemini/gemini-flash-latest gemini-3-flash-preview vertex/gemini-3.5-flash",
        "ollama/qwen3 groq/qwen/qwen3-32b llamacpp/qwen3.6 together/Qwen/QwQ-32B",
        "ollama/llama3 groq/llama3-8b-8192 groq/llama3-70b-8192",
        "ollama/llama3.3 together/meta-llama/Llama-3.3-70B-Instruct-Turbo bedrock/meta.llama3-2-1b-instruct-v1:0",
        "groq/meta-llama/llama-4-scout-17b-16e-instruct bedrock/us.meta.llama4-maverick-17b-instruct-v1:0",
        "mistral/mistral-large-latest pixtral-12b bedrock/mistral.devstral-2-123b ollama/mixtral",
        "deepseek/deepseek-chat huggingface/deepseek-ai/DeepSeek-R1 bedrock/us.deepseek.r1-v1:0",
        "no-such ollama/no-such llamacpp/no-such lmstudio/no-such",
    ],
)
def test_one_family_whatever_the_host_and_the_spelling(spellings):
    first, *others = (family_of(spelling) for spelling in spellings.split())

    assert all(other is first for other in others)


def test_families_that_look_alike_are_told_apart():
    names = [
        *("claude-opus-4-8", "claude-opus-4-6", "claude-opus-4-1", "gemini-2.0-flash", "gemini-2.5-flash"),
        *("gemma3", "llama3", "llama3.1", "llama-4", "mistral-small-latest", "mistral-large"),
        *("gpt-4o", "gpt-4", "gpt-5", "openai/gpt-5", "gpt-oss", "no-such"),
    ]

    assert len({family_of(name) for name in names}) == len(names)


def test_a_host_of_many_makers_models_says_nothing_of_their_family():
    own = {"openai", "openai-responses", "azure", "gemini", "mistral", "deepseek"}

    for prefix in HOSTS.keys() - own:
        assert family_of(f"{prefix}/no-such") is UNKNOWN, prefix
    for prefix in HOSTS.keys() & own:
        assert family_of(f"{prefix}/no-such") is not UNKNOWN, prefix
    assert family_of(None) is family_of("") is UNKNOWN
    assert UNKNOWN.vocabulary is None


def test_a_character_carries_its_cost_once():
    """What only continues a character weighs nothing, so that cost does not hang on its length in bytes."""
    for model in ("gpt-4o", "claude-sonnet-5", "qwen3", "no-such"):
        weights = family_of(model).weights
        assert len(weights) == 256
        assert not any(weights[0x80:0xC0])
        assert all(weights[0xC2:0xF5])
        assert all(weights[:0x80])
