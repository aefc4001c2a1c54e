"""The command line is tested without anybody's keys, and against a host on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polyroute import HOSTS
from tests.cli.loopback import Host, loopback_host


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in HOSTS.values():
        for variable in (host.key_variable, host.base_url_variable):
            if variable:
                monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("POLYROUTE_MODEL", raising=False)


@pytest.fixture
def host() -> Iterator[Host]:
    with loopback_host() as host:
        yield host
