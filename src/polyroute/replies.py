"""What comes back: replies, chunks of replies, and the record of how they came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

from polyroute.errors import PolyrouteError
from polyroute.types import (
    FinishReason,
    Message,
    Opaque,
    Part,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)

__all__ = [
    "Attempt",
    "AttemptKind",
    "ChatChunk",
    "ChatResponse",
    "Decision",
    "EmbedResponse",
    "Exclusion",
    "Listing",
    "Ranked",
    "RateLimits",
    "RateWindow",
    "ToolCallDelta",
    "Trace",
]

T_co = TypeVar("T_co", covariant=True)
Reply = TypeVar("Reply", "ChatResponse[Any]", "EmbedResponse", "ChatChunk")


AttemptKind: TypeAlias = Literal["first", "retry", "fallback", "hedge", "restart", "resume"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one deployment, finished or failed.

    *started* and *ended* are moments on the event loop's clock, *ttft* the seconds to the first
    token of a stream, *reason* why the deployment was chosen, in words. *cost* is in US dollars,
    None where a price is unknown. *dropped* names the arguments that the deployment may drop and did.
    *abandoned*: another attempt of the call answered first, and this one was cut short.
    """

    deployment: str
    started: float = 0.0
    ended: float = 0.0
    error: PolyrouteError | None = None
    ttft: float | None = None
    usage: Usage | None = None
    cost: Decimal | None = None
    reason: str = ""
    kind: AttemptKind = "first"
    dropped: tuple[str, ...] = ()
    abandoned: bool = False

    @property
    def latency(self) -> float:
        """Seconds from start to end."""
        return self.ended - self.started


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a deployment was no candidate, in words and by *cause*: it does not serve this `kind` of
    call, something is missing in its `setup`, the call's `tags` forbid it, it cannot honour the
    *argument* that is named, it is `paused`, its last `probe` failed, its circuit `breaker` holds calls
    back, its `limits` have no room, or what this call's `attempts` have shown."""

    deployment: str
    reason: str
    cause: Literal["kind", "setup", "tags", "argument", "paused", "probe", "breaker", "limits", "attempts"]
    argument: str | None = None

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Ranked:
    """One candidate's place: *route* is the name of the route it stands in, None outside of one."""

    deployment: str
    reason: str = ""
    score: float | None = None
    route: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Who would serve, in order, and who was left out and why."""

    ranking: tuple[Ranked, ...] = ()
    excluded: tuple[Exclusion, ...] = ()

    @property
    def deployment(self) -> str | None:
        """The id of the one that is asked first; None where nobody can serve."""
        return self.ranking[0].deployment if self.ranking else None

    def __str__(self) -> str:
        lines: list[str] = []
        for place, ranked in enumerate(self.ranking, start=1):
            where = f" (route {ranked.route})" if ranked.route else ""
            why = f": {ranked.reason}" if ranked.reason else ""
            score = f" [{ranked.score:g}]" if ranked.score is not None else ""
            lines.append(f"{place}. {ranked.deployment}{where}{why}{score}")
        lines.extend(f"-  {exclusion.deployment}: {exclusion.reason}" for exclusion in self.excluded)
        return "\n".join(lines) or "nobody could serve this call"


@dataclass(frozen=True, slots=True)
class Listing:
    """The models that one key of one provider reaches, as `"provider/model"`.

    *deployments* are the ids of those that use the key, and *gone* those of them whose model is not
    among *models*. *error* says why they could not be listed.
    """

    provider: str
    deployments: tuple[str, ...]
    models: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    error: PolyrouteError | None = None


_UNDECIDED = Decision()


@dataclass(frozen=True, slots=True)
class Trace:
    """How a reply came about: each attempt in order, and the decision that was taken first."""

    attempts: tuple[Attempt, ...] = ()
    decision: Decision = _UNDECIDED

    def __str__(self) -> str:
        return "\n".join(f"{attempt.kind} {told(attempt)}" for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a streamed tool call: *arguments* is the next fragment of its JSON text."""

    index: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True)
class ChatChunk:
    """A piece of a streamed reply. *index* says of which choice; *restarted* that what came before is void."""

    text: str = ""
    reasoning: str | None = None
    refusal: str | None = None
    tool_call_delta: ToolCallDelta | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    opaque: Opaque | None = None
    id: str | None = None
    model: str | None = None
    deployment: str | None = None
    index: int = 0
    restarted: bool = False

    @property
    def has_token(self) -> bool:
        """Whether it says something: text, reasoning, refusal or tool data that is not empty."""
        if self.text or self.reasoning or self.refusal:
            return True
        delta = self.tool_call_delta
        return delta is not None and bool(delta.id or delta.name or delta.arguments)


_NO_TRACE = Trace()
_UNTOLD = Usage()

# What a left-out finish reason is until `__post_init__` has seen the tool calls.
_UNSAID = cast("FinishReason", None)


