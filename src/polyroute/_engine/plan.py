"""All that configuration decides, worked out once: who stands behind each name, in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from types import EllipsisType
from typing import Any, Literal, cast

from polyroute._engine.names import PREFIXES, check_names, index, number
from polyroute.deployments import Deployment, Route, Rung, attempt_timeout
from polyroute.errors import UnknownModelError, did_you_mean
from polyroute.protocols import LearningLimiter, Limiter, Middleware, Provider, RetryPolicy, Strategy
from polyroute.replies import Decision, Exclusion
from polyroute.settings import CircuitBreaker, Hedge, Timeout
from polyroute.types import ChatRequest, EmbedRequest, Opaque, Request

__all__ = ["Leg", "Plan", "Seat", "Target"]


class _InOrder(Strategy):
    suspends = False


_IN_ORDER = _InOrder()

_MOST_TARGETS = 1_024  # callers may name what they like of a pattern; past this the memory starts anew


@dataclass(frozen=True, slots=True)
class Seat:
    """One deployment's place in a leg, with what the levels' settings come to there.

    *out* holds, by kind of call, why it is no candidate whatever the call looks like, and *lacks*
    what it is known not to have. *limited* says that it takes room to ask it, and *queue* stands for
    that room: calls that wait for the same have the same. *prefill* is how its model takes the
    beginning of its own answer, if it does.
    """

    id: str
    deployment: Deployment
    provider: Provider
    tags: frozenset[str]
    timeout: Timeout
    defaults: Mapping[str, Any]
    out: Mapping[str, Exclusion]
    lacks: frozenset[str]
    cannot: Callable[[Request], Collection[str]] | None
    barred: Callable[[Request, Deployment], str | None] | None
    understands: Callable[[Opaque], bool] | None
    format: str
    space: str
    keeps_deadlines: bool
    breaker: CircuitBreaker | None
    limited: bool
    queue: object
    prefill: Literal["exact", "trimmed"] | None


@dataclass(frozen=True, slots=True)
class Leg:
    """One stretch of a call's way: candidates among whom a strategy picks.

    *judges*: the strategy has an `accept` of its own, which needs the whole reply. *decisions*
    remembers the records of plain choices, which are the same each time.
    """

    route: str | None
    seats: Mapping[str, Seat]
    strategy: Strategy
    retry: RetryPolicy
    tags: tuple[str, ...]
    filter_moves_on: bool
    judges: bool
    hedge: Hedge | None
    decisions: dict[tuple[str, str], Decision] = field(default_factory=dict[tuple[str, str], Decision])


@dataclass(frozen=True, slots=True)
class Target:
    """What a name comes to: the legs of the way, and what is fixed at the door: the limits, and what is
    said when nobody answers."""

    legs: tuple[Leg, ...]
    timeout: Timeout
    degrade: tuple[Rung, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A router's configuration, checked. Each deployment in it has its id and its provider."""

    deployments: tuple[Deployment, ...]
    routes: Mapping[str, Route]
    fallbacks: tuple[str, ...]
    strategy: Strategy
    retry: RetryPolicy
    no_retry: RetryPolicy
    timeout: Timeout
    tags: tuple[str, ...]
    params: Mapping[str, Any]
    middleware: tuple[Middleware, ...]
    send_user: bool
    breaker: CircuitBreaker | None = None
    limiter: Limiter | None = None
    limits_are_foreign: bool = False
    hedge: Hedge | None = None
    degrade: tuple[Rung, ...] = ()
    learner: LearningLimiter | None = field(init=False)
    observers: tuple[Strategy, ...] = field(init=False)
    suspends: bool = field(init=False)
    """Whether a call may wait elsewhere than in its attempts: in middleware or in a strategy."""
    prefixes: frozenset[str] = field(init=False)
    _named: Mapping[str, tuple[Deployment, ...]] = field(init=False)
    _targets: dict[tuple[str | tuple[str, ...] | None, bool], Target] = field(init=False)

    def __post_init__(self) -> None:
        strategies = [self.strategy, *(route.strategy for route in self.routes.values() if route.strategy)]
        learning = {id(s): s for s in strategies if type(s).observe is not Strategy.observe}
        learner = self.limiter if isinstance(self.limiter, LearningLimiter) else None
        object.__setattr__(self, "learner", learner)
        object.__setattr__(self, "observers", tuple(learning.values()))
        waits = bool(self.middleware) or any(each.suspends for each in strategies)
        object.__setattr__(self, "suspends", waits)
        object.__setattr__(self, "prefixes", PREFIXES | {each.prefix for each in self.deployments})
        object.__setattr__(self, "_named", index(self.deployments))
        object.__setattr__(self, "_targets", {})
        check_names(self.deployments, self.routes, self.fallbacks, self.resolve)

    def target(self, model: str | tuple[str, ...] | None, *, fallbacks: bool) -> Target:
        """The way of a call that asks for *model*.

        Raises:
            UnknownModelError: Nothing here goes by that name.
        """
        target = self._targets.get((model, fallbacks))
        if target is None:
            if len(self._targets) >= _MOST_TARGETS:
                self._targets.clear()
            target = self._targets[model, fallbacks] = self._worked_out(model, fallbacks=fallbacks)
        return target

    def named(self, name: str) -> tuple[Deployment, ...]:
        """The deployments that a `"provider/model"` or an id names.

        Raises:
            UnknownModelError: It names none.
        """
        if not (named := self.resolve(name)):
            raise self._unknown(name)
        return named

    def resolve(self, name: str) -> tuple[Deployment, ...]:
        """The deployments that a `"provider/model"` or an id names; () where neither does."""
        named = self._named.get(name)
        if named is not None:
            return named
        prefix, _, rest = name.partition("/")
        patterns = [each for each in self.deployments if each.is_pattern and each.prefix == prefix]
        if not rest or not patterns:
            return ()
        return number(replace(each, model=name, id=None) for each in patterns)

    def _worked_out(self, model: str | tuple[str, ...] | None, *, fallbacks: bool) -> Target:
        asked = (model,) if isinstance(model, str) else model
        if asked is None and "default" in self.routes:
            asked = ("default",)
        route = None
        if asked is None:
            legs = [self._leg(None, self.deployments, self.tags)]
        elif len(asked) == 1 and asked[0] in self.routes:
            route = self.routes[asked[0]]
            legs = list(self._route_legs(asked[0], self.tags, fallbacks=fallbacks, passed=set()))
        else:
            legs = [self._adhoc_leg(asked)]
        if fallbacks:
            passed = {leg.route for leg in legs}
            legs.extend(self._fallback_legs(self.fallbacks, legs[0].tags, passed=passed))
        degrade = self.degrade
        if route is not None and not isinstance(route.degrade, EllipsisType):
            degrade = tuple(route.degrade or ())
        return Target(tuple(legs), self.timeout.merged(_total_of(route)), degrade)

    def _adhoc_leg(self, asked: Sequence[str]) -> Leg:
        found: dict[str, Deployment] = {}
        tags = self.tags
        for name in asked:
            route = self.routes.get(name)
            if route is not None:
                tags += tuple(route.tags)
            members = self._members(route) if route else self.resolve(name)
            if not members:
                raise self._unknown(name)
            found.update((cast("str", each.id), each) for each in members)
        return self._leg(None, found.values(), tags)

    def _members(self, route: Route) -> Iterator[Deployment]:
        seen: set[str | None] = set()
        for name in route.deployments:
            for each in self.resolve(name):
                if each.id not in seen:
                    seen.add(each.id)
                    yield each

    def _route_legs(
        self, name: str, tags: tuple[str, ...], *, fallbacks: bool, passed: set[str | None]
    ) -> Iterator[Leg]:
        route = self.routes[name]
        passed.add(name)
        tags += tuple(route.tags)
        yield self._leg(name, self._members(route), tags)
        if fallbacks:
            yield from self._fallback_legs(route.fallbacks, tags, passed=passed)

    def _fallback_legs(
        self, names: Sequence[str], tags: tuple[str, ...], *, passed: set[str | None]
    ) -> Iterator[Leg]:
        """A leg for each route among *names*, and one for each run of deployments between them."""
        run: dict[str, Deployment] = {}
        for name in names:
            if name not in self.routes:
                run.update((cast("str", each.id), each) for each in self.resolve(name))
                continue
            if run:
                yield self._leg(None, run.values(), tags, strategy=_IN_ORDER)
                run = {}
            if name not in passed:
                yield from self._route_legs(name, tags, fallbacks=True, passed=passed)
        if run:
            yield self._leg(None, run.values(), tags, strategy=_IN_ORDER)

    def _leg(
        self,
        name: str | None,
        members: Iterable[Deployment],
        tags: tuple[str, ...],
        *,
        strategy: Strategy | None = None,
    ) -> Leg:
        route = self.routes[name] if name is not None else None
        strategy = strategy or (route and route.strategy) or self.strategy
        retry = self.retry
        if route is not None and route.retry is not ...:
            retry = route.retry or self.no_retry
        hedge = self.hedge
        if route is not None and not isinstance(route.hedge, EllipsisType):
            hedge = route.hedge
        return Leg(
            route=name,
            seats={cast("str", each.id): self._seat(each, route) for each in members},
            strategy=strategy,
            retry=retry,
            tags=tags,
            filter_moves_on=route is not None and route.after_content_filter == "fallback",
            judges=type(strategy).accept is not Strategy.accept,
            hedge=hedge,
        )

    def _seat(self, deployment: Deployment, route: Route | None) -> Seat:
        provider = cast("Provider", deployment.provider)
        timeout = self.timeout.merged(attempt_timeout("Deployment", deployment.timeout))
        defaults = {**self.params, **(deployment.params or {}), **((route and route.params) or {})}
        if route is not None:
            timeout = timeout.merged(attempt_timeout("Route", route.timeout))
        return Seat(
            id=deployment.id or "",
            deployment=deployment,
            provider=provider,
            tags=deployment.all_tags,
            timeout=timeout,
            defaults=defaults,
            out=_left_out(deployment, provider, defaults),
            lacks=deployment.lacks,
            cannot=getattr(provider, "cannot", None),
            barred=getattr(provider, "barred", None),
            understands=getattr(provider, "understands", None),
            format=getattr(provider, "format", ""),
            space=deployment.space or str(getattr(provider, "space", deployment.known_as)),
            keeps_deadlines=getattr(provider, "keeps_deadlines", False),
            breaker=self.breaker_of(deployment),
            limited=self.limiter is not None and (self.limits_are_foreign or deployment.limits is not None),
            queue=deployment.limits or deployment.id,
            prefill=_prefill(provider, deployment),
        )

    def breaker_of(self, deployment: Deployment) -> CircuitBreaker | None:
        """When the deployment is left alone: by its own settings, or by the router's."""
        return self.breaker if isinstance(deployment.breaker, EllipsisType) else deployment.breaker

    def _unknown(self, name: str) -> UnknownModelError:
        known = sorted({*self.routes, *(each.id or "" for each in self.deployments)})
        hint = did_you_mean(name, known)
        return UnknownModelError(
            f"no route, deployment or model is called {name!r}{hint or '; known: ' + ', '.join(known)}",
            model=name,
            nearest=tuple(get_close_matches(name, known)),
        )


