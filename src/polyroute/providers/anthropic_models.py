"""What each generation of Claude wants to be told, wherever it runs: how many tokens, and how hard to think."""

from __future__ import annotations

import re

from polyroute.providers.json_bodies import JSON

__all__ = ["EFFORTS", "is_budgeted", "most_tokens", "thinking"]

# Claude 4.5 and older are told how many tokens they may think; from 4.6 on, how hard to think.
_BUDGETED = re.compile(
    r"claude-(?:[23]|instant|(?:opus|sonnet|haiku)-4(?:[-.][0-5])?(?!\d)(?![-.]\d{1,2}(?!\d)))"
)
_LEAST_BUDGET = 1_024  # the least that the host takes
# How much of max_tokens may be thought, in percent: the shares that OpenRouter has published.
_SHARES = {"minimal": 10, "low": 20, "medium": 50, "high": 80, "xhigh": 95, "max": 95}
EFFORTS: frozenset[str] = frozenset({"none", *_SHARES})
"""The words for how hard to think."""

# Where a caller names no max_tokens: the most that the oldest models give, and for all others enough
# for long thought and a long answer, which every one of them gives.
_MOST_TOKENS = (
    (re.compile(r"claude-(?:2|instant|3-(?:opus|sonnet|haiku))"), 4_096),
    (re.compile(r"claude-3-5"), 8_192),
)
_MAX_TOKENS = 32_000


def is_budgeted(model: str) -> bool:
    """Whether it is told how many tokens it may think, and begins a tool loop with thought or not at all."""
    return _BUDGETED.search(model) is not None


def most_tokens(model: str) -> int:
    return next((most for family, most in _MOST_TOKENS if family.search(model)), _MAX_TOKENS)


def thinking(effort: str, model: str, max_tokens: int) -> JSON:
    """The fields that say how much to think; *effort* is one of `EFFORTS`."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if not is_budgeted(model):
        # Left to itself, the host tells nothing of what is thought, and a stream is silent all the while.
        return {
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "low" if effort == "minimal" else effort},
        }
    budget = max(_LEAST_BUDGET, max_tokens * _SHARES[effort] // 100)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}
