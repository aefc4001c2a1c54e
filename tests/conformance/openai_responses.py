"""OpenAI's Responses, for the suite that every wire format must pass."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import filterfalse
from random import Random
from typing import Any

from hypothesis import strategies as st

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    File,
    Image,
    Message,
    NotFoundError,
    Opaque,
    OverloadedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
    Text,
    ToolCall,
    ToolResult,
)
from polyroute.providers import Host
from polyroute.types import Part
from tests.conformance.format import JSON, Failure, Format, in_pieces
from tests.providers.strategies import LEAVES, WORDS, arranged, framed

__all__ = ["OPENAI_RESPONSES", "as_stream", "message", "reply"]


def reply(*output: Mapping[str, Any], status: object = "completed", **fields: object) -> JSON:
    """A whole reply of these items."""
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    head = {"id": "resp_1", "object": "response", "model": "gpt-5-mini-2025-08-07", "status": status}
    return {**head, "error": None, "output": list(output), "usage": usage, **fields}


def message(*texts: str, **fields: object) -> JSON:
    """An item of the model's words."""
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
        **fields,
    }


def _answer(text: str) -> JSON:
    return reply(message(text))


# --- replies, whole and in pieces ---------------------------------------------------------------

_TEXTS = st.text(min_size=1, max_size=8).map(lambda text: f"a{text}")
_LOGPROBS = st.just([{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": -2.0}]}])
_MESSAGES = st.builds(
    lambda content, fields: {**message(), "content": content, **fields},
    st.lists(
        st.one_of(
            st.fixed_dictionaries({"type": st.just("output_text"), "text": WORDS}),
            st.fixed_dictionaries({"type": st.just("output_text"), "text": _TEXTS, "logprobs": _LOGPROBS}),
            st.fixed_dictionaries({"type": st.just("refusal"), "refusal": WORDS}),
        ), max_size=2,
    ),
    st.fixed_dictionaries({}, optional={"phase": st.sampled_from(["commentary", "final_answer", None])}),
)  # fmt: skip
_THOUGHTS = st.fixed_dictionaries(
    {"type": st.just("reasoning"), "id": st.sampled_from(["rs_1", "rs_2"]),
     "summary": st.lists(st.fixed_dictionaries({"type": st.just("summary_text"), "text": _TEXTS}), max_size=2)},
    optional={"encrypted_content": st.sampled_from(["gA==", None]), "status": st.just("completed"),
              "content": st.lists(st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": _TEXTS}), max_size=2)},
)  # fmt: skip
_ARGUMENTS = st.sampled_from(["{}", '{"a": 1}', '{"a": "é"}', '{"a": ', ""])
_CALLS = st.fixed_dictionaries(
    {"type": st.just("function_call"), "id": st.just("fc_1"), "call_id": st.sampled_from(["call_1", "call_2"]),
     "name": st.just("now"), "arguments": _ARGUMENTS, "status": st.just("completed")},
    optional={"namespace": st.just("clocks")},
)  # fmt: skip
_CUSTOM = st.fixed_dictionaries(
    {"type": st.just("custom_tool_call"), "id": st.just("ctc_1"), "call_id": st.just("call_3"),
     "name": st.just("run"), "input": WORDS}
)  # fmt: skip
_SEARCHES = st.just(
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
)
_ITEMS = st.one_of(_MESSAGES, _THOUGHTS, _CALLS, _CUSTOM, _SEARCHES)
_USAGES = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99)},
    optional={
        "input_tokens_details": st.fixed_dictionaries({}, optional={"cached_tokens": st.integers(0, 9)}),
        "output_tokens_details": st.fixed_dictionaries({"reasoning_tokens": st.integers(0, 9)}),
    },
)
_ENDS = st.sampled_from(
    [{"status": "completed"}, *({"status": "incomplete", "incomplete_details": {"reason": reason}}
                                for reason in ("max_output_tokens", "content_filter", "unheard_of"))]
)  # fmt: skip
_REPLIES = st.builds(
    lambda items, usage, end: reply(*items, usage=usage, **end), st.lists(_ITEMS, max_size=5), _USAGES, _ENDS
)


def as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as the host would."""
    begun = {**body, "output": [], "usage": None, "status": "in_progress", "incomplete_details": None}
    told: list[JSON] = [
        {"type": kind, "response": begun} for kind in ("response.created", "response.in_progress")
    ]
    for index, item in enumerate(body["output"]):
        told += (
            {**event, "output_index": index, "item_id": f"rotated_{rng.random()}"}
            for event in _events(item, rng)
        )
    told.append({"type": f"response.{body.get('status')}", "response": body})
    named = rng.random() < 0.8
    return "".join(
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(told)
    ).encode()  # fmt: skip


def _events(item: JSON, rng: Random) -> Iterator[JSON]:
    """How an item begins, what is added to it, and what it is in the end."""
    spoken = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {name: spoken.get(name, value) for name, value in item.items() if name != "encrypted_content"}
    yield {"type": "response.output_item.added", "item": {**begun, "status": "in_progress"}}
    for name, kinds in _PIECES.items():
        parts = item.get(name) or ()
        if isinstance(parts, str):
            parts = [{"type": item["type"], "text": parts}]
        for place, part in enumerate(parts):
            kind, index = kinds[part["type"]], "summary_index" if name == "summary" else "content_index"
            logprobs = part.get("logprobs") or []
            for piece in in_pieces(part.get("text") or part.get("refusal") or "", rng):
                yield {"type": f"response.{kind}.delta", index: place, "delta": piece, "logprobs": logprobs}
                logprobs = []
            yield {"type": f"response.{kind}.done", index: place}
    yield {"type": "response.output_item.done", "item": item}


_PIECES = {
    "content": {"output_text": "output_text", "refusal": "refusal", "reasoning_text": "reasoning_text"},
    "summary": {"summary_text": "reasoning_summary_text"},
    "arguments": {"function_call": "function_call_arguments"},
    "input": {"custom_tool_call": "custom_tool_call_input"},
}


_PLACED = {"output_index": st.sampled_from([0, 0, 1])}
_DELTAS = ("output_text", "refusal", "function_call_arguments", "custom_tool_call_input", "reasoning_text",
           "reasoning_summary_text", "unheard_of")  # fmt: skip
_EVENTS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from([f"response.{kind}.delta" for kind in _DELTAS]), "delta": WORDS},
        optional={**_PLACED, "summary_index": st.sampled_from([0, 1]), "logprobs": _LOGPROBS},
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["response.output_item.added", "response.output_item.done"]), "item": _ITEMS, **_PLACED}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["response.created", "response.completed", "response.incomplete", "response.failed"]),
         "response": _REPLIES}
    ),
    st.sampled_from([{"type": "error", "code": "server_error", "message": "Sorry"}, {"type": "unheard_of"}]),
)  # fmt: skip
_STREAMS = framed(
    st.lists(
        st.tuples(_EVENTS, st.booleans()).map(lambda each: (each[0]["type"] * each[1], each[0])), max_size=8
    ),
    "data: [DONE]\n\n",
)

_WORDS_OF_THE_FORMAT = st.sampled_from(
    ["type", "response", "output", "item", "delta", "output_index", "summary_index", "content_index", "content", "text",
     "refusal", "summary", "arguments", "input", "name", "call_id", "id", "namespace", "status", "incomplete_details",
     "reason", "usage", "input_tokens", "output_tokens", "input_tokens_details", "cached_tokens", "error", "code",
     "message", "model", "logprobs", "token", "phase"]
)  # fmt: skip
_KINDS = st.sampled_from(
    ["message", "reasoning", "function_call", "custom_tool_call", "web_search_call", "output_text", "refusal", "error",
     "summary_text", *(f"response.{kind}.delta" for kind in _DELTAS), "response.created", "response.output_item.added",
     "response.output_item.done", "response.completed", "response.incomplete", "response.failed"]
)  # fmt: skip
_VALUES = arranged(_WORDS_OF_THE_FORMAT, st.one_of(LEAVES, _KINDS))
_SHAPED = st.one_of(
    _VALUES,
    st.fixed_dictionaries({"type": _KINDS}, optional={"output_index": LEAVES, "delta": _VALUES, "item": _VALUES,
                                                      "response": _VALUES, "logprobs": _VALUES}),
    st.fixed_dictionaries({"output": st.lists(_VALUES, max_size=3), "status": LEAVES}, optional={"usage": _VALUES}),
    st.fixed_dictionaries({"type": st.just("response.output_item.done"),
                           "item": st.fixed_dictionaries({"type": _KINDS}, optional={"content": _VALUES, "name": LEAVES,
                                                         "arguments": _VALUES, "summary": _VALUES, "id": LEAVES})}),
)  # fmt: skip


def _played_back(body: Mapping[str, Any]) -> JSON:
    return reply(*map(_item_of_a_reply, filterfalse(_is_asked, body["input"])))


def _is_asked(item: JSON) -> bool:
    return item.get("role", "assistant") != "assistant" or str(item.get("type")).endswith("_output")


def _item_of_a_reply(item: JSON) -> JSON:
    """What the item of a reply was that is told as *item*."""
    if not isinstance(text := item.get("content"), str):
        return item
    return {**message(text), "id": None, "phase": item.get("phase")}


# --- what was asked, asked again ----------------------------------------------------------------

_AS_THEY_ARE = ("temperature", "top_p", "parallel_tool_calls", "user")
_OURS = frozenset(
    {*_AS_THEY_ARE, "model", "input", "instructions", "stream", "max_output_tokens", "tool_choice"}
)
_OF_A_TOOL = frozenset({"type", "name", "description", "parameters", "strict"})


def _arguments(body: Mapping[str, Any], _: Host) -> dict[str, Any]:
    call: dict[str, Any] = {name: body[name] for name in _AS_THEY_ARE if body.get(name) is not None}
    # Where a recorded body says nothing of it, the host keeps the reply.
    extra = {"store": None, **{name: value for name, value in body.items() if name not in _OURS}}
    call["messages"] = [Message("system", body["instructions"])] if body.get("instructions") else []
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    call["messages"] += [_message(item) for item in items]
    if body.get("max_output_tokens") is not None:
        call["max_tokens"] = body["max_output_tokens"]
    if body.get("tools"):
        plain = [tool for tool in body["tools"] if tool["type"] == "function" and tool.keys() <= _OF_A_TOOL]
        call["tools"] = [{"type": "function", "function": tool} for tool in plain]
        extra["tools"] = [tool for tool in body["tools"] if tool not in plain]
    if (choice := body.get("tool_choice")) is not None:
        if isinstance(choice, str):
            call["tool_choice"] = choice
        elif choice["type"] == "function":
            call["tool_choice"] = {"type": "function", "function": choice}
        else:
            extra["tool_choice"] = choice
    if shape := (body.get("text") or {}).get("format"):
        described = {name: value for name, value in shape.items() if name != "type"}
        call["response_format"] = (
            {"type": shape["type"], "json_schema": described} if described else {"type": shape["type"]}
        )
        extra["text"] = {name: value for name, value in body["text"].items() if name != "format"}
    if effort := (body.get("reasoning") or {}).get("effort"):
        call["reasoning_effort"] = effort
        extra["reasoning"] = {name: value for name, value in body["reasoning"].items() if name != "effort"}
    return {**call, "extra": extra}


def _message(item: Mapping[str, Any]) -> Message:
    """An item as a message of ours, where we have words for it, else as it is."""
    match item:
        case {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}:
            call = ToolCall(id, name, raw_arguments=arguments)
            known = {name: item[name] for name in ("id", "namespace") if name in item}
            return Message(
                "assistant",
                [call, Opaque("openai-responses", {"type": "function_call", "call_id": id, **known})],
            )
        case {"type": "function_call_output", "call_id": id, "output": str(output)}:
            return Message("tool", [ToolResult(id, output)])
        case {"role": "assistant", "content": content, **more}:
            texts = [content] if isinstance(content, str) else [part["text"] for part in content]
            known = {name: more[name] for name in ("id", "phase") if more.get(name)}
            mark = [Opaque("openai-responses", {"type": "message", **known})] if known else []
            return Message("assistant", [*map(Text, texts), *mark])
        case {"role": role, "content": str(content)}:
            return Message(role, content)
        case {"role": role, "content": parts}:
            return Message(role, [_part(part) for part in parts])
        case _:
            return Message("assistant", [Opaque("openai-responses", item)])


def _part(part: Mapping[str, Any]) -> Part:
    match part:
        case {"type": "input_text", "text": text, **more} if not more:
            return Text(text)
        case {"type": "input_image", "image_url": url, **more}:
            return Image(url, detail=more.get("detail"))
        case {"type": "input_file", "file_url": url}:
            return File(url=url)
        case {"type": "input_file", "file_data": uri, "filename": name}:
            head, _, data = uri.partition(",")
            return File(data=base64.b64decode(data), name=name, media_type=head[5:].partition(";")[0])
        case _:
            return Opaque("openai-responses", part)


def _plain(body: Mapping[str, Any], _: Host) -> JSON:
    plain = {name: value for name, value in body.items() if value not in (None, [], {}, "")}
    given = plain["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    if instructions := plain.pop("instructions", None):
        items.insert(0, {"role": "system", "content": instructions})
    plain["input"] = [_item(item) for item in items]
    if "tools" in plain:
        plain["tools"] = sorted(
            (_tool(tool) for tool in plain["tools"]), key=lambda tool: json.dumps(tool, sort_keys=True)
        )
    # What was reasoned is always wanted back.
    plain["include"] = sorted({"reasoning.encrypted_content", *plain.get("include", ())})
    if not plain.get("stream"):
        plain.pop("stream", None)
    return plain


def _item(item: Mapping[str, Any]) -> JSON:
    plain = {name: value for name, value in item.items() if value is not None and name != "status"}
    if "role" in plain:
        plain.pop("type", None)
    if isinstance(content := plain.get("content"), list) and plain.get("type") != "reasoning":
        texts = [part.get("text") for part in content if part["type"] == "output_text"]
        plain["content"] = "".join(texts) if texts else content
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            plain["content"] = content[0]["text"]
    if "arguments" in plain and isinstance(plain["arguments"], str):
        plain["arguments"] = json.loads(plain["arguments"] or "{}")
    return plain


def _tool(tool: Mapping[str, Any]) -> JSON:
    plain = {name: value for name, value in tool.items() if value not in (None, "")}
    return {**plain, "strict": bool(tool.get("strict"))} if tool["type"] == "function" else plain


def _unsayable(body: Mapping[str, Any]) -> str | None:
    """What a recorded conversation has that ours has no words for, and must refuse."""
    return None if body.get("input") else "a conversation that the host keeps"


# --- what goes wrong ----------------------------------------------------------------------------


def _error(error: Any, status: int, message: str, code: str | None = None, **fields: object) -> Failure:
    inner = {"message": message, "type": "invalid_request_error", "param": None, "code": code, **fields}
    return Failure(error=error, status=status, body={"error": inner})


_FAILED = {
    "type": "response.failed",
    "response": reply(status="failed", error={"code": "server_error", "message": "Sorry"}),
}

OPENAI_RESPONSES = Format(
    name="openai-responses",
    models=("openai-responses/gpt-5-mini", "openai-responses/gpt-4.1"),
    answer=_answer,
    replies=_REPLIES,
    as_stream=as_stream,
    streams=_STREAMS,
    shaped=_SHAPED,
    failures=(
        _error(BadRequestError, 400, "Unsupported value"),
        _error(BadRequestError, 400, "Not an image", "invalid_image_format"),
        _error(ContextWindowExceededError, 400, "Too long", "context_length_exceeded"),
        _error(ContentFilterError, 400, "Invalid prompt: your prompt was flagged", "invalid_prompt"),
        _error(NotFoundError, 400, "The requested model 'gpt-9' does not exist.", "model_not_found"),
        _error(NotFoundError, 400, "Previous response with id 'resp_9' not found.", "previous_response_not_found"),
        _error(PermissionDeniedError, 400, "The encrypted content could not be verified.", "invalid_encrypted_content"),
        _error(AuthenticationError, 401, "Incorrect API key provided", "invalid_api_key"),
        _error(RateLimitError, 429, "Slow down", "rate_limit_exceeded"),
        _error(QuotaExhaustedError, 429, "Pay first", "insufficient_quota"),
        _error(ServerError, 500, "Sorry", "server_error"),
        _error(OverloadedError, 503, "Busy"),
    ),
    broken_off=(f"event: response.failed\ndata: {json.dumps(_FAILED)}\n\n".encode(), ServerError),
    played_back=_played_back,
    api="openai_responses",
    arguments=_arguments,
    plain=_plain,
    unsayable=_unsayable,
)  # fmt: skip
