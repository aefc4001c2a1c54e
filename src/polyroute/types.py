"""What a call is made of: messages and their parts, tools, the request, and what it used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel

    from polyroute.protocols import RetryPolicy
    from polyroute.settings import Timeout

__all__ = [
    "FINISH_REASONS",
    "Audio",
    "ChatRequest",
    "Content",
    "EmbedRequest",
    "File",
    "FinishReason",
    "Image",
    "Message",
    "NamedTool",
    "OnBreak",
    "Opaque",
    "Part",
    "Reasoning",
    "Request",
    "ResponseFormat",
    "Role",
    "Text",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
    "Usage",
]

V = TypeVar("V")

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]
OnBreak: TypeAlias = Literal["raise", "restart", "resume"]
FINISH_REASONS: tuple[FinishReason, ...] = get_args(FinishReason)


@dataclass(frozen=True, slots=True)
class Text:
    """Plain words."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by *url* (an address or a `data:` URI) or by *data* with its *media_type*.

    *detail* is the host's own word for how closely to look (`"low"`, `"high"`, `"auto"`).
    """

    url: str | None = None
    _: KW_ONLY
    data: bytes | None = field(default=None, repr=False)
    media_type: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound, in the encoding that *format* names (`"wav"`, `"mp3"`)."""

    data: bytes = field(repr=False)
    format: str


@dataclass(frozen=True, slots=True)
class File:
    """A document, by *data*, by *url* or by the *id* that the host gave it when it was uploaded."""

    _: KW_ONLY
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    id: str | None = None
    name: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought, in words."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asks for. polyroute never runs it.

    *arguments* is the object, or None where the model's text is no JSON object; *raw_arguments* is
    that text. Either may be left out and is made from the other.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None = None
    raw_arguments: str = ""

    def __post_init__(self) -> None:
        if self.arguments is not None:
            if not self.raw_arguments:
                object.__setattr__(self, "raw_arguments", _json_text(self.arguments))
        else:
            object.__setattr__(self, "arguments", _json_object(self.raw_arguments))

    def result(self, value: object) -> Message:
        """The message that answers this call: *value* as it is where it is a str, else as JSON."""
        return Message("tool", (ToolResult(self.id, _result_text(value), name=self.name),))


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back for the call with this id: a str, or texts and images."""

    tool_call_id: str
    content: str | tuple[Text | Image, ...] = ""
    _: KW_ONLY
    name: str | None = None
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Opaque:
    """What only its maker understands (a thinking signature, encrypted reasoning).

    It goes back to a provider whose name is *origin* and is left out for every other. A mark that the
    prompt may be cached up to here, `Opaque("anthropic", {"cache_control": {"type": "ephemeral"}})`, goes
    to each that knows such marks, in its own words.
    """

    origin: str
    data: Any = field(repr=False)


Part: TypeAlias = Text | Image | Audio | File | Reasoning | ToolCall | ToolResult | Opaque
Content: TypeAlias = str | tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. *content* is a str where it is only text, else the parts in order."""

    role: Role
    content: str | Sequence[Part] = ""
    _: KW_ONLY
    name: str | None = None

    def __post_init__(self) -> None:
        if type(self.content) is str or type(self.content) is tuple:
            return
        object.__setattr__(
            self,
            "content",
            str(self.content) if isinstance(self.content, str) else tuple(self.content),
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts, also where it is a str."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return tuple(self.content)

    @property
    def text(self) -> str:
        """The text parts, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask for. *parameters* is a JSON schema of an object.

    *cache_control* marks that the prompt may be cached up to here, as Anthropic says it:
    `{"type": "ephemeral"}`. Hosts that cache unasked pass over it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    _: KW_ONLY
    strict: bool | None = None
    cache_control: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The choice of one tool: the model must call the one of this name."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """How the reply's text is to be shaped: any JSON object, or JSON of one schema.

    *model* is the pydantic class that the schema came from and the reply is parsed into.
    """

    kind: Literal["text", "json_object", "json_schema"]
    name: str = "response"
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None
    model: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of a reply with its log probability, and those that were nearly chosen."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. *input_tokens* counts the whole prompt, its cached part too; *output_tokens* counts
    reasoning too. None: the host said nothing about it. *estimated*: these are our own guesses."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            _sum(self.cached_input_tokens, other.cached_input_tokens),
            _sum(self.cache_write_tokens, other.cache_write_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, kw_only=True)
class Request:
    """What every kind of call has in common.

    *deadline* is the moment on the event loop's clock (`anyio.current_time()`) by which the call
    must have ended, fixed when it came in; None: no limit.
    """

    kind: ClassVar[str] = ""

    model: str | tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    session: str | None = None
    priority: int = 0
    timeout: Timeout | None = None
    retry: RetryPolicy | None = None
    fallbacks: bool = True
    cache: None = None
    extra: Mapping[str, Any] | None = None
    deadline: float | None = None

    @property
    def cache_key(self) -> str:
        """A digest of all that decides the answer: alike for two requests that must be answered alike."""
        deciding = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _ASIDE}
        return sha256(_json_text(_spelt([self.kind, deciding])).encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ChatRequest(Request):
    """A conversation to be continued. Each field is the argument of `Router.chat` with its name."""

    kind: ClassVar[str] = "chat"

    messages: tuple[Message, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    logprobs: bool | int | None = None
    n: int | None = None
    on_break: OnBreak = "raise"
    hold: int = 0


@dataclass(frozen=True, kw_only=True)
class EmbedRequest(Request):
    """Texts to be turned into vectors, one each. *dimensions* shortens them where a model can."""

    kind: ClassVar[str] = "embed"

    input: tuple[str, ...] = ()
    dimensions: int | None = None


# Fields of a request that say how it travels, and nothing about its answer.
_ASIDE = frozenset(
    ("tags", "metadata", "user", "session", "priority", "timeout", "retry", "fallbacks", "cache", "deadline")
) | {"on_break", "hold"}


def _spelt(value: object) -> object:
    """*value* as JSON that tells apart what differs: each part with its type's name."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, type):
        return None  # A pydantic class; its schema stands beside it.
    if is_dataclass(value):
        inner = {each.name: _spelt(getattr(value, each.name)) for each in fields(value)}
        return [type(value).__name__, inner]
    if isinstance(value, Mapping):
        return {str(key): _spelt(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_spelt(each) for each in value]
    return value if isinstance(value, str | int | float | None) else repr(value)


def amended(value: V, **changes: object) -> V:
    """*value* with *changes*, as `dataclasses.replace` gives it and in a tenth of its time.

    It is what requests, replies and chunks have no slots for; and a frozen generic with slots could
    not be made by `ChatResponse[T](…)` on Python 3.11.
    """
    copied = object.__new__(type(value))
    # In place, and not a new dict that takes this one's place: such an instance costs more ever after.
    fields = copied.__dict__
    fields |= value.__dict__
    fields |= changes
    return copied


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json_object(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _result_text(value: object) -> str:
    if isinstance(value, str):
        return value
    # Tools give back what they like, dates and pydantic models among it.
    from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

    try:
        return to_json(value, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        # Half of a surrogate pair, of which a tool that cuts text may leave one; anything else raises again.
        return json.dumps(to_jsonable_python(value, inf_nan_mode="null"), ensure_ascii=False)


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other
