"""Every wire format there is, each of which must keep what the tests beside this promise."""

from __future__ import annotations

import pytest

from tests.conformance.anthropic_messages import ANTHROPIC_MESSAGES
from tests.conformance.format import Format
from tests.conformance.gemini_generate import GEMINI_GENERATE
from tests.conformance.openai_chat import OPENAI_CHAT

__all__ = ["ALL", "on_each_format"]

ALL: tuple[Format, ...] = (OPENAI_CHAT, ANTHROPIC_MESSAGES, GEMINI_GENERATE)

on_each_format = pytest.mark.parametrize("format", ALL, ids=str)
