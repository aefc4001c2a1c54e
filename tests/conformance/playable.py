"""The rules of structure by which each API refuses a conversation: one pure check for each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from tests.conformance.format import JSON

__all__ = ["check_playable"]

_NINE = re.compile(r"[A-Za-z0-9]{9}")
_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHORT = re.compile(r".{1,40}", re.DOTALL)
_LONG = re.compile(r".{1,64}", re.DOTALL)
_ANY = re.compile(r".+", re.DOTALL)


def check_playable(name: str, model: str, body: JSON) -> None:
    """Fail where the API of the format called *name* would refuse the conversation in *body*."""
    _CHECKS[name](body, model)


def _rounds(turns: Iterable[tuple[Sequence[str], Sequence[str]]], ids: re.Pattern[str]) -> None:
    """Each turn asks for calls or answers some: every call is answered in the very next turn and once,
    nothing else is, and no two calls have the same id."""
    seen: set[str] = set()
    asked: Sequence[str] = ()
    for asks, answers in turns:
        assert sorted(answers) == sorted(asked), f"{asked} were asked for, and {answers} came"
        for id in asks:
            assert ids.fullmatch(id), f"{id!r} is no id of a call"
            assert id not in seen, f"two calls are {id!r}"
            seen.add(id)
        asked = asks
    assert not asked, f"{asked} were not answered"


def _object(text: str) -> None:
    assert isinstance(json.loads(text), dict), f"{text!r} is no object"


# --- OpenAI's chat completions, and those who speak it -------------------------------------------

_OF_AN_ANSWER = {"role", "content", "tool_calls", "reasoning_details", "reasoning_content"}


def _openai_chat(body: JSON, model: str) -> None:
    thinks = model.startswith("deepseek/")
    strict = model.startswith("mistral/")
    messages = body["messages"]
    for message in messages:
        if message["role"] != "assistant":
            assert isinstance(message["content"], str | list)
            continue
        assert message.keys() <= _OF_AN_ANSWER | ({"prefix"} if strict else set())
        assert message["content"] or message.get("tool_calls"), "an answer is empty"
        assert isinstance(message["content"], str | None)
        assert ("reasoning_content" in message) is thinks
        for call in message.get("tool_calls", ()):
            _object(call["function"]["arguments"])
    if strict:
        _in_strict_order(messages)
    _rounds(_chat_turns(messages), _NINE if strict else _SHORT)


def _chat_turns(messages: Sequence[JSON]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    for is_tool, group in groupby(messages, lambda message: message["role"] == "tool"):
        if is_tool:
            yield (), [message["tool_call_id"] for message in group]
        else:
            for message in group:
                yield [call["id"] for call in message.get("tool_calls") or ()], ()


def _in_strict_order(messages: Sequence[JSON]) -> None:
    for before, message in pairwise(messages):
        if before["role"] == "tool":
            assert message["role"] in ("tool", "assistant"), f"{message['role']} follows a tool"
    assert messages[-1]["role"] != "assistant" or messages[-1].get("prefix")


def _cohere(body: JSON, _: str) -> None:
    for message in body["messages"]:
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            assert block["type"] != "text" or block["text"], "a text is empty"
        if message["role"] == "assistant":
            assert content or message.get("tool_calls") or message.get("tool_plan"), "an answer is empty"
            for call in message.get("tool_calls", ()):
                _object(call["function"]["arguments"])
        else:
            assert isinstance(content, str | list)
    _rounds(_chat_turns(body["messages"]), _ANY)


def _ollama(body: JSON, _: str) -> None:
    for message in body["messages"]:
        assert isinstance(message["content"], str)
        if message["role"] == "assistant":
            assert message["content"] or message.get("tool_calls"), "an answer is empty"
            for call in message.get("tool_calls", ()):
                assert isinstance(call["function"]["arguments"], dict)
        if message["role"] == "tool":
            assert message["tool_name"] in ("now", "weather", "run")
    _rounds(_chat_turns(body["messages"]), _ANY)


# --- OpenAI's Responses ---------------------------------------------------------------------------


def _responses(body: JSON, model: str) -> None:
    items = body["input"]
    ids = [item["id"] for item in items if item.get("id")]
    assert len(set(ids)) == len(ids), "two items have the same id"
    bound = False
    for item, following in zip(items, [*items[1:], {}], strict=True):
        kind = item.get("type", "message")
        if kind == "reasoning":
            assert not model.endswith("gpt-4.1"), "it does not reason"
            assert _is_of_the_model(following), "what was reasoned led nowhere"
        if not _is_of_the_model(item):
            bound = False
        elif kind in ("message", "function_call", "custom_tool_call"):
            assert bound or not item.get("id"), "an item needs what was reasoned before it"
            assert item.get("content") or kind != "message", "an answer is empty"
        else:
            bound = True
        if kind == "function_call":
            _object(item["arguments"])
    _rounds(_item_turns(items), _LONG)


def _is_of_the_model(item: Mapping[str, object]) -> bool:
    asked = item.get("role", "assistant") != "assistant" or str(item.get("type")).endswith("_output")
    return bool(item) and not asked


def _item_turns(items: Sequence[JSON]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    for kind, group in groupby(items, _side):
        ids = [item["call_id"] for item in group if "call_id" in item]
        yield (ids, ()) if kind == "model" else ((), ids)


def _side(item: JSON) -> str:
    if _is_of_the_model(item):
        return "model"
    return "tools" if str(item.get("type")).endswith("_output") else "user"


# --- Anthropic's Messages and Bedrock's Converse -------------------------------------------------


def _anthropic(body: JSON, _: str) -> None:
    _alternate(turn["role"] for turn in body["messages"] if turn["role"] != "system")
    turns: list[tuple[list[str], list[str]]] = []
    for turn in body["messages"]:
        blocks = turn["content"]
        assert blocks, "a turn is empty"
        kinds = [block["type"] for block in blocks]
        for block in blocks:
            assert block["type"] != "text" or block["text"].strip(), "a text is blank"
            assert block["type"] != "tool_use" or isinstance(block["input"], dict)
            for inner in _parts_of(block.get("content")) if block["type"] == "tool_result" else ():
                assert inner["type"] != "text" or inner["text"].strip(), "a text is blank"
        _first(kinds, "tool_result")
        if turn["role"] == "assistant":
            assert kinds[-1] not in ("thinking", "redacted_thinking"), "a turn ends in thought"
        else:
            assert "thinking" not in kinds
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        turns.append((asked, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]))
    assert body["messages"][-1]["role"] == "user"
    _rounds(turns, _SAFE)


def _bedrock(body: JSON, model: str) -> None:
    assert body["messages"][0]["role"] == body["messages"][-1]["role"] == "user"
    _alternate(turn["role"] for turn in body["messages"])
    turns: list[tuple[list[str], list[str]]] = []
    for turn in body["messages"]:
        blocks = turn["content"]
        assert blocks, "a turn is empty"
        for block in blocks:
            assert "text" not in block or block["text"].strip(), "a text is blank"
            assert "reasoningContent" not in block or "claude" in model, "others do not take it"
        if turn["role"] == "assistant":
            assert "reasoningContent" not in blocks[-1], "a turn ends in thought"
            calls = [block["toolUse"] for block in blocks if "toolUse" in block]
            turns.append(([call["toolUseId"] for call in calls if "type" not in call], []))
            assert all(isinstance(call["input"], dict) for call in calls if "type" not in call)
        else:
            results = [block["toolResult"] for block in blocks if "toolResult" in block]
            _first([next(iter(block)) for block in blocks], "toolResult")
            for inner in (inner for result in results for inner in result["content"]):
                assert "text" not in inner or inner["text"].strip(), "a text is blank"
            turns.append(([], [result["toolUseId"] for result in results]))
    _rounds(turns, _SAFE)
    tools = body.get("toolConfig", {}).get("tools", ())
    assert bool(tools) is any(asked for asked, _ in turns), (
        "calls want the tools that were called, and no others"
    )


def _alternate(roles: Iterable[str]) -> None:
    assert all(len(list(group)) == 1 for _, group in groupby(roles)), "roles do not take turns"


def _first(kinds: Sequence[str], kind: str) -> None:
    assert kinds == sorted(kinds, key=lambda each: each != kind), f"{kind} does not come first"


def _parts_of(content: object) -> Sequence[JSON]:
    return content if isinstance(content, list) else ()


# --- Gemini's generateContent ---------------------------------------------------------------------


def _gemini(body: JSON, model: str) -> None:
    contents = body["contents"]
    assert contents[0]["role"] == contents[-1]["role"] == "user"
    turns: list[tuple[list[str], list[str]]] = []
    for before, content in zip([{}, *contents], contents, strict=False):
        parts = content["parts"]
        assert parts, "a turn is empty"
        for part in parts:
            assert part.get("text") != "" or "thoughtSignature" in part, "a text is empty"
            assert not (part.get("thought") and "text" in part) or "thoughtSignature" in part
        calls = [part for part in parts if "functionCall" in part]
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if content["role"] == "model":
            assert before["role"] == "user", "the model speaks twice"
            assert not calls or "gemini-3" not in model or any("thoughtSignature" in call for call in calls)
        assert not results or len(results) == len(parts), "results stand beside other parts"
        assert all(isinstance(call["functionCall"].get("args", {}), dict) for call in calls)
        assert all(isinstance(result["response"], dict) for result in results)
        turns.append(([_called(part["functionCall"]) for part in calls], [_called(each) for each in results]))
    _rounds(turns, _ANY)


def _called(call: JSON) -> str:
    """A call by its name too, which its result must tell."""
    return f"{call['name']} {call['id']}"


_CHECKS: Mapping[str, Callable[[JSON, str], None]] = {
    "openai-chat": _openai_chat,
    "mistral": _openai_chat,
    "openai-responses": _responses,
    "anthropic-messages": _anthropic,
    "gemini": _gemini,
    "cohere-chat": _cohere,
    "ollama-chat": _ollama,
    "bedrock-converse": _bedrock,
}
