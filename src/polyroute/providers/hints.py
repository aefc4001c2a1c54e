"""How long a host asks to be left alone: every form of Retry-After and of rate limits' resets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from polyroute.providers.json_bodies import listed

__all__ = ["duration", "retry_after", "retry_delay"]

_LONGEST = 7 * 24 * 3600.0  # a hint beyond a week is as good as never
_EPOCH = 1e9  # a number above this is a moment, not a length

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_RETRY_IN = re.compile(r"[Rr]etry (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|s|m|h))+|\d+(?= seconds?\b))")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def retry_after(
    headers: Mapping[str, str], *, resets: bool = True, clock: Callable[[], float] | None = None
) -> float | None:
    """Seconds until the host wants to be asked again; None where it does not say.

    In this order: `retry-after-ms`, `retry-after` (seconds or an HTTP date, RFC 9110, 10.2.3) and,
    with *resets*, the resets of the limits that are used up. Dates are read against the reply's own
    `Date`, since clocks differ; where it has none, against *clock*. What cannot be read is not a hint.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds:  # Azure sends 0 beside a Retry-After that means something.
        return _bounded(milliseconds / 1000)
    if (given := headers.get("retry-after")) is not None:
        seconds = _number(given)
        asked = seconds if seconds is not None else _until(given, headers, clock)
        if asked is not None:
            return _bounded(asked)
    return _reset(headers, clock) if resets else None


def retry_delay(error: Mapping[str, Any]) -> float | None:
    """Seconds that an error's body asks for: Google in its details, and in its words to the fraction;
    Azure in its words; OpenRouter in the headers that it would have sent."""
    behind = error.get("metadata")
    sent = cast("dict[str, object]", behind).get("headers") if isinstance(behind, dict) else None
    if isinstance(sent, dict):
        headers = cast("dict[str, object]", sent)
        return retry_after({name.lower(): str(value) for name, value in headers.items()})
    words = _RETRY_IN.search(str(error.get("message") or ""))
    told = [each["retryDelay"] for each in listed(error.get("details")) if "retryDelay" in each]
    waits = [duration(str(each), {}) for each in (*told, *(words.groups() if words else ()))]
    known = [wait for wait in waits if wait is not None]
    return _bounded(max(known)) if known else None


def _reset(headers: Mapping[str, str], clock: Callable[[], float] | None) -> float | None:
    """Seconds until the limits that are used up are not; where none says so, until the first reset."""
    waits = {
        name: wait
        for name, value in headers.items()
        if "ratelimit" in name and "reset" in name and (wait := duration(value, headers, clock)) is not None
    }
    used_up = [
        wait for name, wait in waits.items() if _number(headers.get(name.replace("reset", "remaining"))) == 0
    ]
    if used_up:
        return _bounded(max(used_up))
    return _bounded(min(waits.values())) if waits else None


def duration(
    value: str, headers: Mapping[str, str], clock: Callable[[], float] | None = None
) -> float | None:
    """Seconds that a reset stands for: `6m0s`, `12ms`, `7`, `7.5`, a moment since the epoch in
    seconds or milliseconds, or a date."""
    value = value.strip()
    if _DURATION.fullmatch(value):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PIECE.findall(value))
    number = _number(value)
    if number is None:
        return _until(value, headers, clock)
    if number < _EPOCH:
        return number
    moment = number / 1000 if number > _EPOCH * 1000 else number
    return max(moment - _now(headers, clock), 0.0)


def _until(value: str, headers: Mapping[str, str], clock: Callable[[], float] | None) -> float | None:
    moment = _moment(value)
    return None if moment is None else max(moment - _now(headers, clock), 0.0)


def _now(headers: Mapping[str, str], clock: Callable[[], float] | None) -> float:
    date = _moment(headers.get("date", ""))
    return (clock or time.time)() if date is None else date


def _moment(value: str) -> float | None:
    """Seconds since the epoch of an HTTP date or an RFC 3339 one."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return moment.timestamp()
        except (ValueError, OverflowError, TypeError):
            continue
    return None


def _number(value: str | None) -> float | None:
    """A number that is a length of time; None for what is none, is negative or is not finite."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if number >= 0 else None  # which "nan" is not either


def _bounded(seconds: float) -> float:
    return min(seconds, _LONGEST)
