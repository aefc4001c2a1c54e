"""Every seam: what an application may put in the place of our own parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from polyroute.replies import Attempt, ChatChunk, ChatResponse, EmbedResponse, RateLimits
from polyroute.streams import ChatStream
from polyroute.types import ChatRequest, EmbedRequest, Request, Usage

if TYPE_CHECKING:
    from random import Random

    from polyroute.deployments import Call, Deployment

__all__ = [
    "Cache",
    "CacheEntry",
    "Choice",
    "Fallback",
    "Feedback",
    "FleetView",
    "GiveUp",
    "LearningLimiter",
    "Lease",
    "Limiter",
    "Middleware",
    "Provider",
    "Refusal",
    "Retry",
    "RetryPolicy",
    "Strategy",
    "Verdict",
    "Vitals",
]

# --- who is asked -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known of one deployment now. Times are in seconds, rates and shares between 0 and 1.

    *latency* is a peak EWMA: it jumps up at once and decays slowly; None where nothing is known.
    *headroom* is the share of its limits that is left, *waiting* how many calls queue for them.
    *share* is the part of its calls that its circuit breaker lets through, *paused* whether it was
    told to rest, and *barred* for how many seconds its host still wants to be left alone.
    """

    in_flight: int = 0
    latency: float | None = None
    ttft: float | None = None
    error_rate: float = 0.0
    breaker: Literal["closed", "open", "half_open"] = "closed"
    headroom: float = 1.0
    waiting: int = 0
    share: float = 1.0
    paused: bool = False
    barred: float = 0.0


class FleetView(Protocol):
    """What a strategy sees of the deployments' state: `fleet[deployment]` is its `Vitals`."""

    def __getitem__(self, deployment: Deployment | str, /) -> Vitals: ...

    @property
    def now(self) -> float:
        """The event loop's time."""
        ...

    @property
    def rng(self) -> Random:
        """The router's source of chance."""
        ...

    def estimate(self, request: Request, deployment: Deployment, /) -> Decimal | None:
        """What the call is expected to cost there, in US dollars; None where the price is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy's pick, with the reason in words. *scores* by deployment id; *propensity* is the
    probability with which it was picked, for learning from logs."""

    deployment: Deployment
    reason: str = ""
    scores: Mapping[str, float] | None = None
    propensity: float | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an application found out about a reply: a *score*, a *label*, or both."""

    response_id: str
    score: float | None = None
    label: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Strategy:
    """Who gets the next attempt. Subclass it: every method has a default.

    A strategy that needs no I/O must not suspend: choosing is then atomic. One that promises so by
    `suspends = False` spares each call a timer. `choose` should change nothing but a counter of its
    own, since `explain` asks a copy of it; learning belongs in `observe`.
    """

    suspends: ClassVar[bool] = True

    async def choose(
        self,
        request: Request,
        candidates: Sequence[Deployment],
        history: Sequence[Attempt],
        fleet: FleetView,
        /,
    ) -> Deployment | Choice | None:
        """Pick one of *candidates*, which is never empty; *history* holds this call's earlier
        attempts. None ends the route: its fallbacks follow."""
        return candidates[0]

    async def accept(self, request: Request, response: ChatResponse[Any], /) -> bool:
        """Whether *response* is good enough; False is a `RejectedError`, and the call goes on.

        Judging needs the whole reply: a strategy that overrides this commits a stream at its end.
        """
        return True

    def observe(self, request: Request, attempt: Attempt, /) -> None:
        """Learn from a finished attempt, whoever chose it."""

    def feedback(self, feedback: Feedback, /) -> None:
        """Learn from what the application found out about a reply."""


# --- who answers --------------------------------------------------------------------------------


class Provider(Protocol):
    """One API family, or an in-process model. It fills what it knows; the engine stamps the rest.

    Optional, each looked for by name:

    - `embed(call: EmbedCall) -> EmbedResponse`; without it a deployment is no candidate for `embed`.
    - `kinds(model: str) -> Collection[str]`: which kinds of call (`"chat"`, `"embed"`) a model serves.
    - `format: str`: the wire format's name, which `extra` speaks.
    - `space: str`: the vector space of all its embeddings; without it each model has its own.
    - `cannot(request: Request) -> Collection[str]`: the arguments of this request that it cannot honour.
    - `understands(opaque: Opaque) -> bool`: whether it has words for a part of another maker's, such as a
      mark up to which to cache; what bears its own name reaches it anyway.
    - `barred(request: Request, deployment: Deployment) -> str | None`: why this one of its deployments
      cannot serve this request, such as one that goes on from what another's host keeps; asked where
      there is an `extra`.
    - `needs(deployment: Deployment) -> str | None`: what is missing before the deployment can be
      asked, such as `"no key: set OPENAI_API_KEY"`.
    - `keeps_deadlines = True`: it raises `AttemptTimeoutError` by itself when `call.deadline` passes.
    - `prefill(model: str) -> Literal["exact", "trimmed"] | None`: how its models take the beginning of
      their own answer as the last message: as it is, without the space at its end, or (None) not.
    - `models(deployment: Deployment, deadline: Deadline) -> Collection[str]`, async: the names of the
      models that the deployment's key reaches.
    - `aclose()`: called when the router closes.
    """

    @property
    def name(self) -> str: ...

    async def chat(self, call: Call, /) -> ChatResponse[Any]: ...

    def stream(self, call: Call, /) -> AsyncGenerator[ChatChunk, None]:
        """Driven from its start to its close by one task, which is not always the one that asked for it."""
        ...


# --- what happens after a failure ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retry:
    """Wait *delay* seconds, then let the strategy pick again among all that did not refuse for good.

    *last_resort*: a wait so long that it is only worth it where nobody else is left, fallbacks included.
    """

    delay: float
    last_resort: bool = False


@dataclass(frozen=True, slots=True)
class Fallback:
    """Go on now, without the deployment that failed; *beyond* widens it to all with its key, on its
    host, or of its model."""

    beyond: Literal["deployment", "key", "host", "model"] = "deployment"


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End this route: its fallbacks follow."""


