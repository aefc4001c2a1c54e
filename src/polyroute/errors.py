"""Everything that can go wrong, as one tree.

```
PolyrouteError
├── ConfigurationError
├── RequestError                   about your request: no deployment would help
│   ├── UnknownModelError, UnsupportedParameterError, BudgetExceededError, GuardError
│   └── BadRequestError
│       └── ContextWindowExceededError, ContentFilterError
├── AttemptError                   about one deployment
│   ├── ProviderError              it answered with an error
│   │   ├── AuthenticationError, PermissionDeniedError, NotFoundError
│   │   ├── RateLimitError
│   │   │   └── QuotaExhaustedError
│   │   ├── ServerError
│   │   │   └── OverloadedError
│   │   └── ResponseDecodeError
│   │       └── OutputValidationError
│   ├── TransportError             no answer came
│   │   └── ConnectError, ReadError, AttemptTimeoutError
│   └── RejectedError              it answered, and a judge said no
├── FleetError                     no deployment could serve
│   └── AllAttemptsFailedError, NoDeploymentAvailableError
├── DeadlineExceededError          the call's own time ran out
│   └── LimitTimeoutError
└── StreamInterruptedError         after the first token
```

What is about your request comes out as itself; what is about the fleet comes out as a
`FleetError`, with one deployment too, so that adding a second never changes what you catch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from polyroute.replies import Attempt, ChatResponse
    from polyroute.types import Usage

__all__ = [
    "AllAttemptsFailedError",
    "AttemptError",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "ConfigurationError",
    "ConnectError",
    "ContentFilterError",
    "ContextWindowExceededError",
    "DeadlineExceededError",
    "FleetError",
    "GuardError",
    "LimitTimeoutError",
    "NoDeploymentAvailableError",
    "NotFoundError",
    "OutputValidationError",
    "OverloadedError",
    "PermissionDeniedError",
    "PolyrouteError",
    "ProviderError",
    "QuotaExhaustedError",
    "RateLimitError",
    "ReadError",
    "RejectedError",
    "RequestError",
    "ResponseDecodeError",
    "ServerError",
    "StreamInterruptedError",
    "TransportError",
    "UnknownModelError",
    "UnsupportedParameterError",
]


class PolyrouteError(Exception):
    """What every error of polyroute can be caught as.

    *text* is what `str()` gives; each *data* argument is one of the attributes that the class
    declares, and a name that it does not declare is a `TypeError`. Errors pickle with their data.
    """

    _declared: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name for name in cls.__annotations__ if not name.startswith("_")}
        cls._declared = cls._declared | own

    def __init__(self, text: str = "", /, **data: object) -> None:
        super().__init__(text)
        for name, value in data.items():
            if name not in self._declared:
                raise TypeError(
                    f"{type(self).__name__} has no data named {name!r}{did_you_mean(name, self._declared)}"
                )
            setattr(self, name, value)

    def __reduce__(self) -> tuple[object, ...]:
        data = {name: self.__dict__[name] for name in self._declared if name in self.__dict__}
        return (_rebuilt, (type(self), str(self), data))


class ConfigurationError(PolyrouteError):
    """The wiring is wrong: raised while building, or at the first call that shows it."""


class RequestError(PolyrouteError):
    """Something about the request itself: no deployment would help."""


class UnknownModelError(RequestError):
    """No route, deployment or model goes by the name that was asked for."""

    model: str | None = None
    nearest: Sequence[str] = ()


class UnsupportedParameterError(RequestError):
    """No candidate can honour one of the arguments, and none may drop it."""

    parameter: str | None = None
    reasons: Mapping[str, str] = {}


class BudgetExceededError(RequestError):
    """A budget has no room for this call."""


class GuardError(RequestError):
    """A guard refused this call."""


class BadRequestError(RequestError):
    """The request is malformed, by our own reading (*path* says where) or by the host's (*status*).

    *lacks*: the argument or capability that the model has not, where the host says that it is so.
    """

    path: str | None = None
    lacks: str | None = None
    deployment: str | None = None
    status: int | None = None
    provider: str | None = None
    body: object = None
    request_id: str | None = None


class ContextWindowExceededError(BadRequestError):
    """The prompt, with the room asked for the reply, is longer than the model's window."""


