"""Every wire format there is, each of which must keep what the tests beside this promise."""

from __future__ import annotations

import pytest

from tests.conformance.anthropic_messages import ANTHROPIC_MESSAGES
from tests.conformance.bedrock_converse import BEDROCK_CONVERSE
from tests.conformance.cohere_chat import COHERE_CHAT
from tests.conformance.format import Format
from tests.conformance.gemini_generate import GEMINI_GENERATE
from tests.conformance.ollama_chat import OLLAMA_CHAT
from tests.conformance.openai_chat import OPENAI_CHAT
from tests.conformance.openai_responses import OPENAI_RESPONSES

__all__ = ["ALL", "on_each_format"]

ALL: tuple[Format, ...] = (
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ANTHROPIC_MESSAGES,
    GEMINI_GENERATE,
    COHERE_CHAT,
    OLLAMA_CHAT,
    BEDROCK_CONVERSE,
)

on_each_format = pytest.mark.parametrize("format", ALL, ids=str)
