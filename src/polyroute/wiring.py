"""From a router's options to what its calls run on: checked, chosen and built, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import EllipsisType
from typing import Any

import anyio

from polyroute._engine.names import PREFIXES, number
from polyroute._engine.plan import Plan
from polyroute.arguments import check_params
from polyroute.deployments import (
    Deployment,
    Route,
    Rung,
    attempt_timeout,
    checked_hedge,
    checked_rungs,
    names,
)
from polyroute.door import Core
from polyroute.errors import ConfigurationError, did_you_mean
from polyroute.fleet import Fleet
from polyroute.protocols import Limiter, Middleware, Provider, RetryPolicy, Strategy
from polyroute.retries import ExponentialBackoff
from polyroute.settings import CircuitBreaker, Hedge, Probes, Timeout, unbuilt
from polyroute.strategies import Ordered
from polyroute.transports.choosing import check_transport, name_of, transport_of
from polyroute.wire import Transport

__all__ = ["Options", "Providers", "Wiring", "checked_probes", "unbuilt_options"]

_NO_RETRY = ExponentialBackoff(max_retries=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a router was configured with beside its deployments and routes, each by its name there."""

    fallbacks: Sequence[str] | None
    strategy: Strategy | None
    retry: RetryPolicy | EllipsisType | None
    timeout: Timeout | float | EllipsisType | None
    hedge: Hedge | None
    degrade: Sequence[Rung] | None
    tags: Sequence[str] | None
    params: Mapping[str, Any] | None
    breaker: CircuitBreaker | EllipsisType | None
    limiter: Limiter | None
    middleware: Sequence[Middleware] | None
    send_user: bool


class Wiring:
    """Makes what a router runs on, and makes it anew where its deployments are replaced."""

    def __init__(self, options: Options, *, transport: object, rng: Random | None) -> None:
        self.providers: Providers = Providers(transport)
        self._options = options
        self._rng = rng or Random()  # noqa: S311 - it spreads load and keeps no secret
        self._limiter: Limiter | None = None
        breaker = options.breaker
        if not isinstance(breaker, CircuitBreaker | EllipsisType | None):
            raise ConfigurationError(f"Router: breaker is a CircuitBreaker(…) or None, not {breaker!r}")
        if options.limiter is not None and not callable(getattr(options.limiter, "reserve", None)):
            raise ConfigurationError(
                f"Router: limiter has no method reserve; see Limiter; got {options.limiter!r}"
            )
        self._hedge = checked_hedge("Router", options.hedge)
        self._degrade = checked_rungs("Router", options.degrade)
        # One object for all, so that a state knows whether its breaker is still the one it should have.
        self._breaker = CircuitBreaker() if isinstance(breaker, EllipsisType) else breaker

    def core(self, deployments: Sequence[Deployment | str], routes: Mapping[str, Route] | None) -> Core:
        """What a router of these deployments and routes shares with all that is bound to it."""
        return Core(self.plan(deployments, routes), Fleet(self._rng))

    def plan(self, deployments: Sequence[Deployment | str], routes: Mapping[str, Route] | None) -> Plan:
        """What these deployments and routes come to, under the router's options.

        Raises:
            ConfigurationError: They make no router; the text says which of them does not, and why.
        """
        options = self._options
        placed = self.providers.placed(deployments)
        retry = options.retry
        return Plan(
            deployments=placed,
            routes=_checked_routes(routes or {}),
            fallbacks=names("Router", "fallbacks", options.fallbacks),
            strategy=options.strategy or Ordered(),
            retry=_with_chance(ExponentialBackoff() if retry is ... else retry or _NO_RETRY, self._rng),
            no_retry=_NO_RETRY,
            timeout=_timeout(options.timeout),
            tags=names("Router", "tags", options.tags),
            params=check_params("Router", options.params or {}),
            middleware=tuple(options.middleware or ()),
            send_user=options.send_user,
            breaker=self._breaker,
            limiter=options.limiter or self._own_limiter(placed),
            limits_are_foreign=options.limiter is not None,
            hedge=self._hedge,
            degrade=self._degrade,
        )

    def _own_limiter(self, deployments: Sequence[Deployment]) -> Limiter | None:
        """The limiter that keeps the deployments' own `limits`, where one has some."""
        if self._limiter is None and any(each.limits is not None for each in deployments):
            # Limiters are loaded where something is limited.
            from polyroute.limits import LocalLimiter

            self._limiter = LocalLimiter(anyio.current_time)
        return self._limiter


