"""A proxy on loopback: it passes on what it is asked to, and remembers what that was."""

from __future__ import annotations

import socket
from contextlib import suppress

from tests.transports.loopback import Loopback


class ProxyServer(Loopback):
    """Tunnels for `CONNECT` and forwards the rest, or answers *refusal* in their place. *credentials*,
    as `user:password` in base64, are asked for where they are given."""

    def __init__(
        self, *, refusal: bytes | None = None, credentials: str | None = None, listening: bool = True
    ) -> None:
        super().__init__(listening=listening)
        self.asked: list[str] = []
        self._refusal = refusal
        self._credentials = credentials

    def serve(self, connection: socket.socket, number: int) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return
            head += more
        line = head.split(b"\r\n", 1)[0].decode()
        self.asked.append(line)
        if self._credentials is not None and f"Basic {self._credentials}".encode() not in head:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        if self._refusal is not None:
            connection.sendall(self._refusal)
            connection.recv(65536)
            return
        method, target, _ = line.split(" ")
        authority = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = authority.rpartition(":")
        with self.opened(socket.create_connection((host, int(port)))) as origin:
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                origin.sendall(head)
            back = self.start(_pass_on, origin, connection)
            _pass_on(connection, origin)
            back.join(5)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (sink, source):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
