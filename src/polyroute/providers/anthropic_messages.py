"""Anthropic's Messages: what a call becomes, and where replies, streams and errors are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from polyroute.capabilities import wanted
from polyroute.deployments import Call
from polyroute.errors import PolyrouteError
from polyroute.providers.anthropic_models import EFFORTS, is_budgeted, most_tokens, thinking
from polyroute.providers.anthropic_replies import decode_message
from polyroute.providers.anthropic_schemas import closed_schema
from polyroute.providers.anthropic_streams import MessageDecoder
from polyroute.providers.anthropic_turns import conversation, unsayable
from polyroute.providers.encoding import any_unsayable, say_streamed
from polyroute.providers.error_table import error_of, read_error
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump
from polyroute.providers.prompt_caching import MARK, caches, is_mark, mark, marks_by_itself, resent, unmarked
from polyroute.replies import ChatResponse
from polyroute.types import ChatRequest, NamedTool, Opaque, Request, ResponseFormat, Tool

__all__ = ["AnthropicMessages"]

_LEAST_TOP_P = 0.95  # the least that it takes while a model thinks

# Who takes words of the system in the midst of a conversation as such.
_SYSTEM_TURNS = re.compile(r"claude-opus-(?:4[-.][89]|[5-9])")

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


class AnthropicMessages:
    """The wire format, as *host* speaks it.

    A call without `max_tokens` asks for 32,000, or for as many as Claude 3 and 3.5 can give.
    `reasoning_effort` is one of none, minimal, low, medium, high, xhigh and max. While a model thinks,
    the host takes neither `top_k`, nor a `temperature` but 1, nor a `top_p` below 0.95, nor a forced
    tool. Claude 4.5 and older must begin a tool loop with thought, so that one that another maker's
    model began is ended without.

    A long prompt whose caller marks nothing is marked, so that the host keeps what will come again: after the
    tools, after what the system says, and after the last two turns of a user.

    What the host alone has words for, such as a search result, may stand in a message as
    `Opaque("anthropic", {"type": "search_result", …})`.
    """

    name = "anthropic-messages"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._unsupported = tuple(host.unsupported)

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._unsupported)
        if isinstance(request, ChatRequest):
            missing += _refused(request)
            if any_unsayable(request.messages, unsayable):
                missing.append("messages")
        return missing

    def prefill(self, model: str) -> Literal["trimmed"] | None:
        # From 4.6 on a conversation must end with the user's words.
        return "trimmed" if is_budgeted(model) else None

    def understands(self, opaque: Opaque) -> bool:
        """Whether it has words for a part of another maker's: for marks, up to which to cache."""
        return is_mark(opaque)

    def path(self, call: Call, /, *, stream: bool) -> str:
        return "/messages"

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        cached = caches(call.deployment)
        request = call.request if cached else unmarked(call.request)
        system_turns = _SYSTEM_TURNS.search(call.model) is not None
        system, turns = conversation(request.messages, system_turns=system_turns)
        tools = [_tool(tool) for tool in request.tools or ()]
        if cached and marks_by_itself(request):
            for blocks in (tools, system, *resent(turns)):
                mark(blocks)
        max_tokens = request.max_tokens
        if max_tokens is None:
            max_tokens = most_tokens(call.model)  # which the host demands
        body: JSON = {"model": call.model, "max_tokens": max_tokens, "messages": turns}
        if system:
            body["system"] = system
        for name in ("temperature", "top_p", "top_k"):
            if (value := getattr(request, name)) is not None:
                body[name] = value
        if request.stop:
            body["stop_sequences"] = request.stop
        if tools:
            body["tools"] = tools
        if (choice := _tool_choice(request)) is not None:
            body["tool_choice"] = choice
        if request.reasoning_effort is not None and not (
            is_budgeted(call.model) and request.reasoning_effort != "none" and _called_without_thought(turns)
        ):
            body |= thinking(request.reasoning_effort, call.model, max_tokens)
        if request.response_format is not None and request.response_format.schema is not None:
            body.setdefault("output_config", {})["format"] = _format(request.response_format)
        if call.user is not None:
            body["metadata"] = {"user_id": call.user}
        if request.extra:
            body.update(request.extra)
        say_streamed(body, stream=stream)
        return dump(body)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_message(body, self._host)

    def stream_decoder(self, call: Call, /) -> MessageDecoder:
        return MessageDecoder(self._host, call.deployment.id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return error_of(read_error(body, status), headers, self._host.errors)


def _refused(request: ChatRequest) -> list[str]:
    """What the host is known to refuse, although it has a field for it."""
    missing: list[str] = []
    if request.temperature is not None and request.temperature > 1:
        missing.append("temperature")
    if request.reasoning_effort is not None:
        missing += _refused_in_thought(request, request.reasoning_effort)
    if request.stop is not None and not all(each.strip() for each in request.stop):
        missing.append("stop")
    if request.response_format is not None and request.response_format.kind == "json_object":
        missing.append("response_format")
    return missing


def _refused_in_thought(request: ChatRequest, effort: str) -> list[str]:
    """What the host refuses while a model thinks, or the effort itself where it has no such word."""
    if effort == "none":
        return []
    if effort not in EFFORTS:
        return ["reasoning_effort"]
    refused = {
        "temperature": request.temperature is not None and request.temperature < 1,
        "top_p": request.top_p is not None and request.top_p < _LEAST_TOP_P,
        "top_k": request.top_k is not None,
        "tool_choice": request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool),
    }
    return [name for name, is_refused in refused.items() if is_refused]


def _called_without_thought(turns: Sequence[JSON]) -> bool:
    """Whether the conversation ends within a tool loop in which nothing was thought."""
    called = False
    for turn in reversed(turns):
        kinds = {block.get("type") for block in turn["content"]}
        if kinds & {"thinking", "redacted_thinking"}:
            return False
        if turn["role"] == "user" and "tool_result" not in kinds:
            break
        called = called or "tool_result" in kinds
    return called


def _tool(tool: Tool) -> JSON:
    parameters = closed_schema(tool.parameters) if tool.strict else tool.parameters
    written: JSON = {"name": tool.name, "input_schema": {"type": "object", **parameters}}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    if tool.cache_control is not None:
        written[MARK] = tool.cache_control
    return written


def _tool_choice(request: ChatRequest) -> JSON | None:
    """Which tool is to be called, and whether several at once may be, which is told in the same field."""
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if isinstance(choice, NamedTool):
        written: JSON = {"type": "tool", "name": choice.name}
    elif choice is not None or parallel is not None:
        written = {"type": _CHOICES[choice or "auto"]}
    else:
        return None
    if parallel is not None and choice != "none":
        written["disable_parallel_tool_use"] = not parallel
    return written


def _format(shape: ResponseFormat) -> JSON:
    schema = closed_schema(shape.schema or {})
    if shape.description is not None:
        schema.setdefault("description", shape.description)
    return {"type": "json_schema", "schema": schema}
