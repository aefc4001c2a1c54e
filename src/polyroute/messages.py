"""Reads a conversation as callers hand it in: a str, dicts in OpenAI's chat shape, or typed messages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast, get_args

from polyroute.errors import BadRequestError, did_you_mean
from polyroute.types import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = ["Messages", "kind_of", "read_input", "read_messages"]

Messages: TypeAlias = str | Sequence["Message | Mapping[str, Any]"]

_ROLES = frozenset(get_args(Role))
_SPEAKERS = _ROLES - {"tool"}
_PARTS = (Text, Image, Audio, File, Reasoning, ToolCall, ToolResult, Opaque)
_MESSAGE_KEYS = frozenset(
    [
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "refusal",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "cache_control",
    ]
)
# What OpenAI's own SDK dumps of a reply; nothing of it can be sent back, so it is only let pass.
_IGNORED_KEYS = frozenset(("annotations", "audio", "function_call", "prefix"))
# Of these, what says something is refused rather than dropped.
_UNREAD = {
    "function_call": "is the old form of tool_calls, and is not read",
    "prefix": "is one host's way to have a text continued, and is not read",
}


def read_messages(messages: Messages) -> tuple[Message, ...]:
    """The conversation as a tuple of `Message`.

    Raises:
        BadRequestError: It is empty or malformed; `path` says where.
    """
    if isinstance(messages, str):
        if not messages:
            raise _bad("messages", "is empty: say something")
        return (Message("user", messages),)
    if isinstance(messages, bytes | Mapping | Message) or not isinstance(messages, Sequence):
        raise _bad("messages", f"is a str or a sequence of messages, not {kind_of(messages)}")
    if not messages:
        raise _bad("messages", "is empty: say something")
    return tuple([
        _read_dict(message, place) if isinstance(message, dict) else _read_other(message, place)
        for place, message in enumerate(messages)
    ])  # fmt: skip


def read_input(input: str | Sequence[str]) -> tuple[str, ...]:
    """The texts to embed as a tuple.

    Raises:
        BadRequestError: There are none, or one is empty or no str.
    """
    texts = (input,) if isinstance(input, str) else input
    if isinstance(texts, bytes) or not isinstance(texts, Sequence):
        raise _bad("input", f"is a str or a sequence of them, not {kind_of(input)}")
    if not texts:
        raise _bad("input", "is empty: there is nothing to embed")
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            raise _bad(f"input[{place}]", "is a str that is not empty")
    return tuple(texts)


def _read_other(message: object, place: int) -> Message:
    path = f"messages[{place}]"
    if isinstance(message, Mapping):
        return _read_dict(cast("Mapping[str, Any]", message), place)
    if not isinstance(message, Message):
        raise _bad(path, f"is a Message or a dict, not {kind_of(message)}")
    _check_role(message.role, path)
    if isinstance(message.content, str):
        if message.role == "tool":
            raise _bad(f"{path}.content", "of a tool is a ToolResult; ToolCall.result(…) makes the message")
        return message
    for index, part in enumerate(message.content):
        _check_part(part, message.role, f"{path}.content[{index}]")
    return message


def _read_dict(message: Mapping[str, Any], place: int) -> Message:
    role = message.get("role")
    content = message.get("content")
    # By far the most messages are these two keys and a str.
    if len(message) == 2 and type(content) is str and type(role) is str and role in _SPEAKERS:
        return Message(cast("Role", role), content)
    path = f"messages[{place}]"
    role = _check_role(role, path)
    for key in message:
        if key not in _MESSAGE_KEYS and key not in _IGNORED_KEYS:
            hint = did_you_mean(str(key), _MESSAGE_KEYS)
            raise _bad(f"{path}.{key}", f"is not a key of a message{hint}")
    for key, why in _UNREAD.items():
        if message.get(key):
            raise _bad(f"{path}.{key}", why)
    name = message.get("name")
    if name is not None and not isinstance(name, str):
        raise _bad(f"{path}.name", f"is a str, not {kind_of(name)}")
    if role == "tool":
        return Message("tool", _read_tool_result(message, path))
    if message.get("tool_call_id") is not None:
        raise _bad(f"{path}.tool_call_id", "belongs to a message with the role tool")
    parts = _read_thoughts(message, path)
    parts += _read_content(content, role, f"{path}.content")
    if (refusal := message.get("refusal")) is not None and not parts:
        parts.append(Text(_str(refusal, f"{path}.refusal")))
    parts += _read_tool_calls(message.get("tool_calls"), f"{path}.tool_calls", role)
    if (mark := _read_mark(message, path)) and parts:
        parts += mark
    if not parts and content is None:
        raise _bad(f"{path}.content", "is missing")
    if all(type(part) is Text for part in parts):
        return Message(role, "".join(cast("Text", part).text for part in parts), name=name)
    return Message(role, tuple(parts), name=name)


def _check_role(role: object, path: str) -> Role:
    if not isinstance(role, str) or role not in _ROLES:
        raise _bad(f"{path}.role", f"is one of {', '.join(sorted(_ROLES))}, not {role!r}")
    return cast("Role", role)


def _check_part(part: object, role: Role, path: str) -> Part:
    """*part*, if a message of that role may hold it and it holds something itself."""
    match part:
        case ToolCall() if role != "assistant":
            raise _bad(path, "is a ToolCall, which belongs to a message with the role assistant")
        case ToolResult() if role != "tool":
            raise _bad(path, "is a ToolResult, which belongs to a message with the role tool")
        case ToolResult() | Opaque():
            return part
        case part if role == "tool":
            raise _bad(path, f"is a ToolResult in a message with the role tool, not {kind_of(part)}")
        case Text(text) | Reasoning(text):
            _str(text, f"{path}.text")
        case Image(url=None, data=None) | File(url=None, data=None, id=None):
            raise _bad(path, f"is {'an Image' if isinstance(part, Image) else 'a File'} with nothing in it")
        case Image() | Audio() | File() | ToolCall():
            pass
        case _:
            raise _bad(path, f"is a part such as Text or Image, not {kind_of(part)}")
    return part


def _read_content(content: object, role: Role, path: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    if isinstance(content, bytes | Mapping) or not isinstance(content, Sequence):
        raise _bad(path, f"is a str or a list of parts, not {kind_of(content)}")
    parts: list[Part] = []
    for index, part in enumerate(content):
        parts.append(_read_part(part, role, f"{path}[{index}]"))
        if isinstance(part, Mapping):
            parts += _read_mark(part, f"{path}[{index}]")
    return parts


def _read_mark(given: Mapping[str, Any], path: str) -> tuple[Part, ...]:
    """That the prompt may be cached up to here, where *given* says so."""
    mark = given.get("cache_control")
    if mark is None:
        return ()
    if not isinstance(mark, Mapping):
        raise _bad(f"{path}.cache_control", 'is a dict such as {"type": "ephemeral"}')
    return (Opaque("anthropic", {"cache_control": dict(mark)}),)


def _read_part(part: object, role: Role, path: str) -> Part:
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, _PARTS):
        return _check_part(part, role, path)
    if not isinstance(part, Mapping):
        raise _bad(path, f"is a part with a type, not {kind_of(part)}")
    part = cast("Mapping[str, Any]", part)
    kind = part.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise _bad(f"{path}.type", f"is one of {', '.join(_READERS)}, not {kind!r}")
    return read(part, path)


def _read_text(part: Mapping[str, Any], path: str) -> Part:
    return Text(_str(part.get("text"), f"{path}.text"))


def _read_refusal(part: Mapping[str, Any], path: str) -> Part:
    return Text(_str(part.get("refusal"), f"{path}.refusal"))


def _read_image(part: Mapping[str, Any], path: str) -> Part:
    image = part.get("image_url")
    if isinstance(image, str):
        return Image(image)
    if not isinstance(image, Mapping):
        raise _bad(f"{path}.image_url", f"is an address or a dict with a url, not {kind_of(image)}")
    detail = image.get("detail")
    if detail is not None:
        detail = _str(detail, f"{path}.image_url.detail")
    return Image(_str(image.get("url"), f"{path}.image_url.url"), detail=detail)


def _read_audio(part: Mapping[str, Any], path: str) -> Part:
    audio = part.get("input_audio")
    if not isinstance(audio, Mapping):
        raise _bad(f"{path}.input_audio", f"is a dict with data and format, not {kind_of(audio)}")
    data = _base64(audio.get("data"), f"{path}.input_audio.data")
    return Audio(data, _str(audio.get("format"), f"{path}.input_audio.format"))


def _read_file(part: Mapping[str, Any], path: str) -> Part:
    file = part.get("file")
    if not isinstance(file, Mapping):
        raise _bad(f"{path}.file", f"is a dict with file_data or file_id, not {kind_of(file)}")
    name, id, data = file.get("filename"), file.get("file_id"), file.get("file_data")
    if name is not None:
        name = _str(name, f"{path}.file.filename")
    if id is None and data is None:
        raise _bad(f"{path}.file", "has neither file_data nor file_id")
    if id is not None:
        return File(id=_str(id, f"{path}.file.file_id"), name=name)
    head, comma, body = _str(data, f"{path}.file.file_data").partition(",")
    media_type = head.removeprefix("data:").partition(";")[0] if comma else None
    return File(
        data=_base64(body if comma else data, f"{path}.file.file_data"), name=name, media_type=media_type
    )


def _read_thinking(part: Mapping[str, Any], path: str) -> Part:
    """Reasoning as Mistral writes it in a reply's content."""
    pieces = part.get("thinking")
    if isinstance(pieces, str):
        return Reasoning(pieces)
    if not isinstance(pieces, Sequence):
        raise _bad(f"{path}.thinking", f"is a str or a list of texts, not {kind_of(pieces)}")
    texts = [piece.get("text") if isinstance(piece, Mapping) else piece for piece in pieces]
    return Reasoning("".join(_str(text, f"{path}.thinking[{at}].text") for at, text in enumerate(texts)))


