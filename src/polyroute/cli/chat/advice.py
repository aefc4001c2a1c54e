"""An error in one line: what happened, to whom, and what to do next."""

from __future__ import annotations

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    AuthenticationError,
    ConnectError,
    ContentFilterError,
    ContextWindowExceededError,
    DeadlineExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    ReadError,
    ResponseDecodeError,
    ServerError,
    StreamInterruptedError,
    UnknownModelError,
)
from polyroute.cli.words import one_line
from polyroute.providers.hosts import HOSTS

__all__ = ["told"]


def told(error: PolyrouteError) -> str:
    """What happened, and what to do where the error does not say it itself."""
    text = one_line(str(error)) or type(error).__name__
    advice = _advice(error.__cause__ if isinstance(error, AllAttemptsFailedError) else error)
    return f"{text.removesuffix('.')}. {advice}" if advice else text


def _advice(error: BaseException | None) -> str:
    match error:
        case AuthenticationError() | PermissionDeniedError():
            return f"Check {_key_of(error.deployment)}."
        case NotFoundError():
            return "Check the model's name; --explain shows who is asked."
        case QuotaExhaustedError():
            return "Add credit there, or name somebody else with --model."
        case RateLimitError():
            wait = "a while" if error.retry_after is None else f"{error.retry_after:.0f} s"
            return f"Wait {wait}, or name a stand-in with another --model."
        case ConnectError():
            return "Check the network and the address (--base-url), or name a stand-in with another --model."
        case AttemptTimeoutError() | OverloadedError() | ServerError() | ReadError():
            return "Ask again, or name a stand-in with another --model."
        case ResponseDecodeError():
            return "Check that the address speaks OpenAI's chat completions; --verbose shows more."
        case DeadlineExceededError():
            return "Give it longer with --timeout."
        case StreamInterruptedError():
            return "The text above is not whole; ask again."
        case ContextWindowExceededError():
            return "Shorten the question, or name a model with a larger window."
        case ContentFilterError():
            return "Say it in other words, or name a model of another provider."
        case UnknownModelError():
            return 'A model is named "provider/model".'
        case _:
            return ""


def _key_of(deployment: str | None) -> str:
    """Where the key of *deployment* comes from, as a reader of the message can look for it."""
    host = HOSTS.get((deployment or "").partition("/")[0])
    return f"the key in {host.key_variable}" if host and host.key_variable else "the key"
