"""OpenAI chat completions and embeddings, as OpenAI and those who imitate it write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from polyroute.capabilities import wanted
from polyroute.deployments import Call, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.call_ids import with_call_ids
from polyroute.providers.encoding import (
    base64_of,
    data_uri,
    file_name,
    given,
    image_type,
    object_text,
    say_streamed,
    text_of,
)
from polyroute.providers.error_table import error_of, read_error
from polyroute.providers.hosts import Host
from polyroute.providers.json_bodies import dump
from polyroute.providers.openai_chat_replies import decode_chat
from polyroute.providers.openai_chat_streams import ChatDecoder
from polyroute.providers.openai_embeddings import decode_vectors
from polyroute.providers.prompt_caching import (
    MARK,
    caches,
    is_mark,
    mark,
    mark_message,
    mark_messages,
    mark_of,
    mark_text,
    marks_by_itself,
    unmarked,
)
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.types import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    NamedTool,
    Opaque,
    Part,
    Reasoning,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["OpenAIChat"]

_MEDIA: Mapping[str, type] = MappingProxyType({"images": Image, "audio": Audio, "files": File})

_CALL_IDS = re.compile(r".{1,40}", re.DOTALL)
# What an assistant's turn may have beside words and calls and yet say nothing.
_MERE_THOUGHT = frozenset({"role", "content", "name", "reasoning_content", "reasoning_details"})


class OpenAIChat:
    """The wire format, as *host* speaks it."""

    name = "openai-chat"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._unsupported = tuple(name for name in host.unsupported if "=" not in name)
        self._unseen = tuple(kind for name, kind in _MEDIA.items() if name not in host.media)
        self._no_schema = "response_format=json_schema" in host.unsupported
        length = host.call_id_length
        self._call_ids = _CALL_IDS if length is None else re.compile(rf"[A-Za-z0-9]{{{length}}}")

    def cannot(self, request: Request) -> list[str]:
        """The arguments of *request* that the host, or the format, cannot honour."""
        missing = wanted(request, self._unsupported)
        if isinstance(request, ChatRequest):
            if self._no_schema and request.response_format is not None:
                missing += ["response_format"] * (request.response_format.kind == "json_schema")
            for message in request.messages:
                plain = message.name is None and type(message.content) is str
                if not plain and self._unsayable(message):
                    missing.append("messages")
                    break
        return missing

    def understands(self, opaque: Opaque) -> bool:
        """Whether it has words for a part of another maker's: for marks, where the host hands them on."""
        return self._host.cache_control and is_mark(opaque)

    def path(self, call: Call, /, *, stream: bool) -> str:
        return "/chat/completions"

    def embed_path(self, call: EmbedCall, /) -> str:
        return "/embeddings"

    def encode(self, call: Call, /, *, stream: bool) -> bytes:
        host, request = self._host, call.request
        cached = host.cache_control and caches(call.deployment)
        if host.cache_control and not cached:
            request = unmarked(request)
        messages = with_call_ids(request.messages, self._call_ids, host.call_id_length)
        turns = [each for message in messages for each in _messages(message, host)]
        if not host.user_after_tool:
            turns = _with_answers(turns)
        if host.prefill_field is not None and turns and turns[-1]["role"] == "assistant":
            turns[-1][host.prefill_field] = True
        tools = [_tool(tool, host) for tool in request.tools or ()]
        # Of those whom the host hands marks on to, Claude alone keeps nothing without them.
        if cached and "claude" in call.deployment.known_as and marks_by_itself(request):
            mark(tools)
            mark_messages(turns)
        body: dict[str, Any] = {"model": call.model, "messages": turns}
        body |= given(
            {
                host.max_tokens_field: request.max_tokens,
                "temperature": request.temperature,
                "top_p": request.top_p,
                "top_k": request.top_k,
                "frequency_penalty": request.frequency_penalty,
                "presence_penalty": request.presence_penalty,
                "stop": request.stop,
                host.seed_field: request.seed,
                "tools": tools or None,
                "parallel_tool_calls": request.parallel_tool_calls,
                "n": request.n,
            },
        )
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice, host)
        if request.response_format is not None:
            body["response_format"] = _response_format(request.response_format)
        if request.reasoning_effort is not None:
            effort = request.reasoning_effort
            body.update(
                {"reasoning": {"effort": effort}} if host.effort_object else {"reasoning_effort": effort}
            )
        if request.logprobs is not None and request.logprobs is not False:
            body["logprobs"] = True
            if request.logprobs is not True:
                body["top_logprobs"] = request.logprobs
        if call.user is not None and host.user_field is not None:
            body[host.user_field] = call.user
        if stream and host.stream_options:
            body["stream_options"] = {"include_usage": True}
        if request.extra:
            body.update(request.extra)
        say_streamed(body, stream=stream)
        return dump(body)

    def _unsayable(self, message: Message) -> bool:
        """Whether it holds what the host, or the format, has no place for."""
        if message.name is not None and message.role != "tool" and not self._host.speakers:
            return True
        return any(isinstance(part, self._unseen) for part in message.parts) or _out_of_place(message)

    def encode_embed(self, call: EmbedCall, /) -> bytes:
        host, request = self._host, call.request
        body: dict[str, Any] = {"model": call.model, "input": request.input}
        if request.dimensions is not None:
            body[host.dimensions_field] = request.dimensions
        if call.user is not None and host.user_field is not None:
            body[host.user_field] = call.user
        if request.extra:
            body.update(request.extra)
        return dump(body)

    def decode(self, body: bytes, call: Call, /) -> ChatResponse[Any]:
        return decode_chat(body, self._host)

    def decode_embed(self, body: bytes, call: EmbedCall, /) -> EmbedResponse:
        return decode_vectors(body, self._host, count=len(call.request.input))

    def stream_decoder(self, call: Call, /) -> ChatDecoder:
        return ChatDecoder(self._host, call.deployment.id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, /) -> PolyrouteError:
        return error_of(read_error(body, status), headers, self._host.errors)


