"""A conversation as Cohere's chat has it: turns whose contents are parts, and calls beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyroute.providers.encoding import data_uri, image_type, object_text, text_of
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

__all__ = ["unsayable", "written"]


def written(message: Message) -> Sequence[JSON]:
    """A message as the wire has it: one, or one for each result of a tool; none where it says nothing."""
    role = "system" if message.role == "developer" else message.role
    if role == "assistant":
        turn = _answer(message.parts)
        return (turn,) if len(turn) > 1 else ()
    if role == "tool":
        return [_result(part) for part in message.parts if isinstance(part, ToolResult)]
    content = message.content
    if isinstance(content, str):
        return ({"role": role, "content": content},)
    return ({"role": role, "content": [_part(part) for part in content]},)


def unsayable(message: Message) -> bool:
    """Whether it holds what the format has no place for: a speaker's name, sound, files, pictures from
    anyone but a user, and what is opaque and no object."""
    if message.name is not None and message.role != "tool":
        return True
    for part in message.parts:
        match part:
            case Audio() | File():
                return True
            case Image():
                if message.role != "user":
                    return True
            case ToolResult(content=tuple(inner)):
                if any(isinstance(each, Image) for each in inner):
                    return True
            case Opaque(data=data) if not isinstance(data, Mapping):
                return True
            case _:
                pass
    return False


def _answer(parts: Sequence[Part]) -> JSON:
    """What the model said. Its thoughts go back in the blocks that they came in, or not at all."""
    content: list[JSON] = []
    calls: list[JSON] = []
    turn: JSON = {"role": "assistant"}
    for part in parts:
        match part:
            case ToolCall(id=id, name=name):
                function = {"name": name, "arguments": object_text(part)}
                calls.append({"id": id, "type": "function", "function": function})
            case Opaque(data=data) if "type" not in data:
                turn |= data  # What stands beside the content, such as a plan.
            case Reasoning() | Text(""):
                pass
            case _:
                content.append(_part(part))
    if content:
        turn["content"] = content
    if calls:
        turn["tool_calls"] = calls
    return turn


def _part(part: Part) -> JSON:
    match part:
        case Text(text) | Reasoning(text):
            return {"type": "text", "text": text}
        case Image(url=url, data=data, media_type=kind, detail=detail):
            image = {"url": url or data_uri(data or b"", kind or image_type(data or b""))}
            return {"type": "image_url", "image_url": {**image, **({"detail": detail} if detail else {})}}
        case Opaque(data=data):
            return dict(data)
        case _:
            raise TypeError(f"no content has a place for {type(part).__name__}")


def _result(result: ToolResult) -> JSON:
    return {"role": "tool", "tool_call_id": result.tool_call_id, "content": text_of(result)}
