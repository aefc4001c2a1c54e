"""What the encoders of all formats have in common: bytes as text, schemas, and what has the last word."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from polyroute.providers.json_bodies import JSON
from polyroute.types import Message, ResponseFormat, Text, ToolCall, ToolResult

__all__ = [
    "any_unsayable",
    "base64_of",
    "data_uri",
    "described",
    "embedded",
    "file_name",
    "given",
    "image_type",
    "merged",
    "object_of",
    "object_text",
    "say_streamed",
    "text_of",
    "type_at",
]

_PICTURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


_ENDINGS = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mp3",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "wav": "audio/wav",
    "webp": "image/webp",
}


def any_unsayable(messages: Iterable[Message], unsayable: Callable[[Message], bool]) -> bool:
    """Whether a format finds one of *messages* to be *unsayable*, as it never does mere words of nobody in
    particular."""
    for message in messages:
        if (message.name is not None or type(message.content) is not str) and unsayable(message):
            return True
    return False


def given(fields: Mapping[str, object]) -> JSON:
    """Those of *fields* that a call gives."""
    return {name: value for name, value in fields.items() if value is not None}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64_of(data)}"


def embedded(url: str) -> tuple[str, str] | None:
    """The media type and the base64 of what a `data:` URI holds; None for an address."""
    if url[:5].lower() != "data:":
        return None
    head, _, body = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    return media_type, body if "base64" in parameters else base64_of(unquote_to_bytes(body))


def image_type(data: bytes) -> str:
    """The media type of a picture, by how it begins."""
    return next((kind for sign, kind in _PICTURES if data.startswith(sign)), "image/png")


def type_at(url: str) -> str | None:
    """The media type of what is at an address, by how its path ends; None where that does not tell."""
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    return _ENDINGS.get(path.rpartition(".")[2].lower())


def file_name(name: str | None, media_type: str) -> str:
    """The name of a document: hosts that want one take any."""
    return name or f"document.{media_type.rpartition('/')[2]}"


def described(shape: ResponseFormat) -> JSON:
    """The schema of *shape*, with what it is for, unless the schema says so itself."""
    told = {} if shape.description is None else {"description": shape.description}
    return {**told, **(shape.schema or {})}


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> JSON:
    """*body* with *extra* in it: an object goes into the object of its name, and anything else replaces
    what stood there."""
    whole = dict(body)
    for name, value in extra.items():
        known = whole.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            whole[name] = merged(known, value)
        else:
            whole[name] = value
    return whole


def object_of(call: ToolCall) -> JSON:
    """The arguments of a call as an object. Where the model wrote none, what it wrote stands in one, in the
    way that Anthropic's own documents advise."""
    return call.arguments if call.arguments is not None else {"INVALID_JSON": call.raw_arguments}


def object_text(call: ToolCall) -> str:
    """The arguments of a call as the JSON text of an object, as the model wrote it where it is one. For a
    call cut short, many hosts would refuse the conversation ever after."""
    if call.arguments is None:
        return ToolCall("", "", object_of(call)).raw_arguments
    return call.raw_arguments if call.raw_arguments.strip() else "{}"


def say_streamed(body: JSON, *, stream: bool) -> None:
    """Say in *body* whether it is to be streamed: that is the call's own business, whatever extra says."""
    if stream:
        body["stream"] = True
    else:
        body.pop("stream", None)


def text_of(result: ToolResult) -> str:
    """What a tool gave back, in words."""
    content = result.content
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, Text))
