"""What an HTTP library's error means to us. One door for httpx and those who share its names."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

import anyio

from polyroute.deadlines import Deadline
from polyroute.errors import AttemptError, AttemptTimeoutError, ConnectError, ReadError, ResponseDecodeError

__all__ = ["WentStaleError", "translated", "translated_body", "unconnected", "unconnected_in_time"]

# What h11 and httpcore say of a peer that hung up, against one that talks nonsense.
_HUNG_UP = ("peer closed", "Server disconnected")
# Where h11 begins to quote the peer, which may quote the request, key and all.
_PEERS_WORDS = re.compile(r"[: ]*(?:bytearray\()?b['\"]")


class WentStaleError(Exception):
    """A connection that was used before was closed by the server before it said a byte."""


def translated(exc: Exception, *, sent: bool, deadline: Deadline, early: float = 0.0) -> AttemptError | None:
    """The error of ours that *exc* is; None where it is none of the library's own.

    Known by its name and its bases', not by its class, since httpx, httpcore and their successors
    name alike. *sent*: the request was, or may have been, handed to the network. *early*: the
    seconds by which the library's timeouts come before the deadline.
    """
    if isinstance(exc, AttemptError):
        return exc
    names = {base.__name__ for base in type(exc).__mro__}
    if "TimeoutException" in names:
        if sent and not names & {"ConnectTimeout", "PoolTimeout"}:
            return AttemptTimeoutError(f"silent to its limit ({deadline.phase})", phase=deadline.phase)
        return unconnected_in_time(deadline, anyio.current_time() + early)
    if "ProxyError" in names:
        # It does not let us through, or it says of the host behind it what a connection would have said.
        return ConnectError(f"its proxy refused ({str(exc)[:3]})", transient=str(exc).startswith("5"))
    broken = bool(names & {"NetworkError", "ConnectionNotAvailable", "OSError", "EOFError"})
    if "RemoteProtocolError" in names:
        broken = str(exc).startswith(_HUNG_UP)
        if not broken:
            why = _PEERS_WORDS.split(str(exc), maxsplit=1)[0]
            return ResponseDecodeError(f"the answer is no HTTP: {why}", may_have_run=sent)
    if "ConnectError" in names or "UnicodeError" in names or (broken and not sent):
        return unconnected(exc)
    if broken:
        return ReadError(f"the connection broke: {_said(exc)}")
    if "DecodingError" in names:
        return ResponseDecodeError(f"the body cannot be decompressed: {exc}")
    if names & {"TransportError", "ProtocolError", "UnsupportedProtocol"}:
        return ConnectError(_said(exc), transient=False)
    return None


def translated_body(deadline: Deadline, exc: Exception) -> Exception:
    """The error that *exc* is where a body was being read, *exc* itself where it is none of the library's."""
    return translated(exc, sent=True, deadline=deadline) or exc


def unconnected_in_time(deadline: Deadline, now: float) -> AttemptTimeoutError:
    # Which limit it was: the connection's own, or the attempt's, which came first.
    phase = "connect" if now < deadline.at else deadline.phase
    return AttemptTimeoutError(
        f"no connection could be made in time ({phase})", phase=phase, may_have_run=False
    )


def unconnected(exc: Exception) -> ConnectError:
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = getattr(cause, "verify_message", "") or cause
            return ConnectError(
                f"its certificate does not verify: {why}; for a private authority set SSL_CERT_FILE",
                transient=False,
            )
        if isinstance(cause, socket.gaierror):
            again = cause.errno == socket.EAI_AGAIN
            return ConnectError(f"its name does not resolve: {cause.strerror}", transient=again)
        if isinstance(cause, UnicodeError):
            return ConnectError("its name is none that could resolve", transient=False)
    return ConnectError(f"no connection: {_said(exc)}")


def _said(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
