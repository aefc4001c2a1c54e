"""polyroute routes LLM calls inside your own process: one API, many models, no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyroute.errors import (
        AllAttemptsFailedError as AllAttemptsFailedError,
        AttemptError as AttemptError,
        AttemptTimeoutError as AttemptTimeoutError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        BudgetExceededError as BudgetExceededError,
        ConfigurationError as ConfigurationError,
        ConnectError as ConnectError,
        ContentFilterError as ContentFilterError,
        ContextWindowExceededError as ContextWindowExceededError,
        DeadlineExceededError as DeadlineExceededError,
        FleetError as FleetError,
        GuardError as GuardError,
        LimitTimeoutError as LimitTimeoutError,
        NoDeploymentAvailableError as NoDeploymentAvailableError,
        NotFoundError as NotFoundError,
        OutputValidationError as OutputValidationError,
        OverloadedError as OverloadedError,
        PermissionDeniedError as PermissionDeniedError,
        PolyrouteError as PolyrouteError,
        ProviderError as ProviderError,
        QuotaExhaustedError as QuotaExhaustedError,
        RateLimitError as RateLimitError,
        ReadError as ReadError,
        RejectedError as RejectedError,
        RequestError as RequestError,
        ResponseDecodeError as ResponseDecodeError,
        ServerError as ServerError,
        StreamInterruptedError as StreamInterruptedError,
        TransportError as TransportError,
        UnknownModelError as UnknownModelError,
        UnsupportedParameterError as UnsupportedParameterError,
    )
    from polyroute.types import (
        Audio as Audio,
        ChatRequest as ChatRequest,
        EmbedRequest as EmbedRequest,
        File as File,
        Image as Image,
        Message as Message,
        NamedTool as NamedTool,
        Opaque as Opaque,
        Reasoning as Reasoning,
        Request as Request,
        ResponseFormat as ResponseFormat,
        Text as Text,
        TokenLogprob as TokenLogprob,
        Tool as Tool,
        ToolCall as ToolCall,
        ToolResult as ToolResult,
        Usage as Usage,
    )
    from polyroute.settings import (
        Price as Price,
        Timeout as Timeout,
    )
    from polyroute.replies import (
        Attempt as Attempt,
        ChatChunk as ChatChunk,
        ChatResponse as ChatResponse,
        Decision as Decision,
        EmbedResponse as EmbedResponse,
        Exclusion as Exclusion,
        Ranked as Ranked,
        ToolCallDelta as ToolCallDelta,
        Trace as Trace,
    )
    from polyroute.streams import (
        ChatStream as ChatStream,
    )
    from polyroute.deployments import (
        Call as Call,
        Deadline as Deadline,
        Deployment as Deployment,
        EmbedCall as EmbedCall,
        Route as Route,
    )
    from polyroute.protocols import (
        Cache as Cache,
        CacheEntry as CacheEntry,
        Choice as Choice,
        Fallback as Fallback,
        Feedback as Feedback,
        FleetView as FleetView,
        GiveUp as GiveUp,
        HTTPRequest as HTTPRequest,
        HTTPResponse as HTTPResponse,
        Lease as Lease,
        Limiter as Limiter,
        Middleware as Middleware,
        Provider as Provider,
        Refusal as Refusal,
        Retry as Retry,
        RetryPolicy as RetryPolicy,
        Strategy as Strategy,
        StreamDecoder as StreamDecoder,
        Transport as Transport,
        Vitals as Vitals,
        WireFormat as WireFormat,
    )
    from polyroute.strategies import (
        Ordered as Ordered,
        RoundRobin as RoundRobin,
        Weighted as Weighted,
    )
    from polyroute.retries import (
        ExponentialBackoff as ExponentialBackoff,
    )
    from polyroute.providers import (
        HOSTS as HOSTS,
        ErrorRow as ErrorRow,
        HTTPProvider as HTTPProvider,
        Host as Host,
    )
    from polyroute.router import (
        BoundRouter as BoundRouter,
        Router as Router,
    )
    from polyroute.sync import (
        SyncRouter as SyncRouter,
        SyncStream as SyncStream,
    )
    from polyroute._version import (
        __version__ as __version__,
    )

# Each public name and the module that has it, which is loaded where the name is first used.
_HOMES = {
    "polyroute.errors": (
        "AllAttemptsFailedError AttemptError AttemptTimeoutError AuthenticationError BadRequestError BudgetExceededError ConfigurationError ConnectError ContentFilterError ContextWindowExceededError DeadlineExceededError FleetError GuardError LimitTimeoutError NoDeploymentAvailableError NotFoundError OutputValidationError OverloadedError PermissionDeniedError PolyrouteError ProviderError QuotaExhaustedError RateLimitError ReadError RejectedError RequestError ResponseDecodeError ServerError StreamInterruptedError TransportError UnknownModelError UnsupportedParameterError"
    ),
    "polyroute.types": (
        "Audio ChatRequest EmbedRequest File Image Message NamedTool Opaque Reasoning Request ResponseFormat Text TokenLogprob Tool ToolCall ToolResult Usage"
    ),
    "polyroute.settings": ("Price Timeout"),
    "polyroute.replies": (
        "Attempt ChatChunk ChatResponse Decision EmbedResponse Exclusion Ranked ToolCallDelta Trace"
    ),
    "polyroute.streams": ("ChatStream"),
    "polyroute.deployments": ("Call Deadline Deployment EmbedCall Route"),
    "polyroute.protocols": (
        "Cache CacheEntry Choice Fallback Feedback FleetView GiveUp HTTPRequest HTTPResponse Lease Limiter Middleware Provider Refusal Retry RetryPolicy Strategy StreamDecoder Transport Vitals WireFormat"
    ),
    "polyroute.strategies": ("Ordered RoundRobin Weighted"),
    "polyroute.retries": ("ExponentialBackoff"),
    "polyroute.providers": ("ErrorRow HOSTS HTTPProvider Host"),
    "polyroute.router": ("BoundRouter Router"),
    "polyroute.sync": ("SyncRouter SyncStream"),
    "polyroute._version": ("__version__"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"polyroute has no {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
