"""The calls that an application makes, and the defaults that they are bound to."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import anyio

from polyroute._engine import pipeline
from polyroute._engine.explain import explain
from polyroute._engine.plan import Plan
from polyroute._engine.run import Run
from polyroute.arguments import ChatArguments, EmbedArguments, StreamArguments, read_arguments
from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.fleet import Fleet
from polyroute.messages import Messages, read_input, read_messages
from polyroute.replies import ChatResponse, Decision, EmbedResponse
from polyroute.streams import ChatStream
from polyroute.types import ChatRequest, EmbedRequest, amended

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["BoundRouter", "Calls", "Core"]

M = TypeVar("M", bound="BaseModel")

_BLANK = ChatRequest()
_CHAT = ChatArguments.__optional_keys__ | {"response_format"}
_STREAM = StreamArguments.__optional_keys__ | {"response_format"}
_EMBED = EmbedArguments.__optional_keys__


@dataclass(slots=True, eq=False)
class Core:
    """What a router and all that is bound to it share. *entered*: it is in an `async with`.
    *thread*: the one on which its calls must run, where it is used through `sync()`."""

    plan: Plan
    fleet: Fleet
    closed: bool = False
    entered: bool = False
    thread: int | None = None

    def check(self) -> None:
        """Refuse a call that cannot be served here."""
        if self.closed:
            raise ConfigurationError("the router is closed")
        if self.thread is not None and self.thread != threading.get_ident():
            raise ConfigurationError(
                "the router is in use through sync(); use it either so or from its event loop"
            )

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


class Calls:
    """Chats, streams and embeds, with *defaults* for what a call leaves out."""

    def __init__(self, core: Core, defaults: Mapping[str, Any]) -> None:
        self._core = core
        self._defaults = defaults

    @overload
    async def chat(
        self, messages: Messages, *, response_format: type[M], **arguments: Unpack[ChatArguments]
    ) -> ChatResponse[M]: ...
    @overload
    async def chat(
        self,
        messages: Messages,
        *,
        response_format: Mapping[str, Any] | None = None,
        **arguments: Unpack[ChatArguments],
    ) -> ChatResponse[Any]: ...
    async def chat(
        self,
        messages: Messages,
        *,
        response_format: type[BaseModel] | Mapping[str, Any] | None = None,
        **arguments: Unpack[ChatArguments],
    ) -> ChatResponse[Any]:
        """Answer a conversation.

        Args:
            messages: A str, or `Message`s or dicts in OpenAI's chat shape; they are never changed.
            response_format: A pydantic class, whose instance is then `parsed`; a JSON schema; or
                OpenAI's own dict.
            arguments: See `ChatArguments`.

        Raises:
            RequestError: The request itself is at fault; no deployment would help.
            FleetError: No deployment could serve it.
            DeadlineExceededError: The call's own time ran out.
        """
        request, run = self._chat(messages, {**arguments, "response_format": response_format}, _CHAT)
        return await pipeline.chat(request, run)

    @overload
    def stream(
        self, messages: Messages, *, response_format: type[M], **arguments: Unpack[StreamArguments]
    ) -> ChatStream[M]: ...
    @overload
    def stream(
        self,
        messages: Messages,
        *,
        response_format: Mapping[str, Any] | None = None,
        **arguments: Unpack[StreamArguments],
    ) -> ChatStream[Any]: ...
    def stream(
        self,
        messages: Messages,
        *,
        response_format: type[BaseModel] | Mapping[str, Any] | None = None,
        **arguments: Unpack[StreamArguments],
    ) -> ChatStream[Any]:
        """Answer a conversation as it is being written: `async with router.stream(…) as stream`.

        What fails before the first token is retried and falls back unseen.

        Raises:
            RequestError, FleetError, DeadlineExceededError: As `chat`, on entering the stream.
            StreamInterruptedError: It breaks after its first token; `partial` is the text so far.
        """
        request, run = self._chat(messages, {**arguments, "response_format": response_format}, _STREAM)
        run.streams, run.began = True, None  # It begins when it is entered.
        return pipeline.stream(request, run)

    async def embed(self, input: str | Sequence[str], **arguments: Unpack[EmbedArguments]) -> EmbedResponse:
        """Turn texts into vectors, one each and in their order.

        Raises:
            RequestError, FleetError, DeadlineExceededError: As `chat`.
        """
        read, run = self._read(arguments, _EMBED)
        return await pipeline.embed(EmbedRequest(input=read_input(input), **read), run)

    async def chat_many(
        self,
        items: Iterable[Messages],
        *,
        concurrency: int = 32,
        response_format: type[BaseModel] | Mapping[str, Any] | None = None,
        **arguments: Unpack[ChatArguments],
    ) -> list[ChatResponse[Any] | PolyrouteError]:
        """Answer many conversations, at most *concurrency* at once, in their order.

        A `PolyrouteError` stands in its item's place. Any other error is a bug: it cancels what is
        under way and comes out as itself.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigurationError(f"concurrency is a whole number, 1 or more, not {concurrency!r}")
        waiting = list(enumerate(items))[::-1]
        replies: dict[int, ChatResponse[Any] | PolyrouteError] = {}
        bugs: list[Exception] = []

        async def work(scope: anyio.CancelScope) -> None:
            while waiting and not bugs:
                place, messages = waiting.pop()
                try:
                    replies[place] = await self.chat(messages, response_format=response_format, **arguments)
                except PolyrouteError as error:
                    replies[place] = error
                except Exception as bug:  # noqa: BLE001 - it comes out below, as itself and not in a group
                    bugs.append(bug)
                    scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(min(concurrency, len(waiting))):
                group.start_soon(work, group.cancel_scope)
        if bugs:
            raise bugs[0]
        return [replies[place] for place in range(len(replies))]

    async def explain(self, messages: Messages, **arguments: Unpack[ChatArguments]) -> Decision:
        """Who would serve this call, who would stand in, and who is left out and why; nobody is asked."""
        request, run = self._chat(messages, arguments, _CHAT)
        return await explain(request, run)

    def bind(self, **arguments: Unpack[ChatArguments]) -> BoundRouter:
        """The same calls with these defaults, sharing everything: metadata merge, tags add up."""
        return BoundRouter(self._core, _merged(self._defaults, self._own(arguments, _CHAT)))

    def _chat(
        self, messages: Messages, arguments: Mapping[str, object], known: frozenset[str]
    ) -> tuple[ChatRequest, Run]:
        read, run = self._read(arguments, known)
        return amended(_BLANK, messages=read_messages(messages), **read), run

    def _read(self, arguments: Mapping[str, object], known: frozenset[str]) -> tuple[dict[str, Any], Run]:
        """The arguments with the defaults, the deadline among them, which is fixed at the door."""
        core = self._core
        plan = core.plan
        core.check()
        read = self._own(arguments, known)
        if self._defaults:
            read = _merged({name: value for name, value in self._defaults.items() if name in known}, read)
        target = plan.target(read.get("model"), fallbacks=read.get("fallbacks", True))
        total = target.timeout.merged(read.get("timeout")).total
        now = anyio.current_time()
        read["deadline"] = deadline = None if total is None else now + total
        return read, Run(plan, core.fleet, None if plan.suspends else now, deadline)

    def _own(self, arguments: Mapping[str, object], known: frozenset[str]) -> dict[str, Any]:
        """The arguments in their own types; a retry policy of None means without."""
        read = read_arguments(arguments, known)
        if "retry" in arguments and arguments["retry"] is None:
            read["retry"] = self._core.plan.no_retry
        return read


class BoundRouter(Calls):
    """A router's calls with defaults of their own."""

    def __repr__(self) -> str:
        return f"BoundRouter({', '.join(sorted(self._defaults))})"


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
