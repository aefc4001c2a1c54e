"""What a test of the transports leaves to the garbage collector is a failure of that test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme


@pytest.fixture(autouse=True, scope="session")
def what_is_there_already() -> Iterator[None]:
    # It is no test's leaving, and looking at it anew after each test would take most of the time.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_garbage_collector() -> Iterator[None]:
    # A socket or a generator that is finalised warns, and a warning is an error.
    yield
    gc.collect()
    gc.freeze()  # What is left is pytest's own, and there is more of it after each of thousands of tests.


@pytest.fixture(autouse=True)
def only_where_its_library_runs(request: pytest.FixtureRequest) -> None:
    params = (getattr(request.node, "callspec", None) and request.node.callspec.params) or {}
    kind, loop = params.get("kind"), params.get("anyio_backend")
    if kind is not None and loop is not None and loop not in kind.loops:
        pytest.skip(f"{kind.name} does not run on {loop}")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """One that nobody knows of."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the private authority."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
