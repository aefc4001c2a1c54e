"""Who can be asked: deployments, the routes that group them, and the call that one of them gets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from types import EllipsisType, MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from polyroute.capabilities import ARGUMENTS, check_capabilities, lacking_of_family
from polyroute.deadlines import Deadline
from polyroute.errors import ConfigurationError, PolyrouteError, did_you_mean
from polyroute.replies import ChatResponse, RateLimits
from polyroute.settings import CircuitBreaker, Hedge, Limits, Price, Secret, SupportsSecret, Timeout
from polyroute.types import ChatRequest, EmbedRequest

if TYPE_CHECKING:
    from polyroute.protocols import Provider, RetryPolicy, Strategy

__all__ = ["ApiKey", "Call", "Deployment", "EmbedCall", "Route", "Rung"]

Rung: TypeAlias = "str | ChatResponse[Any] | Callable[[ChatRequest, PolyrouteError], Awaitable[str | ChatResponse[Any] | None]]"
"""What is said where nobody answers: a text, a reply, or an async function of the request and the error
that gives one of these, or None for the next rung."""

ApiKey: TypeAlias = str | SupportsSecret | Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Deployment:
    """One model at one endpoint with one key.

    *model* is `"provider/model"`; `"provider/*"` serves any model of that provider which a call
    names. *id* is what every record calls it, by default the model. *api_key* is a str, a
    `SecretStr` or a callable (sync or async) that is asked for each attempt, by default the
    provider's usual environment variable. *base_url* replaces everything before the operation's
    own path, version segment included. *params* are arguments of a call that it may override,
    *may_drop* names those that may be left out where the deployment cannot honour them, and
    *space* the vector space of embeddings that may stand in for each other. *capabilities* says
    what the model has or has not, such as `{"tools": True, "images": False}`; the rest is known of
    its family, or taken to be there. *like* is the `"provider/model"` that an opaque name stands for.
    """

    model: str
    id: str | None = field(default=None, kw_only=True)
    provider: Provider | None = field(default=None, kw_only=True)
    base_url: str | None = field(default=None, kw_only=True)
    api_key: ApiKey | None = field(default=None, kw_only=True)
    weight: float = field(default=1.0, kw_only=True)
    region: str | None = field(default=None, kw_only=True)
    tags: Sequence[str] = field(default=(), kw_only=True)
    limits: Limits | None = field(default=None, kw_only=True)
    price: Price | None = field(default=None, kw_only=True)
    context_window: int | None = field(default=None, kw_only=True)
    capabilities: Mapping[str, bool] | None = field(default=None, kw_only=True)
    like: str | None = field(default=None, kw_only=True)
    may_drop: Sequence[str] = field(default=(), kw_only=True)
    space: str | None = field(default=None, kw_only=True)
    timeout: Timeout | float | None = field(default=None, kw_only=True)
    breaker: CircuitBreaker | EllipsisType | None = field(default=..., kw_only=True)
    headers: Mapping[str, str] | None = field(default=None, kw_only=True)
    params: Mapping[str, Any] | None = field(default=None, kw_only=True)

    def __new__(cls, *_: object, **options: object) -> Self:
        _refuse_unknown(cls, options)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        owner = f"Deployment {self.model!r}"
        if not isinstance(self.model, str) or not _MODEL.fullmatch(self.model):
            raise ConfigurationError(
                f'{owner}: a model is named "provider/model", such as "openai/gpt-5-mini", '
                "without control characters"
            )
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise ConfigurationError(f"{owner}: limits is a Limits(rpm=…, tpm=…), not {self.limits!r}")
        if self.like is not None and not (isinstance(self.like, str) and _MODEL.fullmatch(self.like)):
            raise ConfigurationError(f'{owner}: like names a "provider/model", not {self.like!r}')
        if self.breaker is not ... and not isinstance(self.breaker, CircuitBreaker | None):
            raise ConfigurationError(f"{owner}: breaker is a CircuitBreaker(…) or None, not {self.breaker!r}")
        if self.id is not None and (not self.id or not self.id.isprintable()):
            raise ConfigurationError(f"{owner}: id is a name that can be printed, not {self.id!r}")
        if not isinstance(self.weight, int | float) or not isfinite(self.weight) or self.weight < 0:
            raise ConfigurationError(f"{owner}: weight is a number, 0 or more, not {self.weight!r}")
        if self.price is not None and not isinstance(self.price, Price):
            raise ConfigurationError(f"{owner}: price is a Price(input=…, output=…), not {self.price!r}")
        if self.base_url is not None:
            check_address(owner, self.base_url)
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", Secret(clean(f"{owner}: api_key", self.api_key)))
        object.__setattr__(self, "tags", names(owner, "tags", self.tags))
        object.__setattr__(self, "may_drop", _droppable(owner, self.may_drop))
        object.__setattr__(self, "capabilities", check_capabilities(owner, self.capabilities))
        object.__setattr__(self, "timeout", attempt_timeout(owner, self.timeout))
        object.__setattr__(self, "headers", _headers(owner, self.headers))
        object.__setattr__(self, "params", MappingProxyType(dict(self.params or {})))

    @classmethod
    def for_keys(
        cls, model: str, keys: Sequence[ApiKey], *, id: str | None = None, **options: Any
    ) -> list[Self]:
        """A deployment for each of *keys*, which differ in nothing else: put them into one route. A key that
        is refused is left out, and one that is told to wait makes room for the next at once.

        The ids are *id* with `#1`, `#2` and so on, or else those that a router gives to equal models.
        *options* are those of `Deployment`.
        """
        if isinstance(keys, str) or not isinstance(keys, Sequence) or not keys:
            raise ConfigurationError("Deployment.for_keys: keys is a list of them, and not empty")
        return [
            cls(model, id=None if id is None else f"{id}#{place}", api_key=key, **options)
            for place, key in enumerate(keys, start=1)
        ]

    def is_like(self, other: Deployment) -> bool:
        """Whether what was learnt of *other* holds for this one too: the same model, host and key."""
        return (self.model, self.base_url, self.region, self.api_key, self.provider) == (
            other.model, other.base_url, other.region, other.api_key, other.provider
        )  # fmt: skip

    @property
    def prefix(self) -> str:
        """The provider's part of the model's name: `openai` of `openai/gpt-5-mini`."""
        return self.model.partition("/")[0]

    @property
    def name(self) -> str:
        """The model's name as it is sent, without the provider's prefix."""
        return self.model.partition("/")[2]

    @property
    def known_as(self) -> str:
        """The model's name by which its family is known: that of *like*, where it is given."""
        return self.like.partition("/")[2] if self.like is not None else self.name

    @property
    def lacks(self) -> frozenset[str]:
        """The capabilities that it is known not to have."""
        said = self.capabilities or {}
        family = {name for name in lacking_of_family(self.known_as) if name not in said}
        return frozenset(family | {name for name, has in said.items() if not has})

    @property
    def is_pattern(self) -> bool:
        """Whether it serves any model of its prefix."""
        return self.name == "*"

    @property
    def all_tags(self) -> frozenset[str]:
        """The tags it was given and those of its own making: provider, model and region."""
        own = [f"provider:{self.prefix}", f"model:{self.name}"]
        if self.region:
            own.append(f"region:{self.region}")
        return frozenset((*self.tags, *own))

    def __repr__(self) -> str:
        shown = [repr(self.model)]
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            # Keys may stand in headers and params too, so only their names are shown.
            if each.name in ("headers", "params"):
                value = list(value or ())
            if each.name == "capabilities":
                value = dict(value or {})
            if each.name == "api_key" and value is not None:
                value = Secret("")
            if value not in (None, (), [], {}, ..., 1.0):
                shown.append(f"{each.name}={value!r}")
        return f"Deployment({', '.join(shown)})"


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A name that callers ask for: its deployments, how one is picked, and who stands in for them.

    *deployments* and *fallbacks* name deployments by id or model; fallbacks may name routes too.
    *tags* bind every call made on the route, wherever it falls back to.
    """

    deployments: Sequence[str]
    strategy: Strategy | None = field(default=None, kw_only=True)
    fallbacks: Sequence[str] = field(default=(), kw_only=True)
    tags: Sequence[str] = field(default=(), kw_only=True)
    params: Mapping[str, Any] | None = field(default=None, kw_only=True)
    timeout: Timeout | float | None = field(default=None, kw_only=True)
    retry: RetryPolicy | EllipsisType | None = field(default=..., kw_only=True)
    hedge: Hedge | EllipsisType | None = field(default=..., kw_only=True)
    degrade: Sequence[Rung] | EllipsisType | None = field(default=..., kw_only=True)
    after_content_filter: Literal["raise", "fallback"] = field(default="raise", kw_only=True)

    def __new__(cls, *_: object, **options: object) -> Self:
        _refuse_unknown(cls, options)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        if self.hedge is not ...:
            object.__setattr__(self, "hedge", checked_hedge("Route", self.hedge))
        if self.degrade is not ...:
            object.__setattr__(self, "degrade", checked_rungs("Route", self.degrade))
        if self.after_content_filter not in ("raise", "fallback"):
            raise ConfigurationError(
                f'Route: after_content_filter is "raise" or "fallback", not {self.after_content_filter!r}'
            )
        object.__setattr__(self, "deployments", names("Route", "deployments", self.deployments))
        object.__setattr__(self, "fallbacks", names("Route", "fallbacks", self.fallbacks))
        object.__setattr__(self, "tags", names("Route", "tags", self.tags))
        object.__setattr__(self, "timeout", attempt_timeout("Route", self.timeout))
        object.__setattr__(self, "params", MappingProxyType(dict(self.params or {})))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Addressed:
    """A request on its way to one deployment.

    *model* is its name as it is sent. *timeout* holds the limits as they were merged for this
    attempt, *deadline* when they run out. *user* is set only where it may be told to the host. Where
    *hear* is set, a provider calls it once a response's head has come, with what reads its `RateLimits`.
    """

    deployment: Deployment
    model: str
    timeout: Timeout
    deadline: Deadline
    user: str | None = None
    hear: Callable[[Callable[[], RateLimits | None]], None] | None = field(
        default=None, repr=False, compare=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(_Addressed):
    """What a provider gets to answer."""

    request: ChatRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedCall(_Addressed):
    """What a provider gets to turn into vectors."""

    request: EmbedRequest


def checked_hedge(owner: str, given: object) -> Hedge | None:
    """*given*, if it says when to hedge, or that nobody does."""
    if given is None or isinstance(given, Hedge):
        return given
    raise ConfigurationError(f'{owner}: hedge is a Hedge(after="p95") or None, not {given!r}')


def checked_rungs(owner: str, given: object) -> tuple[Rung, ...]:
    """*given* as the rungs of a ladder."""
    rungs = () if given is None else given
    if not isinstance(rungs, Sequence) or isinstance(rungs, str):
        raise ConfigurationError(
            f'{owner}: degrade is a sequence, such as ["Please try later."], not {given!r}'
        )
    for rung in rungs:
        if not (isinstance(rung, str | ChatResponse) or callable(rung)) or rung == "":
            raise ConfigurationError(
                f"{owner}: degrade holds texts, ChatResponses and async functions of (request, error), not {rung!r}"
            )
    return tuple(rungs)


def names(owner: str, what: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """*given* as a tuple of non-empty strs; a lone str is refused, since it would be read by letters."""
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigurationError(
            f"{owner}: {what} is a sequence of names, such as [{given!r}], not {given!r}"
        )
    for name in given:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{owner}: {what} holds names, not {name!r}")
    return tuple(given)


def _droppable(owner: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """*given*, which names arguments that a call can do without."""
    for name in (dropped := names(owner, "may_drop", given)):
        if name not in ARGUMENTS:
            hint = did_you_mean(name, ARGUMENTS) or f"; there are: {', '.join(sorted(ARGUMENTS))}"
            raise ConfigurationError(
                f"{owner}: may_drop names no argument that can be dropped: {name!r}{hint}"
            )
    return dropped


def _refuse_unknown(cls: type[Deployment | Route], options: Mapping[str, object]) -> None:
    """A misspelt option is an error of ours, with the nearest name, as everywhere in a configuration."""
    known = [each.name for each in fields(cls)]
    for name in options:
        if name not in known:
            raise ConfigurationError(f"{cls.__name__} has no option {name!r}{did_you_mean(name, known)}")


def attempt_timeout(owner: str, given: Timeout | float | None) -> Timeout | None:
    """*given* as a `Timeout`; a number, anywhere but on a call, limits the attempt."""
    if given is None or isinstance(given, Timeout):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ConfigurationError(f"{owner}: timeout is a Timeout(…) or a number of seconds, not {given!r}")
    return Timeout(attempt=given)


_MODEL = re.compile(r"[A-Za-z0-9_.-]+/[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")

_QUERY = r"(api-version=[\w.-]+)?"  # Azure's; anything else may hold a key, and addresses are shown


def check_address(owner: str, base_url: str) -> None:
    """Refuse an address that could be read in two ways or that would carry more than an address."""
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    else:
        valid = valid and "@" not in parts.netloc and re.fullmatch(_QUERY, parts.query) is not None
    valid = valid and not set(base_url) & set("\\ #") and not base_url.endswith("?")
    if not valid or not base_url.isascii() or not base_url.isprintable():
        raise ConfigurationError(
            f"{owner}: base_url is an http(s) address up to the operation's own path, such as "
            "https://api.openai.com/v1, without a user, a fragment, or a query other than ?api-version="
        )


def clean(what: str, value: object) -> str:
    """*value*, if it can stand in a header; what it holds is never shown, it may be a key."""
    if isinstance(value, str) and value and value.isascii() and value.isprintable():
        return value
    del value  # A traceback may show what its frames hold.
    raise ConfigurationError(f"{what} must be printable ASCII without line breaks, and not empty")


def _headers(owner: str, given: Mapping[str, str] | None) -> Mapping[str, str]:
    for name, value in (given or {}).items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ConfigurationError(f"{owner}: {name!r} is no name for a header")
        clean(f"{owner}: header {name}", value)
    return MappingProxyType(dict(given or {}))