def _messages(message: Message, host: Host) -> Sequence[dict[str, Any]]:
    """A message as the wire has it: one, or one for each result of a tool; none where the assistant said
    nothing, as one that was cut short in thought, which hosts refuse."""
    role = message.role
    if role == "developer" and not host.developer_role:
        role = "system"
    content = message.content
    if type(content) is str:
        written: dict[str, Any] = {"role": role, "content": content}
    elif role == "tool":
        return _tool_results(message.parts)
    elif role == "assistant":
        written = _assistant(message.parts, host)
    else:
        # Some hosts want what the system says as one text, and take no list of texts in its place.
        plain = all(type(part) is Text for part in content)
        written = {"role": role, "content": message.text if plain else _parts(message.parts)}
    if message.name is not None:
        written["name"] = message.name
    if role == "assistant":
        if not written["content"] and written.keys() <= _MERE_THOUGHT:
            return ()
        if host.reasoning_field is not None:
            written.setdefault(host.reasoning_field, "")  # which such hosts miss in other makers' turns
    return (written,)


def _with_answers(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """*turns* in which nobody but the assistant speaks after a tool: with a blank, in no language, where
    it had nothing to say."""
    answered: list[dict[str, Any]] = []
    for turn in turns:
        if answered and answered[-1]["role"] == "tool" and turn["role"] not in ("tool", "assistant"):
            answered.append({"role": "assistant", "content": " "})
        answered.append(turn)
    return answered


def _assistant(parts: Sequence[Part], host: Host) -> dict[str, Any]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    written: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
    if calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": object_text(call)},
            }
            for call in calls
        ]
    for part in parts:
        if (said := mark_of(part)) is not None:
            mark_message(written, said)
        elif isinstance(part, Opaque):
            for name, value in part.data.items():
                known = written.get(name)
                if isinstance(known, list) and isinstance(value, list):
                    written[name] = [*known, *value]
                else:
                    written[name] = value
        elif isinstance(part, Reasoning) and host.reasoning_field is not None:
            field = host.reasoning_field
            written[field] = written.get(field, "") + part.text
    return written


def _tool_results(parts: Sequence[Part]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, ToolResult):
            written.append({"role": "tool", "tool_call_id": part.tool_call_id, "content": text_of(part)})
        elif written and (said := mark_of(part)) is not None:
            mark_message(written[-1], said)
    return written


def _out_of_place(message: Message) -> bool:
    """Whether it holds what no host has a place for: pictures from a tool or from the model
    itself, files by their address, and what is opaque and no object."""
    for part in message.parts:
        match part:
            case ToolResult(content=tuple(inner)):
                if not all(isinstance(each, Text) for each in inner):
                    return True
            case Image() | Audio() | File() if message.role == "assistant":
                return True
            case File(url=str()):
                return True
            case Opaque(data=data) if not isinstance(data, Mapping):
                return True
            case _:
                pass
    return False


def _parts(parts: Sequence[Part]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in parts:
        if (said := mark_of(part)) is None:
            written.append(_part(part))
        else:
            mark_text(written, said)
    return written


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(url=url, data=data, media_type=media_type, detail=detail):
            data = data or b""
            image: dict[str, Any] = {"url": url or data_uri(data, media_type or image_type(data))}
            if detail is not None:
                image["detail"] = detail
            return {"type": "image_url", "image_url": image}
        case Audio(data, format):
            return {"type": "input_audio", "input_audio": {"data": base64_of(data), "format": format}}
        case File(data=data, id=id, name=name, media_type=media_type):
            if id:
                named = {"filename": name} if name is not None else {}
                return {"type": "file", "file": {"file_id": id, **named}}
            kind = media_type or "application/pdf"
            # Without a name, the host asks for an id.
            held = {"file_data": data_uri(data or b"", kind), "filename": file_name(name, kind)}
            return {"type": "file", "file": held}
        case Opaque(data=data):
            return dict(data)
        case Reasoning(text):
            return {"type": "text", "text": text}
        case ToolCall() | ToolResult():
            raise TypeError(f"a {type(part).__name__} stands in no message of a user")


def _tool(tool: Tool, host: Host) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    written: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache_control is not None and host.cache_control:
        written[MARK] = tool.cache_control
    return written


def _tool_choice(choice: object, host: Host) -> object:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return host.required_choice if choice == "required" else choice


def _response_format(shape: ResponseFormat) -> dict[str, Any]:
    if shape.kind != "json_schema":
        return {"type": shape.kind}
    inner: dict[str, Any] = {"name": shape.name, "schema": shape.schema}
    if shape.strict is not None:
        inner["strict"] = shape.strict
    if shape.description is not None:
        inner["description"] = shape.description
    return {"type": "json_schema", "json_schema": inner}