_READERS: dict[str, Callable[[Mapping[str, Any], str], Part]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "image_url": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
    "refusal": _read_refusal,
}


def _read_thoughts(message: Mapping[str, Any], path: str) -> list[Part]:
    """Reasoning as the hosts write it in a reply, so that a reply's own dict can be sent back."""
    parts: list[Part] = []
    for key in ("reasoning_content", "reasoning"):
        if message.get(key):
            parts.append(Reasoning(_str(message[key], f"{path}.{key}")))
            break
    if (details := message.get("reasoning_details")) is not None:
        parts.append(Opaque("openrouter", {"reasoning_details": details}))
    return parts


def _read_tool_calls(calls: object, path: str, role: object) -> list[Part]:
    if calls is None:
        return []
    if role != "assistant":
        raise _bad(path, "belongs to a message with the role assistant")
    if isinstance(calls, str | bytes | Mapping) or not isinstance(calls, Sequence):
        raise _bad(path, f"is a list of calls, not {kind_of(calls)}")
    parts: list[Part] = []
    for index, call in enumerate(calls):
        parts.append(_read_tool_call(call, f"{path}[{index}]"))
        if isinstance(call, Mapping):
            parts += _read_mark(call, f"{path}[{index}]")
    return parts


def _read_tool_call(call: object, path: str) -> Part:
    if isinstance(call, ToolCall):
        return call
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping):
        raise _bad(f"{path}.function", "is a dict with name and arguments")
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str | Mapping):
        raise _bad(f"{path}.function.arguments", f"is JSON text, not {kind_of(arguments)}")
    id = _str(call.get("id"), f"{path}.id")
    name = _str(function.get("name"), f"{path}.function.name")
    if isinstance(arguments, Mapping):
        return ToolCall(id, name, dict(arguments))
    return ToolCall(id, name, raw_arguments=arguments or "")


