"""A loopback server that costs little: a host of OpenAI's chat completions, made of prebuilt bytes.

What comes before the operation's own path says how it behaves: `/v1` answers at once, `/slow/v1`
after 200 ms, `/held/v1` when `/release` is asked, `/paced/v1` streams a chunk every 5 ms, and `/bad/v1`
answers 503 each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from cores import pin

__all__ = ["CHUNKS", "TEXT", "asked", "loopback", "open_connections", "serving"]

TEXT = "Because of Rayleigh scattering. " * 20
CHUNKS = 200  # of a stream, each with a word of text
_SLOW = 0.2  # seconds
_PACE = 0.005


def loopback() -> dict[str, str]:
    """The environment for a client's process: no proxy stands between it and the server."""
    return {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@contextmanager
def serving() -> Iterator[str]:
    """A server in a process of its own, for as long as the block; gives its address."""
    server = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.communicate()


async def open_connections(server: str) -> int:
    """How many connections *server* sees, but for the one that asks."""
    return await asked(server, "connections")


async def asked(server: str, what: str) -> int:
    """The number that *server* gives for `connections`, `held` or `release`."""
    host, _, port = server.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /%b HTTP/1.1\r\n\r\n" % what.encode())
    count = int(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return count


def _response(status: bytes, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        b"HTTP/1.1 " + status,
        b"content-type: application/json",
        b"x-request-id: req_0123456789abcdef",
        b"x-ratelimit-limit-requests: 500",
        b"x-ratelimit-remaining-requests: 499",
        b"openai-processing-ms: 10",
        b"content-length: %d" % len(content),
    )
    return b"\r\n".join((*head, b"", content))


def _event(data: str) -> bytes:
    """One server-sent event as one chunk of HTTP's."""
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


def _chunk(delta: object, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event(json.dumps({**_COMMON, "object": "chat.completion.chunk", "choices": [choice]}))


_COMMON = {
    "id": "chatcmpl-0123456789abcdefghijklmnopqr",
    "created": 1_764_000_000,
    "model": "gpt-5-mini-2025-08-07",
    "service_tier": "default",
    "system_fingerprint": None,
}
_MESSAGE = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
_REPLY = _response(
    b"200 OK",
    {
        **_COMMON,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 100,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    },
)
_OVERLOADED = _response(
    b"503 Service Unavailable", {"error": {"message": "overloaded", "type": "server_error", "code": None}}
)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_STREAM = (
    *[_chunk({"content": f" word{place}"}) for place in range(CHUNKS)],
    _chunk({}, "stop"),
    _event("[DONE]") + b"0\r\n\r\n",
)
_BURST = _STREAM_HEAD + b"".join(_STREAM)


class _Connection(asyncio.Protocol):
    open: int = 0
    held: ClassVar[list[asyncio.Transport]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = b""
        _Connection.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        _Connection.open -= 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, start = self._buffer[:end].lower(), end + 4
            _, _, length = head.partition(b"content-length:")
            stop = start + int(length.split(b"\r\n", 1)[0] or 0)
            if len(self._buffer) < stop:
                return
            body, self._buffer = self._buffer[start:stop], self._buffer[stop:]
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        streams = b'"stream":true' in body.replace(b" ", b"")
        if path == b"/connections":
            self._transport.write(b"%d\n" % (_Connection.open - 1))
        elif path == b"/held":
            self._transport.write(b"%d\n" % len(_Connection.held))
        elif path == b"/release":
            for transport in _Connection.held:
                transport.write(_REPLY)
            self._transport.write(b"%d\n" % len(_Connection.held))
            _Connection.held.clear()
        elif path.startswith(b"/held/"):
            _Connection.held.append(self._transport)
        elif path.startswith(b"/bad/"):
            self._transport.write(_OVERLOADED)
        elif streams and path.startswith(b"/paced/"):
            self._transport.write(_STREAM_HEAD)
            self._pace(iter(_STREAM))
        elif path.startswith(b"/slow/"):
            loop = asyncio.get_running_loop()
            loop.call_later(_SLOW, self._transport.write, _BURST if streams else _REPLY)
        else:
            self._transport.write(_BURST if streams else _REPLY)

    def _pace(self, chunks: Iterator[bytes]) -> None:
        chunk = next(chunks, None)
        if chunk is not None and not self._transport.is_closing():
            self._transport.write(chunk)
            asyncio.get_running_loop().call_later(_PACE, self._pace, chunks)


async def _serve() -> None:
    pin("server")
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=16_384)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
