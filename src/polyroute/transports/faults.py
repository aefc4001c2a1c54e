"""What an HTTP library's error means to us. One door for httpx and those who share its names."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from polyroute.deployments import Deadline
from polyroute.errors import AttemptError, AttemptTimeoutError, ConnectError, ReadError, ResponseDecodeError

__all__ = ["translated"]

# What h11 says of a peer that hung up, against one that talks nonsense.
_HUNG_UP = ("peer closed", "disconnected")


def translated(exc: Exception, *, sent: bool, deadline: Deadline) -> AttemptError | None:
    """The error of ours that *exc* is; None where it is none of the library's own.

    Known by its name and its bases', not by its class, since httpx and its successors name alike.
    *sent*: the request was, or may have been, handed to the network.
    """
    names = {base.__name__ for base in type(exc).__mro__}
    said = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    if names & {"ConnectTimeout", "PoolTimeout"}:
        return AttemptTimeoutError("no connection could be made in time", phase="connect", may_have_run=False)
    if "TimeoutException" in names:
        return AttemptTimeoutError(
            f"silent to its limit ({deadline.phase})", phase=deadline.phase, may_have_run=sent
        )
    if "ProxyError" in names:
        return ConnectError(f"the proxy refused: {exc}", transient=False)
    if "ConnectError" in names or ("NetworkError" in names and not sent):
        return _unconnected(exc, said)
    if "RemoteProtocolError" in names and not any(words in str(exc) for words in _HUNG_UP):
        return ResponseDecodeError(f"the answer is no HTTP: {exc}")
    if names & {"NetworkError", "RemoteProtocolError"}:
        return ReadError(f"the connection broke: {said}", may_have_run=sent)
    if "DecodingError" in names:
        return ResponseDecodeError(f"the body cannot be decompressed: {exc}")
    if "TransportError" in names:
        return ConnectError(said, transient=False)
    return None


def _unconnected(exc: Exception, said: str) -> ConnectError:
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConnectError(
                f"its certificate does not verify: {cause.verify_message}; for a private authority set SSL_CERT_FILE",
                transient=False,
            )
        if isinstance(cause, socket.gaierror):
            again = cause.errno == socket.EAI_AGAIN
            return ConnectError(f"its name does not resolve: {cause.strerror}", transient=again)
    return ConnectError(f"no connection: {said}")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
