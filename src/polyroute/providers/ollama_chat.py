"""Ollama's own chat and embeddings: what a call becomes, and where replies, streams and errors are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from polyroute.capabilities import wanted
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.encoding import any_unsayable, described, given, merged
from polyroute.providers.error_table import error_of, read_error
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump
from polyroute.providers.ollama_embeddings import decode_embeddings, encode_embeddings
from polyroute.providers.ollama_messages import conversation, unsayable
from polyroute.providers.ollama_replies import decode_chat
from polyroute.providers.ollama_streams import ChatDecoder
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import ChatRequest, NamedTool, Request, ResponseFormat, Tool

__all__ = ["Ollama"]

_EFFORTS = frozenset({"none", "low", "medium", "high"})


class Ollama:
    """The wire format, as *host* speaks it.

    `extra` is merged into the body last and deeply, so that `extra={"options": {"num_ctx": 8192}}` goes
    with the other options. A server of one's own cuts a prompt that is longer than its `num_ctx` without
    a word. It holds no call to its tool's schema, so that a tool's `strict` means nothing to it.
    `reasoning_effort` is one of none, low, medium and high.
    """

    name = "ollama-chat"

    def __init__(self, host: Host) -> None:
        self._host = host

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._host.unsupported)
        if isinstance(request, ChatRequest):
            if request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool):
                missing.append("tool_choice")
            if request.parallel_tool_calls is False:
                missing.append("parallel_tool_calls")
            if request.reasoning_effort is not None and request.reasoning_effort not in _EFFORTS:
                missing.append("reasoning_effort")
            if any_unsayable(request.messages, unsayable):
                missing.append("messages")
        return missing

    def prefill(self, model: str) -> Literal["exact"]:
        return "exact"  # It writes on where the last message is the assistant's.

    def path(self, call: Call, /, *, stream: bool) -> str:
        return "/api/chat"

    def embed_path(self, call: EmbedCall, /) -> str:
        return "/api/embed"

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        request = call.request
        body: JSON = {"model": call.model, "messages": conversation(request.messages)}
        if request.tools and request.tool_choice != "none":
            body["tools"] = [_tool(tool) for tool in request.tools]
        if request.response_format is not None and request.response_format.kind != "text":
            body["format"] = _shape(request.response_format)
        if request.reasoning_effort is not None:
            body["think"] = False if request.reasoning_effort == "none" else request.reasoning_effort
        if request.logprobs is not None and request.logprobs is not False:
            body["logprobs"] = True
            if request.logprobs is not True:
                body["top_logprobs"] = request.logprobs
        if options := _options(request):
            body["options"] = options
        if request.extra:
            body = merged(body, request.extra)
        body["stream"] = stream  # Left out, it is streamed; and it is the call's own business.
        return dump(body)

    def encode_embed(self, call: EmbedCall, /) -> bytes:
        return encode_embeddings(call)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_chat(body, call, self._host)

    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse:
        return decode_embeddings(body, self._host, count=len(call.request.input))

    def stream_decoder(self, call: Call, /) -> ChatDecoder:
        return ChatDecoder(self._host, call)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return error_of(read_error(body, status), headers, self._host.errors)


def _options(request: ChatRequest) -> JSON:
    return given({
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "stop": request.stop,
        "seed": request.seed,
    })  # fmt: skip


def _tool(tool: Tool) -> JSON:
    function: JSON = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _shape(shape: ResponseFormat) -> object:
    return "json" if shape.schema is None else described(shape)