def unbuilt_options(*, none: Mapping[str, object], empty: Mapping[str, object]) -> None:
    """Refuse the options of rooms that are not built yet: those that must be None, and those that
    must be empty."""
    for name, value in none.items():
        if value is not None:
            unbuilt("Router", name)
    for name, values in empty.items():
        if values not in ((), [], None):
            unbuilt("Router", name)


class Providers:
    """The HTTP providers of one router: one for each prefix, over one transport made at first need."""

    def __init__(self, transport: object) -> None:
        self._transport = transport
        self._made: dict[str, Provider] = {}
        self._own: Transport | None = None
        check_transport(transport)

    @property
    def transport_name(self) -> str:
        return name_of(self._transport)

    def placed(self, deployments: Sequence[Deployment | str]) -> tuple[Deployment, ...]:
        """The deployments, each with its id and its provider."""
        if isinstance(deployments, str) or not isinstance(deployments, Sequence) or not deployments:
            raise ConfigurationError(
                'Router: deployments is a list of them, or of models such as ["openai/gpt-5-mini"], and not empty'
            )
        return number([self._placed(each) for each in deployments])

    def _placed(self, given: Deployment | str) -> Deployment:
        deployment = Deployment(given) if isinstance(given, str) else given
        if not isinstance(deployment, Deployment):
            raise ConfigurationError(f"Router: a deployment is a Deployment or a model's name, not {given!r}")
        owner = f"Deployment {deployment.model!r}"
        params = check_params(owner, deployment.params or {}, extra=True)
        if deployment.provider is not None:
            for name in ("chat", "stream"):
                if not callable(getattr(deployment.provider, name, None)):
                    raise ConfigurationError(f"{owner}: its provider has no method {name}; see Provider")
            return replace(deployment, params=params)
        return replace(deployment, params=params, provider=self._provider(deployment))

    def _provider(self, deployment: Deployment) -> Provider:
        """The built-in provider of the deployment's prefix."""
        prefix = deployment.prefix
        if prefix not in self._made:
            # httpx and the wire formats are loaded where the first deployment needs them.
            from polyroute.providers import HOSTS, HTTPProvider

            if prefix not in HOSTS:
                what = "is not built yet" if prefix in PREFIXES else "is no provider"
                raise ConfigurationError(
                    f"Deployment {deployment.model!r}: {prefix}/ {what}{did_you_mean(prefix, list(HOSTS))}"
                    f" (built: {', '.join(sorted(HOSTS))})"
                )
            self._made[prefix] = HTTPProvider(HOSTS[prefix], self._moving())
        if prefix == "compatible" and deployment.base_url is None:
            raise ConfigurationError(f"Deployment {deployment.model!r}: compatible/ needs a base_url")
        return self._made[prefix]

    def _moving(self) -> Transport:
        if self._own is None:
            self._own = transport_of(self._transport)
        return self._own

    async def aclose(self) -> None:
        if self._own is not None and self._own is not self._transport:  # Who made it closes it.
            await self._own.aclose()


def checked_probes(given: object) -> Probes | None:
    """*given*, if it says how to probe, or that nobody does."""
    if given is None or isinstance(given, Probes):
        return given
    raise ConfigurationError(f"Router: probes is a Probes(every=30) or None, not {given!r}")


def _checked_routes(routes: Mapping[str, Route]) -> dict[str, Route]:
    checked: dict[str, Route] = {}
    for name, route in routes.items():
        if not isinstance(route, Route):
            raise ConfigurationError(f"route {name!r} is a Route([…]), not {route!r}")
        if not route.deployments:
            raise ConfigurationError(f"route {name!r} has no deployments")
        checked[name] = replace(route, params=check_params(f"route {name!r}", route.params or {}))
    return checked


def _with_chance(retry: RetryPolicy, rng: Random) -> RetryPolicy:
    """The policy with the router's source of chance, where it has none of its own."""
    if isinstance(retry, ExponentialBackoff) and retry.rng is None:
        return replace(retry, rng=rng)
    return retry


def _timeout(given: Timeout | float | EllipsisType | None) -> Timeout:
    if given is None:
        return Timeout(None, None, None, None, None)
    return Timeout() if given is ... else attempt_timeout("Router", given) or Timeout()
