"""Gemini's generateContent, for the suite that every wire format must pass."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from polyroute import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    File,
    Image,
    Message,
    NotFoundError,
    Opaque,
    OverloadedError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    Reasoning,
    ServerError,
    Text,
    ToolCall,
    ToolResult,
)
from polyroute.providers import Host
from polyroute.types import Part
from tests.conformance.format import JSON, Failure, Format
from tests.providers.gemini.wire import candidate, reply
from tests.providers.strategies import LEAVES, WORDS, arranged, framed
from tests.wire_server import events

__all__ = ["GEMINI_GENERATE"]


def _answer(text: str) -> JSON:
    return reply(candidate(text))


# --- replies, whole and in pieces ---------------------------------------------------------------

_SIGNATURES = st.sampled_from(["s1==", "s2=="])
_TEXTS = st.fixed_dictionaries(
    {"text": WORDS}, optional={"thought": st.just(True), "thoughtSignature": _SIGNATURES}
)
_ARGUMENTS = st.dictionaries(st.sampled_from(["a", "é"]), st.one_of(WORDS, st.integers(0, 9)), max_size=2)
_CALLS = st.fixed_dictionaries(
    {"functionCall": st.fixed_dictionaries(
        {"name": st.just("now")}, optional={"args": _ARGUMENTS, "id": st.sampled_from(["a", "b"])})},
    optional={"thoughtSignature": _SIGNATURES},
)  # fmt: skip
_OTHERS = st.sampled_from(
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "s3=="},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "eA=="}, "thought": True},
    ]
)
_PARTS = st.one_of(_TEXTS, _TEXTS, _CALLS, _OTHERS)
_COUNTS = st.fixed_dictionaries(
    {"promptTokenCount": st.integers(0, 99)},
    optional={
        name: st.integers(0, 99)
        for name in (
            "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount"
        )
    },
)  # fmt: skip
_REASONS = st.sampled_from(
    ["STOP", "MAX_TOKENS", "SAFETY", "IMAGE_SAFETY", "MALFORMED_FUNCTION_CALL", "LANGUAGE", 1]
)
_LOGPROBS = st.just(
    {
        "chosenCandidates": [{"token": "a", "logProbability": -1}],
        "topCandidates": [{"candidates": [{"token": "b"}]}],
    }
)


@st.composite
def _replies(draw: st.DrawFn) -> JSON:
    candidates = [
        candidate(*draw(st.lists(_PARTS, max_size=5)), reason=draw(_REASONS), index=index)
        for index in range(draw(st.integers(1, 2)))
    ]
    if draw(st.booleans()):
        candidates[0]["logprobsResult"] = draw(_LOGPROBS)
    return reply(*candidates, usage=draw(_COUNTS))


def _as_stream(body: Mapping[str, Any], rng: Random) -> bytes:
    """A whole reply told piece by piece, as the host would."""
    head = {name: value for name, value in body.items() if name not in ("candidates", "usageMetadata")}
    told: list[JSON] = []
    for place, each in enumerate(body["candidates"]):
        where = {"index": each.get("index", place)}
        for part in (each.get("content") or {}).get("parts") or ():
            told += [
                {"content": {"parts": [piece], "role": "model"}, **where} for piece in _pieces(part, rng)
            ]
        told.append({**each, "content": {"role": "model"}, **where})
    usage = body.get("usageMetadata") or {}
    begun = {name: count for name, count in usage.items() if name in ("promptTokenCount", "trafficType")}
    return events(
        *({**head, "candidates": [each], "usageMetadata": begun} for each in told[:-1]),
        {**head, "candidates": told[-1:], "usageMetadata": usage},
        done=False,
    )


def _pieces(part: Mapping[str, Any], rng: Random) -> Iterator[Mapping[str, Any]]:
    """Words in pieces; what is signed comes as the part that it is."""
    if not part.get("text") or "thoughtSignature" in part:
        yield part
        return
    text = part["text"]
    while text:
        size = rng.randint(1, 9)
        yield {**part, "text": text[:size]}
        text = text[size:]


_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "content": st.fixed_dictionaries({"parts": st.lists(_PARTS, max_size=2)}),
                    "index": st.sampled_from([0, 0, 1]),
                    "finishReason": st.none() | _REASONS,
                    "logprobsResult": _LOGPROBS,
                },
            ),
            max_size=2,
        ),
        "usageMetadata": st.one_of(_COUNTS, st.just({"trafficType": "ON_DEMAND"})),
        "responseId": st.sampled_from(["r-1", "", None]),
        "modelVersion": st.sampled_from(["m", None]),
        "promptFeedback": st.just({"safetyRatings": []}),
    },
)
_ARRAYS = st.builds(
    lambda values, between, escaped: (
        f"[{between.join(json.dumps(value, ensure_ascii=escaped) for value in values)}\n]".encode()
    ),
    st.lists(_EVENTS, max_size=6),
    st.sampled_from([",", "\n,\r\n"]),
    st.booleans(),
)
_STREAMS = st.one_of(framed(st.lists(_EVENTS.map(lambda event: ("", event)), max_size=6)), _ARRAYS)

_KEYS = st.sampled_from(
    ["candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args", "id",
     "index", "finishReason", "logprobsResult", "chosenCandidates", "topCandidates", "token", "logProbability",
     "usageMetadata", "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount",
     "promptFeedback", "blockReason", "blockReasonMessage", "responseId", "modelVersion", "error", "code", "message",
     "status", "details", "reason", "violations", "quotaId", "retryDelay", "embeddings", "values"]
)  # fmt: skip
_VALUES = arranged(
    _KEYS, st.one_of(LEAVES, st.sampled_from(["STOP", "SAFETY", "7s", "PerDay", "retry in 1e9s"]))
)
_SHAPED = st.one_of(
    _VALUES,
    st.fixed_dictionaries({"candidates": st.lists(_VALUES, max_size=2)}, optional={"usageMetadata": _VALUES}),
    st.fixed_dictionaries({"candidates": st.lists(st.fixed_dictionaries(
        {}, optional={"content": st.fixed_dictionaries({"parts": st.lists(_VALUES, max_size=2)}),
                      "index": LEAVES, "finishReason": LEAVES, "logprobsResult": _VALUES}), max_size=2)}),
    st.fixed_dictionaries({"error": st.fixed_dictionaries(
        {"code": LEAVES, "message": LEAVES}, optional={"status": LEAVES, "details": st.lists(_VALUES, max_size=2)})}),
    st.fixed_dictionaries({"promptFeedback": _VALUES}),
)  # fmt: skip


def _played_back(body: Mapping[str, Any]) -> JSON:
    turns = [turn["parts"] for turn in body["contents"] if turn["role"] == "model"]
    return reply(candidate(*(turns[0] if turns else ())))


# --- what was asked, asked again ----------------------------------------------------------------

_CONFIG = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
    "seed": "seed",
    "candidateCount": "n",
}
_CHOICES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
_MADE = "made-"  # how the ids begin that are ours, where none was recorded
_UNCHECKED = base64.b64encode(b"skip_thought_signature_validator").decode()
_FREE = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
)


def _camel(value: Any) -> Any:
    """Both spellings of keys are taken by the host; here all are of one, but for those that are free."""
    if isinstance(value, list):
        return [_camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    camel: JSON = {}
    for key, each in value.items():
        first, *more = key.split("_")
        name = first + "".join(word.capitalize() for word in more)
        camel[name] = each if name in _FREE else _camel(each)
    return camel


def _arguments(body: Mapping[str, Any], host: Host) -> dict[str, Any]:
    extra = _camel(dict(body))
    instruction = _listed(extra.pop("systemInstruction", {}).get("parts"))
    system = [Text(part["text"]) for part in instruction if part["text"]]
    call: dict[str, Any] = {"messages": [Message("system", system)] if system else []}
    call["messages"] += _messages(extra.pop("contents"), host.prefix)
    config = extra.get("generationConfig", {})
    call |= {ours: config.pop(theirs) for theirs, ours in _CONFIG.items() if theirs in config}
    if "topK" in config:
        call["top_k"] = int(config.pop("topK"))
    if config.pop("responseLogprobs", False):
        call["logprobs"] = config.pop("logprobs", True)
    if "responseSchema" not in config and config.pop("responseMimeType", None):
        schema = config.pop("responseJsonSchema", None)
        shape = {"type": "json_schema", "json_schema": {"schema": schema}}
        call["response_format"] = shape if schema else {"type": "json_object"}
    thinking = config.get("thinkingConfig", {})
    if thinking.keys() == {"thinkingLevel", "includeThoughts"}:
        call["reasoning_effort"] = config.pop("thinkingConfig")["thinkingLevel"]
    if tools := _tools(extra.get("tools")):
        call["tools"] = tools
        del extra["tools"]
    calling = extra.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling.keys() == {"mode"} and calling["mode"] in _CHOICES:
        call["tool_choice"] = _CHOICES[extra.pop("toolConfig")["functionCallingConfig"]["mode"]]
    return {**call, "extra": {name: value for name, value in extra.items() if value} or None}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _tools(given: Any) -> list[JSON]:
    """The functions, where there is nothing else, and all that is said of them can be said in our words."""
    declared = [each for tool in _listed(given) for each in tool.get("functionDeclarations", [{}])]
    if not all("parametersJsonSchema" in each for each in declared):
        return []
    return [
        {"type": "function", "function": {"name": each["name"], "description": each.get("description"),
                                          "parameters": each["parametersJsonSchema"]}}
        for each in declared
    ]  # fmt: skip


def _messages(contents: Sequence[JSON], origin: str) -> list[Message]:
    messages: list[Message] = []
    asked: list[str] = []  # the ids of calls that no result was seen of
    for turn, content in enumerate(contents):
        if content["role"] == "model":
            parts = [each for place, part in enumerate(content["parts"])
                     for each in _model_part(part, f"{_MADE}{turn}-{place}", origin)]  # fmt: skip
            asked += [part.id for part in parts if isinstance(part, ToolCall)]
            messages.append(Message("assistant", parts))
            continue
        for part in content["parts"]:
            if (answer := part.get("functionResponse")) is None:
                messages.append(Message("user", [_part(part)]))
                continue
            id = answer.get("id") or asked[0]
            asked.remove(id)
            messages.append(Message("tool", [_result(answer, id)]))
    return messages


def _model_part(part: JSON, made: str, origin: str) -> list[Part]:
    if "functionCall" in part:
        call = part["functionCall"]
        said: list[Part] = [ToolCall(call.get("id") or made, call["name"], call["args"])]
        on: JSON = {"functionCall": call.get("id") or made}
    elif part.get("thought"):
        said, on = [Reasoning(part["text"])], {"thought": len(part["text"])}
    else:
        said, on = [_part(part)], {"text": len(part["text"])}
    if "thoughtSignature" in part:
        said.append(Opaque(origin, {**on, "thoughtSignature": part["thoughtSignature"]}))
    return said


def _part(part: JSON) -> Part:
    if "inlineData" in part:
        return Image(f"data:{part['inlineData']['mimeType']};base64,{part['inlineData']['data']}")
    if "fileData" in part:
        return File(url=part["fileData"]["fileUri"], media_type=part["fileData"]["mimeType"])
    return Text(part["text"])


def _result(answer: JSON, id: str) -> ToolResult:
    response = json.dumps(answer["response"])
    if "parts" not in answer:
        return ToolResult(id, response)
    shown = [part for part in map(_part, answer["parts"]) if isinstance(part, Image)]
    return ToolResult(id, (Text(response), *shown))


def _plain(body: Mapping[str, Any], host: Host) -> JSON:
    plain = _camel(dict(body))
    turns: list[tuple[str, bool, list[JSON]]] = []
    for content in plain["contents"]:
        for part in filter(_counts, content["parts"]):
            of_a_tool = "functionResponse" in part
            if not turns or turns[-1][:2] != (content["role"], of_a_tool):
                turns.append((content["role"], of_a_tool, []))
            turns[-1][2].append(_plain_part(part, host))
    plain["contents"] = turns
    instruction = _listed(plain.pop("systemInstruction", {}).get("parts"))
    plain["system"] = [part["text"] for part in instruction if part["text"]]
    for tool in _listed(plain.get("tools")):
        for each in tool.get("functionDeclarations", ()):
            each.setdefault("description", "")
    if (thinking := plain.get("generationConfig", {}).get("thinkingConfig")) and "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = thinking["thinkingLevel"].lower()
    return {name: value for name, value in plain.items() if value}


def _counts(part: JSON) -> bool:
    """Whether a part says anything: words that are none do not, nor do thoughts without a signature."""
    return "thoughtSignature" in part or not (part.get("text") == "" or part.get("thought"))


def _plain_part(part: JSON, host: Host) -> JSON:
    for name in ("functionCall", "functionResponse"):
        # Vertex is told of no ids.
        if host.prefix == "vertex" or str(part.get(name, {}).get("id")).startswith(_MADE):
            named = part.get(name, {})
            part = {**part, name: {key: value for key, value in named.items() if key != "id"}}
    return {name: value for name, value in part.items() if value != _UNCHECKED}


def _nothing(_: Mapping[str, Any]) -> None:
    """All that the recorded bodies say can be said."""


# --- what goes wrong ----------------------------------------------------------------------------


def _error(error: type[PolyrouteError], code: int, status: str, message: str, *details: JSON) -> Failure:
    body = {"code": code, "message": message, "status": status, "details": list(details)}
    return Failure(error=error, status=code, body={"error": body})


_BUSY = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}

GEMINI_GENERATE = Format(
    name="gemini",
    models=("gemini/gemini-2.5-flash", "gemini/gemini-3-flash"),
    answer=_answer,
    replies=_replies(),
    as_stream=_as_stream,
    streams=_STREAMS,
    shaped=_SHAPED,
    failures=(
        _error(BadRequestError, 400, "INVALID_ARGUMENT", "Bad field"),
        _error(AuthenticationError, 400, "INVALID_ARGUMENT", "Renew it.", {"reason": "API_KEY_INVALID"}),
        _error(
            ContextWindowExceededError, 400, "INVALID_ARGUMENT",
            "The input token count (2) exceeds the maximum number of tokens allowed (1).",
        ),
        _error(PermissionDeniedError, 400, "FAILED_PRECONDITION", "User location is not supported."),
        _error(PermissionDeniedError, 403, "PERMISSION_DENIED", "Not for you"),
        _error(NotFoundError, 404, "NOT_FOUND", "models/x is not found"),
        _error(RateLimitError, 429, "RESOURCE_EXHAUSTED", "Slow down"),
        _error(
            RateLimitError, 429, "RESOURCE_EXHAUSTED", "You exceeded your current quota",
            {"violations": [{"quotaId": "RequestsPerModelPerMinute"}]},
        ),
        _error(
            QuotaExhaustedError, 429, "RESOURCE_EXHAUSTED", "You exceeded your current quota",
            {"violations": [{"quotaId": "RequestsPerModelPerDay"}]},
        ),
        _error(ServerError, 499, "CANCELLED", "The operation was cancelled."),
        _error(ServerError, 500, "INTERNAL", "Sorry"),
        _error(OverloadedError, 503, "UNAVAILABLE", "The model is overloaded."),
        _error(ServerError, 504, "DEADLINE_EXCEEDED", "Too slow"),
    ),
    broken_off=(events(_BUSY, done=False), OverloadedError),
    played_back=_played_back,
    api="gemini_generate",
    arguments=_arguments,
    plain=_plain,
    unsayable=_nothing,
    embeddings="gemini_embeddings",
)  # fmt: skip
