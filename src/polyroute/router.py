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

    from anyio.abc import TaskGroup

    from polyroute.arguments import ChatArguments
    from polyroute.deployments import Deployment, Route, Rung
    from polyroute.events import EventStream
    from polyroute.interop.blocking import Blocking
    from polyroute.interop.transport import HTTPXTransport
    from polyroute.messages import Messages
    from polyroute.protocols import FleetView, Limiter, Middleware, RetryPolicy, Strategy
    from polyroute.replies import ChatResponse, Listing
    from polyroute.settings import CircuitBreaker, Hedge, Probes, Timeout
    from polyroute.sync import SyncRouter
    from polyroute.transports.choosing import GivenTransport

__all__ = ["BoundRouter", "Router"]


class RouterOptions(TypedDict, total=False):
    """What `Router.from_env` passes on to `Router`."""

    strategy: Strategy | None
    retry: RetryPolicy | None
    timeout: Timeout | float | None
    probes: Probes | None
    hedge: Hedge | None
    degrade: Sequence[Rung]
    breaker: CircuitBreaker | None
    limiter: Limiter | None
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
        probes: How often deployments are asked how they are, beside what calls show; by default never.
        hedge: When a second deployment is asked beside a silent one.
        degrade: What is said where nobody answers, in order: a text, a reply, or an async function of
            the request and the error that gives one of these, or None for the next.
        tags: Only deployments that bear them all are asked; `"!x"`: only those that do not bear x.
        params: Arguments of a call that a deployment, a route and the call itself may override.
        breaker: When a failing deployment is left alone; None: never.
        limiter: Says whether there is room, in the place of the deployments' own `limits`.
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
        probes: Probes | None = None,
        hedge: Hedge | None = None,
        degrade: Sequence[Rung] | None = (),
        tags: Sequence[str] | None = (),
        params: Mapping[str, Any] | None = None,
        breaker: CircuitBreaker | EllipsisType | None = ...,
        limiter: Limiter | None = None,
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
        from polyroute.wiring import Options, Wiring, checked_probes, unbuilt_options

        for name in unknown:
            raise ConfigurationError(f"Router has no option {name!r}{did_you_mean(name, _options())}")
        unbuilt_options(
            none={"cache": cache, "ledger": ledger, "state": state},
            empty={"budgets": budgets, "guards": guards},
        )
        options = Options(
            fallbacks=fallbacks,
            strategy=strategy,
            retry=retry,
            timeout=timeout,
            hedge=hedge,
            degrade=degrade,
            tags=tags,
            params=params,
            breaker=breaker,
            limiter=limiter,
            middleware=middleware,
            send_user=send_user,
        )
        self._wiring = Wiring(options, transport=transport, rng=rng)
        self._core = self._wiring.core(deployments, routes)
        self._probes = checked_probes(probes)
        self._core.must_be_entered = None if probes is None else "probes="
        self._tasks: TaskGroup | None = None
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

        return SyncRouter(self, self, self._core)

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

    @property
    def fleet(self) -> FleetView:
        """What is known of each deployment now: `router.fleet["id"]` is its `Vitals`."""
        return self._core.fleet

    def events(self) -> EventStream:
        """What happens in the router from now on: `async with router.events() as events`, and then
        `async for event in events`. It costs nothing where nobody listens."""
        from polyroute.events import EventStream

        return EventStream(self._core.fleet.listeners)

    def pause(self, id: str) -> None:
        """Ask the deployment called *id* no more, until `resume`. Calls in flight finish.

        Raises:
            UnknownModelError: There is none of that name.
        """
        self._core.rest(id, paused=True)

    def resume(self, id: str) -> None:
        """Ask the deployment called *id* again.

        Raises:
            UnknownModelError: There is none of that name.
        """
        self._core.rest(id, paused=False)

    def replace(
        self, deployments: Sequence[Deployment | str], *, routes: Mapping[str, Route] | None = None
    ) -> None:
        """Route the calls that begin from now on to these deployments, under the options that the router
        was made with. What is known of a deployment that stays is kept; calls in flight finish as they began.

        Raises:
            ConfigurationError: They make no router; nothing has changed then.
        """
        self._core.replace(self._wiring.plan(deployments, routes))

    async def rehearse(
        self,
        messages: Messages = "Reply with OK.",
        *,
        fail: Sequence[str],
        **arguments: Unpack[ChatArguments],
    ) -> ChatResponse[Any]:
        """Make a call in which the deployments called *fail* are down: they are not asked, and nothing is
        held against them. The others are the real ones: the reply's `trace` proves who stands in for whom.

        Raises:
            UnknownModelError: There is none of a name in *fail*.
            PolyrouteError: As `chat` does; nobody stands in.
        """
        return await self._door.rehearse(messages, fail, arguments)

    async def aclose(self) -> None:
        """Close the connections; a call after it is a `ConfigurationError`. May be called twice."""
        self._core.closed, self._core.entered = True, False
        await self._wiring.providers.aclose()

    async def __aenter__(self) -> Self:
        entered, self._core.entered = self._core.entered, True
        try:
            self._core.check()
        except ConfigurationError:
            self._core.entered = entered
            raise
        if self._probes is not None and self._tasks is None:
            from anyio import create_task_group

            from polyroute._engine.probing import probe_for_ever

            self._tasks = create_task_group()
            await self._tasks.__aenter__()
            self._tasks.start_soon(probe_for_ever, self._core, self._probes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        try:
            if tasks is not None:
                tasks.cancel_scope.cancel()
                await tasks.__aexit__(None, None, None)
        finally:
            await self.aclose()

    def __repr__(self) -> str:
        plan = self._core.plan
        shown = [f"[{', '.join(repr(each.id) for each in plan.deployments)}]"]
        if plan.routes:
            shown.append(f"routes={sorted(plan.routes)}")
        return f"Router({', '.join((*shown, f'transport={self._wiring.providers.transport_name!r}'))})"


def _options() -> tuple[str, ...]:
    """The names of what a router is configured with."""
    import inspect

    return tuple(inspect.signature(Router.__init__).parameters)[1:-1]
