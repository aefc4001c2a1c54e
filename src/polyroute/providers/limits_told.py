"""What a host says of its limits in the headers of a reply, in every form that hosts have for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Literal, TypeAlias

from polyroute.providers.hints import duration
from polyroute.replies import RateLimits, RateWindow

__all__ = ["limits_told"]

_Of: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_SPANS = {"10-second": 10.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "month": 30 * 86_400.0}
_FIELDS = ("limit", "remaining", "reset", "renewalperiod")

# A header's name with {} in the place of the field, what the limit counts, and the seconds it spans.
_FORMS: tuple[tuple[str, _Of, float | None], ...] = (
    # OpenAI, Azure, Groq and xAI. Requests are by the day at Groq and by the minute elsewhere.
    ("x-ratelimit-{}-requests", "requests", None),
    ("x-ratelimit-{}-tokens", "tokens", None),
    ("x-ratelimit-{}-tokens_usage_based", "tokens", None),
    ("x-ratelimit-{}-project-tokens", "tokens", None),
    # Anthropic.
    ("anthropic-ratelimit-requests-{}", "requests", None),
    ("anthropic-ratelimit-tokens-{}", "tokens", None),
    ("anthropic-ratelimit-input-tokens-{}", "input_tokens", None),
    ("anthropic-ratelimit-output-tokens-{}", "output_tokens", None),
    # Cerebras and SambaNova; Mistral, which calls requests `req`.
    *((f"x-ratelimit-{{}}-requests-{name}", "requests", span) for name, span in _SPANS.items()),
    *((f"x-ratelimit-{{}}-req-{name}", "requests", span) for name, span in _SPANS.items()),
    *((f"x-ratelimit-{{}}-tokens-{name}", "tokens", span) for name, span in _SPANS.items()),
    # Mistral as it was.
    ("ratelimitbysize-{}", "tokens", None),
    ("x-ratelimitbysize-{}", "tokens", None),
    *((f"x-ratelimitbysize-{{}}-{name}", "tokens", span) for name, span in _SPANS.items()),
    # Fireworks.
    ("x-ratelimit-{}-tokens-prompt", "input_tokens", None),
    ("x-ratelimit-{}-tokens-generated", "output_tokens", None),
    # OpenRouter, GitHub and Together.
    ("x-ratelimit-{}", "requests", None),
    ("ratelimit-{}", "requests", None),
    ("x-tokenlimit-{}", "tokens", None),
    # Cohere, for keys on trial.
    ("x-trial-endpoint-call-{}", "requests", 60.0),
)

_NAMES = {form.format(field): (row, field) for row, (form, _, _) in enumerate(_FORMS) for field in _FIELDS}


def limits_told(headers: Mapping[str, str], *, clock: Callable[[], float] | None = None) -> RateLimits | None:
    """The limits that *headers*, their names in lower case, speak of; None where they speak of none.

    What cannot be read is taken for not said. Moments are read as by `retry_after`.
    """
    said: dict[int, dict[str, str]] = {}
    for name, value in headers.items():
        if (known := _NAMES.get(name)) is not None:
            row, field = known
            said.setdefault(row, {})[field] = value
    windows = tuple(_windows(said, headers, clock))
    return RateLimits(windows) if windows else None


def _windows(
    said: Mapping[int, Mapping[str, str]], headers: Mapping[str, str], clock: Callable[[], float] | None
) -> Iterator[RateWindow]:
    for row, fields in said.items():
        _, of, span = _FORMS[row]
        limit = _count(fields.get("limit"))
        remaining = _count(fields.get("remaining"))
        if limit == 0 or (limit is None and remaining is None):
            continue  # Of a limit of nothing no share can be left: it stands for none.
        span = _count(fields.get("renewalperiod")) or span
        reset = duration(fields["reset"], headers, clock) if "reset" in fields else None
        if reset is not None and span is not None:
            # Azure gives milliseconds for some models and seconds for others, and does not say which.
            reset = min(reset, span)
        yield RateWindow(of, limit, remaining, reset, span)


def _count(value: str | None) -> int | None:
    """A whole number that is 0 or more; some hosts say -1 for what they do not know."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return int(number) if number >= 0 and isfinite(number) else None
