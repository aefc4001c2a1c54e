"""Reads the arguments of a call: numbers, tools, shapes, each in its own type or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias, TypedDict, cast

from polyroute.errors import BadRequestError, ConfigurationError, did_you_mean
from polyroute.messages import kind_of
from polyroute.protocols import RetryPolicy
from polyroute.schemas import format_of_model, tool_of_function
from polyroute.settings import Timeout, unbuilt
from polyroute.types import NamedTool, OnBreak, ResponseFormat, Tool, ToolChoice

__all__ = ["ChatArguments", "EmbedArguments", "StreamArguments", "check_params", "read_arguments"]

ToolLike: TypeAlias = Tool | Mapping[str, Any] | Callable[..., object]


class CallArguments(TypedDict, total=False):
    """What every kind of call takes. None, or left out, means the default of the level above; only
    for *retry* and *timeout* does None mean without."""

    model: str | Sequence[str] | None
    user: str | None
    metadata: Mapping[str, str] | None
    tags: Sequence[str]
    session: str | None
    priority: int
    timeout: Timeout | float | None
    retry: RetryPolicy | None
    fallbacks: bool
    cache: None
    extra: Mapping[str, Any] | None


class ChatArguments(CallArguments, total=False):
    """What `chat`, `explain`, `bind` and their synchronous twins take beside the messages."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    tools: Sequence[ToolLike] | None
    tool_choice: ToolChoice | str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    reasoning_effort: str | None
    logprobs: bool | int | None
    n: int | None


class StreamArguments(ChatArguments, total=False):
    """What `stream` takes beside the messages."""

    on_break: OnBreak
    hold: int


class EmbedArguments(CallArguments, total=False):
    """What `embed` takes beside the texts."""

    dimensions: int | None


def read_arguments(given: Mapping[str, object], known: frozenset[str]) -> dict[str, Any]:
    """The arguments in their own types, without those that are None.

    Raises:
        TypeError: One is not among the *known*.
        BadRequestError: One is malformed; `path` names it.
    """
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"there is no argument {name!r}{did_you_mean(name, known)}")
        if value is None and name != "timeout":
            continue
        try:
            read[name] = _READERS[name](value)
        except _Fault as fault:
            path = name + fault.where
            raise BadRequestError(f"{path} {fault.what}", path=path) from None
    return read


def check_params(owner: str, params: Mapping[str, object], *, extra: bool = False) -> dict[str, Any]:
    """The `params` of a router, a route or a deployment in their own types.

    Raises:
        ConfigurationError: One is unknown or malformed.
    """
    known = PARAMS if extra else PARAMS - {"extra"}
    for name in params:
        if name == "extra" and not extra:
            raise ConfigurationError(
                f"{owner}: extra= speaks one wire format; give it in the params of a Deployment, or to the call"
            )
        if name not in known:
            raise ConfigurationError(f"{owner}: params has no {name!r}{did_you_mean(name, known)}")
    try:
        return read_arguments(params, known)
    except BadRequestError as exc:
        raise ConfigurationError(f"{owner}: params: {exc}") from None


