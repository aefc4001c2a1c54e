"""What is asked of the clients, and the bars that polyroute must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BASELINE", "WORKLOADS", "Workload"]

BASELINE = "httpx"


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls of one kind. A slice is *calls* of them, *in_flight* at once; each client has a slice in
    each of the *rounds*. *paths* are asked in their order. The figures are ratios to those of
    *baseline*, and those of *ours* are held against the *bar*."""

    title: str
    in_flight: int
    calls: int
    rounds: int = 25
    operation: Literal["chat", "stream"] = "chat"
    paths: tuple[str, ...] = ("/v1", "/v1")
    clients: tuple[str, ...] = (BASELINE, "polyroute", "aiohttp", "openai", "litellm")
    bar: float | None = None
    baseline: str = BASELINE
    ours: str = "polyroute"

    @property
    def falls_back(self) -> bool:
        return "/bad/v1" in self.paths


WORKLOADS = {
    "chat1": Workload("chat, 1 in flight", in_flight=1, calls=150, bar=0.85),
    "chat16": Workload("chat, 16 in flight", in_flight=16, calls=160, bar=0.45),
    "chat128": Workload(
        "chat, 128 in flight, 200 ms each",
        in_flight=128,
        calls=256,
        rounds=9,
        paths=("/slow/v1", "/slow/v1"),
        bar=0.10,
    ),
    "stream": Workload(
        "stream, 200 chunks in one burst, 8 in flight",
        in_flight=8,
        calls=24,
        operation="stream",
        bar=1.1,
    ),
    "paced": Workload(
        "stream, 200 chunks 5 ms apart, 8 in flight",
        in_flight=8,
        calls=8,
        rounds=9,
        operation="stream",
        paths=("/paced/v1", "/paced/v1"),
    ),
    "fallback16": Workload(
        "fallback after one 503, 16 in flight",
        in_flight=16,
        calls=160,
        paths=("/bad/v1", "/v1"),
        bar=1.0,
    ),
    "aiohttp16": Workload(
        "chat over aiohttp, 16 in flight",
        in_flight=16,
        calls=160,
        clients=("aiohttp", "polyroute over aiohttp"),
        bar=1.5,
        baseline="aiohttp",
        ours="polyroute over aiohttp",
    ),
    "aiohttp-stream": Workload(
        "stream over aiohttp, 200 chunks in one burst, 8 in flight",
        in_flight=8,
        calls=24,
        operation="stream",
        clients=("aiohttp", "polyroute over aiohttp"),
        bar=0.9,
        baseline="aiohttp",
        ours="polyroute over aiohttp",
    ),
    "httpx2-16": Workload(
        "chat over httpx2, 16 in flight",
        in_flight=16,
        calls=160,
        clients=("httpx2", "polyroute over httpx2"),
        bar=0.9,
        baseline="httpx2",
        ours="polyroute over httpx2",
    ),
    "httpx2-stream": Workload(
        "stream over httpx2, 200 chunks in one burst, 8 in flight",
        in_flight=8,
        calls=24,
        operation="stream",
        clients=("httpx2", "polyroute over httpx2"),
        bar=1.1,
        baseline="httpx2",
        ours="polyroute over httpx2",
    ),
    "openai16": Workload(
        "chat, asked by the openai SDK, 16 in flight",
        in_flight=16,
        calls=160,
        clients=("openai", "polyroute behind openai"),
        bar=1.0,
        baseline="openai",
        ours="polyroute behind openai",
    ),
    "openai-stream": Workload(
        "stream, asked by the openai SDK, 200 chunks in one burst, 8 in flight",
        in_flight=8,
        calls=24,
        operation="stream",
        clients=("openai", "polyroute behind openai"),
        baseline="openai",
        ours="polyroute behind openai",
    ),
    "router": Workload(
        "the router alone, over FakeProvider",
        in_flight=1,
        calls=2_000,
        clients=("router alone",),
        bar=45.0,
    ),
}
