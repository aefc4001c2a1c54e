"""A conversation as Gemini's generateContent has it: what the system says, and turns of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyroute.errors import ResponseDecodeError
from polyroute.providers.call_ids import ANY_ID, with_call_ids
from polyroute.providers.encoding import base64_of, embedded, image_type, object_of, text_of, type_at
from polyroute.providers.json_bodies import JSON, load
from polyroute.types import Audio, File, Image, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult

__all__ = ["conversation", "unsayable"]

_SYSTEM = ("system", "developer")
# What stands for the signature of a call that another maker's model made, since Gemini 3 wants one on
# the first call of each step: Google's own word for leaving it unchecked, in base64.
_UNCHECKED = base64_of(b"skip_thought_signature_validator")


def conversation(
    messages: Sequence[Message], *, latest: bool, ids: bool = True
) -> tuple[list[JSON], list[JSON]]:
    """The parts of the system's instruction, and the turns of user and model.

    What the system says at the beginning stands apart. What it says later stays where it is, as words
    of the user, as with the other makers who know of no system within a conversation: at the top it
    would hold for turns that were taken before it was said, and nothing could be read from the cache.

    *latest*: as of Gemini 3, where calls bear signatures, and pictures stand in a tool's own result.
    *ids*: calls and results bear them too, beside their names and their order.
    """
    system: list[JSON] = []
    turns: list[JSON] = []
    names: dict[str, str] = {}
    for message in with_call_ids(messages, ANY_ID):
        if message.role == "assistant":
            names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
            _say(turns, "model", _answer(message.parts, latest=latest, ids=ids))
        elif message.role == "tool":
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            written = [_result(result, names, with_pictures=latest, ids=ids) for result in results]
            _say(turns, "user", written)
            if not latest:
                _say(turns, "user", [picture for result in results for picture in _pictures(result)])
        elif message.role in _SYSTEM and not turns:
            system += _parts(message)
        else:
            _say(turns, "user", _parts(message))
    return system, turns


def unsayable(messages: Sequence[Message]) -> bool:
    """Whether they hold what the format has no place for: a speaker's name, what a system says other
    than in words, the result of a call that has no name, what is opaque and no object; or no turn at all."""
    called: set[str] = set()
    turns = False
    for message in messages:
        system = message.role in _SYSTEM
        turns = turns or (bool(message.content) and not system)
        if message.name is not None and message.role != "tool":
            return True
        for part in () if type(message.content) is str else message.content:
            match part:
                case ToolCall(id=id):
                    called.add(id)
                case ToolResult(tool_call_id=id, name=name) if not name and id not in called:
                    return True
                case Opaque(data=data) if not isinstance(data, Mapping):
                    return True
                case Image() | Audio() | File() if system:
                    return True
                case _:
                    pass
    return bool(messages) and not turns


def _say(turns: list[JSON], role: str, parts: Sequence[JSON]) -> None:
    """Add *parts* to the last turn, where it is of the same role. What tools gave back stands in a turn
    of its own: beside it, other parts are refused, or make some models answer nothing at all."""
    if not parts:
        return
    if turns and turns[-1]["role"] == role and _of_tools(turns[-1]["parts"]) == _of_tools(parts):
        turns[-1]["parts"] += parts
    else:
        turns.append({"role": role, "parts": [*parts]})


def _of_tools(parts: Sequence[JSON]) -> bool:
    return "functionResponse" in parts[0]


def _parts(message: Message) -> list[JSON]:
    content = message.content
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [written for part in content if (written := _part(part)) is not None]


def _part(part: Part) -> JSON | None:
    """A part by itself; None for one that says nothing, which the host would refuse."""
    match part:
        case Text(text):
            return {"text": text} if text else None
        case Reasoning(text):
            return {"text": text, "thought": True} if text else None
        case Opaque(data=data):
            return dict(data)
        case ToolCall(id=id, name=name):
            return {"functionCall": {"name": name, "args": object_of(part), "id": id}}
        case Audio(data, format):
            return _inline(f"audio/{format}", base64_of(data))
        case Image(url=url, data=data, media_type=kind):
            return _medium(url, data, kind or (image_type(data) if data is not None else None))
        case File(url=url, data=data, id=id, media_type=kind):
            return _medium(url or id, data, kind or ("application/pdf" if data is not None else None))
        case ToolResult():
            raise TypeError("a ToolResult stands in no message but a tool's")


def _medium(url: str | None, data: bytes | None, kind: str | None) -> JSON:
    """A picture or a document. Its name, and the detail to look for, are hints that have no place here.

    Of what is at an address, Vertex must be told the type.
    """
    if data is not None:
        return _inline(kind or "", base64_of(data))
    if (held := embedded(url or "")) is not None:
        return _inline(*held)
    kind = kind or type_at(url or "")
    return {"fileData": {"fileUri": url, **({"mimeType": kind} if kind else {})}}


def _inline(kind: str, data: str) -> JSON:
    return {"inlineData": {"mimeType": kind, "data": data}}


def _answer(parts: Sequence[Part], *, latest: bool, ids: bool) -> list[JSON]:
    """What the model said, each signature on the part that it came on. What it thought goes back with
    a signature or not at all: without one the host makes nothing of it."""
    written: list[JSON] = []
    calls: dict[str, JSON] = {}
    signatures: dict[str, object] = {}
    for part in parts:
        if isinstance(part, Opaque) and "thoughtSignature" in part.data:
            signature, on = part.data["thoughtSignature"], part.data.get("functionCall")
            if isinstance(on, str):
                signatures[on] = signature
                continue
            if _signs(part.data, written, signature):
                continue
        if (each := _part(part)) is not None:
            written.append(each)
            if isinstance(part, ToolCall):
                calls.setdefault(part.id, each)
                if not ids:
                    each["functionCall"].pop("id", None)
    for id, signature in signatures.items():
        if id in calls:
            calls[id]["thoughtSignature"] = signature
    if latest and calls and not any("thoughtSignature" in call for call in calls.values()):
        next(iter(calls.values()))["thoughtSignature"] = _UNCHECKED
    return [each for each in written if "thoughtSignature" in each or not _thought(each)]


def _thought(part: JSON) -> bool:
    return "text" in part and part.get("thought") is True


def _signs(data: Mapping[str, Any], written: list[JSON], signature: object) -> bool:
    """Whether *data* is the signature of the last so many characters, and no part itself. It is put on
    them, if they are still there: they become the part of their own that they were."""
    kind = "thought" if type(data.get("thought")) is int else "text"
    length = data.get(kind)
    if type(length) is not int:
        return False
    last: JSON = written[-1] if written else {}
    before = last.get("text", "")
    unsigned = "thoughtSignature" not in last and _thought(last) == (kind == "thought")
    if length and not (unsigned and len(before) >= length):
        return True
    signed: JSON = {"text": before[-length:] if length else "", "thoughtSignature": signature}
    if kind == "thought":
        signed["thought"] = True
    if length and len(before) == length:
        written.pop()
    elif length:
        last["text"] = before[:-length]
    written.append(signed)
    return True


def _result(result: ToolResult, names: Mapping[str, str], *, with_pictures: bool, ids: bool) -> JSON:
    """What a tool gave back, by the name of the function that was called."""
    id, pictures = result.tool_call_id, _pictures(result)
    written: JSON = {"name": names.get(id) or result.name, "response": _response(result)}
    if ids:
        written["id"] = id
    if with_pictures and pictures:
        written["parts"] = pictures
    return {"functionResponse": written}


def _pictures(result: ToolResult) -> list[JSON]:
    shown = [part for part in result.content if isinstance(part, Image)]
    return [written for part in shown if (written := _part(part)) is not None]


def _response(result: ToolResult) -> JSON:
    """An object: what the tool gave back, where it is one."""
    content = text_of(result)
    value: Any = content
    if content.lstrip().startswith("{"):
        try:
            value = load(content)
        except ResponseDecodeError:
            value = content  # It only began like one.
    if result.is_error:
        return {"error": value}
    return value if isinstance(value, dict) else {"result": value}