class ContentFilterError(BadRequestError):
    """The host's own filter refused the prompt or the reply."""


class AttemptError(PolyrouteError):
    """One deployment failed. *transient*: asking it again may help. *may_have_run*: the host may
    have done, and billed, the work although no answer came. *retry_after*: seconds it asked for."""

    deployment: str | None = None
    retry_after: float | None = None
    transient: bool = False
    may_have_run: bool = False


class ProviderError(AttemptError):
    """The deployment answered with an error. *body* is its own, parsed where it is JSON."""

    status: int | None = None
    provider: str | None = None
    body: object = None
    request_id: str | None = None


class AuthenticationError(ProviderError):
    """The key is missing, wrong or expired (401)."""


class PermissionDeniedError(ProviderError):
    """The key may not do this (403)."""


class NotFoundError(ProviderError):
    """The host does not know this model or address (404)."""


class RateLimitError(ProviderError):
    """Too many requests or tokens for now (429)."""

    transient: bool = True


class QuotaExhaustedError(RateLimitError):
    """No money or quota is left (402, or as the host says it): waiting a little does not help."""

    transient: bool = False


class ServerError(ProviderError):
    """The host failed (5xx, 408, 425, or 409 where it asks to be tried again)."""

    transient: bool = True


class OverloadedError(ServerError):
    """The host has no capacity at the moment (503, 529)."""


class ResponseDecodeError(ProviderError):
    """The answer is not what the API promises."""

    transient: bool = True
    may_have_run: bool = True


class OutputValidationError(ResponseDecodeError):
    """The reply is not of the schema that was asked for. *text* is what came instead."""

    text: str = ""


class TransportError(AttemptError):
    """No answer came."""

    transient: bool = True


class ConnectError(TransportError):
    """No connection could be made: nothing was sent, nothing ran."""


class ReadError(TransportError):
    """The connection broke after the request was, or may have been, sent."""

    may_have_run: bool = True


class AttemptTimeoutError(TransportError):
    """The deployment stayed silent to a limit of its `Timeout`; *phase* says to which:
    `connect`, `first_token`, `between_tokens` or `attempt`."""

    phase: str | None = None
    may_have_run: bool = True


class RejectedError(AttemptError):
    """The strategy's `accept` said that *response* is not good enough."""

    response: ChatResponse[object] | None = None


class FleetError(PolyrouteError):
    """No deployment could serve the call."""


class AllAttemptsFailedError(FleetError):
    """Each attempt failed; `__cause__` is the last one's error."""

    attempts: Sequence[Attempt] = ()


class NoDeploymentAvailableError(FleetError):
    """Every deployment was left out before it was asked; *reasons* says why, by deployment."""

    reasons: Mapping[str, str] = {}
    retry_after: float | None = None


class DeadlineExceededError(PolyrouteError):
    """The call's own time ran out."""

    attempts: Sequence[Attempt] = ()


class LimitTimeoutError(DeadlineExceededError):
    """The call's own time ran out, or would have, in a queue."""


class StreamInterruptedError(PolyrouteError):
    """A stream broke after its first token. *partial* is the text so far, *usage* an estimate of
    what it took unless the host had told it already."""

    partial: str = ""
    usage: Usage | None = None
    deployment: str | None = None


def did_you_mean(name: str, known: Sequence[str] | frozenset[str]) -> str:
    """The end of a sentence that proposes the known names most like *name*; "" where none is."""
    from difflib import get_close_matches

    matches = get_close_matches(name, sorted(known), n=3)
    if not matches:
        return ""
    return "; did you mean " + " or ".join(repr(match) for match in matches) + "?"


def _rebuilt(cls: type[PolyrouteError], text: str, data: dict[str, object]) -> PolyrouteError:
    return cls(text, **data)
