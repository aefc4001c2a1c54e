"""What a call asks of a model beside words, and which families are known not to have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType

from polyroute.errors import ConfigurationError, did_you_mean
from polyroute.types import Audio, ChatRequest, EmbedRequest, File, Image, Message, Request, ToolResult

__all__ = ["ARGUMENTS", "CAPABILITIES", "asks", "check_capabilities", "lacking_of_family", "wanted"]

# What a call says to a model beside what it is to answer.
ARGUMENTS = (
    frozenset(each.name for kind in (ChatRequest, EmbedRequest) for each in fields(kind))
    - frozenset(each.name for each in fields(Request))
    - {"messages", "input", "on_break", "hold"}
)
_PARTS: Mapping[str, type] = MappingProxyType({"images": Image, "audio": Audio, "files": File})
_SHAPES = frozenset({"json_schema", "json_object"})
CAPABILITIES = ARGUMENTS | frozenset(_PARTS) | _SHAPES | {"prefill", "prompt_caching"}
"""Every name that `Deployment.capabilities` may hold: an argument of a call, a kind of part in a
message, a kind of response format, or `prefill` and `prompt_caching`, which no call asks for by name."""

_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})

# Families of models by name, without the provider's prefix, and what their makers' documentation says
# that they have not. What is not known to be missing is taken to be there.
_FAMILIES: tuple[tuple[str, frozenset[str]], ...] = (
    (r"gpt-(3\.5|4-(0|1106|turbo|32k)|4$)", frozenset({"json_schema", "reasoning_effort"})),
    (r"gpt-(4o|4\.1|4\.5)|chatgpt-4o", frozenset({"reasoning_effort"})),
    (r"gpt-3\.5|o1-(mini|preview)|o3-mini", frozenset({"images"})),
    (r"claude-(2|instant|3-(opus|sonnet|haiku)|3[-.]5)", frozenset({"reasoning_effort"})),
    (r"claude-(2|instant)", frozenset({"images", "files"})),
    (r"gemini-(1\.|2\.0)", frozenset({"reasoning_effort"})),
    (r"deepseek-(chat|coder|reasoner|r1|v\d)", frozenset({"images", "audio", "files"})),
    (r"(meta-)?llama-?3[.-]?[013]?-", frozenset({"images", "audio", "files", "reasoning_effort"})),
    (r"(open-)?mi[sx]tral-(7b|8x\d+b|nemo)|codestral", frozenset({"images", "audio", "files"})),
    (r"command-(r|light|nightly)", frozenset({"images", "audio", "files"})),
)
_KNOWN = tuple((re.compile(rf"(?:^|[/.])(?:{name})", re.IGNORECASE), lacks) for name, lacks in _FAMILIES)
_SEES = re.compile(
    r"vision|-vl\b|-omni\b", re.IGNORECASE
)  # whose name says that it has what its kin have not


def asks(name: str, value: object) -> bool:
    """Whether an argument asks for anything: one choice, no log probabilities and no penalty are what
    comes anyway."""
    if value is None or (name == "n" and value == 1) or (name == "logprobs" and value is False):
        return False
    return not (name in _PENALTIES and value == 0)


def wanted(request: Request, names: Iterable[str]) -> list[str]:
    """Those of the capabilities called *names* that *request* wants."""
    return [name for name in names if _wants(request, name)]


def lacking_of_family(model: str) -> frozenset[str]:
    """What a model of that name, without its provider's prefix, is known not to have."""
    lacks: frozenset[str] = frozenset()
    for family, missing in _KNOWN:
        if family.search(model):
            lacks |= missing
    return lacks - frozenset(_PARTS) if _SEES.search(model) else lacks


def check_capabilities(owner: str, given: object) -> Mapping[str, bool]:
    """*given* as a mapping from names of capabilities to whether they are there.

    Raises:
        ConfigurationError: It is none.
    """
    if given is None:
        return MappingProxyType({})
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f'{owner}: capabilities says what is there, such as {{"tools": True, "images": False}}, not {given!r}'
        )
    for name, has in given.items():
        if name not in CAPABILITIES:
            hint = did_you_mean(str(name), CAPABILITIES) or f"; there are: {', '.join(sorted(CAPABILITIES))}"
            raise ConfigurationError(f"{owner}: capabilities has no {name!r}{hint}")
        if not isinstance(has, bool):
            raise ConfigurationError(f"{owner}: capabilities[{name!r}] is True or False, not {has!r}")
    return MappingProxyType(dict(given))


def _wants(request: Request, name: str) -> bool:
    if name in _SHAPES:
        shape = getattr(request, "response_format", None)
        return shape is not None and shape.kind == name
    if (kind := _PARTS.get(name)) is not None:
        messages = request.messages if isinstance(request, ChatRequest) else ()
        return any(_holds(message, kind) for message in messages)
    return asks(name, getattr(request, name, None))


def _holds(message: Message, kind: type) -> bool:
    if isinstance(message.content, str):
        return False
    return any(
        isinstance(part, kind)
        or (
            isinstance(part, ToolResult)
            and not isinstance(part.content, str)
            and any(isinstance(inner, kind) for inner in part.content)
        )
        for part in message.content
    )
