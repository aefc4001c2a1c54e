"""Is there room? One state for each `Limits` object, and the leases that hold what was reserved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, inf, nextafter

from polyroute.deployments import Deployment
from polyroute.limits.bounds import Bound
from polyroute.limits.log import INPUT, NOTHING, OUTPUT, REQUESTS, TOKENS, Amounts, Bucket, Log
from polyroute.protocols import Lease, Refusal
from polyroute.replies import RateLimits
from polyroute.settings import Limits
from polyroute.types import Request, Usage

__all__ = ["LocalLimiter"]

_MINUTE = 60.0
_DAY = 86_400.0


class LocalLimiter:
    """A `Limiter` in this process. Each `Limits` object has one state, whichever deployments share it.

    *clock* gives the event loop's time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._states: dict[Limits, _State] = {}

    async def reserve(self, request: Request, deployment: Deployment, estimate: Usage, /) -> Lease | Refusal:
        """Room for *estimate*, or why there is none; it never suspends, and a refusal changes nothing.

        Its `retry_after` is exact: the seconds until time alone makes room, if nobody else takes it.
        """
        if deployment.limits is None:
            return _FREE
        return self._state(deployment.limits).reserve(estimate, self._clock())

    def headroom(self, deployment: Deployment) -> float:
        """The share that is left of the scarcest of its limits, from 0.0 to 1.0."""
        state = self._states.get(deployment.limits) if deployment.limits is not None else None
        return 1.0 if state is None else state.headroom(self._clock())

    def learn(self, deployment: Deployment, told: RateLimits) -> None:
        """Heed what the host says now: until its limits are reset no more is asked of it than it says is
        left. It never makes more room than our own count leaves."""
        if deployment.limits is not None:
            self._state(deployment.limits).learn(told, self._clock())

    def rate_limited(
        self, deployment: Deployment, *, started: float, retry_after: float | None
    ) -> tuple[str, float] | None:
        """Heed a 429 to an attempt that *started* at that moment of the clock: the scarcest limit is taken
        for the one that was set too high. For *retry_after* seconds nothing is asked of the host.

        Gives the limit that is lowered, such as `"rpm"`, and the share of it that is used from now on;
        None where there is none.
        """
        if deployment.limits is None:
            return None
        return self._state(deployment.limits).rate_limited(started, retry_after, self._clock())

    @property
    def idle(self) -> bool:
        """Whether every lease is settled."""
        return not any(state.leases for state in self._states.values())

    def _state(self, limits: Limits) -> _State:
        state = self._states.get(limits)
        if state is None:
            state = self._states[limits] = _State(limits)
        return state


