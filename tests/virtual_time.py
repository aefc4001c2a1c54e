"""`from tests.virtual_time import anyio_backend` makes a module's tests run in virtual time, on trio."""

from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return ("trio", {"clock": MockClock(autojump_threshold=0)})
