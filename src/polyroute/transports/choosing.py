"""Which transport a router's `transport` argument means. Each is loaded where it is chosen."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from polyroute.errors import ConfigurationError, did_you_mean
from polyroute.wire import Transport

if TYPE_CHECKING:
    import aiohttp
    import httpx

__all__ = ["AiohttpSession", "GivenTransport", "HTTPXClient", "check_transport", "name_of", "transport_of"]

_NAMES = ("httpx", "httpx2", "aiohttp")


class HTTPXClient(Protocol):
    """An `httpx.AsyncClient`, or an `httpx2.AsyncClient`."""

    @property
    def is_closed(self) -> bool: ...
    def build_request(self, *args: Any, **kwargs: Any) -> Any: ...
    def send(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]: ...


class AiohttpSession(Protocol):
    """An `aiohttp.ClientSession`."""

    @property
    def closed(self) -> bool: ...
    @property
    def connector(self) -> Any: ...
    def request(self, *args: Any, **kwargs: Any) -> Any: ...


GivenTransport: TypeAlias = str | Transport | HTTPXClient | AiohttpSession


def check_transport(given: object) -> None:
    """Refuse what is no transport, without loading one."""
    if isinstance(given, str):
        if given not in _NAMES:
            raise ConfigurationError(
                f"Router: there is no transport {given!r}{did_you_mean(given, _NAMES)} (there are: {', '.join(_NAMES)})"
            )
    elif isinstance(given, type) or not (_sends(given) or _is_session(given)):
        raise ConfigurationError(
            "Router: transport is a name, a Transport, or an httpx.AsyncClient, httpx2.AsyncClient or"
            f" aiohttp.ClientSession of your own, not {given!r}"
        )


def name_of(given: object) -> str:
    """What `repr(router)` calls it."""
    return (
        given
        if isinstance(given, str)
        else f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}"
    )


def transport_of(given: object) -> Transport:
    """The transport that *given* means; itself, where it is one.

    Raises:
        ConfigurationError: What it stands on is not installed.
    """
    match given:
        case "httpx" | "httpx2":
            from polyroute.transports.pooled import PooledTransport

            return PooledTransport("httpx2" if given == "httpx2" else "httpx")
        case "aiohttp":
            from polyroute.transports.libraries import needed

            needed("aiohttp")
            from polyroute.transports.over_aiohttp import AiohttpTransport

            return AiohttpTransport()
        case _ if callable(getattr(given, "build_request", None)):
            from polyroute.transports.borrowed import BorrowedClient

            return BorrowedClient(cast("httpx.AsyncClient", given))
        case _ if _is_session(given):
            from polyroute.transports.borrowed_session import BorrowedSession

            return BorrowedSession(cast("aiohttp.ClientSession", given))
        case _:
            return cast("Transport", given)


def _sends(given: object) -> bool:
    send = getattr(given, "send", None)
    if hasattr(given, "build_request"):  # A client may be the one for those who do not await.
        from inspect import iscoroutinefunction

        return iscoroutinefunction(send)
    return callable(send)


def _is_session(given: object) -> bool:
    """Known by what it has: a `Transport` has `send`."""
    return (
        not hasattr(given, "send")
        and callable(getattr(given, "request", None))
        and hasattr(given, "connector")
    )
