"""What was used of late: exact, in small buckets, without a scan of the history."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

__all__ = ["INPUT", "KINDS", "NOTHING", "OUTPUT", "REQUESTS", "TOKENS", "Amounts", "Bucket", "Log"]

REQUESTS, TOKENS, INPUT, OUTPUT = range(4)
KINDS = ("requests", "tokens", "input_tokens", "output_tokens")
Amounts: TypeAlias = tuple[int, int, int, int]  # one for each kind
NOTHING: Amounts = (0, 0, 0, 0)

_BUCKETS = 600  # to a span; what shares a bucket leaves together, so saturation costs 1/600 at most


class Bucket:
    """What was added within a short time, and so leaves together: a span after the last of it."""

    __slots__ = ("amounts", "first", "gone", "last")

    def __init__(self, now: float) -> None:
        self.first: float = now
        self.last: float = now
        self.amounts: list[int] = [0, 0, 0, 0]
        self.gone: bool = False


class Log:
    """What was used in the last *span* seconds, of the *kinds* that are limited."""

    __slots__ = ("_width", "added", "buckets", "kinds", "span", "used")

    def __init__(self, span: float) -> None:
        self.span: float = span
        self.kinds: list[int] = []
        self.used: list[int] = [0, 0, 0, 0]
        self.added: list[int] = [0, 0, 0, 0]  # ever
        self.buckets: deque[Bucket] = deque()
        self._width = span / _BUCKETS

    def add(self, amounts: Amounts, now: float) -> Bucket:
        buckets = self.buckets
        if buckets and now < buckets[-1].first + self._width:
            bucket = buckets[-1]
            bucket.last = now
        else:
            bucket = Bucket(now)
            buckets.append(bucket)
        for kind in self.kinds:
            amount = amounts[kind]
            bucket.amounts[kind] += amount
            self.used[kind] += amount
            self.added[kind] += amount
        return bucket

    def correct(self, bucket: Bucket, amounts: Amounts, truth: Amounts) -> None:
        """Put the truth in the place of the estimate, as if it had been known then."""
        for kind in self.kinds:
            by = truth[kind] - amounts[kind]
            bucket.amounts[kind] += by
            if not bucket.gone:
                self.used[kind] += by

    def come_to(self, now: float) -> float:
        """Let go of what was used longer ago; the moment before which nothing more can leave."""
        buckets = self.buckets
        while buckets:
            leaves = buckets[0].last + self.span
            if leaves > now:
                return leaves
            bucket = buckets.popleft()
            bucket.gone = True
            for kind in self.kinds:
                self.used[kind] -= bucket.amounts[kind]
        return now + self.span

    def shift(self, by: float) -> None:
        for bucket in self.buckets:
            bucket.first += by
            bucket.last += by