def _left_out(
    deployment: Deployment, provider: Provider, defaults: Mapping[str, Any]
) -> dict[str, Exclusion]:
    """Why a deployment is no candidate, by kind of call, whatever the call looks like."""
    id = deployment.id or ""
    reason = None
    if deployment.is_pattern:
        reason = f"it serves any {deployment.prefix}/ model: name one in model="
    elif needs := getattr(provider, "needs", None):
        reason = needs(deployment)
    kinds: set[str] = {"chat", "embed"}
    if not deployment.is_pattern and (serves := getattr(provider, "kinds", None)):
        kinds.intersection_update(serves(deployment.known_as))
    if not hasattr(provider, "embed"):
        kinds.discard("embed")
    out: dict[str, Exclusion] = {}
    for kind, request in (("chat", ChatRequest), ("embed", EmbedRequest)):
        if kind not in kinds:
            out[kind] = Exclusion(id, f"it does not serve {kind} calls", "kind")
        elif reason is not None:
            out[kind] = Exclusion(id, reason, "setup")
        elif cannot := getattr(provider, "cannot", None):
            said = {each.name for each in fields(request)}
            asked = request(**{name: value for name, value in defaults.items() if name in said})
            for name in set(cannot(asked)) - set(deployment.may_drop):
                out[kind] = Exclusion(id, f"it cannot honour {name} of its params", "argument", name)
    return out


def _prefill(provider: Provider, deployment: Deployment) -> Literal["exact", "trimmed"] | None:
    prefill = getattr(provider, "prefill", None)
    return None if prefill is None else prefill(deployment.known_as)


def _total_of(route: Route | None) -> Timeout | None:
    """What the asked route says of the call's whole time; the rest of it is for attempts."""
    timeout = attempt_timeout("Route", route.timeout) if route is not None else None
    if timeout is None or not timeout.says("total"):
        return None
    return Timeout(total=timeout.total)
