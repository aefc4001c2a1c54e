"""What each family of models on Bedrock wants beside what Converse has words for."""

from __future__ import annotations

from collections.abc import Sequence

from polyroute.providers.anthropic_models import is_budgeted, most_tokens, thinking
from polyroute.providers.bedrock_turns import blocks_of
from polyroute.providers.json_bodies import JSON
from polyroute.types import ChatRequest

__all__ = ["most_thought", "of_its_own", "takes_thoughts"]

# Of the words for how hard to think, those that all but Claude know.
_LEVELS = {"minimal": "low", "xhigh": "high", "max": "high"}


def most_thought(request: ChatRequest, model: str) -> int | None:
    """The tokens to ask for, which Claude must be told where a part of them is to be thought."""
    if request.max_tokens is None and request.reasoning_effort not in (None, "none") and is_budgeted(model):
        return most_tokens(model)
    return request.max_tokens


def takes_thoughts(model: str) -> bool:
    """Whether it takes back what was thought, signed: Claude does, and the others refuse it. A name that
    tells no maker may be Claude's, as that of an application's inference profile."""
    return "claude" in model or "." not in model


def of_its_own(request: ChatRequest, model: str, turns: Sequence[JSON]) -> JSON:
    """The fields that Converse hands on to the model as they are."""
    fields: JSON = {}
    if request.top_k is not None:
        fields |= (
            {"inferenceConfig": {"topK": request.top_k}} if _is_nova(model) else {"top_k": request.top_k}
        )
    if request.reasoning_effort is not None:
        fields |= _thinking(request, request.reasoning_effort, model, turns)
    return fields


def _thinking(request: ChatRequest, effort: str, model: str, turns: Sequence[JSON]) -> JSON:
    level = _LEVELS.get(effort, effort)
    if "claude" in model:
        if effort != "none" and is_budgeted(model) and _called_without_thought(turns):
            return {}
        return thinking(effort, model, most_thought(request, model) or most_tokens(model))
    if _is_nova(model):
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    return {"reasoning_config" if "qwen" in model else "reasoning_effort": level}


def _is_nova(model: str) -> bool:
    return "nova" in model


def _called_without_thought(turns: Sequence[JSON]) -> bool:
    """Whether the conversation ends within a tool loop in which nothing was thought."""
    called = False
    for turn in reversed(turns):
        if any(blocks_of((turn,), "reasoningContent")):
            return False
        answers = any(blocks_of((turn,), "toolResult"))
        if turn["role"] == "user" and not answers:
            break
        called = called or answers
    return called
