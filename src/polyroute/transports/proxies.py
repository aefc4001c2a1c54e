"""Which proxy an address goes through, from the environment, as `httpx.AsyncClient` would have it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.request import getproxies

__all__ = ["Proxies"]


class Proxies:
    """The environment's proxies, read once: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

    def __init__(self) -> None:
        given = getproxies()
        self._by_scheme = {
            scheme: address if "://" in address else f"http://{address}"
            for scheme in ("http", "https", "all")
            if (address := given.get(scheme))
        }
        exempt = [host.strip() for host in given.get("no", "").split(",") if host.strip()]
        if "*" in exempt:
            self._by_scheme = {}
        self._exempt = [_Exempt(host) for host in exempt]

    def of(self, scheme: str, host: str, port: int | None) -> str | None:
        """The proxy's address for an origin; None where it is asked directly."""
        if any(exempt.matches(scheme, host, port) for exempt in self._exempt):
            return None
        return self._by_scheme.get(scheme) or self._by_scheme.get("all")


class _Exempt:
    """One entry of `NO_PROXY`: a name, with what ends in it, or an address, either with a port."""

    def __init__(self, entry: str) -> None:
        scheme, separator, rest = entry.partition("://")
        self._scheme = scheme if separator and scheme != "all" else None
        entry = rest if separator else entry
        self._port: int | None = None
        if not _is_address(entry):
            name, colon, port = entry.rpartition(":")
            if colon and port.isdigit():
                entry, self._port = name, int(port)
        host = entry.strip("[]").lower()
        if _is_address(host) or host == "localhost" or separator:
            self._host = re.compile(re.escape(host))
        elif host.startswith("."):
            self._host = re.compile(".+" + re.escape(host))
        else:
            self._host = re.compile(r"(.+\.)?" + re.escape(host.removeprefix("*.")))

    def matches(self, scheme: str, host: str, port: int | None) -> bool:
        return (
            self._scheme in (None, scheme)
            and self._port in (None, port)
            and self._host.fullmatch(host.lower()) is not None
        )


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
