"""What is asked of each host, in an environment that says nothing of any."""

from __future__ import annotations

import anyio
import pytest

from polyroute.providers import HOSTS
from tests.conformance.format import JSON
from tests.goldens.asking import asked
from tests.goldens.dialects import DIALECTS


@pytest.fixture(scope="session")
def made() -> dict[str, JSON]:
    """A golden of each dialect, as it would be written now."""
    with pytest.MonkeyPatch.context() as environment:
        for host in HOSTS.values():
            for name in (*host.key_variables, host.base_url_variable):
                environment.delenv(name or "", raising=False)
        return {dialect.prefix: anyio.run(asked, dialect) for dialect in DIALECTS}
