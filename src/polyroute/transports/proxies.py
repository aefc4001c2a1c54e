"""Which proxy an address goes through, from the environment, as `httpx.AsyncClient` would have it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.request import getproxies

from polyroute.errors import ConfigurationError

__all__ = ["Proxies"]


class Proxies:
    """The environment's proxies, read once: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

    def __init__(self) -> None:
        given = getproxies()
        proxies: dict[str, str | None] = {
            f"{scheme}://": address if "://" in address else f"http://{address}"
            for scheme in ("http", "https", "all")
            if (address := given.get(scheme))
        }
        exempt = [entry.strip() for entry in given.get("no", "").split(",") if entry.strip()]
        if proxies and "*" not in exempt:
            proxies |= {_as_pattern(entry): None for entry in exempt}
            self._rules = sorted((_Rule(*each) for each in proxies.items()), key=lambda rule: rule.order)
        else:
            self._rules = []

    def of(self, scheme: str, host: str, port: int | None) -> str | None:
        """The proxy's address for an origin; None where it is asked directly."""
        return next((rule.proxy for rule in self._rules if rule.matches(scheme, host, port)), None)


class _Rule:
    """The addresses that a pattern such as `all://*example.com:8080` means, and their proxy."""

    def __init__(self, pattern: str, proxy: str | None) -> None:
        import httpx  # Needed only where there are proxies, whatever the transport.

        try:
            url = httpx.URL(pattern)
        except httpx.InvalidURL:
            raise ConfigurationError(f"NO_PROXY has an entry that cannot be read: {pattern}") from None
        self.proxy = proxy
        self._scheme = "" if url.scheme == "all" else url.scheme
        self._host = "" if url.host == "*" else url.host
        self._port = url.port
        # The most particular first.
        self.order = (self._port is None, -len(self._host), -len(self._scheme))
        before, name = "", self._host
        if name.startswith("*"):
            name = name[1:]
            before = ".+" if name.startswith(".") else r"(.+\.)?"
        self._names = re.compile(before + re.escape(name))

    def matches(self, scheme: str, host: str, port: int | None) -> bool:
        return (
            self._scheme in ("", scheme)
            and (not self._host or self._names.fullmatch(host) is not None)
            and self._port in (None, port)
        )


def _as_pattern(entry: str) -> str:
    """An entry of `NO_PROXY` as a pattern: a name stands for what ends in it too, an address for itself."""
    if "://" in entry:
        return entry
    address = entry.partition("/")[0].strip("[]")
    if _is(IPv6Address, address):
        return f"all://[{address}]"
    if _is(IPv4Address, address) or entry.lower() == "localhost":
        return f"all://{entry}"
    return f"all://*{entry}"


def _is(kind: type[IPv4Address | IPv6Address], address: str) -> bool:
    try:
        kind(address)
    except ValueError:
        return False
    return True
