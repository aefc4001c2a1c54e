"""Who answers over HTTP: one class over a wire format and a transport, and the table of hosts."""

from polyroute.providers.error_table import ErrorRow
from polyroute.providers.hosts import HOSTS, Host
from polyroute.providers.http import HTTPProvider

__all__ = ["HOSTS", "ErrorRow", "HTTPProvider", "Host"]
