"""The calls that an application makes. What they run on is loaded when the first router is built."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.together import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Unpack

    from pydantic import BaseModel

    from polyroute.arguments import ChatArguments, EmbedArguments, StreamArguments
    from polyroute.door import Door
    from polyroute.messages import Messages
    from polyroute.replies import ChatResponse, Decision, EmbedResponse
    from polyroute.streams import ChatStream

__all__ = ["BoundRouter", "Calls"]

M = TypeVar("M", bound="BaseModel")


class Calls:
    """Chats, streams and embeds, through a *door* that has the defaults for what a call leaves out."""

    def __init__(self, door: Door) -> None:
        self._door = door

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
        return await self._door.chat(messages, {**arguments, "response_format": response_format})

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
        return self._door.stream(messages, {**arguments, "response_format": response_format})

    async def embed(self, input: str | Sequence[str], **arguments: Unpack[EmbedArguments]) -> EmbedResponse:
        """Turn texts into vectors, one each and in their order.

        Raises:
            RequestError, FleetError, DeadlineExceededError: As `chat`.
        """
        return await self._door.embed(input, arguments)

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

        async def answered(messages: Messages) -> ChatResponse[Any] | PolyrouteError:
            try:
                return await self.chat(messages, response_format=response_format, **arguments)
            except PolyrouteError as error:
                return error

        return await together([partial(answered, each) for each in items], at_once=concurrency)

    async def explain(self, messages: Messages, **arguments: Unpack[ChatArguments]) -> Decision:
        """Who would serve this call, who would stand in, and who is left out and why; nobody is asked."""
        return await self._door.explain(messages, arguments)

    def bind(self, **arguments: Unpack[ChatArguments]) -> BoundRouter:
        """The same calls with these defaults, sharing everything: metadata merge, tags add up."""
        return BoundRouter(self._door.with_defaults(arguments))


class BoundRouter(Calls):
    """A router's calls with defaults of their own."""

    def __repr__(self) -> str:
        return f"BoundRouter({', '.join(sorted(self._door.defaults))})"
