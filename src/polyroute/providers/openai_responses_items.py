"""A conversation as OpenAI's Responses have it: messages, calls, what they gave, and reasoning, item by item."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from polyroute.providers.call_ids import with_call_ids
from polyroute.providers.encoding import data_uri, file_name, image_type, object_text
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

__all__ = ["conversation", "is_mark", "unsayable"]

_PDF = "application/pdf"
_CALL_IDS = re.compile(r".{1,64}", re.DOTALL)
# What an item of such a type says; without it, it marks one that stands as a part of ours.
_SAYING = {"message": "content", "function_call": "name", "custom_tool_call": "name"}


def conversation(messages: Sequence[Message], *, reasons: bool) -> list[JSON]:
    """The items of *messages*; *reasons*: the model does, and is told what was reasoned."""
    told = [
        part.data
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, Opaque)
    ]
    custom = frozenset(str(each.get("call_id")) for each in told if each.get("type") == "custom_tool_call")
    # An id binds an item to what was reasoned before it, without which it must not be told.
    bound = reasons or not any(each.get("type") == "reasoning" for each in told)
    items: list[JSON] = []
    for message in with_call_ids(messages, _CALL_IDS):
        if message.role == "assistant":
            items += _said(message.parts, custom, reasons=reasons, bound=bound)
        elif isinstance(message.content, str):
            items.append({"role": message.role, "content": message.content})
        else:
            items += _asked(message, custom)
    return _led_somewhere(items)


def is_mark(data: Mapping[str, Any]) -> bool:
    """Whether it is no item, but what else is known of one that stands as a part of ours beside it:
    its id, the phase of an answer, the kind of a call."""
    kind = data.get("type")
    return kind in _SAYING and _SAYING[kind] not in data


def unsayable(message: Message) -> bool:
    """Whether it holds what the format has no place for: a speaker's name, sound, pictures and files
    from the model itself, and what is opaque and no object."""
    if message.name is not None and message.role != "tool":
        return True
    return any(_out_of_place(part, message) for part in message.parts)


def _out_of_place(part: Part, message: Message) -> bool:
    match part:
        case Audio():
            return True
        case Image() | File():
            return message.role == "assistant"
        case Opaque(data=data):
            return not isinstance(data, Mapping)
        case _:
            return False


def _asked(message: Message, custom: frozenset[str]) -> Iterator[JSON]:
    """The items of a message that is not the model's; what is no part of one is an item by itself."""
    written = (_part(part, custom) for part in message.parts)
    for is_part, group in groupby(written, lambda each: str(each.get("type")).startswith("input_")):
        if is_part:
            yield {"role": message.role, "content": list(group)}
        else:
            yield from group


def _said(parts: Sequence[Part], custom: frozenset[str], *, reasons: bool, bound: bool) -> list[JSON]:
    """The items of a turn of the model's."""
    items: list[JSON] = []
    for part in parts:
        match part:
            case Text(text):
                if items and items[-1].keys() == {"role", "content"}:
                    items[-1]["content"] += text
                elif text:
                    items.append({"role": "assistant", "content": text})
            case ToolCall():
                items.append(_call(part, custom))
            case Opaque(data=data) if is_mark(data):
                _amend(items, data, bound=bound)
            case Opaque(data=data):
                if reasons or data.get("type") != "reasoning":
                    items.append(dict(data))
            case _:
                # What was thought goes back in the opaque item, or not at all.
                pass
    return items


def _call(call: ToolCall, custom: frozenset[str]) -> JSON:
    named = {"call_id": call.id, "name": call.name}
    if call.id in custom:
        return {"type": "custom_tool_call", **named, "input": call.raw_arguments}
    return {"type": "function_call", **named, "arguments": object_text(call)}


def _amend(items: Sequence[JSON], mark: Mapping[str, Any], *, bound: bool) -> None:
    """Put what *mark* knows to the item that it marks, its id only where that is *bound* to what it needs."""
    known = {name: value for name, value in mark.items() if name != "type" and (bound or name != "id")}
    if mark["type"] != "message":
        for item in items:
            if item.get("call_id") == mark.get("call_id"):
                item.update(known)
    elif items and isinstance(text := items[-1].get("content"), str):
        if "id" in known:
            content = [{"type": "output_text", "text": text, "annotations": list[JSON]()}]
            items[-1].update({"type": "message", "status": "completed", "content": content})
        items[-1].update(known)


def _led_somewhere(items: list[JSON]) -> list[JSON]:
    """*items* without reasoning after which the model did nothing, as where it was cut short: the host
    refuses that. What was reasoned is bound by its id to what it led to, and has none where that has none."""
    kept: list[JSON] = []
    acts = named = False
    for item in reversed(items):
        kind = str(item.get("type"))
        if kind != "reasoning":
            acts = item.get("role", "assistant") == "assistant" and not kind.endswith("_output")
            named = "id" in item
        elif not acts:
            continue
        elif not named and item.get("encrypted_content"):
            item.pop("id", None)
        kept.append(item)
    kept.reverse()
    return kept


def _part(part: Part, custom: frozenset[str]) -> JSON:
    match part:
        case Text(text) | Reasoning(text):
            return {"type": "input_text", "text": text}
        case Image():
            return _image(part)
        case File():
            return _file(part)
        case ToolResult():
            return _result(part, custom)
        case Opaque(data=data):
            return dict(data)
        case Audio() | ToolCall():
            raise TypeError(f"no message of a user has a place for {type(part).__name__}")


def _image(image: Image) -> JSON:
    data = image.data
    url = image.url if data is None else data_uri(data, image.media_type or image_type(data))
    detail = {"detail": image.detail} if image.detail is not None else {}
    return {"type": "input_image", "image_url": url, **detail}


def _file(file: File) -> JSON:
    media_type = file.media_type or _PDF
    is_image = media_type.startswith("image/")
    kind, address = ("input_image", "image_url") if is_image else ("input_file", "file_url")
    if file.id is not None:
        return {"type": kind, "file_id": file.id}
    if file.data is None:
        return {"type": kind, address: file.url}
    uri = data_uri(file.data, media_type)
    if is_image:
        return {"type": kind, address: uri}
    return {"type": kind, "filename": file_name(file.name, media_type), "file_data": uri}


def _result(result: ToolResult, custom: frozenset[str]) -> JSON:
    content = result.content
    return {
        "type": "custom_tool_call_output" if result.tool_call_id in custom else "function_call_output",
        "call_id": result.tool_call_id,
        "output": content if isinstance(content, str) else [_part(part, custom) for part in content],
    }
