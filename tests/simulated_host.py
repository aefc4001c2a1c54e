"""An OpenAI-like host that answers whatever documentation and examples ask of it."""

from __future__ import annotations

from typing import Any

from tests.wire_server import Answer, Asked, events

USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}


def answer(asked: Asked) -> Answer:
    """A reply to chat completions, streamed or not: words, JSON of the schema, or a call of the tool. A
    GET is for the list of models."""
    if asked.method == "GET":
        return Answer.of({"data": [{"id": "gpt-5-mini"}]})
    body = asked.json
    message: dict[str, Any] = {"role": "assistant", "content": "Because of Rayleigh scattering."}
    if shape := body.get("response_format"):
        schema = shape.get("json_schema", {}).get("schema", {"type": "object"})
        message["content"] = _json(_instance(schema, schema))
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        function = body["tools"][0]["function"]
        arguments = _json(_instance(function["parameters"], function["parameters"]))
        call = {
            "id": "call_1",
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }
        message |= {"content": None, "tool_calls": [call]}
    head = {"id": "chatcmpl-1", "model": f"{body['model']}-2026-01-01"}
    finish = "tool_calls" if "tool_calls" in message else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return Answer.of(head | {"choices": [choice], "usage": USAGE})
    words = [f"{word} " for word in (message["content"] or "").split()]
    deltas = [{"role": "assistant"}, *({"content": word} for word in words)]
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append(head | {"choices": [], "usage": USAGE})
    return Answer(events(*chunks, "[DONE]"), framing="chunked", headers={"content-type": "text/event-stream"})


def _instance(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """The plainest value of a JSON schema."""
    if "$ref" in schema:
        return _instance(root["$defs"][schema["$ref"].rsplit("/")[-1]], root)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _instance(each, root) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}), root)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "Rome"


def _json(value: object) -> str:
    import json

    return json.dumps(value)
