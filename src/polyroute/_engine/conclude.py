"""From what a provider filled in to a whole reply: the usage estimated where it was silent, the text parsed."""

from __future__ import annotations

from typing import Any

from polyroute.errors import OutputValidationError
from polyroute.gathered import Gathered
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.tokens import estimate_prompt, estimate_text
from polyroute.types import ChatRequest, EmbedRequest, Request, ResponseFormat, Usage, amended

__all__ = ["abandoned_usage", "flaw_of", "with_parsed", "with_prompt_usage", "with_usage"]

_SILENT = Usage()
_FLAWED = 0.5  # of a failure


def with_usage(request: ChatRequest, response: ChatResponse[Any]) -> ChatResponse[Any]:
    """The reply with its usage, ours where the provider told none."""
    usage = response.usage
    if not usage.input_tokens and not usage.output_tokens and usage == _SILENT:
        usage = Usage(estimate_prompt(request, response.model), _said(response), estimated=True)
        return amended(response, usage=usage)
    return response


def flaw_of(request: ChatRequest, response: ChatResponse[Any]) -> float:
    """How bad an answer is in itself, for its deployment's breaker: one that is empty, or that was cut
    before half of the room that it was given, counts half."""
    if response.finish_reason == "stop":
        said = response.text or response.tool_calls or response.refusal or response.parts
        return 0.0 if said or response.choices else _FLAWED
    if response.finish_reason == "length" and request.max_tokens is not None and not response.choices:
        return _FLAWED if response.usage.output_tokens < request.max_tokens / 2 else 0.0
    return 0.0


def with_parsed(request: ChatRequest, response: ChatResponse[Any]) -> ChatResponse[Any]:
    """The reply with `parsed`, where a shape was asked for.

    Raises:
        OutputValidationError: The text is not of the schema that was asked for.
    """
    shape = request.response_format
    if shape is None or shape.kind == "text":
        return response
    choices = tuple(amended(choice, parsed=_parsed(shape, choice)) for choice in response.choices)
    return amended(response, parsed=_parsed(shape, response), choices=choices)


def with_prompt_usage(request: EmbedRequest, response: EmbedResponse) -> EmbedResponse:
    """The vectors with their usage, ours where the provider told none."""
    if response.usage == _SILENT:
        return amended(response, usage=Usage(estimate_prompt(request, response.model), estimated=True))
    return response


def abandoned_usage(request: Request, gathered: Gathered | None) -> Usage:
    """What an attempt took of which the end was never seen: the host's word so far, or an estimate."""
    if gathered is not None and gathered.usage is not None:
        return gathered.usage
    if gathered is None:
        return Usage(estimate_prompt(request), estimated=True)
    begun = gathered.response()
    return Usage(estimate_prompt(request, begun.model), _said(begun), estimated=True)


def _said(response: ChatResponse[Any]) -> int:
    tokens = 0
    for choice in response.choices or (response,):
        for words in (choice.text, choice.reasoning, choice.refusal):
            if words:
                tokens += estimate_text(words, response.model)
        for call in choice.tool_calls:
            tokens += estimate_text(call.name + call.raw_arguments, response.model)
    return tokens


def _parsed(shape: ResponseFormat, reply: ChatResponse[Any]) -> Any:
    """The reply's text as what was asked for; None where it refuses or calls tools instead."""
    if reply.refusal is not None or (not reply.text and reply.finish_reason != "stop"):
        return None
    # pydantic is loaded where a shape is asked for, not before.
    from pydantic import ValidationError
    from pydantic_core import from_json

    try:
        if shape.model is not None:
            return shape.model.model_validate_json(reply.text)
        return from_json(reply.text)
    except ValidationError as exc:
        # Where and why, without the input: a reply may hold what should not be logged.
        faults = [
            f"{'.'.join(map(str, each['loc'])) or 'text'}: {each['msg']}"
            for each in exc.errors(include_input=False)
        ]
        why = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    except ValueError as exc:
        why = f"no JSON: {exc}"
    raise OutputValidationError(f"the reply is not of the schema {shape.name!r}: {why}", text=reply.text)
