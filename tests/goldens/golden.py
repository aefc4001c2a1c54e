"""Files that hold what a test must find again, and the switch that writes them anew."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

__all__ = ["REQUESTS", "UPDATING", "laid_out"]

REQUESTS = Path(__file__).parent / "requests"
UPDATING = bool(os.environ.get("POLYROUTE_UPDATE_GOLDENS"))

_WIDTH = 110


def laid_out(value: object, indent: str = "") -> str:
    """*value* as JSON for eyes: keys in order, and on one line what fits there."""
    flat = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(indent + flat) <= _WIDTH or not isinstance(value, Mapping | list):
        return flat
    deeper = indent + "  "
    if isinstance(value, Mapping):
        named = cast("Mapping[str, object]", value)
        lines = [f"{deeper}{json.dumps(name)}: {laid_out(named[name], deeper)}" for name in sorted(named)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    lines = [deeper + laid_out(each, deeper) for each in cast("list[object]", value)]
    return "[\n" + ",\n".join(lines) + f"\n{indent}]"
