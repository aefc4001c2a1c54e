"""A conversation as Bedrock's Converse has it: what the system says, and turns of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

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

__all__ = ["blocks_of", "conversation", "unsayable"]

_SYSTEM = ("system", "developer")
_PICTURES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_PDF = "application/pdf"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = {
    _PDF: "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
}
_CALL_IDS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_THOUGHT = "reasoningContent"
_LONGEST_NAME = 200


def conversation(messages: Sequence[Message], *, thoughts: bool) -> tuple[list[JSON], list[JSON]]:
    """The system's blocks, and the turns of user and assistant, which take turns in truth. Blocks up to
    which a caller wants them cached still bear the mark, which is no word of the host's.

    What the system says at the beginning stands apart. What it says later stays where it is, as words
    of the user: at the top it would hold for turns that were taken before it was said, and nothing
    could be read from the cache.

    *thoughts*: the model takes back what was thought.
    """
    system: list[JSON] = []
    turns: list[JSON] = []
    writer = _Writer()
    for message in with_call_ids(messages, _CALL_IDS):
        blocks = writer.blocks(message)
        if message.role == "assistant":
            blocks = _led_somewhere(blocks) if thoughts else [each for each in blocks if _THOUGHT not in each]
        if message.role in _SYSTEM and not turns:
            system += blocks
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
        if blocks and message.role == "tool":
            # Whatever else a turn says, it begins with what the tools gave back.
            turns[-1]["content"].sort(key=_after_results)
    return system, turns


def blocks_of(turns: Iterable[JSON], kind: str) -> Iterator[JSON]:
    """The blocks of one *kind* in *turns*."""
    return (block for turn in turns for block in turn["content"] if kind in block)


def unsayable(message: Message) -> bool:
    """Whether it holds what the format has no place for: a speaker's name, sound, pictures and files
    from anyone but a user or a tool, those at an address but S3's, files of kinds that nobody reads,
    and what is opaque and no object."""
    if message.name is not None and message.role != "tool":
        return True
    return any(_out_of_place(part, message) for part in message.parts)


def _out_of_place(part: Part, message: Message) -> bool:
    match part:
        case Audio():
            return True
        case Image():
            return message.role != "user" or not _showable(part)
        case File():
            return message.role != "user" or not _readable(part)
        case ToolResult(content=content):
            return any(isinstance(each, Image) and not _showable(each) for each in content)
        case Opaque(data=data):
            return not isinstance(data, Mapping)
        case _:
            return False


def _showable(image: Image) -> bool:
    return _is_reachable(image) and _kind_of(image) in _PICTURES


def _readable(file: File) -> bool:
    kind = _kind_of(file)
    return _is_reachable(file) and (kind in _PICTURES or _format_of(kind) is not None)


def _is_reachable(part: Image | File) -> bool:
    """Whether there is a `_source` of its bytes, found out without writing them as text."""
    url = part.url or ""
    return part.data is not None or embedded(url) is not None or url.startswith("s3://")


def _kind_of(part: Image | File) -> str:
    """The media type that it is, or must be taken for."""
    held = embedded(part.url or "")
    if part.media_type is not None or held is not None:
        return part.media_type or (held[0] if held is not None else "")
    if isinstance(part, File):
        return _PDF
    if part.data is not None:
        return image_type(part.data)
    ending = (part.url or "").rpartition(".")[2].lower()
    return f"image/{ending}" if f"image/{ending}" in _PICTURES else "image/png"


def _format_of(kind: str) -> str | None:
    """What the format calls a document of this media type; None where it knows none of it."""
    return _DOCUMENTS.get(kind) or ("txt" if kind.startswith("text/") else None)


def _source(url: str | None, data: bytes | None) -> JSON | None:
    """Where the bytes are: here, or in S3; nothing else can be reached from there."""
    if data is not None:
        return {"bytes": base64_of(data)}
    if (held := embedded(url or "")) is not None:
        return {"bytes": held[1]}
    return {"s3Location": {"uri": url}} if (url or "").startswith("s3://") else None


def _led_somewhere(blocks: Sequence[JSON]) -> list[JSON]:
    """*blocks* without thought that was cut short, and led to nothing, which the host refuses."""
    kept = list(blocks)
    while kept and _THOUGHT in kept[-1]:
        kept.pop()
    return kept


def _after_results(block: JSON) -> bool:
    return "toolResult" not in block


class _Writer:
    """Writes parts as blocks. Documents must have names, and no two the same one."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def blocks(self, message: Message) -> list[JSON]:
        content = message.content
        if isinstance(content, str):
            # The host refuses a text of nothing but white space, which says nothing anyway.
            return [{"text": content}] if content.strip() else []
        return with_marks(content, self._block)

    def _block(self, part: Part) -> JSON | None:
        match part:
            case Text(text):
                return {"text": text} if text.strip() else None
            case Opaque(data=data):
                return dict(data)
            case Reasoning():
                # What was thought goes back in the opaque block with its signature, or not at all.
                return None
            case ToolCall(id=id, name=name):
                return {"toolUse": {"toolUseId": id, "name": name, "input": object_of(part)}}
            case ToolResult():
                return {"toolResult": self._result(part)}
            case Image():
                return _picture(part)
            case File():
                return self._file(part)
            case Audio():
                raise TypeError("no turn has a place for Audio")

    def _result(self, result: ToolResult) -> JSON:
        content = result.content
        parts = (Text(content),) if isinstance(content, str) else content
        blocks = [block for part in parts if (block := self._block(part)) is not None]
        written: JSON = {"toolUseId": result.tool_call_id, "content": blocks}
        if result.is_error:
            written["status"] = "error"
        return written

    def _file(self, file: File) -> JSON:
        kind = _kind_of(file)
        if kind in _PICTURES:
            return _picture(file)
        source = _source(file.url, file.data)
        return {"document": {"format": _format_of(kind), "name": self._named(file.name), "source": source}}

    def _named(self, name: str | None) -> str:
        """A name of the letters that the host allows, which no document before it has."""
        stem = re.sub(r"\.\w{1,5}$", "", name or "")
        plain = (
            " ".join(re.sub(r"[^A-Za-z0-9()\[\]-]", " ", stem).split())[:_LONGEST_NAME].strip() or "document"
        )
        unique, number = plain, 1
        while unique in self._names:
            number += 1
            unique = f"{plain} {number}"
        self._names.add(unique)
        return unique


def _picture(part: Image | File) -> JSON:
    return {"image": {"format": _PICTURES[_kind_of(part)], "source": _source(part.url, part.data)}}
