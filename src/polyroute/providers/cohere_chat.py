"""Cohere's chat and embeddings, version 2: what a call becomes, and where replies, streams and errors are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyroute.capabilities import wanted
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.call_ids import ANY_ID, with_call_ids
from polyroute.providers.cohere_embeddings import decode_embeddings, encode_embeddings
from polyroute.providers.cohere_messages import unsayable, written
from polyroute.providers.cohere_replies import decode_chat
from polyroute.providers.cohere_streams import ChatDecoder
from polyroute.providers.encoding import any_unsayable, described, given
from polyroute.providers.error_table import error_of, read_error
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import ChatRequest, NamedTool, Request, ResponseFormat, Tool

__all__ = ["Cohere"]

# The most tokens that a model may think; None: as many as it likes.
_EFFORTS: dict[str, int | None] = {"low": 1_024, "medium": 8_192, "high": None}
_MOST_STOPS = 5
_CHOICES = {"required": "REQUIRED", "none": "NONE"}


class Cohere:
    """The wire format, as *host* speaks it.

    `reasoning_effort` is one of none, low (at most 1,024 tokens of thought), medium (8,192) and high.
    The host holds calls to their schemas for all tools or for none: one that is strict makes them all so.

    Texts to be embedded are documents to search in, unless `extra={"input_type": "search_query"}`
    says that they are what is searched for, or anything else that the host has a word for.
    """

    name = "cohere-chat"

    def __init__(self, host: Host) -> None:
        self._host = host

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._host.unsupported)
        if isinstance(request, ChatRequest):
            missing += _refused(request)
            if any_unsayable(request.messages, unsayable):
                missing.append("messages")
        return missing

    def path(self, call: Call, /, *, stream: bool) -> str:
        return "/chat"

    def embed_path(self, call: EmbedCall, /) -> str:
        return "/embed"

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        request = call.request
        messages = with_call_ids(request.messages, ANY_ID)
        turns = [each for message in messages for each in written(message)]
        fields = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "p": request.top_p,
            "k": request.top_k,
            "frequency_penalty": request.frequency_penalty,
            "presence_penalty": request.presence_penalty,
            "stop_sequences": request.stop,
            "seed": request.seed,
        }
        body: JSON = {"model": call.model, "messages": turns, **given(fields)}
        if request.tools:
            body |= _calling(request.tools, request.tool_choice)
        if request.response_format is not None and request.response_format.kind != "text":
            body["response_format"] = _shape(request.response_format)
        if request.reasoning_effort is not None:
            body["thinking"] = _thinking(request.reasoning_effort)
        if request.logprobs is not None and request.logprobs is not False:
            body["logprobs"] = True
        if request.extra:
            body.update(request.extra)
        body["stream"] = stream  # It is the call's own business, whatever extra says.
        return dump(body)

    def encode_embed(self, call: EmbedCall, /) -> bytes:
        return encode_embeddings(call)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_chat(body, self._host)

    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse:
        return decode_embeddings(body, self._host, count=len(call.request.input))

    def stream_decoder(self, call: Call, /) -> ChatDecoder:
        return ChatDecoder(self._host, call.deployment.id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return error_of(read_error(body, status), headers, self._host.errors)


def _refused(request: ChatRequest) -> list[str]:
    """What the host is known to refuse, although it has a field for it, and what it has no field for."""
    effort, choice, shape = request.reasoning_effort, request.tool_choice, request.response_format
    tools = request.tools or ()
    refused = {
        "frequency_penalty": not 0 <= (request.frequency_penalty or 0) <= 1,
        "presence_penalty": not 0 <= (request.presence_penalty or 0) <= 1,
        "stop": request.stop is not None and len(request.stop) > _MOST_STOPS,
        "parallel_tool_calls": request.parallel_tool_calls is False,
        "reasoning_effort": effort is not None and effort != "none" and effort not in _EFFORTS,
        "tool_choice": isinstance(choice, NamedTool) and all(tool.name != choice.name for tool in tools),
        "logprobs": type(request.logprobs) is int and request.logprobs > 0,
        "response_format": bool(tools) and shape is not None and shape.kind != "text",
    }
    return [name for name, is_refused in refused.items() if is_refused]


def _calling(tools: Sequence[Tool], choice: object) -> JSON:
    """The tools and how they may be called. One that must be called is the only one that is told of."""
    if isinstance(choice, NamedTool):
        tools, choice = [tool for tool in tools if tool.name == choice.name], "required"
    body: JSON = {"tools": [_tool(tool) for tool in tools]}
    if choice in _CHOICES:
        body["tool_choice"] = _CHOICES[str(choice)]
    if any(tool.strict for tool in tools):
        body["strict_tools"] = True
    return body


def _tool(tool: Tool) -> JSON:
    function: JSON = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def _shape(shape: ResponseFormat) -> JSON:
    if shape.schema is None:
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": described(shape)}


def _thinking(effort: str) -> JSON:
    if effort == "none":
        return {"type": "disabled"}
    most = _EFFORTS[effort]
    return {"type": "enabled"} if most is None else {"type": "enabled", "token_budget": most}
