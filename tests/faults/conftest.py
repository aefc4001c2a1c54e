"""What the transports' tests look for when a test is over holds here as well, and no file is left open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transports.conftest import (  # noqa: F401 - fixtures that hold for every test
    authority,
    no_proxies,
    nothing_is_left_to_the_garbage_collector,
    only_where_its_library_runs,
    trusted,
    what_is_there_already,
)

_OPEN = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def no_file_is_left_open() -> Iterator[None]:
    # Sockets on either side, and whatever else an event loop, a resolver or a certificate opens.
    if sys.platform != "linux":
        yield
        return
    before = len(list(_OPEN.iterdir()))
    yield
    assert len(list(_OPEN.iterdir())) <= before, "a file or a socket was left open"
