"""A conversation as Ollama's chat has it: words, pictures beside them, and calls whose arguments are objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyroute.providers.call_ids import ANY_ID, with_call_ids
from polyroute.providers.encoding import base64_of, embedded, object_of, text_of
from polyroute.providers.json_bodies import JSON
from polyroute.types import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = ["conversation", "unsayable"]

# What an assistant's turn may have beside words and calls and yet say nothing.
_MERE_THOUGHT = frozenset({"role", "content", "thinking"})


def conversation(messages: Sequence[Message]) -> list[JSON]:
    """The messages as the wire has them; of what tools gave back, each result is one. An assistant that
    said nothing, as one that was cut short in thought, is left out."""
    turns: list[JSON] = []
    names: dict[str, str] = {}
    for message in with_call_ids(messages, ANY_ID):
        if message.role == "tool":
            turns += [_result(part, names) for part in message.parts if isinstance(part, ToolResult)]
            continue
        names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
        role = "system" if message.role == "developer" else message.role
        content = message.content
        turn = {"role": role, **({"content": content} if isinstance(content, str) else _turn(content))}
        if turn["content"] or role != "assistant" or not turn.keys() <= _MERE_THOUGHT:
            turns.append(turn)
    return turns


def unsayable(message: Message) -> bool:
    """Whether it holds what the format has no place for: a speaker's name, sound, files, pictures by their
    address or from anyone but a user, and what is opaque and no object."""
    if message.name is not None and message.role != "tool":
        return True
    for part in message.parts:
        match part:
            case Audio() | File():
                return True
            case Image(url=url):
                if message.role != "user" or (url is not None and embedded(url) is None):
                    return True
            case ToolResult(content=tuple(inner)):
                if any(isinstance(each, Image) for each in inner):
                    return True
            case Opaque(data=data) if not isinstance(data, Mapping):
                return True
            case _:
                pass
    return False


def _turn(parts: Sequence[Part]) -> JSON:
    turn: JSON = {"content": "".join(part.text for part in parts if isinstance(part, Text))}
    if thought := "".join(part.text for part in parts if isinstance(part, Reasoning)):
        turn["thinking"] = thought
    if pictures := [_picture(part) for part in parts if isinstance(part, Image)]:
        turn["images"] = pictures
    if calls := [_call(part) for part in parts if isinstance(part, ToolCall)]:
        turn["tool_calls"] = calls
    for part in parts:
        if isinstance(part, Opaque):
            turn |= part.data
    return turn


def _picture(image: Image) -> str:
    """Its base64. The detail to look for is a hint that has no place here, nor has its media type."""
    held = embedded(image.url or "")
    return held[1] if held is not None else base64_of(image.data or b"")


def _call(call: ToolCall) -> JSON:
    return {"id": call.id, "function": {"name": call.name, "arguments": object_of(call)}}


def _result(result: ToolResult, names: Mapping[str, str]) -> JSON:
    """What a tool gave back: older servers go by the name of the tool, newer ones by the id of the call."""
    written: JSON = {"role": "tool", "content": text_of(result)}
    if name := names.get(result.tool_call_id) or result.name:
        written["tool_name"] = name
    written["tool_call_id"] = result.tool_call_id
    return written