@dataclass(frozen=True)
class ChatResponse(Generic[T_co]):
    """A whole reply.

    *cost* is US dollars for the whole call, retries and rejected stages included; None where a
    price is unknown. *raw* is the provider's own body, None for a stream. *choices* holds all of
    them where more than one was asked for. *parts* is the content in the wire's order; left empty,
    it is made from text, reasoning and tool calls.
    """

    text: str = ""
    id: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    parsed: T_co = cast("T_co", None)  # noqa: RUF009 - a cast is no call that could be shared
    finish_reason: FinishReason = _UNSAID
    reasoning: str | None = None
    refusal: str | None = None
    choices: tuple[ChatResponse[T_co], ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    parts: tuple[Part, ...] = ()
    usage: Usage = _UNTOLD
    cost: Decimal | None = None
    cost_estimated: bool = False
    model: str | None = None
    deployment: str | None = None
    provider: str | None = None
    route: str | None = None
    cached: Literal["exact", "semantic"] | None = None
    degraded: bool = False
    trace: Trace = _NO_TRACE
    raw: Any = None

    def __post_init__(self) -> None:
        if self.finish_reason is None:
            object.__setattr__(self, "finish_reason", "tool_calls" if self.tool_calls else "stop")

    @property
    def message(self) -> Message:
        """The reply as a message, to be appended to the history as it is.

        A refusal is what the assistant said where it said nothing else: no history has another place for it.
        """
        parts = self._parts_in_step()
        if self.refusal and not self.text:
            place = next((at for at, part in enumerate(parts) if type(part) is ToolCall), len(parts))
            parts = (*parts[:place], Text(self.refusal), *parts[place:])
        if all(type(part) is Text for part in parts):
            return Message("assistant", self.text or self.refusal or "")
        return Message("assistant", parts)

    def _parts_in_step(self) -> tuple[Part, ...]:
        """The parts, made anew where `replace` gave the reply other words or other tool calls."""
        said = "".join(part.text for part in self.parts if type(part) is Text)
        thought = "".join(part.text for part in self.parts if type(part) is Reasoning)
        called = [part for part in self.parts if type(part) is ToolCall]
        if self.parts and (said, thought, called) == (self.text, self.reasoning or "", self.tool_calls):
            return self.parts
        thoughts = [Reasoning(self.reasoning)] if self.reasoning else []
        kept = [part for part in self.parts if type(part) not in (Text, Reasoning, ToolCall)]
        words = [Text(self.text)] if self.text else []
        return (*thoughts, *kept, *words, *self.tool_calls)


@dataclass(frozen=True)
class EmbedResponse(Sequence[list[float]]):
    """Vectors, one for each input and in their order; a sequence of them."""

    vectors: tuple[list[float], ...] = field(default=(), repr=False)
    usage: Usage = _UNTOLD
    cost: Decimal | None = None
    cost_estimated: bool = False
    model: str | None = None
    deployment: str | None = None
    provider: str | None = None
    route: str | None = None
    trace: Trace = _NO_TRACE
    raw: Any = field(default=None, repr=False)

    @overload
    def __getitem__(self, index: int) -> list[float]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[list[float], ...]: ...
    def __getitem__(self, index: int | slice) -> list[float] | tuple[list[float], ...]:
        return self.vectors[index]

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[list[float]]:
        return iter(self.vectors)


@dataclass(frozen=True, slots=True)
class RateWindow:
    """What a host said of one of its limits; None is what it did not say.

    *of* is what it counts. *limit* of them may be had in *span* seconds, and *remaining* are left; in
    *reset* seconds all of them will be there again.
    """

    of: Literal["requests", "tokens", "input_tokens", "output_tokens"]
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    span: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a host said of its limits with a reply, as each of them stood then."""

    windows: tuple[RateWindow, ...]


def unusual(parts: Sequence[Part]) -> tuple[Part, ...]:
    """*parts*, where they say more than text, reasoning and tool calls do; else ()."""
    usual = [type(part) for part in parts if type(part) is not ToolCall]
    in_order = usual in ([], [Text], [Reasoning], [Reasoning, Text])
    calls_last = all(type(part) is ToolCall for part in parts[len(usual) :])
    return () if in_order and calls_last else tuple(parts)


def told(attempt: Attempt) -> str:
    """One attempt in a few words, without anything that a host or a caller said."""
    error = attempt.error
    if attempt.abandoned:
        outcome = "abandoned, since another answered first,"
    elif error is None:
        outcome = "answered"
    else:
        status = getattr(error, "status", None)
        phase = getattr(error, "phase", None)
        outcome = type(error).__name__ + (f" {status}" if status else "") + (f" ({phase})" if phase else "")
    return f"{attempt.deployment}: {outcome} after {attempt.latency:.2f} s"


def reasons_of(excluded: Sequence[Exclusion]) -> Mapping[str, str]:
    """Exclusions as a mapping from deployment to reason."""
    return {exclusion.deployment: exclusion.reason for exclusion in excluded}
