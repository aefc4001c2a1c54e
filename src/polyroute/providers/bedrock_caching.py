"""Points to cache up to, as Bedrock's Converse has them: blocks of their own, where a family takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polyroute.providers.json_bodies import JSON
from polyroute.providers.prompt_caching import MARK

__all__ = ["takes_points", "with_points"]

# For any other model a point is an error. Nova caches by itself too, but with points it is cheaper.
_CLAUDE = re.compile(r"claude-(?!v\d|instant|3-(?:opus|sonnet|haiku)|3-5-sonnet)")
_NOVA = re.compile(r"nova-(?:2-)?(?:micro|lite|pro|premier)")
_FOR_AN_HOUR = re.compile(r"claude-[a-z]+-(?:4-[5-9]|[5-9])")

# What a point may follow. After what was reasoned, and after documents of which the host takes out the
# text, it is refused; Nova takes none among tools, nor in a turn with what they gave back.
_MARKABLE = frozenset({"text", "image", "toolUse", "toolResult", "toolSpec"})
_MARKABLE_OF_NOVA = frozenset({"text"})


def takes_points(model: str) -> bool:
    """Whether a model of that name is known to."""
    return _CLAUDE.search(model) is not None or _is_nova(model)


def with_points(blocks: list[JSON], model: str) -> list[JSON]:
    """*blocks* with a point after each that is marked, or without where the model would refuse it."""
    if not any(MARK in block for block in blocks):
        return blocks
    markable = _MARKABLE
    if _is_nova(model):
        markable = frozenset() if any("toolResult" in block for block in blocks) else _MARKABLE_OF_NOVA
    pointed: list[JSON] = []
    for block in blocks:
        bare = {name: value for name, value in block.items() if name != MARK}
        pointed.append(bare)
        if MARK in block and not markable.isdisjoint(bare):
            pointed.append(_point(block[MARK], model))
    return pointed


def _point(said: Mapping[str, Any], model: str) -> JSON:
    point = {"type": "default"}
    if said.get("ttl") == "1h" and _FOR_AN_HOUR.search(model):
        point["ttl"] = "1h"
    return {"cachePoint": point}


def _is_nova(model: str) -> bool:
    return _NOVA.search(model) is not None
