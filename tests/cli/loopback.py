"""A host on loopback that speaks just enough of OpenAI's chat completions for the command line's tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

ANSWER = "Because **air** scatters blue light."


class Host:
    """What it answers next, and what it was asked. *statuses*: one a call, 200 after the last.
    *cuts*: a stream breaks after its first words. *hangs*: it says nothing until the test is over."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.statuses: list[int] = []
        self.text = ANSWER
        self.finish_reason = "stop"
        self.cuts = False
        self.hangs = False
        self.came = Event()
        self.over = Event()
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []


@contextmanager
def loopback_host() -> Iterator[Host]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    host = Host(f"http://127.0.0.1:{server.server_address[1]}/v1")
    server.host = host  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        host.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        host: Host = self.server.host  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        host.asked.append(body)
        host.keys.append(self.headers["authorization"])
        host.came.set()
        if host.hangs:
            host.over.wait()
            return
        status = host.statuses.pop(0) if host.statuses else 200
        if status != 200:
            self._send(status, json.dumps({"error": {"message": "it is as it is"}}))
        elif body.get("stream"):
            self._send(200, _streamed(host), kind="text/event-stream")
        else:
            self._send(200, json.dumps(_whole(host)))

    def _send(self, status: int, body: str, kind: str = "application/json") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


USAGE = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}


def _whole(host: Host) -> dict[str, Any]:
    message = {"role": "assistant", "content": host.text}
    choice = {"index": 0, "message": message, "finish_reason": host.finish_reason}
    return {"id": "one", "object": "chat.completion", "model": "tiny", "choices": [choice], "usage": USAGE}


def _streamed(host: Host) -> str:
    words = host.text.split(" ")
    pieces = [words[0], *(f" {word}" for word in words[1:])]
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    if host.cuts:
        return "".join(f"data: {json.dumps(event)}\n\n" for event in events[:2])
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": host.finish_reason}]})
    events.append({"choices": [], "usage": USAGE})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
