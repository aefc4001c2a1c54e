"""The front door: what a router is configured with. What it runs on is loaded when the first is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never, Self, TypedDict, cast, overload

from polyroute.calls import BoundRouter, Calls
from polyroute.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random
    from types import EllipsisType, ModuleType, TracebackType
    from typing import Unpack

    from polyroute.deployments import Deployment, Route
    from polyroute.interop.blocking import Blocking
    from polyroute.interop.transport import HTTPXTransport
    from polyroute.protocols import Middleware, RetryPolicy, Strategy
    from polyroute.replies import Listing
    from polyroute.settings import Timeout
    from polyroute.sync import SyncRouter
    from polyroute.transports.choosing import GivenTransport

__all__ = ["BoundRouter", "Router"]


class RouterOptions(TypedDict, total=False):
    """What `Router.from_env` passes on to `Router`."""

    strategy: Strategy | None
    retry: RetryPolicy | None
    timeout: Timeout | float | None
    tags: Sequence[str]
    params: Mapping[str, Any] | None
    middleware: Sequence[Middleware]
    transport: GivenTransport
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
        transport: `"httpx"`, `"httpx2"`, `"aiohttp"` (asyncio only), a client of one of these of
            your own, or a `Transport`.
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
        transport: GivenTransport = "httpx",
        state: None = None,
        send_user: bool = False,
        rng: Random | None = None,
        **unknown: Never,
    ) -> None:
        from polyroute.door import Door
        from polyroute.wiring import unbuilt_options, wired

        for name in unknown:
            raise ConfigurationError(f"Router has no option {name!r}{did_you_mean(name, _options())}")
        unbuilt_options(
            none={
                "hedge": hedge, "breaker": breaker, "limiter": limiter, "cache": cache, "ledger": ledger, "state": state
            },
            empty={"degrade": degrade, "budgets": budgets, "guards": guards},
        )  # fmt: skip
        self._core, self._http = wired(
            deployments,
            routes=routes,
            fallbacks=fallbacks,
            strategy=strategy,
            retry=retry,
            timeout=timeout,
            tags=tags,
            params=params,
            middleware=middleware,
            transport=transport,
            send_user=send_user,
            rng=rng,
        )
        super().__init__(Door(self._core, {}))
        self._blocking: Blocking | None = None

    @classmethod
    def from_env(cls, default: str | Sequence[str] | None = None, **options: Unpack[RouterOptions]) -> Router:
        """A router for each provider whose key is in the environment: it serves any model of theirs
        that a call names, and *default*, one model or several in order, where a call names none.

        Raises:
            ConfigurationError: There is no key and no default.
        """
        import os

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

    @overload
    def openai_transport(self) -> HTTPXTransport: ...
    @overload
    def openai_transport(self, library: ModuleType) -> Any: ...
    def openai_transport(self, library: ModuleType | None = None) -> Any:
        """A transport for the client of a program that was written for OpenAI's SDK, or for what is
        built on it: `AsyncOpenAI(http_client=httpx.AsyncClient(transport=…), base_url=
        "http://polyroute.invalid/v1", api_key="-")` is then routed in this process.

        It answers chat completions, embeddings and `/v1/models`, and is for clients that block too.
        Closing the client leaves the router open. *library* is the one that the client is of: httpx,
        or one that is like it, such as httpx2.

        Raises:
            ConfigurationError: *library* is not like httpx.
        """
        from polyroute.interop.blocking import Blocking
        from polyroute.interop.transport import make_transport

        if library is None:
            import httpx

            library = httpx
        if self._blocking is None:
            self._blocking = Blocking(self, self._core)
        return make_transport(self, lambda: self._core.plan, self._blocking, library)

    async def models(self) -> tuple[Listing, ...]:
        """What each of the router's keys reaches, asked of the hosts now, and which deployments' models
        are not among it. Nothing is raised for a host that cannot say: its listing holds the error."""
        return await self._door.models()

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


def _options() -> tuple[str, ...]:
    """The names of what a router is configured with."""
    import inspect

    return tuple(inspect.signature(Router.__init__).parameters)[1:-1]
