"""A proxy on loopback: it passes on what it is asked to, and remembers what that was."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class ProxyServer:
    """Tunnels for `CONNECT` and forwards the rest, or answers *refusal* in their place. *credentials*,
    as `user:password` in base64, are asked for where they are given."""

    def __init__(self, *, refusal: bytes | None = None, credentials: str | None = None) -> None:
        self.asked: list[str] = []
        self._refusal = refusal
        self._credentials = credentials
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.authority = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._stopping = False
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        with suppress(OSError), socket.create_connection(self._listener.getsockname()):
            pass
        self._threads[0].join(5)
        for each in tuple(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping:
                connection.close()
                return
            self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
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
            with socket.create_connection((host, int(port))) as origin:
                self._open.add(origin)
                if method == "CONNECT":
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    origin.sendall(head)
                back = threading.Thread(target=_pass_on, args=(origin, connection), daemon=True)
                back.start()
                _pass_on(connection, origin)
                back.join(5)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (sink, source):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
