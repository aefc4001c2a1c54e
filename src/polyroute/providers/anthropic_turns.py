"""A conversation as Anthropic's Messages have it: what the system says, and turns of blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from polyroute.providers.call_ids import with_call_ids
from polyroute.providers.encoding import base64_of, embedded, image_type, object_of
from polyroute.providers.json_bodies import JSON
from polyroute.providers.prompt_caching import with_marks
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

_SYSTEM = ("system", "developer")
_PDF = "application/pdf"
_CALL_IDS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_THOUGHTS = ("thinking", "redacted_thinking")


def conversation(messages: Sequence[Message], *, system_turns: bool) -> tuple[list[JSON], list[JSON]]:
    """The system's blocks, and the turns.

    What the system says at the beginning stands apart. What it says later stays where it is: at the
    top it would hold for turns that were taken before it was said, and the host would read the whole
    conversation anew, instead of from its cache. With *system_turns* it is a turn of the system's own,
    where the host allows one: after a user's, and before an assistant's or the end. Elsewhere it can
    only be words of the user.
    """
    system: list[JSON] = []
    turns: list[JSON] = []
    for place, message in enumerate(with_call_ids(messages, _CALL_IDS)):
        blocks = _blocks(message)
        while blocks and message.role == "assistant" and blocks[-1].get("type") in _THOUGHTS:
            blocks.pop()  # Thought that was cut short, and led to nothing, which the host refuses.
        role = "assistant" if message.role == "assistant" else "user"
        if message.role in _SYSTEM:
            if not turns:
                system += blocks
                continue
            if system_turns and turns[-1]["role"] != "assistant" and _is_answered(messages[place + 1 :]):
                role = "system"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
        if blocks and message.role == "tool":
            # Whatever else a turn says, it begins with what the tools gave back.
            turns[-1]["content"].sort(key=_after_results)
    return system, turns


def _is_answered(rest: Sequence[Message]) -> bool:
    """Whether an assistant is the next to speak, the system apart."""
    return next((message.role == "assistant" for message in rest if message.role not in _SYSTEM), True)


def unsayable(message: Message) -> bool:
    """Whether it holds what the format has no place for: a speaker's name, sound, pictures and files
    from anyone but a user, files that are no text, picture or PDF, and what is opaque and no object."""
    if message.name is not None and message.role != "tool":
        return True
    return any(_out_of_place(part, message) for part in message.parts)


def _out_of_place(part: Part, message: Message) -> bool:
    match part:
        case Audio():
            return True
        case Image():
            return message.role != "user"
        case File():
            return message.role != "user" or not _readable(part)
        case Opaque(data=data):
            return not isinstance(data, Mapping)
        case _:
            return False


def _after_results(block: JSON) -> bool:
    return block.get("type") != "tool_result"


def _blocks(message: Message) -> list[JSON]:
    content = message.content
    if isinstance(content, str):
        # The host refuses a text of nothing but white space, which says nothing anyway.
        return [{"type": "text", "text": content}] if content.strip() else []
    return with_marks(content, _block)


def _block(part: Part) -> JSON | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text} if text.strip() else None
        case Opaque(data=data):
            return dict(data)
        case Reasoning():
            # What was thought goes back in the opaque block with its signature, or not at all.
            return None
        case ToolCall(id=id, name=name):
            return {"type": "tool_use", "id": id, "name": name, "input": object_of(part)}
        case ToolResult():
            return _result(part)
        case Image():
            return {"type": "image", "source": _picture(part)}
        case File():
            return _file(part)
        case Audio():
            raise TypeError("no turn has a place for Audio")


def _result(result: ToolResult) -> JSON:
    written: JSON = {"type": "tool_result", "tool_use_id": result.tool_call_id}
    if isinstance(result.content, str):
        content: object = result.content if result.content.strip() else None
    else:
        content = [block for part in result.content if (block := _block(part)) is not None]
    if content:
        written["content"] = content
    if result.is_error:
        written["is_error"] = True
    return written


def _picture(image: Image) -> JSON:
    if image.data is not None:
        return _base64(image.media_type or image_type(image.data), base64_of(image.data))
    url = image.url or ""
    held = embedded(url)
    return _base64(*held) if held is not None else {"type": "url", "url": url}


def _file(file: File) -> JSON:
    kind = file.media_type or _PDF
    if file.id is not None:
        source: JSON = {"type": "file", "file_id": file.id}
    elif file.data is None:
        source = {"type": "url", "url": file.url}
    elif kind.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": file.data.decode()}
    else:
        source = _base64(kind, base64_of(file.data))
    if kind.startswith("image/"):
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, **({"title": file.name} if file.name else {})}


def _readable(file: File) -> bool:
    """Whether the host can read it: a PDF, a picture, or text in UTF-8."""
    kind = file.media_type or _PDF
    if file.data is None or not kind.startswith("text/"):
        return kind == _PDF or kind.startswith(("image/", "text/"))
    try:
        file.data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _base64(media_type: str, data: str) -> JSON:
    return {"type": "base64", "media_type": media_type, "data": data}