Verdict: TypeAlias = Retry | Fallback | GiveUp


class RetryPolicy(Protocol):
    """Decides, and never acts. It is not asked about a `RequestError`."""

    def decide(self, history: Sequence[Attempt], *, remaining: float | None, others: int) -> Verdict:
        """What follows the last attempt of *history*.

        Args:
            history: This call's attempts so far, on every route, the newest last.
            remaining: Seconds until the call's deadline, None where it has none.
            others: How many candidates of this route were not yet tried in this call.
        """
        ...


# --- what stands around a call ------------------------------------------------------------------


class Middleware:
    """Wraps a whole call; the base class passes everything through."""

    async def chat(
        self, request: ChatRequest, call_next: Callable[[ChatRequest], Awaitable[ChatResponse[Any]]], /
    ) -> ChatResponse[Any]:
        return await call_next(request)

    async def stream(
        self, request: ChatRequest, call_next: Callable[[ChatRequest], Awaitable[ChatStream[Any]]], /
    ) -> ChatStream[Any]:
        """`call_next` gives a stream that has not started; give it back as it is or changed."""
        return await call_next(request)

    async def embed(
        self, request: EmbedRequest, call_next: Callable[[EmbedRequest], Awaitable[EmbedResponse]], /
    ) -> EmbedResponse:
        return await call_next(request)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A stored reply: *stored* is when (seconds since the epoch), *ttl* how long it is good for,
    *score* how alike the request was, 1.0 for the same."""

    response: ChatResponse[Any]
    stored: float
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    score: float = 1.0


class Cache(Protocol):
    """A store; what may be cached, when and for whom is the engine's business."""

    async def lookup(self, request: Request, /) -> CacheEntry | None: ...
    async def store(self, request: Request, entry: CacheEntry, /) -> None: ...


class Lease(Protocol):
    """Room that was reserved for one attempt."""

    def settle(self, usage: Usage | None, /) -> None:
        """Tell, once, what was used in truth; None: nothing was."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """No room now: *retry_after* seconds until time alone may make some; `math.inf` where only a lease
    that is settled can, None where there never will be. *early*: a lease that is settled for less than it
    holds may make room before that, so that a call with less time than *retry_after* may still wait."""

    retry_after: float | None = None
    reason: str = ""
    early: bool = field(default=False, compare=False)


class Limiter(Protocol):
    """Says whether there is room. It never waits: the engine goes elsewhere first, then queues. One that
    heeds what hosts say is a `LearningLimiter` too."""

    async def reserve(
        self, request: Request, deployment: Deployment, estimate: Usage, /
    ) -> Lease | Refusal: ...


@runtime_checkable
class LearningLimiter(Limiter, Protocol):
    """A `Limiter` that also heeds what hosts say. Times are moments on the event loop's clock."""

    def headroom(self, deployment: Deployment) -> float:
        """The share that is left of the scarcest of its limits, from 0.0 to 1.0."""
        ...

    def learn(self, deployment: Deployment, told: RateLimits) -> None:
        """Heed what the deployment's host has just told of its limits."""
        ...

    def rate_limited(
        self, deployment: Deployment, *, started: float, retry_after: float | None
    ) -> tuple[str, float] | None:
        """Heed a 429 to an attempt that *started* then; for *retry_after* seconds it wants to be left alone.
        Gives the limit that this lowers and the share of it that is left; None where it lowers none."""
        ...
