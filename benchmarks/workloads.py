"""What is asked of the clients, and the bars that polyroute must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BASELINE", "WORKLOADS", "Workload"]

BASELINE = "httpx"


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls of one kind. A slice is *calls* of them, *in_flight* at once; each client has a slice in
    each of the *rounds*, and the baseline has one too. *paths* are asked in their order."""

    title: str
    in_flight: int
    calls: int
    rounds: int = 25
    operation: Literal["chat", "stream"] = "chat"
    paths: tuple[str, ...] = ("/v1", "/v1")
    clients: tuple[str, ...] = (BASELINE, "polyroute", "aiohttp", "openai", "litellm")
    bar: float | None = None

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
    "router": Workload(
        "the router alone, over FakeProvider",
        in_flight=1,
        calls=2_000,
        clients=("router alone",),
        bar=45.0,
    ),
}
