"""How a reply ended, in our words."""

from __future__ import annotations

from collections.abc import Mapping

from polyroute.types import FinishReason

__all__ = ["finish_of"]


def finish_of(words: Mapping[str, FinishReason], reason: object, *, calls: bool) -> FinishReason:
    """What a host's *reason* means, by the *words* of its format: one that asks for tools says so, unless
    it was cut."""
    if not reason:
        return "tool_calls" if calls else "other"
    mapped = words.get(str(reason), "other")
    return "tool_calls" if calls and mapped == "stop" else mapped
