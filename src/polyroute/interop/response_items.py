"""From the items of OpenAI's Responses to messages, and what a program carries for others of its own."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from secrets import token_hex
from typing import Any, cast

from pydantic_core import from_json

from polyroute.errors import did_you_mean
from polyroute.interop.requests import refused
from polyroute.messages import kind_of
from polyroute.providers.json_bodies import dump
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

__all__ = ["MAKER", "conversation", "new_id", "sealed"]

MAKER = "openai-responses"  # whose items go back as they came
_SEAL = "polyroute."
_OURS = "_polyroute_"
_ROLES = ("user", "assistant", "system", "developer")
# What may stand in each kind of part; `annotations` and `logprobs` are told and never asked for.
_PARTS: Mapping[str, frozenset[str]] = {
    "input_text": frozenset({"type", "text"}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail"}),
    "input_file": frozenset({"type", "file_data", "file_url", "file_id", "filename"}),
    "input_audio": frozenset({"type", "input_audio"}),
}


def conversation(instructions: object, given: object) -> list[Message]:
    """The messages of a request: a turn of the model's is one, and so are results that stand together.

    Raises:
        BadRequestError: Something is malformed, or cannot be handed on; `path` names it.
    """
    turns: list[tuple[Role, list[Part]]] = []
    if instructions:
        turns.append(("system", [Text(_str(instructions, "instructions"))]))
    if isinstance(given, str) and given:
        turns.append(("user", [Text(given)]))
    elif not isinstance(given, list) or not given:
        raise refused("input", "is missing, or says nothing")
    else:
        for place, item in enumerate(cast("list[object]", given)):
            role, parts = _turn(item, f"input[{place}]")
            if turns and turns[-1][0] == role and _go_on(turns[-1][1], parts, role):
                turns[-1][1].extend(parts)
            else:
                turns.append((role, parts))
    return [_message(role, parts) for role, parts in turns]


def sealed(opaque: Opaque) -> str:
    """*opaque* as a text that a program hands back unread, whoever made it."""
    written = dump({"origin": opaque.origin, "data": opaque.data})
    return _SEAL + b64encode(written).decode()


def new_id(kind: str) -> str:
    """An id for an item that has none, or whose own is not known yet. No host is ever told of it."""
    return f"{kind}{_OURS}{token_hex(12)}"


def _go_on(turn: list[Part], parts: list[Part], role: Role) -> bool:
    """Whether *parts* go on with a *turn* of the same role; two texts would become one."""
    if role != "assistant":
        return role == "tool"
    return not (turn and parts and isinstance(turn[-1], Text) and isinstance(parts[0], Text))


def _message(role: Role, parts: list[Part]) -> Message:
    match parts:
        case [Text(text)]:
            return Message(role, text)
        case _:
            return Message(role, parts)


def _turn(item: object, path: str) -> tuple[Role, list[Part]]:
    if not isinstance(item, dict):
        raise refused(path, f"is an item, not {kind_of(item)}")
    given = cast("dict[str, Any]", item)
    kind = given.get("type") or ("message" if "role" in given else None)
    match kind:
        case "message":
            return _said(given, path)
        case "function_call":
            id, name = (_str(given.get(key), f"{path}.{key}") for key in ("call_id", "name"))
            call = ToolCall(id, name, raw_arguments=_str(given.get("arguments"), f"{path}.arguments"))
            return "assistant", [call, *_mark(given, "namespace", "caller", call_id=id)]
        case "function_call_output":
            id, output = _str(given.get("call_id"), f"{path}.call_id"), given.get("output")
            return "tool", [ToolResult(id, _output(output, f"{path}.output"))]
        case "reasoning":
            return "assistant", _reasoning(given, path)
        case "item_reference" | None:
            raise refused(path, "names what OpenAI has kept, if anything; give the item itself")
        case _:
            # Only its maker knows what it means; what answers one is a turn of the program's.
            role: Role = "user" if str(kind).endswith(("_output", "_response")) else "assistant"
            return role, [Opaque(MAKER, given)]


def _said(item: Mapping[str, Any], path: str) -> tuple[Role, list[Part]]:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        raise refused(f"{path}.role", f"is one of {', '.join(_ROLES)}, not {role!r}")
    if isinstance(content, str):
        parts: list[Part] = [Text(content)]
    elif isinstance(content, list):
        parts = [
            _part(part, f"{path}.content[{place}]")
            for place, part in enumerate(cast("list[object]", content))
        ]
    else:
        raise refused(f"{path}.content", f"is a text or a list of parts, not {kind_of(content)}")
    return cast("Role", role), [*parts, *(_mark(item, "phase") if role == "assistant" else ())]


def _mark(item: Mapping[str, Any], *names: str, **known: str) -> list[Part]:
    """What else the maker wants to have back of an item that stands as a part of ours."""
    kept = {name: item[name] for name in names if item.get(name)}
    if (id := item.get("id")) and not _is_ours(id):
        kept["id"] = id
    return [Opaque(MAKER, {"type": item.get("type") or "message", **known, **kept})] if kept else []


def _part(part: object, path: str) -> Part:
    if not isinstance(part, dict):
        raise refused(path, f"is a part, not {kind_of(part)}")
    given = cast("dict[str, Any]", part)
    kind = given.get("type")
    known = _PARTS.get(str(kind))
    if known is None:
        raise refused(f"{path}.type", f"is one of {', '.join(_PARTS)}, not {kind!r}")
    for key, value in given.items():
        if key not in known and value is not None:
            hint = did_you_mean(key, known)
            raise refused(f"{path}.{key}", f"is not handed on{hint}")
    match kind:
        case "input_text" | "output_text":
            return Text(_str(given.get("text"), f"{path}.text"))
        case "refusal":
            return Text(_str(given.get("refusal"), f"{path}.refusal"))
        case "input_image":
            if given.get("file_id"):
                return File(id=_str(given["file_id"], f"{path}.file_id"), media_type="image/*")
            return Image(_str(given.get("image_url"), f"{path}.image_url"), detail=given.get("detail"))
        case "input_file":
            return _file(given, path)
        case _:
            sound = given.get("input_audio")
            if not isinstance(sound, dict):
                raise refused(f"{path}.input_audio", "is an object with data and format")
            data = _bytes(sound.get("data"), f"{path}.input_audio.data")
            return Audio(data, _str(sound.get("format"), f"{path}.input_audio.format"))


def _file(part: Mapping[str, Any], path: str) -> File:
    name = part.get("filename")
    if part.get("file_id"):
        return File(id=_str(part["file_id"], f"{path}.file_id"), name=name)
    if part.get("file_url"):
        return File(url=_str(part["file_url"], f"{path}.file_url"), name=name)
    head, comma, body = _str(part.get("file_data"), f"{path}.file_data").partition(",")
    media_type = head.removeprefix("data:").partition(";")[0] if comma else None
    return File(data=_bytes(body if comma else head, f"{path}.file_data"), name=name, media_type=media_type)


def _output(output: object, path: str) -> str | tuple[Text | Image, ...]:
    """What a tool gave back: a text, or texts and pictures."""
    if isinstance(output, str):
        return output
    if not isinstance(output, list):
        raise refused(path, f"is a text or a list of parts, not {kind_of(output)}")
    shown: list[Text | Image] = []
    for place, given in enumerate(cast("list[object]", output)):
        part = _part(given, f"{path}[{place}]")
        if not isinstance(part, Text | Image):
            raise refused(f"{path}[{place}]", "is a text or an image in what a tool gave back")
        shown.append(part)
    texts = [part.text for part in shown if isinstance(part, Text)]
    return "".join(texts) if len(texts) == len(shown) else tuple(shown)


def _reasoning(item: dict[str, Any], path: str) -> list[Part]:
    """What was thought, in words, and what its maker alone understands of it."""
    parts: list[Part] = []
    told = item.get("content") or item.get("summary") or ()
    texts = [part.get("text") if isinstance(part, dict) else None for part in told]
    if thought := "\n".join(_str(text, f"{path}.summary") for text in texts):
        parts.append(Reasoning(thought))
    encrypted = item.get("encrypted_content")
    if isinstance(encrypted, str) and encrypted.startswith(_SEAL):
        parts.append(_unsealed(encrypted, f"{path}.encrypted_content"))
    elif encrypted or not _is_ours(item.get("id")):
        parts.append(Opaque(MAKER, item))
    return parts


def _unsealed(text: str, path: str) -> Opaque:
    try:
        held = from_json(b64decode(text.removeprefix(_SEAL), validate=True))
        return Opaque(held["origin"], held["data"])
    except (ValueError, LookupError, TypeError):
        raise refused(path, "is not what was handed out") from None


def _is_ours(id: object) -> bool:
    return isinstance(id, str) and _OURS in id


def _str(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise refused(path, f"is a str, not {kind_of(value)}")
    return value


def _bytes(value: object, path: str) -> bytes:
    try:
        return b64decode("".join(_str(value, path).split()), validate=True)
    except ValueError:  # what is no base64, and what is not even ASCII
        raise refused(path, "is base64") from None
