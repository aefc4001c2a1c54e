"""Every async test runs on both event loops; one that imports `virtual_time` runs on trio's mock clock."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param
