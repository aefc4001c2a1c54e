"""Counts a prompt as callers hand it in, and says which way it was counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike

from polyroute.arguments import ToolLike, read_arguments
from polyroute.messages import Messages, read_messages
from polyroute.tokens.families import family_of
from polyroute.tokens.prompts import prompt_tokens, weigh

__all__ = ["Count", "count", "measure"]


@dataclass(frozen=True, slots=True)
class Count:
    """How many *tokens* a prompt is, and what its texts were counted with: the name of a
    *vocabulary*, or None for an estimate."""

    tokens: int
    vocabulary: str | None = None


def count(
    messages: Messages,
    model: str,
    *,
    tools: Sequence[ToolLike] = (),
    vocabularies: str | PathLike[str] | None = None,
) -> int:
    """How many tokens *messages* are as a prompt for *model*, with what its chat template adds.

    *messages* and *tools* are what `Router.chat` takes; *model* is a name with or without a
    provider's prefix, in any host's spelling. The texts are counted with tiktoken where the
    model's vocabulary is on this machine: in the directory *vocabularies*, in the one that
    `TIKTOKEN_CACHE_DIR` names, or in the package of `polyroute[vocabularies]`. Nothing is ever
    downloaded. Elsewhere it is an estimate by the family of the model.

    Loading a vocabulary takes about a second, once in a process. From an event loop, call it
    in a thread: `await anyio.to_thread.run_sync(count, messages, model)`.

    Raises:
        BadRequestError: A message or a tool is malformed; `path` says where.
        ConfigurationError: The directory *vocabularies* does not hold the model's vocabulary.
    """
    return measure(messages, model, tools=tools, vocabularies=vocabularies).tokens


def measure(
    messages: Messages,
    model: str,
    *,
    tools: Sequence[ToolLike] = (),
    vocabularies: str | PathLike[str] | None = None,
) -> Count:
    """What `count` gives, with the way it was counted."""
    read = read_messages(messages)
    offered = read_arguments({"tools": tools}, frozenset({"tools"}))["tools"] if tools else ()
    family = family_of(model)
    if family.vocabulary:
        # It takes milliseconds to import, and a router itself only estimates.
        from polyroute.tokens.vocabularies import length, vocabulary

        encoding = vocabulary(family.vocabulary, vocabularies)
        if encoding is not None:
            return Count(prompt_tokens(read, offered, family, partial(length, encoding)), encoding.name)
    return Count(prompt_tokens(read, offered, family, partial(weigh, family.weights)))
