"""What the encoders of all formats have in common: bytes as text, schemas, and what has the last word."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from polyroute.providers.json_bodies import JSON
from polyroute.types import ResponseFormat, Text, ToolResult

__all__ = [
    "base64_of",
    "data_uri",
    "described",
    "embedded",
    "image_type",
    "merged",
    "say_streamed",
    "text_of",
]

_PICTURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


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
