"""The door: a call's arguments in, its request and its run out, with the deadline fixed."""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyroute._engine import pipeline
from polyroute._engine.explain import explain
from polyroute._engine.listing import listings
from polyroute._engine.plan import Plan
from polyroute._engine.run import Run
from polyroute.arguments import ChatArguments, EmbedArguments, StreamArguments, read_arguments
from polyroute.deployments import names
from polyroute.errors import ConfigurationError
from polyroute.fleet import Fleet
from polyroute.messages import Messages, read_input, read_messages
from polyroute.replies import ChatResponse, Decision, EmbedResponse, Listing
from polyroute.streams import ChatStream
from polyroute.types import ChatRequest, EmbedRequest, amended

__all__ = ["CHAT", "Core", "Door"]

_BLANK = ChatRequest()
CHAT = ChatArguments.__optional_keys__ | {"response_format"}
_STREAM = StreamArguments.__optional_keys__ | {"response_format"}
_EMBED = EmbedArguments.__optional_keys__


@dataclass(slots=True, eq=False)
class Core:
    """What a router and all that is bound to it share. *entered*: it is in an `async with`.
    *thread*: the one on which its calls must run, where it is used through `sync()`. *must_be_entered*
    says what needs a task of its own, and so an `async with`."""

    plan: Plan
    fleet: Fleet
    closed: bool = False
    entered: bool = False
    thread: int | None = None
    must_be_entered: str | None = None

    @property
    def holds(self) -> str | None:
        """What calls hold of it, in words; None where that is nothing."""
        if self.fleet.busy:
            return "attempts are counted as in flight"
        if any(self.fleet.queues.values()):
            return "calls are counted as waiting for room"
        return None if getattr(self.plan.limiter, "idle", True) else "room is held for attempts"

    def check(self) -> None:
        """Refuse to be used where that cannot be."""
        if self.closed:
            raise ConfigurationError("the router is closed")
        if self.thread is not None and self.thread != threading.get_ident():
            raise ConfigurationError(
                "the router is in use through sync(); use it either so or from its event loop"
            )

    def check_call(self) -> None:
        """Refuse a call that cannot be served as the router is used."""
        self.check()
        if self.must_be_entered is not None and not self.entered:
            raise ConfigurationError(
                f"{self.must_be_entered} needs a task that the router owns: call it inside of `async with router:`"
            )

    def rest(self, id: str, *, paused: bool) -> None:
        """Let the deployments that *id* names rest, or have them asked again."""
        for each in self.plan.named(id):
            if each.is_pattern:
                raise ConfigurationError(
                    f"{id} is a pattern: name one of its models, such as {each.prefix}/…"
                )
            self.fleet.rest(each.id or "", paused=paused)

    def replace(self, plan: Plan) -> None:
        """Have calls that begin from now on run on *plan*."""
        before = {each.id or "": each for each in self.plan.deployments}
        now = {each.id or "": each for each in plan.deployments}
        gone = [id for id, each in before.items() if id not in now or not each.is_like(now[id])]
        self.plan = plan
        self.fleet.replaced(gone, {id: plan.breaker_of(each) for id, each in now.items()})

    def begin_sync(self) -> None:
        """Keep the router's calls to a thread that will claim it.

        Raises:
            ConfigurationError: It is in use from an event loop, or through another `sync()`.
        """
        self.check()
        if self.thread is not None or self.entered or self.fleet.busy:
            raise ConfigurationError(
                "the router is in use already; use it either through sync() or from its event loop"
            )
        self.thread = 0

    def claim(self) -> None:
        """Keep the router's calls to this thread."""
        self.thread = threading.get_ident()

    def end_sync(self) -> None:
        self.thread = None


class Door:
    """Reads what a call is given on top of *defaults*, and hands it to the engine.

    Its methods refuse a call that cannot be served when they are called; what they give runs it.
    """

    __slots__ = ("core", "defaults")

    def __init__(self, core: Core, defaults: Mapping[str, Any]) -> None:
        self.core: Core = core
        self.defaults: Mapping[str, Any] = defaults

    def chat(
        self, messages: Messages, arguments: Mapping[str, object]
    ) -> Coroutine[Any, Any, ChatResponse[Any]]:
        return pipeline.chat(*self._chat(messages, arguments, CHAT))

    def stream(self, messages: Messages, arguments: Mapping[str, object]) -> ChatStream[Any]:
        request, run = self._chat(messages, arguments, _STREAM)
        run.streams, run.began = True, None  # It begins when it is entered.
        return pipeline.stream(request, run)

    def embed(
        self, input: str | Sequence[str], arguments: Mapping[str, object]
    ) -> Coroutine[Any, Any, EmbedResponse]:
        read, run = self._read(arguments, _EMBED)
        return pipeline.embed(EmbedRequest(input=read_input(input), **read), run)

    def explain(self, messages: Messages, arguments: Mapping[str, object]) -> Coroutine[Any, Any, Decision]:
        return explain(*self._chat(messages, arguments, CHAT))

    async def rehearse(
        self, messages: Messages, fail: Sequence[str], arguments: Mapping[str, object]
    ) -> ChatResponse[Any]:
        request, run = self._chat(messages, arguments, CHAT)
        ids = names("rehearse", "fail", fail)
        run.failing = frozenset(each.id or "" for name in ids for each in run.plan.named(name))
        return await pipeline.chat(request, run)

    def models(self) -> Coroutine[Any, Any, tuple[Listing, ...]]:
        self.core.check()
        return listings(self.core.plan)

    def with_defaults(self, arguments: Mapping[str, object]) -> Door:
        """Another into the same house, with these defaults on top of its own."""
        return Door(self.core, _merged(self.defaults, self._own(arguments, CHAT)))

    def _chat(
        self, messages: Messages, arguments: Mapping[str, object], known: frozenset[str]
    ) -> tuple[ChatRequest, Run]:
        read, run = self._read(arguments, known)
        return amended(_BLANK, messages=read_messages(messages), **read), run

    def _read(self, arguments: Mapping[str, object], known: frozenset[str]) -> tuple[dict[str, Any], Run]:
        """The arguments with the defaults, the deadline among them, which is fixed at the door."""
        core = self.core
        plan = core.plan
        core.check_call()
        read = self._own(arguments, known)
        if self.defaults:
            read = _merged({name: value for name, value in self.defaults.items() if name in known}, read)
        target = plan.target(read.get("model"), fallbacks=read.get("fallbacks", True))
        total = target.timeout.merged(read.get("timeout")).total
        now = core.fleet.now
        read["deadline"] = deadline = None if total is None else now + total
        return read, Run(plan, core.fleet, None if plan.suspends else now, deadline, degrade=target.degrade)

    def _own(self, arguments: Mapping[str, object], known: frozenset[str]) -> dict[str, Any]:
        """The arguments in their own types; a retry policy of None means without."""
        read = read_arguments(arguments, known)
        if "retry" in arguments and arguments["retry"] is None:
            read["retry"] = self.core.plan.no_retry
        return read


def _merged(defaults: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """*over* on top of *defaults*: metadata and extra key by key, timeouts field by field, tags added up."""
    merged = {**defaults, **over}
    for name in ("metadata", "extra"):
        if name in defaults and name in over:
            merged[name] = {**defaults[name], **over[name]}
    if "tags" in defaults and "tags" in over:
        merged["tags"] = (*defaults["tags"], *over["tags"])
    if "timeout" in defaults and "timeout" in over:
        merged["timeout"] = defaults["timeout"].merged(over["timeout"])
    return merged
