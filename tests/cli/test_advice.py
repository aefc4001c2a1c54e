"""Every error in one line that says what to do next."""

from __future__ import annotations

import pytest

from polyroute import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextWindowExceededError,
    DeadlineExceededError,
    OverloadedError,
    PermissionDeniedError,
    PolyrouteError,
    QuotaExhaustedError,
    RateLimitError,
    ResponseDecodeError,
    UnknownModelError,
)
from polyroute.cli.chat.advice import told


def all_failed(cause: PolyrouteError) -> AllAttemptsFailedError:
    error = AllAttemptsFailedError("1 attempt failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (AuthenticationError("no", deployment="openai/gpt-5-mini"), "Check the key in OPENAI_API_KEY."),
        (PermissionDeniedError("no", deployment="mine"), "Check the key."),
        (QuotaExhaustedError("no"), "Add credit there"),
        (RateLimitError("no", retry_after=12.3), "Wait 12 s, or name a stand-in"),
        (RateLimitError("no"), "Wait a while, or name a stand-in"),
        (ConnectError("no"), "Check the network and the address (--base-url)"),
        (AttemptTimeoutError("no"), "Ask again"),
        (OverloadedError("no"), "Ask again"),
        (ResponseDecodeError("no"), "Check that the address speaks OpenAI's chat completions"),
    ],
)
def test_after_failed_attempts_the_last_one_says_what_to_do(cause, advice):
    assert told(all_failed(cause)).startswith(f"1 attempt failed. {advice}")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DeadlineExceededError("too late."), "too late. Give it longer with --timeout."),
        (ContextWindowExceededError("too long"), "too long. Shorten the question, or name a model with a larger window."),
        (ContentFilterError("no"), "no. Say it in other words, or name a model of another provider."),
        (UnknownModelError("what?"), 'what?. A model is named "provider/model".'),
        (ConfigurationError("set A"), "set A"),
        (ConfigurationError(), "ConfigurationError"),
        (all_failed(PolyrouteError("?")), "1 attempt failed"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(error, line):
    assert told(error) == line


def test_what_a_host_says_cannot_command_the_terminal():
    assert told(ConfigurationError("a\nb\x1b[2Jc")) == "a b[2Jc"
