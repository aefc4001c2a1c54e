"""What may go wrong on the wire, each with the error that it is."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from polyroute import (
    AttemptError,
    ProviderError,
    ReadError,
    ResponseDecodeError,
    TransportError,
)
from tests.transports.faulty_server import (
    CHAT,
    LAST,
    ROLE,
    SSE,
    STREAMING,
    TOKENS,
    Act,
    Asked,
    Do,
    FaultyServer,
    Pause,
    Step,
    by_the_byte,
    chunk,
    for_ever,
    head,
    sized,
    streamed,
)

__all__ = ["FAULTS", "GOOD", "LATE_FAULTS", "Fault"]

_GZIPPED = gzip.compress(CHAT)
_A_MOMENT = Pause(0.02)


@dataclass(frozen=True)
class Fault:
    """A server that misbehaves before a stream's first token, and the error that comes of it.

    *says*: a regular expression that the error's text matches. *ran*: the host may have done the
    work. *passing*: asking again may help.
    """

    name: str
    act: Act
    error: type[AttemptError]
    says: str = ""
    ran: bool = True
    passing: bool = True
    greeting: Iterable[Step] = ()

    def server(self) -> FaultyServer:
        return FaultyServer(self.act, greeting=self.greeting)


def _cut(chat: Iterable[Step], stream: Iterable[Step]) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: stream if asked.streams else chat


_HALF = len(CHAT) // 2

FAULTS = (
    # --- no reply, or a part of one
    Fault("reset when it is accepted", (), TransportError, greeting=(Do.RESET,), ran=None),
    Fault("closed when it is accepted", (), TransportError, greeting=(Do.FIN,), ran=None),
    Fault("reset after the request", (Do.RESET,), ReadError),
    Fault("closed after the request", (Do.FIN,), ReadError, "disconnected"),
    Fault("reset within the head", (head()[:20], _A_MOMENT, Do.RESET), ReadError),
    Fault("closed within the head", (head()[:20], Do.FIN), ReadError),
    Fault("reset after the head", (head(content_length=99), _A_MOMENT, Do.RESET), ReadError),
    Fault("closed after the head", (head(content_length=99), Do.FIN), ReadError, "incomplete|without"),
    Fault(
        "reset within the body",
        _cut(
            (head(content_length=len(CHAT)), CHAT[:_HALF], _A_MOMENT, Do.RESET),
            (STREAMING, chunk(ROLE), _A_MOMENT, Do.RESET),
        ),
        ReadError,
    ),
    Fault(
        "closed within the body",
        _cut(
            (head(content_length=len(CHAT)), CHAT[:_HALF], Do.FIN),
            (STREAMING, chunk(ROLE), Do.FIN),
        ),
        ReadError,
    ),
    Fault("closed within a chunk", (STREAMING, chunk(CHAT)[:_HALF], Do.FIN), ReadError),
    Fault("closed before the last chunk", (STREAMING, chunk(ROLE), Do.FIN), ReadError),
    # --- no HTTP
    Fault("another protocol", (b"SSH-2.0-OpenSSH_9.7\r\n\r\n",), ResponseDecodeError, "no HTTP"),
    Fault("bytes that are nothing", (bytes(range(256)) * 4, b"\r\n\r\n"), ResponseDecodeError, "no HTTP"),
    Fault("the request as it came", lambda asked: (asked.line.encode() + b"\r\n\r\n",), ResponseDecodeError),
    Fault("a size that is no number", (STREAMING, b"zz\r\nhello\r\n"), ResponseDecodeError, "no HTTP"),
    Fault("a chunk longer than it says", (STREAMING, b"3\r\nhello\r\n"), ResponseDecodeError, "no HTTP"),
    Fault("a size that never ends", (STREAMING, b"0" * 200_000), ResponseDecodeError),
    Fault("two lengths", (head(content_length="5\r\ncontent-length: 6") + b"hello!",), ResponseDecodeError),
    Fault(
        "a length and chunks",
        (head(content_length=5, transfer_encoding="chunked") + chunk(CHAT) + LAST,),
        ResponseDecodeError,
        "two ways|no HTTP",
    ),
    Fault("a transfer coding of its own", (head(transfer_encoding="gzip"), b"x"), ResponseDecodeError),
    Fault("a negative length", (head(content_length=-1),), ResponseDecodeError),
    # --- too much
    Fault("a header of 300 KB", (head(x_big="x" * 300_000),), ResponseDecodeError),
    Fault(
        "a thousand headers",
        (head(**{f"x_{number}": "y" * 70 for number in range(1000)}) + b"x",),
        ResponseDecodeError,
        "head is larger|no HTTP",
    ),
    Fault(
        "a head without an end", lambda _: for_ever(b"x-more: and more of it\r\n" * 500), ResponseDecodeError
    ),
    Fault("a length of 100 GB", (head(content_length=99_999_999_999),), ResponseDecodeError, "larger"),
    Fault("a length of 30 digits", (head(content_length="9" * 30),), ResponseDecodeError),
    # --- wrongly packed
    Fault(
        "gzip that is none",
        (sized(b"no gzip at all, but plain text", content_encoding="gzip"),),
        ResponseDecodeError,
        "decompressed",
    ),
    Fault(
        "gzip that is spoilt",
        (sized(_GZIPPED[:40] + b"\xff" * 20 + _GZIPPED[60:], content_encoding="gzip"),),
        ResponseDecodeError,
        "decompressed",
    ),
    Fault("gzip that is cut", (sized(_GZIPPED[:-9], content_encoding="gzip"),), ResponseDecodeError),
    Fault("gzip of one byte", (sized(b"\x1f", content_encoding="gzip"),), ResponseDecodeError, "too early"),
    Fault("a coding nobody asked for", (sized(CHAT, content_encoding="zstd"),), ResponseDecodeError, "zstd"),
    # --- HTTP, and not what the API promises
    Fault("a web page", (sized(b"<html>Sign in to the Wi-Fi</html>"),), ResponseDecodeError),
    Fault("nothing at all", (sized(b""),), AttemptError),
    Fault(
        "a switch of protocols",
        (head("101 Switching Protocols", upgrade="x", connection="upgrade"),),
        ResponseDecodeError,
    ),
)

for _status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
    FAULTS += (
        Fault(
            f"a redirect by {_status[:3]}",
            (sized(b"", _status, location="http://127.0.0.1:9/v1"),),
            ProviderError,
            _status[:3],
            passing=False,
            ran=False,
        ),
    )

_FIRST = (STREAMING, chunk(ROLE), chunk(TOKENS[0]))

LATE_FAULTS = (
    # What goes wrong with a stream after its first token; the first word of it has come by then.
    Fault("reset", (*_FIRST, _A_MOMENT, Do.RESET), ReadError),
    Fault("closed", (*_FIRST, Do.FIN), ReadError),
    Fault("closed within a chunk", (*_FIRST, chunk(TOKENS[1])[:9], Do.FIN), ReadError),
    Fault("ended without an end", (*_FIRST, LAST), ReadError),
    Fault("bad framing", (*_FIRST, b"zz\r\n"), ResponseDecodeError),
    Fault("bad framing in the same read", (b"".join(_FIRST) + b"zz\r\n",), ResponseDecodeError),
    Fault(
        "an event without an end",
        lambda _: chain(_FIRST, for_ever(chunk(b"x" * 300_000))),
        ResponseDecodeError,
    ),
)


def _both(chat: bytes, stream: bytes) -> Callable[[Asked], Iterable[Step]]:
    return _cut((chat,), (stream,))


def _packed(coding: str, pack: Callable[[bytes], bytes]) -> Callable[[Asked], Iterable[Step]]:
    return _both(
        sized(pack(CHAT), content_encoding=coding), sized(pack(b"".join(SSE)), content_encoding=coding)
    )


def _raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


def _trickled(act: Callable[[Asked], Iterable[Step]]) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: (byte for data in act(asked) for byte in by_the_byte(data))


_PLAIN = _both(sized(CHAT), streamed())
_EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"

GOOD = {
    # What is unusual, and yet a reply.
    "at once": _PLAIN,
    "byte by byte": _trickled(_PLAIN),
    "after 1xx": _both(_EARLY + sized(CHAT), _EARLY + streamed()),
    "packed with gzip": _packed("gzip", gzip.compress),
    "packed with gzip, byte by byte": _trickled(_packed("gzip", gzip.compress)),
    "packed by another name": _packed("X-GZip", gzip.compress),
    "packed with deflate": _packed("deflate", zlib.compress),
    "packed with deflate without a head": _packed("deflate", _raw_deflate),
    "packed with deflate without a head, byte by byte": _trickled(_packed("deflate", _raw_deflate)),
    "not packed, and saying so": _packed("identity", bytes),
    "the last of its connection": _both(
        sized(CHAT, connection="close"),
        STREAMING.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + streamed()[len(STREAMING) :],
    ),
    "ended by closing": _cut(
        (head(connection="close"), CHAT, Do.FIN),
        (head(connection="close"), *SSE, Do.FIN),
    ),
    "of HTTP/1.0": _cut(
        (head().replace(b"1.1", b"1.0"), CHAT, Do.FIN),
        (head().replace(b"1.1", b"1.0"), *SSE, Do.FIN),
    ),
    "without a reason phrase": _both(sized(CHAT, "200"), streamed().replace(b"200 OK", b"200", 1)),
    "with chunk extensions and trailers": _both(
        STREAMING + chunk(CHAT).replace(b"\r\n", b";x=y\r\n", 1) + b"0\r\nx-after: all\r\n\r\n",
        STREAMING + b"".join(map(chunk, SSE)) + b"0\r\nx-after: all\r\n\r\n",
    ),
    "with the same length twice": _both(
        head(content_length=f"{len(CHAT)}\r\ncontent-length: {len(CHAT)}") + CHAT, streamed()
    ),
    "in chunks of one byte": _both(
        STREAMING + b"".join(chunk(CHAT[place : place + 1]) for place in range(len(CHAT))) + LAST,
        streamed([bytes([byte]) for byte in b"".join(SSE)]),
    ),
}
