"""An environment in which no cloud is known."""

from __future__ import annotations

import pytest

from polyroute.providers import HOSTS

_OTHERS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_OPENAI_API_VERSION",
)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    for prefix in ("azure", "bedrock", "vertex"):
        host = HOSTS[prefix]
        for name in (
            *host.key_variables,
            *host.region_variables,
            *host.project_variables,
            host.base_url_variable,
        ):
            monkeypatch.delenv(name or "", raising=False)
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
