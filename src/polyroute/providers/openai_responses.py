"""OpenAI's Responses: what a call becomes, and where replies, streams and errors are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polyroute.capabilities import wanted
from polyroute.deployments import Call
from polyroute.errors import PolyrouteError
from polyroute.providers.encoding import any_unsayable, merged, say_streamed
from polyroute.providers.error_table import error_of, read_error
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import JSON, dump, text_or_none
from polyroute.providers.openai_responses_items import conversation, unsayable
from polyroute.providers.openai_responses_replies import decode_response
from polyroute.providers.openai_responses_streams import ResponseDecoder
from polyroute.replies import ChatResponse
from polyroute.types import ChatRequest, NamedTool, Request, ResponseFormat, Tool, ToolChoice

__all__ = ["OpenAIResponses"]

# Models that do not reason; the host takes neither reasoning for them nor the wish to have it.
_SILENT = re.compile(r"(?:^|[/:])(?:gpt-[34]|chatgpt-|gpt-5-chat)")


class OpenAIResponses:
    """The wire format, as *host* speaks it.

    Nothing is kept by the host (`store` is false): what was reasoned comes encrypted, stands in the
    reply's message as `Opaque`, and goes back with it. `extra` goes into what stands in the body
    already: `{"reasoning": {"summary": "auto"}}` beside an effort asks for the thoughts in words, which
    some organisations must be verified for; `{"tools": [{"type": "web_search"}]}` comes beside other tools.

    `extra={"previous_response_id": reply.id}` goes on where an earlier reply ended that was kept
    (`extra={"store": True}`). Only the host and the key that made it know of it: deployments of other
    formats are left out, and so is every other while this router remembers who made it. Where it does
    not, those who did not say `NotFoundError`, after which the call moves on.

    What the host alone has words for, such as the output of its own shell, may stand in a message as
    `Opaque("openai-responses", {"type": "shell_call_output", …})`.
    """

    name = "openai-responses"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._unsupported = tuple(host.unsupported)

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._unsupported)
        if isinstance(request, ChatRequest) and any_unsayable(request.messages, unsayable):
            missing.append("messages")
        return missing

    def goes_on_from(self, request: Request) -> str | None:
        """The id of the reply that *request* goes on from, which only its maker knows."""
        return text_or_none(self._extra(request).get("previous_response_id"))

    def keeps(self, request: Request) -> bool:
        """Whether the host keeps the reply."""
        return bool(self._extra(request).get("store"))

    def _extra(self, request: Request) -> Mapping[str, Any]:
        """What goes into the body, said for all or for this host alone."""
        extra = request.extra or {}
        own = extra.get(self._host.prefix)
        return {**extra, **own} if isinstance(own, Mapping) else extra

    def path(self, call: Call, /, *, stream: bool) -> str:
        return "/responses"

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        request = call.request
        reasons = _SILENT.search(call.model) is None
        body: JSON = {
            "model": call.model,
            "input": conversation(request.messages, reasons=reasons),
            "store": False,
        }
        include = ["reasoning.encrypted_content"] if reasons else []
        for name in ("temperature", "top_p", "parallel_tool_calls"):
            if (value := getattr(request, name)) is not None:
                body[name] = value
        if request.max_tokens is not None:
            body["max_output_tokens"] = request.max_tokens
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.response_format is not None:
            body["text"] = {"format": _format(request.response_format)}
        if request.reasoning_effort is not None:
            body["reasoning"] = {"effort": request.reasoning_effort}
        if request.logprobs is not None and request.logprobs is not False:
            include.append("message.output_text.logprobs")
            if request.logprobs is not True:
                body["top_logprobs"] = request.logprobs
        if include:
            body["include"] = include
        if call.user is not None:
            body["user"] = call.user
        if request.extra:
            body = _joined(body, request.extra)
        say_streamed(body, stream=stream)
        return dump(body)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_response(body, self._host)

    def stream_decoder(self, call: Call, /) -> ResponseDecoder:
        return ResponseDecoder(self._host, call.deployment.id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return error_of(read_error(body, status), headers, self._host.errors)


def _tool(tool: Tool) -> JSON:
    # Left unsaid, the host takes every schema for a strict one, which no other does.
    strict = tool.strict is True
    described = {"description": tool.description} if tool.description else {}
    return {
        "type": "function",
        "name": tool.name,
        **described,
        "parameters": tool.parameters,
        "strict": strict,
    }


def _tool_choice(choice: ToolChoice) -> object:
    return {"type": "function", "name": choice.name} if isinstance(choice, NamedTool) else choice


def _format(shape: ResponseFormat) -> JSON:
    if shape.kind != "json_schema":
        return {"type": shape.kind}
    written: JSON = {"type": "json_schema", "name": shape.name, "schema": shape.schema}
    if shape.strict is not None:
        written["strict"] = shape.strict
    if shape.description is not None:
        written["description"] = shape.description
    return written


def _joined(body: JSON, extra: Mapping[str, Any]) -> JSON:
    """*body* with *extra*, of which tools and what is to be included stand beside ours."""
    beside: JSON = {
        name: [*body[name], *extra[name]] for name in ("tools", "include") if name in body and name in extra
    }
    return {**merged(body, extra), **beside}
