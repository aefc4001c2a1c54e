"""What may go wrong on the wire, each with the error that it is."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from itertools import chain

from polyroute import (
    AttemptError,
    ConnectError,
    ProviderError,
    ReadError,
    ResponseDecodeError,
    Timeout,
    TransportError,
)
from tests.transports.faulty_server import (
    CHAT,
    LAST,
    ROLE,
    STREAMING,
    TOKENS,
    Act,
    Do,
    FaultyServer,
    Pause,
    Step,
    by_the_byte,
    chunk,
    either,
    fine,
    for_ever,
    head,
    sized,
)

__all__ = ["FAULTS", "LATE_FAULTS", "LATE_SILENCES", "LIMITS", "SILENCES", "Fault", "Silence"]

_GZIPPED = gzip.compress(CHAT)
_A_MOMENT = Pause(0.02)


@dataclass(frozen=True)
class Fault:
    """A server that misbehaves before a stream's first token, and the error that comes of it.

    *says*: a regular expression that the error's text matches. *ran*: the host may have done the
    work; None where that depends on the moment. *passing*: asking again may help.
    """

    name: str
    act: Act
    error: type[AttemptError]
    says: str = ""
    _: KW_ONLY
    ran: bool | None = True
    passing: bool = True
    greeting: Iterable[Step] = ()
    listening: bool = True

    def server(self, *, after: int = 0) -> FaultyServer:
        """One that misbehaves so after *after* requests that it served well."""
        return FaultyServer(*[fine] * after, self.act, greeting=self.greeting, listening=self.listening)


_HALF = len(CHAT) // 2

FAULTS = (
    # --- no connection, no reply, or a part of one
    Fault("refused", (), ConnectError, "refused|no connection", ran=False, listening=False),
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
        either(
            (head(content_length=len(CHAT)), CHAT[:_HALF], _A_MOMENT, Do.RESET),
            (STREAMING, chunk(ROLE), _A_MOMENT, Do.RESET),
        ),
        ReadError,
    ),
    Fault(
        "closed within the body",
        either(
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


@dataclass(frozen=True)
class Silence:
    """A server that keeps a call waiting, with or without a word before a stream's first token. *phase*:
    the limit that a chat runs out, where it is asked for no longer than another is left."""

    name: str
    act: Act
    phase: str


# Only who is slow has them: what is asked after it may take its time on a slow machine.
LIMITS = Timeout(first_token=0.3, attempt=0.6)

SILENCES = (
    Silence("not a word", (Do.STALL,), "first_token"),
    Silence("a part of the head", (head()[:20], Do.STALL), "first_token"),
    Silence("a head by the byte", lambda _: by_the_byte(head(x_long="x" * 9000), 0.005), "first_token"),
    Silence(
        "early hints for ever",
        lambda _: for_ever(b"HTTP/1.1 103 Early Hints\r\n\r\n", seconds=0.005),
        "first_token",
    ),
    Silence("the head alone", (STREAMING, Do.STALL), "attempt"),
    Silence(
        "a part of the body",
        either(
            (head(content_length=len(CHAT)), CHAT[:_HALF], Do.STALL),
            (STREAMING, chunk(ROLE), chunk(TOKENS[0])[:-20], Do.STALL),
        ),
        "attempt",
    ),
    Silence(
        "a body by the byte",
        lambda _: chain((head(content_length=10**6),), by_the_byte(CHAT * 99, 0.005)),
        "attempt",
    ),
    Silence(
        "comments for ever",
        lambda _: chain((STREAMING,), for_ever(chunk(b": ping\n\n"), seconds=0.005)),
        "attempt",
    ),
    Silence(
        "role chunks for ever",
        lambda _: chain((STREAMING,), for_ever(chunk(ROLE), seconds=0.005)),
        "attempt",
    ),
)

LATE_SILENCES = {
    # What comes after a stream's first token, and is no other.
    "silence": (*_FIRST, Do.STALL),
    "a part of an event": (*_FIRST, chunk(TOKENS[1][:30]), Do.STALL),
    "comments": lambda _: chain(_FIRST, for_ever(chunk(b": ping\n\n"), seconds=0.005)),
    "empty deltas": lambda _: chain(_FIRST, for_ever(chunk(ROLE), seconds=0.005)),
}
