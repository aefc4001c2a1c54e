"""Bedrock's Converse, and the embeddings that its models give: what a call becomes, and where answers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic_core import to_json

from polyroute.capabilities import wanted
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.anthropic_models import EFFORTS, is_budgeted
from polyroute.providers.anthropic_schemas import closed_schema
from polyroute.providers.bedrock_caching import takes_points, with_points
from polyroute.providers.bedrock_embeddings import decode_embeddings, encode_embeddings, most_texts
from polyroute.providers.bedrock_errors import refusal
from polyroute.providers.bedrock_models import most_thought, of_its_own, takes_thoughts
from polyroute.providers.bedrock_replies import decode_converse, is_of_the_host
from polyroute.providers.bedrock_streams import ConverseDecoder
from polyroute.providers.bedrock_turns import blocks_of, conversation, unsayable
from polyroute.providers.encoding import any_unsayable, given, merged
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump
from polyroute.providers.prompt_caching import MARK, caches, is_mark, mark, marks_by_itself, resent, unmarked
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import ChatRequest, NamedTool, Opaque, Request, ResponseFormat, Tool

__all__ = ["BedrockConverse"]


class BedrockConverse:
    """The wire format, as *host* speaks it.

    A model is named by its id, that of an inference profile, or an ARN. `reasoning_effort` and `top_k`
    go to Claude, Nova, Qwen and gpt-oss in each one's own words. Whose a model is, its name tells, or the
    deployment's `like` where the name is an application's inference profile. `extra` is merged into the
    body last and deeply, so that a field of the model's own is `{"additionalModelRequestFields": {…}}`.

    The host knows no choice of no tool: with `tool_choice="none"` none is offered, but for those that
    the conversation has called already, which it must be told.

    A caller's marks, up to which to cache, become points for Claude and Nova, wherever they take one, and
    are left out for others. A long prompt without any is given points at the end of what will come again.

    What the host alone has words for, such as a point of one's own, may stand in a message as
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
            if any_unsayable(request.messages, unsayable):
                missing.append("messages")
        return missing

    def prefill(self, model: str) -> Literal["trimmed"] | None:
        return "trimmed" if is_budgeted(model) else None

    def understands(self, opaque: Opaque) -> bool:
        """Whether it has words for a part of another maker's: for marks, up to which to cache."""
        return is_mark(opaque)

    def path(self, call: Call, /, *, stream: bool) -> str:
        return _model(call) + ("/converse-stream" if stream else "/converse")

    def embed_path(self, call: EmbedCall, /) -> str:
        return _model(call) + "/invoke"

    def most_texts(self, call: EmbedCall, /) -> int:
        return most_texts(call.deployment.known_as)

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        family = call.deployment.known_as
        cached = caches(call.deployment, known=takes_points(family))
        request = call.request if cached else unmarked(call.request)
        system, turns = conversation(request.messages, thoughts=takes_thoughts(family))
        tools = _tools(request, turns)
        if cached and marks_by_itself(request):
            for blocks in (tools, system, *resent(turns)):
                mark(blocks)
        for turn in turns:
            turn["content"] = with_points(turn["content"], family)
        body: JSON = {"messages": turns}
        if system:
            body["system"] = with_points(system, family)
        if config := _inference(request, family):
            body["inferenceConfig"] = config
        if tools:
            body["toolConfig"] = {"tools": with_points(tools, family), **_tool_choice(request)}
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
    return given({
        "maxTokens": most_thought(request, model),
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stop or None,
    })  # fmt: skip


def _tools(request: ChatRequest, turns: Sequence[JSON]) -> list[JSON]:
    """The tools to choose from. A conversation in which some were called is refused without them."""
    calls = [block["toolUse"] for block in blocks_of(turns, "toolUse")]
    called = dict.fromkeys(call["name"] for call in calls if not is_of_the_host(call))
    given = {tool.name: tool for tool in request.tools or ()}
    offered = {name: given.get(name, Tool(name)) for name in called}
    if request.tool_choice != "none":
        offered = given or offered
    return [
        {"toolSpec": _tool(tool), **({MARK: tool.cache_control} if tool.cache_control else {})}
        for tool in offered.values()
    ]


def _tool_choice(request: ChatRequest) -> JSON:
    match request.tool_choice:
        case NamedTool(name):
            return {"toolChoice": {"tool": {"name": name}}}
        case "required":
            return {"toolChoice": {"any": {}}}
        case "auto":
            return {"toolChoice": {"auto": {}}}
        case _:
            return {}


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
