"""aiohttp's connector, whose connections are looked at before they are used again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from polyroute.transports.asking import Question, connecting
from polyroute.transports.gate import Gate
from polyroute.transports.sockets import hang_up, watched
from polyroute.wire import HTTPRequest

__all__ = ["Connector", "DirectQuestion", "Line", "Place"]

_END = b"\r\n\r\n"  # of a head


class Place:
    """Where connections lead. *left* counts those that were left for the next call, of which some may
    have died since; who finds one does not ask the *gate*."""

    __slots__ = ("gate", "left")

    def __init__(self) -> None:
        self.gate: Gate = Gate()
        self.left: int = 0


class Line(ResponseHandler):
    """One connection. *resting*: nobody uses it. *heard*: the server said something since it was asked."""

    def __init__(self, loop: Any, lines: WeakSet[Line], busy: set[Line]) -> None:
        super().__init__(loop=loop)
        lines.add(self)
        self._busy = busy
        self.used: bool = False
        self.resting: bool = False
        self.heard: bool = False
        self._headless = False  # The head of the reply has not come yet.
        self._paused_reading = False
        self._readable: Callable[[], object] | None = None
        self._place: Place | None = None

    def begin(self, place: Place) -> None:
        """Let it be used for one request to *place*."""
        self._place = place
        self.used, self.resting, self.heard, self._headless = True, False, False, True
        self._busy.add(self)

    def rest(self) -> None:
        """Nobody uses it any more."""
        self._busy.discard(self)
        self.resting = True
        if self._place is not None:
            self._place.left += 1

    def data_received(self, data: bytes) -> None:
        if not data:  # The library goes on with what it has.
            super().data_received(data)
            return
        if self.resting:
            self.force_close()  # It talks out of turn, which would answer the next call.
        self.heard = True
        if self._headless and (end := data.find(_END) + 4) > 3:
            # What is wrong after the head would else take the head with it, where they come in one read.
            self._headless = False
            super().data_received(data[:end])
            data = data[end:]
            if not data:
                return
        super().data_received(data)

    def pause_reading(self) -> None:
        self._paused_reading = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # It is called for every chunk that is read, and its work is a quarter of a stream's.
        if self._paused_reading:
            self._paused_reading = False
            super().resume_reading(resume_parser)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()  # TLS's farewell, for which it would wait, says nothing that HTTP has not.
        super().close()

    def is_dead(self) -> bool:
        """Whether something came after its last reply, or is there to be read though nobody asked."""
        if self.should_close or self._has_begun_another():
            return True
        if self._readable is None:
            self._readable = watched(self.socket)
        return bool(self._readable())

    def _has_begun_another(self) -> bool:
        # Private to the library; without it a connection is used once, which is slow and right.
        parser = getattr(self, "_parser", None)
        try:
            return parser is None or parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 - whatever there was, it was no reply
            return True

    @property
    def socket(self) -> Any:
        return self.transport.get_extra_info("socket") if self.transport is not None else None


class DirectQuestion(Question):
    """One that knows the connection it was given. *fresh*: it wants one that was not used before."""

    def __init__(self, content: bytes, *, fresh: bool) -> None:
        super().__init__(content)
        self.fresh: bool = fresh
        self.line: Line | None = None
        self._again = False

    def take(self, line: Line) -> None:
        self.line = line
        self._again = line.used

    def went_stale(self, exc: Exception) -> bool:
        broken = isinstance(exc, aiohttp.ServerDisconnectedError | OSError) and not isinstance(
            exc, TimeoutError
        )
        return broken and self._again and self.line is not None and not self.line.heard


class Connector(aiohttp.TCPConnector):
    """Connections without a limit on how many, each kept for *keepalive* seconds."""

    def __init__(self, keepalive: float) -> None:
        super().__init__(limit=0, keepalive_timeout=keepalive)
        self.busy: set[Line] = set()
        self._lines: WeakSet[Line] = WeakSet()
        self._places: dict[str, Place] = {}
        # There is no public way to make the connections; where this one is gone, see `lend`.
        made = partial(Line, self._loop, self._lines, self.busy)
        self._factory = cast("partial[ResponseHandler]", made)  # To a checker, a partial is of one type only.

    @property
    def connections(self) -> tuple[int, int]:
        """How many there are: in use, and idle."""
        return len(self.busy), sum(line.resting and line.is_connected() for line in self._lines)

    def place(self, origin: str) -> Place:
        """The place that *origin* names."""
        place = self._places.get(origin)
        if place is None:
            place = self._places[origin] = Place()
        return place

    async def lend(
        self, asking: aiohttp.ClientRequest, question: DirectQuestion, request: HTTPRequest, place: Place
    ) -> Connection:
        """A connection for *asking*, whose body *question* is: one to *place* that lies idle and still
        stands, or a new one."""
        while True:
            if place.left:
                place.left -= 1
                connection = await self.connect(asking, [], connecting(request.connect))
            else:
                connection = await self._made(asking, request, place.gate)
            line = cast("ResponseHandler", connection.protocol)  # None only once it is given back.
            if not isinstance(line, Line):
                line.force_close()  # It cannot be looked into, so it is used once.
                return connection
            if line.used and (question.fresh or line.is_dead()):
                connection.close()
                continue
            question.take(line)
            line.begin(place)
            connection.add_callback(line.rest)
            return connection

    async def _made(self, asking: aiohttp.ClientRequest, request: HTTPRequest, gate: Gate) -> Connection:
        passage = await gate.enter(request.connect, request.deadline)
        try:
            connection = await self.connect(asking, [], connecting(request.connect))
            passage.connected()
            return connection
        finally:
            passage.leave()

    def hang_up(self) -> None:
        """End all connections from without, where the event loop that would close them is over."""
        for line in self._lines:
            hang_up(line.socket)
        self._closed = True  # It is not to say that it was left open.
