"""A response as it arrives: counted, decompressed and refused where it is too much."""

from __future__ import annotations

import re
import zlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Self

import anyio

from polyroute.errors import ResponseDecodeError

__all__ = ["MAX_BODY", "MAX_HEAD", "Received"]

MAX_BODY = 64 * 1024 * 1024
MAX_HEAD = 64 * 1024
_STEP = 1024 * 1024  # how much is unpacked at a time, so that a bomb is noticed before it fills the memory
_DRAINING = 0.05  # seconds
_UNWINDING = 1.0

RawHeaders = Sequence[tuple[bytes, bytes]]


class Headers(Mapping[str, str]):
    """A reply's headers by their names in lower case, read when somebody looks: few are ever looked at."""

    __slots__ = ("_raw", "_read")

    def __init__(self, raw: RawHeaders) -> None:
        self._raw = raw
        self._read: dict[str, str] | None = None

    def _known(self) -> dict[str, str]:
        if self._read is None:
            self._read = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._raw
            }
        return self._read

    def __getitem__(self, name: str) -> str:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


class Received:
    """An `HTTPResponse` over any library's stream of raw bytes.

    *close* is called once, and told whether the body was read to its end; *translate* makes an
    error of ours out of one of the library's.

    Raises:
        ResponseDecodeError: The head or the declared length is too large, or the content coding is unknown.
    """

    __slots__ = (
        "_chunks", "_close", "_count", "_inflater", "_raw", "_translate", "_unpacking", "_whole", "status"
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        headers: RawHeaders,
        chunks: AsyncIterator[bytes],
        *,
        close: Callable[[bool], Awaitable[None]],
        translate: Callable[[Exception], Exception],
    ) -> None:
        self.status: int = status
        self._raw = headers
        self._chunks = chunks
        self._close: Callable[[bool], Awaitable[None]] | None = close
        self._translate = translate
        self._whole = False
        self._count = 0
        self._unpacking: Iterator[bytes] = iter(())
        self._inflater, fault = _looked_at(headers)
        if status < 200:
            fault = "it switches protocols, which nobody asked for"
        if fault is not None:
            # A host may echo a key in any header, and a traceback may show what its frames hold.
            del headers
            raise ResponseDecodeError(fault)

    @property
    def headers(self) -> Mapping[str, str]:
        return Headers(self._raw)

    async def read(self) -> bytes:
        whole = await anext(self, b"")
        more = bytearray()  # Not a list: there may be a million pieces of one byte.
        async for piece in self:
            more += piece
        return whole + more if more else whole

    # An object and not a generator: one that is left in the middle would be finished by the event
    # loop, in a task that nobody owns.
    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return self._next() if self._inflater is None else self._unpacked(self._inflater)

    async def _unpacked(self, inflater: _Inflater) -> bytes:
        while (piece := next(self._unpacking, None)) is None:
            self._unpacking = inflater.feed(await self._next())
        return piece

    async def _next(self) -> bytes:
        try:
            data = await anext(self._chunks)
        except StopAsyncIteration:
            if self._inflater is not None:
                self._inflater.finish()
            self._whole = True
            raise
        except Exception as exc:  # noqa: BLE001 - the door through which a library's errors come
            failure = self._translate(exc)
        else:
            self._count += len(data)
            if self._count > MAX_BODY:
                raise ResponseDecodeError(f"the body is larger than {MAX_BODY} bytes")
            return data
        # Raised out here, so that it does not carry the library's own error and the key in its frames.
        raise failure

    async def drain(self) -> None:
        with anyio.move_on_after(_DRAINING):
            await self._run_out()

    async def aclose(self) -> None:
        close, self._close = self._close, None
        if close is None:
            return
        try:
            await close(self._whole)
        finally:
            if not self._whole:
                # The connection is gone, so the library's generators run into that and end here.
                with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _UNWINDING):
                    await self._run_out()

    async def _run_out(self) -> None:
        try:
            async for _ in self._chunks:
                pass
            self._whole = True
        except Exception:  # noqa: BLE001, S110 - what comes after the end counts for nothing
            pass


def _looked_at(headers: RawHeaders) -> tuple[_Inflater | None, str | None]:
    """What unpacks the body, None where it is not packed, and what is wrong with the head."""
    size, framed = 0, 0
    inflater = None
    for field, value in headers:
        size += len(field) + len(value) + 4  # with the colon, the space and the line's end
        length = len(field)
        if length == 14 and field.lower() == b"content-length":
            framed |= 1
            if value.isdigit() and (len(value) > 20 or int(value) > MAX_BODY):
                return None, f"the body is said to be larger than {MAX_BODY} bytes"
        elif length == 17 and field.lower() == b"transfer-encoding":
            framed |= 2
            if value.strip().lower() != b"chunked":  # Some parsers then read until the connection ends.
                return None, "the body's transfer coding is unknown"
        elif length == 16 and field.lower() == b"content-encoding":
            coding = value.strip().lower().decode("latin-1")
            if coding in ("gzip", "x-gzip", "deflate"):
                inflater = _Inflater()
            elif coding not in ("", "identity"):
                # Only what looks like one is shown: a host may echo anything, a key too.
                name = coding if re.fullmatch("[a-z]{1,8}", coding) else "…"
                return None, f"the body's content coding is unknown: {name}"
    if size > MAX_HEAD:
        return None, f"the head is larger than {MAX_HEAD} bytes"
    if framed == 3:  # Who reads it by the one sees another end than who reads it by the other.
        return None, "the body's end is told in two ways, by its length and by chunks"
    return inflater, None


class _Inflater:
    """Unpacks gzip and deflate in steps, up to a limit."""

    def __init__(self) -> None:
        self._head = b""  # what came before it was clear how it is packed
        self._zlib: zlib._Decompress | None = None
        self._count = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._zlib is None:
            self._head = data = self._head + data
            if len(data) < 2:
                return
            self._zlib = zlib.decompressobj(wbits=_window(data))
        more = True
        while more:
            try:
                piece = self._zlib.decompress(data, _STEP)
            except zlib.error as exc:
                raise ResponseDecodeError(f"the body cannot be decompressed: {exc}") from None
            self._count += len(piece)
            if self._count > MAX_BODY:
                raise ResponseDecodeError(f"the body unpacks to more than {MAX_BODY} bytes")
            if piece:
                yield piece
            data = self._zlib.unconsumed_tail
            more = bool(data) or len(piece) == _STEP  # A full step may leave what it took in unsaid.

    def finish(self) -> None:
        if self._head and (self._zlib is None or not self._zlib.eof):
            raise ResponseDecodeError("the body's compressed data ended too early")


def _window(head: bytes) -> int:
    """How zlib is to read what begins so: gzip, zlib, or what some servers call deflate, with no head at all."""
    if head[:2] == b"\x1f\x8b":
        return 31
    return 15 if head[0] & 15 == 8 and int.from_bytes(head[:2]) % 31 == 0 else -15