def _read_tool_result(message: Mapping[str, Any], path: str) -> tuple[Part, ...]:
    """What a tool gave back. A mark within it, or beside it, is for all of it: it comes right after."""
    id = message.get("tool_call_id")
    if not isinstance(id, str) or not id:
        raise _bad(f"{path}.tool_call_id", "is the id of the call that this answers")
    # What a tool gave back is read as a user's words are: texts and images, here no more than these.
    parts = _read_content(message.get("content"), "user", f"{path}.content")
    kept = [part for part in parts if isinstance(part, Opaque)]
    shown = [part for part in parts if not isinstance(part, Opaque)]
    for index, part in enumerate(shown):
        if not isinstance(part, Text | Image):
            raise _bad(f"{path}.content[{index}]", "is a text or an image in what a tool gave back")
    given: str | tuple[Text | Image, ...] = tuple(cast("list[Text | Image]", shown))
    if all(type(part) is Text for part in shown):
        given = "".join(cast("Text", part).text for part in shown)
    return (ToolResult(id, given, name=message.get("name")), *kept, *_read_mark(message, path))


def _str(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _bad(path, f"is a str, not {kind_of(value)}")
    return value


def _base64(value: object, path: str) -> bytes:
    try:
        return base64.b64decode(_str(value, path), validate=True)
    except ValueError:  # what is no base64, and what is not even ASCII
        raise _bad(path, "is base64") from None


def kind_of(value: object) -> str:
    """What *value* is, in a word."""
    return "None" if value is None else type(value).__name__


def _bad(path: str, fault: str) -> BadRequestError:
    return BadRequestError(f"{path} {fault}", path=path)
