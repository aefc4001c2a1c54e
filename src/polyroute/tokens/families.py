"""What is known of each family of models: how it cuts text, and what its chat template adds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Family", "family_of"]


@dataclass(frozen=True, slots=True)
class Family:
    """How long a prompt is for the models of one family.

    *weights* says, for each of the 256 bytes, how many hundredths of a token a text grows by with
    it. What stands around the texts is in tokens: *base* once in each prompt, *message* with each
    message, *call* with each tool call, *tools* once where there are tools. *schema* is how many
    per cent of its JSON's length a tool takes, since hosts write it to the model in a shorter or
    a longer form. *vocabulary* is the published one that these models count with.
    """

    weights: bytes
    base: int = 0
    message: int = 4
    call: int = 5
    tools: int = 20
    schema: int = 100
    vocabulary: str | None = None


@lru_cache(maxsize=1_024)
def family_of(model: str | None) -> Family:
    """The family of *model*, by its name, with or without a provider's prefix."""
    name = (model or "").lower()
    return next((family for pattern, family in _FAMILIES if re.search(pattern, name)), _UNKNOWN)


# The kinds of bytes that cost alike. What begins a character of several bytes carries the whole
# of its cost, and what continues it costs nothing.
_KINDS = (
    rb"a-z",
    rb"A-Z",
    rb"0-9",
    rb" \t",
    rb"\r\n",
    rb"\x00-\x08\x0b\x0c\x0e-\x1f!-/:-@[-`{-\x7f",
    rb"\xc2-\xc6",  # Latin with accents
    rb"\xc7-\xcd\xd2-\xdf",  # Hebrew, Arabic, Armenian
    rb"\xce\xcf",  # Greek
    rb"\xd0\xd1",  # Cyrillic
    rb"\xe0",  # the scripts of India, Thai
    rb"\xe1",  # Georgian, Khmer, Vietnamese
    rb"\xe2",  # dashes, quotes, signs
    rb"\xe3",  # kana
    rb"\xe4-\xe9",  # Han
    rb"\xea-\xed",  # Hangul
    rb"\xee\xef",  # full width
    rb"\xf0-\xf4",  # emoji
)
_BYTES = tuple(re.findall(rb"[" + kind + rb"]", bytes(range(256))) for kind in _KINDS)


def _weights(*hundredths: int) -> bytes:
    table = bytearray(256)
    for alike, weight in zip(_BYTES, hundredths, strict=True):
        for byte in alike:
            table[ord(byte)] = weight
    return bytes(table)


# Fitted to what the real vocabularies make of code, JSON, prose in 34 languages and numbers.
_O200K = _weights(20, 40, 77, 11, 100, 46, 151, 38, 41, 37, 41, 38, 130, 69, 83, 77, 120, 180)
_CL100K = _weights(21, 39, 77, 11, 100, 44, 238, 84, 104, 59, 123, 211, 130, 105, 107, 117, 120, 180)
_CLAUDE = _weights(19, 67, 80, 22, 100, 61, 250, 79, 74, 42, 96, 78, 130, 78, 123, 137, 120, 180)
_CLAUDE_5 = _weights(30, 115, 75, 17, 100, 76, 250, 79, 75, 44, 96, 78, 130, 77, 124, 137, 120, 180)
_DEEPSEEK = _weights(20, 40, 78, 14, 100, 49, 235, 46, 52, 44, 51, 83, 130, 68, 69, 89, 120, 180)
_GEMINI = _weights(20, 40, 133, 20, 100, 57, 130, 38, 41, 32, 30, 46, 130, 43, 68, 69, 120, 180)
_GLM = _weights(21, 38, 92, 11, 100, 44, 187, 49, 47, 39, 123, 210, 130, 71, 69, 103, 120, 180)
_LLAMA = _weights(21, 39, 77, 11, 100, 43, 206, 44, 42, 37, 62, 210, 130, 67, 86, 81, 120, 180)
_MISTRAL = _weights(20, 40, 129, 13, 100, 48, 156, 36, 43, 38, 48, 53, 129, 64, 111, 75, 120, 180)
_QWEN = _weights(21, 39, 128, 11, 100, 44, 232, 46, 100, 50, 112, 111, 130, 65, 77, 88, 120, 180)

# The first pattern that is found in a model's name, in small letters, is its family's.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"text-embedding-(3|ada)", Family(_CL100K, message=0, vocabulary="cl100k_base")),
    (r"gpt-oss", Family(_O200K, 64, 4, 0, 28, 57, "o200k_base")),
    (r"^(azure|openai)/gpt-5(-mini|-nano)?(-20|$)", Family(_O200K, 2, 4, 9, 97, 50, "o200k_base")),
    (r"gpt-[5-9]|\bo[1-9]\b", Family(_O200K, 2, 4, 9, 15, 50, "o200k_base")),
    (r"gpt-4o|gpt-4\.[1-9]|chatgpt", Family(_O200K, 3, 4, 9, 10, 50, "o200k_base")),
    (r"gpt-[34]", Family(_CL100K, 3, 4, 4, 25, 50, "cl100k_base")),
    (r"claude-[a-z]+-(4[-.][789]|[5-9])", Family(_CLAUDE_5, 5, 2, 40, 510)),
    (r"claude-([a-z]+-4[-.][56]|3-opus)", Family(_CLAUDE, 5, 2, 40, 510, 95)),
    (r"claude-3-(sonnet|haiku)", Family(_CLAUDE, 5, 2, 40, 210, 95)),
    (r"claude", Family(_CLAUDE, 5, 2, 40, 325, 95)),
    (r"gemini-(1|2\.0)", Family(_GEMINI, 1, 0, 0, 0, 35)),
    (r"gemini-2", Family(_GEMINI, 1, 0, 0, 0, 65)),
    (r"gemini", Family(_GEMINI, 1, 0, 0, 0, 95)),
    (r"gemma", Family(_GEMINI, 5, 5)),
    (r"(?<!o)llama-?4", Family(_LLAMA, 7, 4, 5, 660, 80)),
    (r"(?<!o)llama-?3[-.][1-3]\b", Family(_LLAMA, 32, 4, 5, 60)),
    (r"(?<!o)llama(?!cpp)", Family(_LLAMA, 6, 4)),
    (r"mistral-small", Family(_MISTRAL, 14, 2, 5, 20, 108)),
    (r"mi[sx]tral|codestral|devstral|magistral|pixtral", Family(_MISTRAL, 2, 2, 5, 20, 108)),
    (r"deepseek", Family(_DEEPSEEK, 3, 1, 25, 240, 95)),
    (r"qwen|qwq", Family(_QWEN, 5, 5, 10, 105, 85)),
    (r"glm", Family(_GLM, 5, 3, 10, 105, 85)),
    (r"command-(a|r7b)", Family(_LLAMA, 494, 4, 40, 940, 110)),
    (r"command", Family(_LLAMA, 62, 4, 40, 790)),
    (r"grok", Family(_O200K, 190, 2, 25, 40, 90)),
    (r"nova-2", Family(_O200K, 46, 0, 38, 815, 110)),
    (r"nova", Family(_O200K, 0, 0, 25, 345, 120)),
    (r"sonar", Family(_LLAMA, 1, 1)),
    (r"palmyra", Family(_O200K, 28, 4, 5, 130, 55)),
    (r"^(azure|openai)", Family(_O200K, 3, 4, 9, 10, 50, "o200k_base")),  # whatever they are called there
)
_UNKNOWN = Family(_O200K)
