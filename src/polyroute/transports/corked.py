"""A network whose streams hold back what is written until something is read: one packet a request.

httpcore writes the head of a request and its body one after the other, each with a timer and a
system call, and each may wake the peer. In HTTP/1.1 who has written always reads.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    import httpcore

__all__ = ["CorkedNetwork"]


class CorkedNetwork:
    """The own network of *core*, httpcore or its successor, for one connection, with its stream at
    hand as soon as there is one."""

    def __init__(self, core: ModuleType, connected: Callable[[], None]) -> None:
        """*connected* is called once there is a connection."""
        self._core = core
        self._connected = connected
        self._network: httpcore.AsyncNetworkBackend = core.AnyIOBackend()
        self.stream: _Corked | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> _Corked:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        self._connected()
        self.stream = _Corked(stream, self._core.WriteError)
        return self.stream


class _Corked:
    def __init__(self, stream: httpcore.AsyncNetworkStream, unwritten: type[Exception]) -> None:
        self._stream = stream
        self._unwritten = unwritten  # what the stream raises where it cannot write
        self._held: list[bytes] = []
        self._timeout: float | None = None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._held.append(buffer)
        self._timeout = timeout

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._held:
            held, self._held = b"".join(self._held), []
            # A peer that hung up before it had read everything may have answered all the same.
            with suppress(self._unwritten):
                await self._stream.write(held, self._timeout)
        return await self._stream.read(max_bytes, timeout)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> _Corked:
        secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Corked(secured, self._unwritten)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
