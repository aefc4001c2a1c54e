"""The client libraries of which a test names one."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest


@pytest.fixture
def library(request: pytest.FixtureRequest) -> ModuleType:
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed here; `nox -s interop` installs it")
    return import_module(request.param)
