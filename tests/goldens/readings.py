"""What a codec makes of what its host sends, each reading the proof of a mark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from polyroute import BadRequestError, ChatResponse, ProviderError, ReadError
from tests.conformance.driving import call, gathered, told
from tests.conformance.format import JSON
from tests.goldens.dialects import Dialect
from tests.goldens.replies import THOUGHT

__all__ = [
    "Reading",
    "both_choices",
    "calls",
    "calls_in_pieces",
    "comments_in_between",
    "error_in_between",
    "no_end",
    "odds",
    "read_from_a_cache",
    "thought",
    "thought_in_pieces",
    "usage_in_pieces",
]

Reading: TypeAlias = Callable[[Dialect], bool]


def calls(dialect: Dialect) -> bool:
    """Two calls are told apart, and their arguments are read."""
    return _are_both(_whole(dialect, dialect.replies.calls))


def calls_in_pieces(dialect: Dialect) -> bool:
    """So they are where they come piece by piece."""
    return _are_both(_in_pieces(dialect, dialect.replies.calls))


def thought(dialect: Dialect) -> bool:
    """What was thought stands apart from what was said."""
    body = dialect.replies.thought
    return body is not None and _stands_apart(_whole(dialect, body))


def thought_in_pieces(dialect: Dialect) -> bool:
    """So it does where it comes piece by piece."""
    body = dialect.replies.thought
    return body is not None and _stands_apart(_in_pieces(dialect, body))


def odds(dialect: Dialect) -> bool:
    """How likely a word was stands beside it."""
    body = dialect.replies.logprobs
    if body is None:
        return False
    return [(each.token, each.logprob) for each in _whole(dialect, body).logprobs or ()] == [("hi", -0.5)]


def both_choices(dialect: Dialect) -> bool:
    """Two answers to one question are both there."""
    body = dialect.replies.choices
    return body is not None and [each.text for each in _whole(dialect, body).choices] == ["hi", "ho"]


def read_from_a_cache(dialect: Dialect) -> bool:
    """The whole prompt is counted, and of it what was read from a cache."""
    body = dialect.replies.cached
    if body is None:
        return False
    usage = _whole(dialect, body).usage
    return (usage.input_tokens, usage.cached_input_tokens) == (9, 7)


def usage_in_pieces(dialect: Dialect) -> bool:
    """A stream's tokens are counted as those of a whole reply."""
    body = dialect.format.answer("Once upon a time")
    usage = _in_pieces(dialect, body).usage
    return usage == _whole(dialect, body).usage and (usage.input_tokens, usage.output_tokens) == (9, 3)


def comments_in_between(dialect: Dialect) -> bool:
    """What a host keeps a stream open with is none of its words."""
    comment = dialect.comment
    if comment is None:
        return False
    stream = _stream(dialect, dialect.format.answer("Once upon a time"))
    kept_open = comment + re.sub(rb"\n\r?\n", lambda end: end[0] + comment, stream)
    return _told(dialect, kept_open) == _told(dialect, stream)


def error_in_between(dialect: Dialect) -> bool:
    """An error after the first words is an error of its own class, with the status that it stands for."""
    event, kind = dialect.format.broken_off
    chunks, error = told(*dialect.wire(), [_begun(dialect) + event])
    said = "".join(chunk.text for chunk in chunks)
    assert isinstance(error, ProviderError | BadRequestError)
    return bool(said) and type(error) is kind and error.status is not None


def no_end(dialect: Dialect) -> bool:
    """A stream that ends without its terminator was cut, however well what came can be read."""
    chunks, error = told(*dialect.wire(), [_begun(dialect)])
    return bool("".join(chunk.text for chunk in chunks)) and type(error) is ReadError


def _are_both(reply: ChatResponse[Any]) -> bool:
    told = [(each.name, each.arguments) for each in reply.tool_calls]
    apart = len({each.id for each in reply.tool_calls}) == 2
    return apart and told == [("clock", {}), ("weather", {"place": "Zürich"})]


def _stands_apart(reply: ChatResponse[Any]) -> bool:
    return (reply.reasoning, reply.text) == (THOUGHT, "hi")


def _whole(dialect: Dialect, body: JSON) -> ChatResponse[Any]:
    deployment, wire = dialect.wire()
    return wire.decode(json.dumps(body).encode(), call(deployment))


def _in_pieces(dialect: Dialect, body: JSON) -> ChatResponse[Any]:
    chunks, error = told(*dialect.wire(), [_stream(dialect, body)])
    assert error is None
    return gathered(chunks)


def _stream(dialect: Dialect, body: JSON) -> bytes:
    return dialect.format.as_stream(body, Random(1))


def _told(dialect: Dialect, stream: bytes) -> object:
    return told(*dialect.wire(), [stream])


def _begun(dialect: Dialect) -> bytes:
    """A stream up to its first words."""
    stream = _stream(dialect, dialect.format.answer("Once upon a time"))
    deployment, wire = dialect.wire()
    decoders = ((wire.stream_decoder(call(deployment)), end) for end in range(1, len(stream)))
    return next(
        stream[:end] for decoder, end in decoders if any(each.text for each in decoder.feed(stream[:end]))
    )
