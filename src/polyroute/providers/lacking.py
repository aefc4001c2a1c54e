"""Which capability a model has not, where its host says so as it refuses a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from polyroute.capabilities import ARGUMENTS

__all__ = ["lacking"]

# What hosts call our arguments.
_OURS: Mapping[str, str] = MappingProxyType(
    {
        "max_completion_tokens": "max_tokens",
        "max_output_tokens": "max_tokens",
        "top_logprobs": "logprobs",
        "stop_sequences": "stop",
        "stopsequences": "stop",
        "random_seed": "seed",
        "topp": "top_p",
        "topk": "top_k",
        "p": "top_p",
        "k": "top_k",
        "thinking": "reasoning_effort",
        "thinking_config": "reasoning_effort",
        "thinkingconfig": "reasoning_effort",
        "reasoning": "reasoning_effort",
        "reasoning.effort": "reasoning_effort",
        "functions": "tools",
        "function_call": "tool_choice",
        "output_dimension": "dimensions",
        "outputdimensionality": "dimensions",
    }
)

_NOT = r"(?:(?:does|do) not|doesn't|don't|cannot|can't) (?:currently )?(?:support|accept|take)"
_IS_NOT = r"(?:is|are) (?:not|only) (?:yet |currently )?(?:supported|allowed|available)"

# The first that is found counts. A name in quotes is an argument's.
_NAMED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"unsupported parameter:? ['\"`]?([\w.]+)",
        r"unsupported value: ['\"`]([\w.]+)['\"`].{0,80}only the default",
        r"unrecognized request arguments? supplied: ([\w.]+)",
        rf"(?:parameter|argument|field):? ['\"`]?([\w.]+)['\"`]? {_IS_NOT}",
        rf"['\"`]([\w.]+)['\"`] {_IS_NOT}",
        r"['\"`]([\w.]+)['\"`] is deprecated for this model",
        rf"{_NOT} (?:the )?(?:parameter |argument )?['\"`]([\w.]+)['\"`]",
        r"['\"`]([\w.]+)['\"`]:? unsupported parameter",
    )
)
_TOLD = tuple(
    (re.compile(pattern, re.IGNORECASE), capability)
    for pattern, capability in (
        (rf"{_NOT} (?:the use of )?(?:tool|function)s?\b|(?:tool|function)[ -](?:use|call(?:ing|s)?) {_IS_NOT}", "tools"),
        (rf"{_NOT} (?:image|vision)|image(?:_url| input)?s? {_IS_NOT}|is not a (?:multimodal|vision) model", "images"),
        (rf"{_NOT} audio|audio(?: input)?s? {_IS_NOT}", "audio"),
        (rf"{_NOT} (?:pdf|file|document)|(?:pdf|file|document)(?: input)?s? {_IS_NOT}", "files"),
        (rf"{_NOT} (?:json[_ ]schema|structured outputs?)|json_schema['\"`]? {_IS_NOT}", "json_schema"),
        (rf"{_NOT} json[_ ](?:object|mode)|json_object['\"`]? {_IS_NOT}", "json_object"),
        (rf"{_NOT} (?:thinking|reasoning)|(?:thinking|reasoning) {_IS_NOT}", "reasoning_effort"),
    )
)  # fmt: skip


# What goes together with another thing only, or by another name, is there all the same.
_CONDITIONAL = re.compile(
    r"\b(?:when|together|combin\w+|unless|while|if|both|instead|at the same time)\b", re.IGNORECASE
)


def lacking(words: str) -> str | None:
    """The capability that a refusal in these *words* names as missing; None where it names none.

    It reads what is about the model, and leaves what is about a value that the caller can mend.
    """
    if _CONDITIONAL.search(words):
        return None
    told = next((capability for pattern, capability in _TOLD if pattern.search(words)), None)
    if told is not None:
        return told
    found = next(filter(None, (pattern.search(words) for pattern in _NAMED)), None)
    if found is None:
        return None
    name = found[1].rstrip(".").lower()
    ours = _OURS.get(name, name)
    return ours if ours in ARGUMENTS else None
