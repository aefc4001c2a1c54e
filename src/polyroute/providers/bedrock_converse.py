"""Bedrock's Converse, and the embeddings that its models give: what a call becomes, and where answers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json

from polyroute.capabilities import wanted
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.anthropic_models import EFFORTS
from polyroute.providers.anthropic_schemas import closed_schema
from polyroute.providers.bedrock_embeddings import decode_embeddings, encode_embeddings, most_texts
from polyroute.providers.bedrock_errors import refusal
from polyroute.providers.bedrock_models import most_thought, of_its_own
from polyroute.providers.bedrock_replies import decode_converse
from polyroute.providers.bedrock_streams import ConverseDecoder
from polyroute.providers.bedrock_turns import blocks_of, conversation, unsayable
from polyroute.providers.encoding import merged
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import ChatRequest, NamedTool, Request, ResponseFormat, Tool

__all__ = ["BedrockConverse"]


class BedrockConverse:
    """The wire format, as *host* speaks it.

    A model is named by its id, that of an inference profile, or an ARN. `reasoning_effort` and `top_k`
    go to Claude, Nova, Qwen and gpt-oss in each one's own words. Whose a model is, its name tells, or the
    deployment's `like` where the name is an application's inference profile. `extra` is merged into the
    body last and deeply, so that a field of the model's own is `{"additionalModelRequestFields": {…}}`.

    The host knows no choice of no tool: with `tool_choice="none"` none is offered, but for those that
    the conversation has called already, which it must be told.

    What the host alone has words for, such as a point to cache up to, may stand in a message as
    `Opaque("bedrock", {"cachePoint": {"type": "default"}})`.
    """

    name = "bedrock-converse"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._unsupported = tuple(host.unsupported)

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._unsupported)
        if isinstance(request, ChatRequest):
            if request.parallel_tool_calls is False:
                missing.append("parallel_tool_calls")
            if request.reasoning_effort is not None and request.reasoning_effort not in EFFORTS:
                missing.append("reasoning_effort")
            if request.response_format is not None and request.response_format.kind == "json_object":
                missing.append("response_format")
            if any(unsayable(message) for message in request.messages):
                missing.append("messages")
        return missing

    def path(self, call: Call, /, *, stream: bool) -> str:
        return _model(call) + ("/converse-stream" if stream else "/converse")

    def embed_path(self, call: EmbedCall, /) -> str:
        return _model(call) + "/invoke"

    def most_texts(self, call: EmbedCall, /) -> int:
        return most_texts(call.deployment.known_as)

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        request, family = call.request, call.deployment.known_as
        system, turns = conversation(request.messages)
        body: JSON = {"messages": turns}
        if system:
            body["system"] = system
        if config := _inference(request, family):
            body["inferenceConfig"] = config
        if tools := _tools(request, turns):
            body["toolConfig"] = tools
        if request.response_format is not None and request.response_format.schema is not None:
            body["outputConfig"] = {"textFormat": _shape(request.response_format)}
        if fields := of_its_own(request, family, turns):
            body["additionalModelRequestFields"] = fields
        return dump(merged(body, request.extra) if request.extra else body)

    def encode_embed(self, call: EmbedCall, /) -> bytes:
        return encode_embeddings(call)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_converse(body, self._host)

    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse:
        return decode_embeddings(body, self._host, count=len(call.request.input))

    def stream_decoder(self, call: Call, /) -> ConverseDecoder:
        return ConverseDecoder(self._host, call.deployment.id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return refusal(status, headers, body, self._host)


def _model(call: Call | EmbedCall) -> str:
    return f"/model/{quote(call.model, safe='')}"


def _inference(request: ChatRequest, model: str) -> JSON:
    config = {
        "maxTokens": most_thought(request, model),
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stop or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _tools(request: ChatRequest, turns: Sequence[JSON]) -> JSON:
    """The tools to choose from, and how. A conversation in which some were called is refused without them."""
    called = dict.fromkeys(block["toolUse"]["name"] for block in blocks_of(turns, "toolUse"))
    given = {tool.name: tool for tool in request.tools or ()}
    offered = {name: given.get(name, Tool(name)) for name in called}
    if request.tool_choice != "none":
        offered = given or offered
    if not offered:
        return {}
    written: JSON = {"tools": [{"toolSpec": _tool(tool)} for tool in offered.values()]}
    match request.tool_choice:
        case NamedTool(name):
            written["toolChoice"] = {"tool": {"name": name}}
        case "required":
            written["toolChoice"] = {"any": {}}
        case "auto":
            written["toolChoice"] = {"auto": {}}
        case _:
            pass
    return written


def _tool(tool: Tool) -> JSON:
    parameters = closed_schema(tool.parameters) if tool.strict else tool.parameters
    written: JSON = {"name": tool.name, "inputSchema": {"json": {"type": "object", **parameters}}}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return written


def _shape(shape: ResponseFormat) -> JSON:
    schema: JSON = {"name": shape.name, "schema": to_json(closed_schema(shape.schema or {})).decode()}
    if shape.description is not None:
        schema["description"] = shape.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
