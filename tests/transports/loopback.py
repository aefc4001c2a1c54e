"""What every server on loopback has in common: it listens, and serves each connection on a thread.
And one that has nothing of it.

Threads, so that it serves whatever event loop the test itself runs on.
"""

from __future__ import annotations

import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self, TypeVar

import trustme

__all__ = ["Loopback", "black_hole", "secured"]

S = TypeVar("S", bound=socket.socket)


class Loopback(ABC):
    """A server whose connections a subclass serves. Until it listens, it refuses them all; *listening*:
    it does from the start."""

    def __init__(self, host: str = "127.0.0.1", *, listening: bool = True) -> None:
        self.accepted = 0
        self.stopping = threading.Event()
        self._listening = listening
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, 0))
        self.host, self.port = self._listener.getsockname()[:2]

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @abstractmethod
    def serve(self, connection: socket.socket, number: int) -> None:
        """Serve one connection, the *number*th of them; when it is done or an `OSError` comes, it is closed."""

    @contextmanager
    def opened(self, connection: S) -> Iterator[S]:
        """*connection*, which is closed in the end and is ended where the server stops before that."""
        with self._changed:
            self._open.add(connection)
        try:
            yield connection
        finally:
            connection.close()
            with self._changed:
                self._open.discard(connection)
                self._changed.notify_all()

    def open_connections(self, *, within: float = 10.0) -> int:
        """How many connections the clients have not closed, once all are or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open, within)
            return len(self._open)

    def listen(self) -> None:
        self._listening = True
        self._listener.listen(512)
        self.start(self._accept)

    def start(self, target: Callable[..., None], *args: object) -> threading.Thread:
        """Run *target* on a thread that ends before the server has stopped."""
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def __enter__(self) -> Self:
        if self._listening:
            self.listen()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopping.set()
        with suppress(OSError), socket.create_connection((self.host, self.port)):
            pass  # It wakes `accept`, which closing the listener would not.
        with self._changed:
            still = tuple(self._open)
        for each in still:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.stopping.is_set():
                connection.close()
                return
            self.accepted += 1
            self.start(self._serve, connection, self.accepted)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), self.opened(connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve(connection, number)


@contextmanager
def black_hole() -> Iterator[str]:
    """The authority of a host whose backlog is full, so that it answers no attempt to connect."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(listener.getsockname())
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for client in clients:
                client.close()


def secured(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """The server's side of TLS, as who has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
