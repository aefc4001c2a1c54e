"""Who answers over HTTP: one class over a wire format and a transport, and the table of hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyroute.providers.error_table import ErrorRow
from polyroute.providers.hosts import HOSTS, Host

if TYPE_CHECKING:
    from polyroute.providers.http import HTTPProvider

__all__ = ["HOSTS", "ErrorRow", "HTTPProvider", "Host"]


def __getattr__(name: str) -> object:
    # Whoever wants a codec, or the table of hosts, does without an event loop and loads none.
    if name != "HTTPProvider":
        raise AttributeError(f"polyroute.providers has no {name!r}")
    from polyroute.providers.http import HTTPProvider

    globals()[name] = HTTPProvider
    return HTTPProvider
