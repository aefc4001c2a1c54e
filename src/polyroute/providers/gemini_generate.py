"""Gemini's generateContent and its embeddings, as Google's hosts speak them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from polyroute.capabilities import wanted
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.encoding import described, given, merged
from polyroute.providers.error_table import error_of, read_error
from polyroute.providers.gemini_embeddings import decode_embeddings, encode_embeddings
from polyroute.providers.gemini_messages import conversation, unsayable
from polyroute.providers.gemini_replies import decode_generate
from polyroute.providers.gemini_streams import GenerateDecoder
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import ChatRequest, NamedTool, Request, ResponseFormat, Tool, ToolChoice

__all__ = ["Gemini", "model_path"]

_MOST_STOPS = 5
# Google's own correspondence, of the endpoint that imitates OpenAI's: tokens to think with, for models
# before Gemini 3, and the level for those after, which cannot be kept from thinking altogether.
_EFFORTS: dict[str, tuple[int, str]] = {
    "none": (0, "minimal"),
    "minimal": (1_024, "minimal"),
    "low": (1_024, "low"),
    "medium": (8_192, "medium"),
    "high": (24_576, "high"),
}
_GENERATION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)")


class Gemini:
    """The wire format, as *host* speaks it.

    `extra` is merged into the body last and deeply: an object goes into the object of its name, and
    anything else replaces what stood there. For embeddings it goes into each request of the batch.
    """

    name = "gemini"
    _ids = True  # Calls bear them.

    def __init__(self, host: Host) -> None:
        self._host = host

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._host.unsupported)
        if isinstance(request, ChatRequest):
            if request.parallel_tool_calls is False:
                missing.append("parallel_tool_calls")
            if request.stop is not None and len(request.stop) > _MOST_STOPS:
                missing.append("stop")
            if request.reasoning_effort is not None and request.reasoning_effort not in _EFFORTS:
                missing.append("reasoning_effort")
            if unsayable(request.messages):
                missing.append("messages")
        return missing

    def path(self, call: Call, /, *, stream: bool) -> str:
        return model_path(call) + (":streamGenerateContent?alt=sse" if stream else ":generateContent")

    def embed_path(self, call: EmbedCall, /) -> str:
        return model_path(call) + ":batchEmbedContents"

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        request = call.request
        latest = _is_latest(call.model)
        system, turns = conversation(request.messages, latest=latest, ids=self._ids)
        body: JSON = {"contents": turns}
        if system:
            body["systemInstruction"] = {"parts": system}
        if request.tools:
            body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
        if calling := _calling(request.tool_choice, request.tools or ()):
            body["toolConfig"] = {"functionCallingConfig": calling}
        if config := _generation_config(request, latest=latest):
            body["generationConfig"] = config
        return dump(merged(body, request.extra) if request.extra else body)

    def encode_embed(self, call: EmbedCall, /) -> bytes:
        return encode_embeddings(call)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_generate(body, call, self._host)

    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse:
        return decode_embeddings(body, self._host, count=len(call.request.input))

    def stream_decoder(self, call: Call, /) -> GenerateDecoder:
        return GenerateDecoder(self._host, call)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return error_of(read_error(body, status), headers, self._host.errors)


def model_path(call: Call | EmbedCall) -> str:
    return f"/models/{quote(call.model, safe='')}"


def _is_latest(model: str) -> bool:
    """Whether it is Gemini 3 or later, as a name without a number (`gemini-flash-latest`) is taken to be."""
    generation = _GENERATION.search(model)
    return generation is None or int(generation[1]) >= 3


def _generation_config(request: ChatRequest, *, latest: bool) -> JSON:
    fields = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
        "stopSequences": request.stop,
        "seed": request.seed,
        "candidateCount": request.n,
    }
    config = given(fields)
    if request.logprobs is not None and request.logprobs is not False:
        config["responseLogprobs"] = True
        if request.logprobs is not True and request.logprobs > 0:
            config["logprobs"] = request.logprobs
    if request.response_format is not None:
        config |= _shape(request.response_format)
    if (effort := request.reasoning_effort) is not None:
        budget, level = _EFFORTS[effort]
        thinking: JSON = {"thinkingLevel": level} if latest else {"thinkingBudget": budget}
        if effort != "none":
            thinking["includeThoughts"] = True
        config["thinkingConfig"] = thinking
    return config


def _shape(shape: ResponseFormat) -> JSON:
    if shape.kind == "text":
        return {}
    if shape.schema is None:
        return {"responseMimeType": "application/json"}
    return {"responseMimeType": "application/json", "responseJsonSchema": described(shape)}


def _tool(tool: Tool) -> JSON:
    declaration: JSON = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _calling(choice: ToolChoice | None, tools: Sequence[Tool]) -> JSON | None:
    """How tools may be called. Strictness is a mode here: calls are held to their schemas in all but AUTO."""
    if isinstance(choice, NamedTool):
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    if choice == "required":
        return {"mode": "ANY"}
    if choice == "none":
        return {"mode": "NONE"}
    if any(tool.strict for tool in tools):
        return {"mode": "VALIDATED"}
    return {"mode": "AUTO"} if choice == "auto" else None