class _State:
    """What has been asked of the hosts that share one `Limits`."""

    __slots__ = ("_barred", "_bounds", "_changes", "_cut", "_latest", "_logs", "leases")

    def __init__(self, limits: Limits) -> None:
        said = (
            ("rpm", REQUESTS, limits.rpm, _MINUTE),
            ("tpm", TOKENS, limits.tpm, _MINUTE),
            ("itpm", INPUT, limits.itpm, _MINUTE),
            ("otpm", OUTPUT, limits.otpm, _MINUTE),
            ("rpd", REQUESTS, limits.rpd, _DAY),
            # A place is taken for ever, until it is given back.
            ("concurrency", REQUESTS, limits.concurrency, inf),
        )
        logs: dict[float, Log] = {}
        self._bounds: list[Bound] = []
        for name, kind, limit, span in said:
            if limit is not None:
                log = logs.setdefault(span, Log(span))
                log.kinds.append(kind)
                self._bounds.append(Bound(name, kind, limit, log))
        self._logs = list(logs.values())
        self._latest = self._changes = self._barred = self._cut = -inf
        self.leases: int = 0

    def reserve(self, estimate: Usage, now: float) -> _Held | Refusal:
        self._come_to(now)
        input, output = estimate.input_tokens, estimate.output_tokens
        amounts = (1, input + output, input, output)
        if now < self._barred:
            return self._refusal(amounts, now)
        for bound in self._bounds:
            if not bound.has_room(amounts[bound.kind], now):
                return self._refusal(amounts, now)
        self.leases += 1
        return _Held(self, amounts, [log.add(amounts, now) for log in self._logs])

    def settle(self, amounts: Amounts, buckets: Sequence[Bucket], usage: Usage | None) -> None:
        truth = NOTHING
        if usage is not None:
            input, output = usage.input_tokens, usage.output_tokens
            truth = (1, input + output, input, output)
        for log, bucket in zip(self._logs, buckets, strict=True):
            log.correct(bucket, amounts, truth if log.span < inf else NOTHING)
        self.leases -= 1

    def headroom(self, now: float) -> float:
        self._come_to(now)
        return 0.0 if now < self._barred else min(bound.share_left(now) for bound in self._bounds)

    def learn(self, told: RateLimits, now: float) -> None:
        self._come_to(now)
        for bound in self._bounds:
            if bound.log.span < inf:  # Of places hosts do not speak.
                bound.hear(told, now)

    def rate_limited(self, started: float, retry_after: float | None, now: float) -> tuple[str, float] | None:
        self._come_to(now)
        if retry_after is not None:
            self._barred = max(self._barred, now + retry_after)
        if started <= self._cut:
            return None  # Calls that were under way when it was cut do not say that it is still too high.
        self._cut = now
        # A day is too long to feel one's way through it: a daily limit is as it was set.
        suspects = [bound for bound in self._bounds if bound.log.span != _DAY]
        if not suspects:
            return None
        scarcest = min(suspects, key=lambda bound: bound.share_left(now))
        return scarcest.name, scarcest.cut(now)

    def _refusal(self, amounts: Amounts, now: float) -> Refusal:
        moment, reason = self._barred, "the host asked to be left alone"
        early = self.leases > 0 and moment <= now
        for bound in self._bounds:
            amount = amounts[bound.kind]
            if amount > bound.limit:
                return Refusal(None, f"{bound.name} {bound.limit} is less than this call's {amount}")
            opens = bound.opens(amount, now)
            if opens > now and bound.kind == REQUESTS and bound.log.span < inf:
                early = False  # A request that was made stays made, whatever it used.
            if opens > moment:
                moment, reason = opens, bound.reason(amount, opens)
        if moment == inf:
            return Refusal(inf, f"{reason} until a call ends")
        wait = moment - now
        while now + wait < moment:  # It is rounded, and who waits so long is not to come too early.
            wait = nextafter(wait, inf)
        return Refusal(wait, f"{reason} for {ceil(wait * 10) / 10:g} s", early)

    def _come_to(self, now: float) -> None:
        """Let go of what is over by *now*."""
        if now < self._latest:
            # A clock that was put back, or another event loop's: what was used stays used for as long
            # as it would have.
            self._shift(now - self._latest)
        self._latest = now
        if now >= self._changes:
            self._changes = min(log.come_to(now) for log in self._logs)

    def _shift(self, by: float) -> None:
        self._barred += by
        self._cut += by
        self._changes = -inf
        for log in self._logs:
            log.shift(by)
        for bound in self._bounds:
            bound.shift(by)


class _Held:
    """Room that is held for one attempt. What is said of it first counts."""

    __slots__ = ("_amounts", "_buckets", "_state")

    def __init__(self, state: _State, amounts: Amounts, buckets: Sequence[Bucket]) -> None:
        self._state: _State | None = state
        self._amounts = amounts
        self._buckets = buckets

    def settle(self, usage: Usage | None, /) -> None:
        if (state := self._state) is not None:
            self._state = None
            state.settle(self._amounts, self._buckets, usage)


class _Free:
    """Room where there are no limits."""

    __slots__ = ()

    def settle(self, usage: Usage | None, /) -> None:
        pass


_FREE = _Free()
