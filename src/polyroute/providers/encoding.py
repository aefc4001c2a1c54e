"""What the encoders of all formats have in common: bytes as text."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

__all__ = ["base64_of", "embedded", "image_type"]

_PICTURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


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
