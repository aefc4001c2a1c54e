"""From the body of an OpenAI request to one call of a router's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from polyroute.errors import BadRequestError, did_you_mean
from polyroute.interop.fields import CHAT, EMBED, EXTRA, Argument, Extra, Refused, Row, below
from polyroute.messages import kind_of

__all__ = ["Call", "ChatCall", "EmbedCall", "arguments_of", "flag", "read_chat", "read_embed", "refused"]

_MESSAGE = {key: row for key, row in below("messages[].").items() if isinstance(row, Refused)}
_PART = below("messages[].content[].")
_CALL = below("messages[].tool_calls[].")
_TOOL = below("tools[].")
_CHOICE = below("tool_choice.")
_STREAM_OPTIONS = below("stream_options.")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a router's with its *arguments*; its reply is streamed where *streams*. *bound_by* is the
    field that binds it to hosts that speak its *format*, since others have no words for it."""

    format: ClassVar[str] = "openai-chat"

    arguments: dict[str, Any]
    bound_by: str | None = None
    streams: bool = False


@dataclass(frozen=True, slots=True)
class ChatCall(Call):
    """One `chat`, or `stream` where *streams*, the messages among its arguments."""

    include_usage: bool = False


@dataclass(frozen=True, slots=True)
class EmbedCall(Call):
    """One `embed`; *base64*: the vectors are asked for so."""

    base64: bool = False


def read_chat(body: Mapping[str, Any]) -> ChatCall:
    """The call that *body* asks for.

    Raises:
        BadRequestError: A field of it is malformed, or one that a router has no words for; `path`
            names it.
    """
    arguments, bound = arguments_of(body, CHAT)
    if "messages" not in arguments:
        raise refused("messages", "is missing")
    _check(arguments)
    if any(map(_is_the_hosts, arguments.get("tools") or ())):
        extra = arguments.setdefault("extra", {})
        extra["tools"] = arguments.pop("tools")
        bound = bound or "tools"
    if (logprobs := _logprobs(body)) is not None:
        arguments["logprobs"] = logprobs
    streams = flag(body.get("stream"), "stream")
    include_usage = _include_usage(body.get("stream_options"), streams)
    return ChatCall(arguments, bound, streams, include_usage)


def read_embed(body: Mapping[str, Any]) -> EmbedCall:
    """The call that *body* asks for.

    Raises:
        BadRequestError: As `read_chat`.
    """
    arguments, bound = arguments_of(body, EMBED)
    given = arguments.get("input")
    if given is None:
        raise refused("input", "is missing")
    if isinstance(given, list) and given and isinstance(given[0], int | list):
        raise refused("input", "holds tokens, which mean something to one model alone; give the texts")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise refused("encoding_format", f'is "float" or "base64", not {encoding!r}')
    return EmbedCall(arguments, bound, base64=encoding == "base64")


def arguments_of(body: Mapping[str, Any], table: Mapping[str, Row]) -> tuple[dict[str, Any], str | None]:
    """The arguments that the fields of *body* make, and the one that binds the call to the format of *table*."""
    arguments: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    bound: str | None = None
    for name, value in body.items():
        if value is None:
            continue
        # What the SDK has no argument for stands in its `extra_body`, which is our `extra`.
        match table.get(name, EXTRA):
            case Argument(argument):
                if arguments.setdefault(argument, value) != value:
                    raise refused(name, f"says something else than another field that means {argument}")
            case Extra(()):
                extra[name] = value
                bound = bound or name
            case Extra(prefixes):
                for prefix in prefixes:
                    extra.setdefault(prefix, {})[name] = value
            case Refused(why, unless):
                if value != unless:
                    raise refused(name, why)
            case _:
                pass
    if extra:
        arguments["extra"] = extra
    return arguments, bound


def _check(arguments: Mapping[str, Any]) -> None:
    """Refuse what stands deeper and would be dropped in silence, or would read as a riddle."""
    messages = arguments["messages"]
    for place, message in enumerate(messages if isinstance(messages, list) else ()):
        # By far the most messages are a role and a text.
        if isinstance(message, dict) and (len(message) > 2 or not isinstance(message.get("content"), str)):
            _check_message(message, f"messages[{place}].")
    tools = arguments.get("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else ()):
        _check_keys(tool, f"tools[{place}].", _TOOL)
    _check_keys(arguments.get("tool_choice"), "tool_choice.", _CHOICE)


def _check_message(message: Mapping[str, Any], path: str) -> None:
    _check_keys(message, path, _MESSAGE)
    content, calls = message.get("content"), message.get("tool_calls")
    for place, part in enumerate(content if isinstance(content, list) else ()):
        _check_keys(part, f"{path}content[{place}].", _PART, known=True)
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        _check_keys(call, f"{path}tool_calls[{place}].", _CALL)


def _check_keys(value: object, path: str, rows: Mapping[str, Row], *, known: bool = False) -> None:
    """Refuse the keys of *value* that *rows* refuse; *known*: and those that stand in none of them."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        row = rows.get(key)
        if isinstance(row, Refused) and inner is not None:
            raise refused(path + key, row.why)
        if row is None and known and inner is not None:
            raise refused(path + key, f"is not a key of a part{did_you_mean(key, frozenset(rows))}")


def _is_the_hosts(tool: object) -> bool:
    """Whether it is one that the host runs itself, of which only its own format can tell."""
    return isinstance(tool, dict) and tool.get("type", "function") != "function"


def _logprobs(body: Mapping[str, Any]) -> bool | int | None:
    """Whether log probabilities are asked for, or of how many alternatives."""
    logprobs, top = body.get("logprobs"), body.get("top_logprobs")
    if logprobs is None and top is None:
        return None
    asked = flag(logprobs, "logprobs")
    if top is None:
        return asked
    if not asked:
        raise refused("top_logprobs", "is asked for together with logprobs: true")
    if isinstance(top, bool) or not isinstance(top, int) or top < 0:
        raise refused("top_logprobs", f"is a whole number, 0 or more, not {top!r}")
    return top


def _include_usage(options: object, streams: bool) -> bool:
    if options is None:
        return False
    if not streams:
        raise refused("stream_options", "is for a stream, and none is asked for")
    if not isinstance(options, dict):
        raise refused("stream_options", f"is an object, not {kind_of(options)}")
    for key in options:
        if key not in _STREAM_OPTIONS:
            hint = did_you_mean(key, frozenset(_STREAM_OPTIONS))
            raise refused(f"stream_options.{key}", f"is not known{hint}")
    return flag(options.get("include_usage"), "stream_options.include_usage")


def flag(value: object, path: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise refused(path, f"is true or false, not {value!r}")
    return value or False


def refused(path: str, fault: str) -> BadRequestError:
    return BadRequestError(f"{path} {fault}", path=path)
