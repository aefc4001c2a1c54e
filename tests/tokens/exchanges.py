"""The prompts of the recorded exchanges that are only text, whatever format they were sent in, and their length.

In are texts of every role, tool calls, their results and functions as tools. Out is what no text
shows: pictures, sound and files, a host's own tools, reasoning that is sent back, what is kept at the
host, and what a host adds for a switch: reasoning turned on, a schema or JSON asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from polyroute import Message, Text, Tool, ToolCall, ToolResult
from tests.conformance.recorded import Exchange, load

__all__ = ["Prompt", "text_only"]

# What a body's own keys ask for that is no text, or that only the host can see.
_ELSEWHERE = (
    *("additionalModelRequestFields", "cachedContent", "container", "context_management", "conversation"),
    *("documents", "format", "mcp_servers", "outputConfig", "output_config", "output_format", "plugins"),
    *("previous_response_id", "prompt", "response_format", "thinking", "web_search_options"),
)
_THOUGHTS = re.compile(r'"thought_?[sS]ignature"|"reasoning(_content|_details)?": ["[]|<think>')
_AGENTS = ("compound-beta",)  # it thinks over many prompts of its own before it answers


class Prompt(NamedTuple):
    """One prompt, and how long its host says it was."""

    id: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    tokens: int

    @property
    def held_out(self) -> bool:
        """Whether its texts had no part in fitting the weights: the one half of all, by digest."""
        return sha256(repr(self.messages).encode("utf-8", "replace")).digest()[0] % 2 == 1


def text_only() -> Iterator[Prompt]:
    """The prompts that are only text, of those whose host told their length."""
    for exchange in load().values():
        tokens = ((exchange["expected"] or {}).get("usage") or {}).get("input_tokens")
        body = exchange["request_body"]
        reads = _FORMATS.get(exchange["api"])
        if not tokens or not body or reads is None or _out(exchange, body):
            continue
        try:
            messages, tools = tuple(reads[0](body)), tuple(reads[1](body))
        except _NotTextError:
            continue
        yield Prompt(exchange["id"], _model(exchange), messages, tools, tokens)


class _NotTextError(Exception):
    """A part that is not text."""


def _out(exchange: Exchange, body: Mapping[str, Any]) -> bool:
    thinks = body.get("reasoning") and exchange["provider"] not in ("openai", "azure")
    told = body.get("generationConfig") or body.get("text") or {}
    shaped = told.get("responseMimeType") or told.get("responseSchema") or told.get("format")
    asked = any(body.get(key) for key in _ELSEWHERE) or body.get("model") in _AGENTS
    return bool(thinks or shaped or asked or _THOUGHTS.search(json.dumps(body)))


def _model(exchange: Exchange) -> str:
    provider = exchange["provider"]
    if exchange["api"] == "openai_responses" and provider == "openai":
        provider = "openai-responses"
    in_path = re.search(r"/models?/([^/:]+)", exchange["endpoint_url"])
    return f"{provider}/{exchange['request_body'].get('model') or (in_path and in_path[1])}"


def _parts(content: Any) -> Iterator[Text | ToolCall | ToolResult]:
    """The parts of a message in any of the formats that keep them in a list."""
    if isinstance(content, str):
        yield Text(content)
        return
    for part in [content] if isinstance(content, dict) else content or ():
        match part:
            case str():
                yield Text(part)
            case {"type": "text" | "input_text" | "output_text", "text": text}:
                yield Text(text)
            case {"type": "tool_use", "name": name, "input": dict(arguments)}:
                yield ToolCall("", name, arguments)
            case {"type": "tool_result"}:
                yield ToolResult("", _text(part.get("content")))
            case {"functionCall": {"name": name, **rest}}:
                yield ToolCall("", name, rest.get("args") or {})
            case {"functionResponse": {"response": response}}:
                yield ToolResult("", json.dumps(response, ensure_ascii=False))
            case {"toolUse": {"name": name, "input": arguments}}:
                yield ToolCall("", name, arguments or {})
            case {"toolResult": {"content": content}}:
                yield ToolResult(
                    "", _text([each.get("text") or json.dumps(each.get("json")) for each in content])
                )
            case {"type": "document", "document": {"data": data}}:
                yield Text(json.dumps(data))
            case {"text": text} if "type" not in part:
                yield Text(text)
            case {"cachePoint": _}:
                pass
            case _:
                raise _NotTextError


def _text(content: Any) -> str:
    parts = list(_parts(content))
    if not all(isinstance(part, Text) for part in parts):
        raise _NotTextError
    return "".join(part.text for part in parts if isinstance(part, Text))


def _turns(role: str, content: Any) -> Iterator[Message]:
    """A turn as messages: each result of a tool is one of its own, as a chat template has it."""
    parts = list(_parts(content))
    results = [part for part in parts if isinstance(part, ToolResult)]
    yield from (Message("tool", (result,)) for result in results)
    rest = tuple(part for part in parts if not isinstance(part, ToolResult))
    if rest or not results:
        yield Message("assistant" if role == "model" else role, rest)


def _of_chat(body: Mapping[str, Any]) -> Iterator[Message]:
    for message in body["messages"]:
        if message["role"] == "tool":
            yield Message("tool", (ToolResult("", _text(message["content"])),))
            continue
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        parts = [*_parts(message.get("tool_plan")), *_parts(message.get("content"))]
        parts += [
            ToolCall("", call["name"], raw_arguments=call["arguments"])
            if isinstance(call["arguments"], str)
            else ToolCall("", call["name"], call["arguments"])
            for call in calls
        ]
        yield Message(message["role"], tuple(parts))


def _of_responses(body: Mapping[str, Any]) -> Iterator[Message]:
    if body.get("instructions"):
        yield Message("system", body["instructions"])
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        match item.get("type", "message"):
            case "message":
                yield Message(item["role"], tuple(_parts(item["content"])))
            case "function_call":
                yield Message("assistant", (ToolCall("", item["name"], raw_arguments=item["arguments"]),))
            case "function_call_output":
                yield Message("tool", (ToolResult("", _text(item["output"])),))
            case _:
                raise _NotTextError


def _of_turns(body: Mapping[str, Any]) -> Iterator[Message]:
    """Anthropic's messages, and Bedrock's."""
    if body.get("system"):
        yield Message("system", _text(body["system"]))
    for message in body["messages"]:
        yield from _turns(message["role"], message["content"])


def _of_gemini(body: Mapping[str, Any]) -> Iterator[Message]:
    told = body.get("systemInstruction") or body.get("system_instruction")
    if told:
        yield Message("system", _text(told["parts"]))
    contents = body["contents"]
    for content in contents if isinstance(contents, list) else [contents]:
        yield from _turns(content.get("role", "user"), content["parts"])


_SCHEMAS = ("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema")


def _function(tool: Mapping[str, Any]) -> Tool:
    inner = tool.get("function") or tool.get("toolSpec") or tool
    schemas = [inner.get(key) for key in _SCHEMAS] + [(inner.get("inputSchema") or {}).get("json")]
    if "name" not in inner or tool.get("type") not in ("function", "custom", None):
        raise _NotTextError
    return Tool(inner["name"], inner.get("description") or "", next(filter(None, schemas), {}))


def _tools(body: Mapping[str, Any]) -> Iterator[Tool]:
    listed = body.get("tools") or (body.get("toolConfig") or {}).get("tools") or ()
    return (_function(tool) for tool in listed if "cachePoint" not in tool)


def _declared(body: Mapping[str, Any]) -> Iterator[Tool]:
    listed = body.get("tools") or ()
    for tool in [listed] if isinstance(listed, dict) else listed:
        declarations = tool.get("functionDeclarations") or tool.get("function_declarations")
        if not declarations or len(tool) > 1:
            raise _NotTextError
        yield from map(_function, declarations)


_Reads = Callable[[Mapping[str, Any]], Iterable[Any]]
_FORMATS: dict[str, tuple[_Reads, _Reads]] = {
    "openai_chat": (_of_chat, _tools),
    "openai_responses": (_of_responses, _tools),
    "anthropic_messages": (_of_turns, _tools),
    "bedrock_converse": (_of_turns, _tools),
    "gemini_generate": (_of_gemini, _declared),
    "cohere_v2_chat": (_of_chat, _tools),
    "ollama_chat": (_of_chat, _tools),
}
