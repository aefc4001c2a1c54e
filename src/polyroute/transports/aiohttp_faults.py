"""What aiohttp's errors mean to us."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from polyroute.deadlines import Deadline
from polyroute.errors import AttemptError, AttemptTimeoutError, ConnectError, ReadError, ResponseDecodeError
from polyroute.transports.faults import unconnected, unconnected_in_time

__all__ = ["translated"]

# What aiohttp says of a body that ended too early, against one that is framed wrongly.
_CUT_SHORT = ("Not enough data", "not completed")


def translated(exc: Exception, *, sent: bool, deadline: Deadline) -> AttemptError | None:
    """The error of ours that *exc* is; None where it is none of the library's own.

    *sent*: the request was, or may have been, handed to the network. Most of what aiohttp's errors
    say of themselves holds addresses, heads or bytes of the reply, so little of it is passed on.
    """
    match exc:
        case AttemptError():
            return exc
        case asyncio.TimeoutError():
            if not sent:
                return unconnected_in_time(deadline, asyncio.get_running_loop().time())
            return AttemptTimeoutError(f"silent to its limit ({deadline.phase})", phase=deadline.phase)
        case aiohttp.ClientProxyConnectionError():
            return ConnectError(f"its proxy cannot be reached: {exc.strerror}", transient=False)
        case aiohttp.ClientHttpProxyError():
            return ConnectError(f"its proxy refused ({exc.status})", transient=exc.status >= 500)
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError() | UnicodeError():
            return unconnected(exc)
        case aiohttp.ClientPayloadError():
            return _broken_body(exc)
        # Its parser's own error bears a status, 400, which no host has said.
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return ResponseDecodeError(f"the answer is no HTTP: {_kind(exc)}", may_have_run=sent)
        case aiohttp.InvalidURL():
            return ConnectError("its address is none", transient=False)
        case aiohttp.ClientConnectionError() | OSError() if sent:
            return ReadError(f"the connection broke: {_name(exc)}")
        case aiohttp.ClientConnectionError() | OSError():
            return ConnectError(f"no connection: {_name(exc)}")
        case aiohttp.ClientError():
            return ConnectError(f"it cannot be asked: {_name(exc)}", transient=False)
        case _:
            return None


def _broken_body(exc: aiohttp.ClientPayloadError) -> AttemptError:
    if any(words in str(exc) for words in _CUT_SHORT):
        return ReadError("the connection broke: the body is incomplete")
    return ResponseDecodeError("the answer is no HTTP: its body is framed wrongly")


def _kind(exc: BaseException) -> str:
    """What kind of error the parser saw: its text quotes the peer, which may quote the request, key and all."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return type(exc).__name__


def _name(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "the server disconnected"
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