class _Fault(Exception):  # noqa: N818 - it never leaves this file
    """What is wrong with an argument, and where in it."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where


def _whole(least: int | None) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            raise _Fault(
                "is a whole number" + ("" if least is None else f", {least} or more") + f", not {value!r}"
            )
        return value

    return read


def _number(value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise _Fault(f"is a number, not {value!r}")
    except OverflowError:
        raise _Fault("is a number that a float can hold") from None
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Fault(f"is True or False, not {value!r}")
    return value


def _logprobs(value: object) -> bool | int:
    return value if isinstance(value, bool) else _whole(0)(value)


def _word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _Fault(f"is a str, not {value!r}")
    return value


def _stop(value: object) -> tuple[str, ...] | None:
    stops = (value,) if isinstance(value, str) else value
    if isinstance(stops, bytes) or not isinstance(stops, Sequence):
        raise _Fault(f"is a str or a sequence of them, not {value!r}")
    for place, stop in enumerate(stops):
        if not isinstance(stop, str) or not stop:
            where = "" if isinstance(value, str) else f"[{place}]"
            raise _Fault(f"is a str that is not empty, not {stop!r}", where)
    return tuple(stops) or None


def _extra(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Fault(f"is a dict that is merged into the provider's body, not {kind_of(value)}")
    return dict(value)


def _tools(value: object) -> tuple[Tool, ...] | None:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise _Fault(f"is a list of tools, not {kind_of(value)}")
    return tuple(_tool(tool, f"[{index}]") for index, tool in enumerate(value)) or None


def _tool(tool: object, where: str) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, Mapping):
        function = tool.get("function")
        if tool.get("type", "function") != "function" or not isinstance(function, Mapping):
            raise _Fault('is {"type": "function", "function": {…}}; a host\'s own tools go in extra=', where)
        # Some put it beside the function, and some into it.
        mark = _mark(tool, where) or _mark(function, f"{where}.function")
        return _tool_of_dict(function, f"{where}.function", mark)
    if not callable(tool):
        raise _Fault(f"is a dict, a Tool or a function, not {kind_of(tool)}", where)
    try:
        return tool_of_function(tool)
    except (TypeError, ValueError) as exc:
        raise _Fault(f"has a signature that gives no JSON schema: {exc}", where) from None


def _mark(given: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    mark = given.get("cache_control")
    if mark is not None and not isinstance(mark, Mapping):
        raise _Fault('is a dict such as {"type": "ephemeral"}', f"{where}.cache_control")
    return None if mark is None else dict(mark)


def _tool_of_dict(function: Mapping[str, Any], where: str, mark: dict[str, Any] | None) -> Tool:
    name, description, strict = (function.get(key) for key in ("name", "description", "strict"))
    if not isinstance(name, str) or not name:
        raise _Fault("is the tool's name", f"{where}.name")
    if description is not None and not isinstance(description, str):
        raise _Fault(f"is a str, not {kind_of(description)}", f"{where}.description")
    if strict is not None and not isinstance(strict, bool):
        raise _Fault(f"is True or False, not {strict!r}", f"{where}.strict")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping):
        raise _Fault("is a JSON schema", f"{where}.parameters")
    return Tool(name, description or "", dict(parameters), strict=strict, cache_control=mark)


def _tool_choice(value: object) -> ToolChoice:
    if isinstance(value, NamedTool):
        return value
    if value in ("auto", "none", "required"):
        return cast("ToolChoice", value)
    if value == "any":  # Mistral's word for it
        return "required"
    if isinstance(value, Mapping) and isinstance(function := value.get("function"), Mapping):
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise _Fault("is the name of a tool", ".function.name")
        return NamedTool(name)
    if isinstance(value, str) and value:
        return NamedTool(value)
    raise _Fault(f'is "auto", "none", "required" or the name of a tool, not {value!r}')


def _response_format(value: object) -> ResponseFormat:
    if isinstance(value, ResponseFormat):
        return value
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return format_of_model(value)
    if not isinstance(value, Mapping):
        raise _Fault(f"is a pydantic class or a dict, not {kind_of(value)}")
    kind = value.get("type")
    if kind in ("text", "json_object"):
        if len(value) > 1:
            raise _Fault(f'has nothing beside its type {kind!r}; a schema goes in "json_schema"')
        return ResponseFormat(kind)
    if kind != "json_schema":
        return ResponseFormat("json_schema", schema=dict(value))
    inner = value.get("json_schema")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
        raise _Fault("holds a schema", ".json_schema")
    name, strict, description = (inner.get(key) for key in ("name", "strict", "description"))
    for key, each in (("name", name), ("description", description)):
        if each is not None and not isinstance(each, str):
            raise _Fault(f"is a str, not {kind_of(each)}", f".json_schema.{key}")
    if strict is not None and not isinstance(strict, bool):
        raise _Fault(f"is True or False, not {strict!r}", ".json_schema.strict")
    return ResponseFormat(
        "json_schema",
        name=name or "response",
        schema=dict(inner["schema"]),
        strict=strict,
        description=description,
    )


def _model(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence) or not value:
        raise _Fault(f"is a name or a list of names, not {value!r}")
    if not all(isinstance(name, str) and name for name in value):
        raise _Fault(f"is a name or a list of names, not {value!r}")
    return tuple(value)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _Fault(f"is a list of names, not {value!r}")
    if not all(isinstance(name, str) and name.removeprefix("!") for name in value):
        raise _Fault(f"is a list of names, not {value!r}")
    return tuple(value)


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _Fault(f"is a flat mapping from str to str, not {kind_of(value)}")
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, str):
            raise _Fault("is a flat mapping from str to str", f"[{key!r}]")
    return dict(value)


def _timeout(value: object) -> Timeout:
    if isinstance(value, Timeout):
        return value
    if value is None:
        return Timeout(None, None, None, None, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise _Fault(f"is a number of seconds in total, a Timeout or None, not {value!r}")
    return Timeout(total=value)


def _retry(value: object) -> object:
    if not callable(getattr(value, "decide", None)):
        raise _Fault(f"is a RetryPolicy such as ExponentialBackoff(), or None, not {kind_of(value)}")
    return value


def _on_break(value: object) -> OnBreak:
    if value not in ("raise", "restart", "resume"):
        raise _Fault(f'is "raise", "restart" or "resume", not {value!r}')
    return value


def _cache(value: object) -> object:
    if value is not None:
        unbuilt("this call", "cache")
    return value


_READERS: dict[str, Callable[[object], Any]] = {
    "model": _model,
    "user": _word,
    "metadata": _metadata,
    "tags": _names,
    "session": _word,
    "priority": _whole(None),
    "timeout": _timeout,
    "retry": _retry,
    "fallbacks": _flag,
    "cache": _cache,
    "on_break": _on_break,
    "hold": _whole(0),
    "max_tokens": _whole(1),
    "temperature": _number,
    "top_p": _number,
    "top_k": _whole(0),
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "stop": _stop,
    "seed": _whole(None),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _flag,
    "response_format": _response_format,
    "reasoning_effort": _word,
    "logprobs": _logprobs,
    "n": _whole(1),
    "extra": _extra,
    "dimensions": _whole(1),
}

# What stands as a default in `params`: what is said to the model, not what is said of the call.
PARAMS = frozenset(_READERS) - CallArguments.__optional_keys__ - {"on_break", "hold"} | {"extra"}
