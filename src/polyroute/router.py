"""The front door: takes a configuration, chooses the defaults, and builds the plan once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Never, Self, TypedDict, Unpack, cast

from polyroute._engine.plan import PREFIXES, Plan, number
from polyroute.arguments import check_params
from polyroute.calls import BoundRouter, Calls, Core
from polyroute.deployments import Deployment, Route, attempt_timeout, names
from polyroute.errors import ConfigurationError, did_you_mean
from polyroute.fleet import Fleet
from polyroute.protocols import Middleware, Provider, RetryPolicy, Strategy, Transport
from polyroute.retries import ExponentialBackoff
from polyroute.settings import Timeout, unbuilt
from polyroute.strategies import Ordered

if TYPE_CHECKING:
    import httpx

    from polyroute.sync import SyncRouter

__all__ = ["BoundRouter", "Router"]


class RouterOptions(TypedDict, total=False):
    """What `Router.from_env` passes on to `Router`."""

    strategy: Strategy | None
    retry: RetryPolicy | None
    timeout: Timeout | float | None
    tags: Sequence[str]
    params: Mapping[str, Any] | None
    middleware: Sequence[Middleware]
    transport: str | Transport | httpx.AsyncClient
    send_user: bool
    rng: Random | None


class Router(Calls):
    """Routes each call to one of its deployments, inside this process.

    Args:
        deployments: Who can be asked. A str is a deployment of that model. The first is the
            primary, the rest stand in for it, unless routes or the strategy say otherwise.
        routes: Names that callers ask for; the one called `default` serves who names none.
        fallbacks: Routes or deployments that are asked last, whatever the route.
        strategy: Who of a route's candidates is asked; by default the first in order.
        retry: What follows when each has failed; None: no second try on a deployment.
        timeout: Limits in seconds, by phase; a number limits each attempt, None lifts all limits.
        tags: Only deployments that bear them all are asked; `"!x"`: only those that do not bear x.
        params: Arguments of a call that a deployment, a route and the call itself may override.
        middleware: Wraps each call; the first in the list is outermost.
        transport: `"httpx"`, an `httpx.AsyncClient` of your own, or a `Transport`.
        send_user: Whether hosts are told who a call's `user` is.
        rng: The source of chance, for strategies and jitter.

    The remaining arguments belong to rooms that are not built yet; they take their defaults only.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment | str],
        *,
        routes: Mapping[str, Route] | None = None,
        fallbacks: Sequence[str] | None = (),
        strategy: Strategy | None = None,
        retry: RetryPolicy | EllipsisType | None = ...,
        timeout: Timeout | float | EllipsisType | None = ...,
        hedge: None = None,
        degrade: tuple[()] = (),
        tags: Sequence[str] | None = (),
        params: Mapping[str, Any] | None = None,
        breaker: None = None,
        limiter: None = None,
        cache: None = None,
        budgets: tuple[()] = (),
        ledger: None = None,
        guards: tuple[()] = (),
        middleware: Sequence[Middleware] | None = (),
        transport: str | Transport | httpx.AsyncClient = "httpx",
        state: None = None,
        send_user: bool = False,
        rng: Random | None = None,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise ConfigurationError(f"Router has no option {name!r}{did_you_mean(name, _OPTIONS)}")
        for name, value in {
            "hedge": hedge, "breaker": breaker, "limiter": limiter, "cache": cache, "ledger": ledger, "state": state
        }.items():  # fmt: skip
            if value is not None:
                unbuilt("Router", name)
        for name, values in {"degrade": degrade, "budgets": budgets, "guards": guards}.items():
            if values not in ((), [], None):
                unbuilt("Router", name)
        chance = rng or Random()  # noqa: S311 - it spreads load and keeps no secret
        self._http = _Providers(transport)
        plan = Plan(
            deployments=self._http.placed(deployments),
            routes=_checked_routes(routes or {}),
            fallbacks=names("Router", "fallbacks", fallbacks),
            strategy=strategy or Ordered(),
            retry=_with_chance(ExponentialBackoff() if retry is ... else retry or _NO_RETRY, chance),
            no_retry=_NO_RETRY,
            timeout=_timeout(timeout),
            tags=names("Router", "tags", tags),
            params=check_params("Router", params or {}),
            middleware=tuple(middleware or ()),
            send_user=send_user,
        )
        super().__init__(Core(plan, Fleet(chance)), {})

    @classmethod
    def from_env(cls, default: str | Sequence[str] | None = None, **options: Unpack[RouterOptions]) -> Router:
        """A router for each provider whose key is in the environment: it serves any model of theirs
        that a call names, and *default*, one model or several in order, where a call names none.

        Raises:
            ConfigurationError: There is no key and no default.
        """
        from polyroute.providers.hosts import HOSTS

        first = [default] if isinstance(default, str) else list(default or ())
        keyed = [host for host in HOSTS.values() if host.key_in(os.environ)]
        if not first and not keyed:
            variables = ", ".join(sorted(host.key_variable for host in HOSTS.values() if host.key_variable))
            raise ConfigurationError(f"no provider's key is in the environment; set one of {variables}")
        return cls([*first, *(f"{host.prefix}/*" for host in keyed)], **cast("Any", options))

    def sync(self) -> SyncRouter:
        """The same calls without `await`: `with router.sync() as client: client.chat(…)`.

        It runs an event loop on a thread of its own, so it also serves where a loop is running,
        and many threads at once. Leaving it closes the router.
        """
        from polyroute.sync import SyncRouter

        return SyncRouter(self, self.aclose, self._core)

    async def aclose(self) -> None:
        """Close the connections; a call after it is a `ConfigurationError`. May be called twice."""
        self._core.closed, self._core.entered = True, False
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        self._core.check()
        self._core.entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        plan = self._core.plan
        shown = [f"[{', '.join(repr(each.id) for each in plan.deployments)}]"]
        if plan.routes:
            shown.append(f"routes={sorted(plan.routes)}")
        return f"Router({', '.join((*shown, f'transport={self._http.transport_name!r}'))})"


_OPTIONS = tuple(inspect.signature(Router.__init__).parameters)[1:-1]
_NO_RETRY = ExponentialBackoff(max_retries=0)


class _Providers:
    """The HTTP providers of one router: one for each prefix, over one transport made at first need."""

    def __init__(self, transport: object) -> None:
        self._transport = transport
        self._made: dict[str, Provider] = {}
        self._own: Transport | None = None
        if isinstance(transport, str) and transport != "httpx":
            raise ConfigurationError(f'Router: transport {transport!r} is not built yet; "httpx" is')
        if not isinstance(transport, str) and not callable(getattr(transport, "send", None)):
            raise ConfigurationError(
                f'Router: transport is "httpx", an httpx.AsyncClient or a Transport, not {transport!r}'
            )

    @property
    def transport_name(self) -> str:
        return self._transport if isinstance(self._transport, str) else type(self._transport).__name__

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
            if self._transport == "httpx":
                from polyroute.transports.pooled import PooledTransport

                self._own = PooledTransport()
            elif callable(getattr(self._transport, "build_request", None)):
                from polyroute.transports.borrowed import BorrowedClient

                self._own = BorrowedClient(cast("httpx.AsyncClient", self._transport))
            else:
                self._own = cast("Transport", self._transport)
        return self._own

    async def aclose(self) -> None:
        if self._own is not None and self._own is not self._transport:  # Who made it closes it.
            await self._own.aclose()


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
