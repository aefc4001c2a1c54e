"""polyroute routes LLM calls inside your own process: one API, many models, no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyroute._version import (
        __version__,
    )
    from polyroute.deployments import (
        Call,
        Deadline,
        Deployment,
        EmbedCall,
        Route,
    )
    from polyroute.errors import (
        AllAttemptsFailedError,
        AttemptError,
        AttemptTimeoutError,
        AuthenticationError,
        BadRequestError,
        BudgetExceededError,
        ConfigurationError,
        ConnectError,
        ContentFilterError,
        ContextWindowExceededError,
        DeadlineExceededError,
        FleetError,
        GuardError,
        LimitTimeoutError,
        NoDeploymentAvailableError,
        NotFoundError,
        OutputValidationError,
        OverloadedError,
        PermissionDeniedError,
        PolyrouteError,
        ProviderError,
        QuotaExhaustedError,
        RateLimitError,
        ReadError,
        RejectedError,
        RequestError,
        ResponseDecodeError,
        ServerError,
        StreamInterruptedError,
        TransportError,
        UnknownModelError,
        UnsupportedParameterError,
    )
    from polyroute.protocols import (
        Cache,
        CacheEntry,
        Choice,
        EmbedFormat,
        Fallback,
        Feedback,
        FleetView,
        GiveUp,
        HTTPRequest,
        HTTPResponse,
        Lease,
        Limiter,
        Middleware,
        Provider,
        Refusal,
        Retry,
        RetryPolicy,
        Strategy,
        StreamDecoder,
        Transport,
        Vitals,
        WireFormat,
    )
    from polyroute.providers import (
        HOSTS,
        ErrorRow,
        Host,
        HTTPProvider,
    )
    from polyroute.replies import (
        Attempt,
        ChatChunk,
        ChatResponse,
        Decision,
        EmbedResponse,
        Exclusion,
        Listing,
        Ranked,
        ToolCallDelta,
        Trace,
    )
    from polyroute.retries import (
        ExponentialBackoff,
    )
    from polyroute.router import (
        BoundRouter,
        Router,
    )
    from polyroute.settings import (
        Price,
        Timeout,
    )
    from polyroute.strategies import (
        Ordered,
        RoundRobin,
        Weighted,
    )
    from polyroute.streams import (
        ChatStream,
    )
    from polyroute.sync import (
        SyncRouter,
        SyncStream,
    )
    from polyroute.types import (
        Audio,
        ChatRequest,
        EmbedRequest,
        File,
        Image,
        Message,
        NamedTool,
        Opaque,
        Reasoning,
        Request,
        ResponseFormat,
        Text,
        TokenLogprob,
        Tool,
        ToolCall,
        ToolResult,
        Usage,
    )

__all__ = [
    "HOSTS",
    "AllAttemptsFailedError",
    "Attempt",
    "AttemptError",
    "AttemptTimeoutError",
    "Audio",
    "AuthenticationError",
    "BadRequestError",
    "BoundRouter",
    "BudgetExceededError",
    "Cache",
    "CacheEntry",
    "Call",
    "ChatChunk",
    "ChatRequest",
    "ChatResponse",
    "ChatStream",
    "Choice",
    "ConfigurationError",
    "ConnectError",
    "ContentFilterError",
    "ContextWindowExceededError",
    "Deadline",
    "DeadlineExceededError",
    "Decision",
    "Deployment",
    "EmbedCall",
    "EmbedFormat",
    "EmbedRequest",
    "EmbedResponse",
    "ErrorRow",
    "Exclusion",
    "ExponentialBackoff",
    "Fallback",
    "Feedback",
    "File",
    "FleetError",
    "FleetView",
    "GiveUp",
    "GuardError",
    "HTTPProvider",
    "HTTPRequest",
    "HTTPResponse",
    "Host",
    "Image",
    "Lease",
    "LimitTimeoutError",
    "Limiter",
    "Listing",
    "Message",
    "Middleware",
    "NamedTool",
    "NoDeploymentAvailableError",
    "NotFoundError",
    "Opaque",
    "Ordered",
    "OutputValidationError",
    "OverloadedError",
    "PermissionDeniedError",
    "PolyrouteError",
    "Price",
    "Provider",
    "ProviderError",
    "QuotaExhaustedError",
    "Ranked",
    "RateLimitError",
    "ReadError",
    "Reasoning",
    "Refusal",
    "RejectedError",
    "Request",
    "RequestError",
    "ResponseDecodeError",
    "ResponseFormat",
    "Retry",
    "RetryPolicy",
    "RoundRobin",
    "Route",
    "Router",
    "ServerError",
    "Strategy",
    "StreamDecoder",
    "StreamInterruptedError",
    "SyncRouter",
    "SyncStream",
    "Text",
    "Timeout",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "Trace",
    "Transport",
    "TransportError",
    "UnknownModelError",
    "UnsupportedParameterError",
    "Usage",
    "Vitals",
    "Weighted",
    "WireFormat",
    "__version__",
]

# Where each of them lives; the module is loaded where the name is first used.
_HOMES = {
    "polyroute._version": "__version__",
    "polyroute.deployments": "Call Deadline Deployment EmbedCall Route",
    "polyroute.errors": "AllAttemptsFailedError AttemptError AttemptTimeoutError AuthenticationError BadRequestError BudgetExceededError ConfigurationError ConnectError ContentFilterError ContextWindowExceededError DeadlineExceededError FleetError GuardError LimitTimeoutError NoDeploymentAvailableError NotFoundError OutputValidationError OverloadedError PermissionDeniedError PolyrouteError ProviderError QuotaExhaustedError RateLimitError ReadError RejectedError RequestError ResponseDecodeError ServerError StreamInterruptedError TransportError UnknownModelError UnsupportedParameterError",
    "polyroute.protocols": "Cache CacheEntry Choice EmbedFormat Fallback Feedback FleetView GiveUp HTTPRequest HTTPResponse Lease Limiter Middleware Provider Refusal Retry RetryPolicy Strategy StreamDecoder Transport Vitals WireFormat",
    "polyroute.providers": "ErrorRow HOSTS HTTPProvider Host",
    "polyroute.replies": "Attempt ChatChunk ChatResponse Decision EmbedResponse Exclusion Listing Ranked ToolCallDelta Trace",
    "polyroute.retries": "ExponentialBackoff",
    "polyroute.router": "BoundRouter Router",
    "polyroute.settings": "Price Timeout",
    "polyroute.strategies": "Ordered RoundRobin Weighted",
    "polyroute.streams": "ChatStream",
    "polyroute.sync": "SyncRouter SyncStream",
    "polyroute.types": "Audio ChatRequest EmbedRequest File Image Message NamedTool Opaque Reasoning Request ResponseFormat Text TokenLogprob Tool ToolCall ToolResult Usage",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"polyroute has no {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
