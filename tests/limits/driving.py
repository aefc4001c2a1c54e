"""A limiter with a clock that tests move, and short words for what is asked of it."""

from __future__ import annotations

from polyroute import ChatRequest, Deployment, Lease, Limits, Message, Refusal, Usage
from polyroute.limits import LocalLimiter

__all__ = ["REQUEST", "Clock", "Desk"]

REQUEST = ChatRequest(messages=(Message("user", "hi"),))


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Desk:
    """One deployment with these limits, and who asks for room there."""

    def __init__(self, limits: Limits | None, limiter: LocalLimiter | None = None) -> None:
        self.clock = Clock() if limiter is None else limiter._clock
        self.limiter = limiter or LocalLimiter(self.clock)
        self.deployment = Deployment("p/m", limits=limits)

    def ask(self, input: int = 0, output: int = 0) -> Lease | Refusal:
        """Driven by hand: reserving never suspends."""
        asking = self.limiter.reserve(REQUEST, self.deployment, Usage(input, output))
        try:
            asking.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it suspended")

    def take(self, input: int = 0, output: int = 0, *, times: int = 1) -> Lease:
        """The last of so many leases."""
        for _ in range(times):
            lease = self.ask(input, output)
            assert not isinstance(lease, Refusal), lease
        return lease

    def refused(self, input: int = 0, output: int = 0) -> Refusal:
        refusal = self.ask(input, output)
        assert isinstance(refusal, Refusal)
        return refusal

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def fits(self, input: int = 0, output: int = 0) -> bool:
        """Whether there is room now; it is given back."""
        lease = self.ask(input, output)
        if isinstance(lease, Refusal):
            return False
        lease.settle(None)
        return True

    def room(self, most: int = 10_000) -> int:
        """How many requests there is room for now; they are given back."""
        leases = []
        while len(leases) < most and not isinstance(lease := self.ask(), Refusal):
            leases.append(lease)
        for lease in leases:
            lease.settle(None)
        return len(leases)

    @property
    def headroom(self) -> float:
        return self.limiter.headroom(self.deployment)
