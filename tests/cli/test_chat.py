"""`polyroute chat` from the command line to a host and back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import StringIO

import pytest
import typer
from typer.testing import CliRunner, Result

from polyroute.cli.app import app
from polyroute.cli.chat.stdin import question_from
from tests.cli.loopback import ANSWER, Host


def chat(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["chat", *arguments], input=stdin)


def at(host: Host, *models: str) -> list[str]:
    named = [part for model in models or ("tiny",) for part in ("--model", model)]
    return ["--base-url", host.base_url, *named]


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_the_answer_goes_to_stdout_and_what_it_took_to_stderr(host, way):
    done = chat("Why is the sky blue?", *at(host), way)

    assert done.exit_code == 0
    assert done.stdout == ANSWER + "\n"
    assert done.stderr.startswith("compatible/tiny · 12 tokens in, 8 out · ")
    assert done.stderr.count("\n") == 1
    assert host.asked[0].get("stream", False) is (way == "--stream")


def test_the_options_reach_the_host(host):
    chat("hi", *at(host), "--system", "Be brief.", "--max-tokens", "9", "--temperature", "0.5")

    assert host.asked[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert host.asked[0]["temperature"] == 0.5
    assert 9 in host.asked[0].values()


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_the_question_comes_from_stdin(host, arguments):
    done = chat(*arguments, *at(host), stdin="Why is\nthe sky blue?")

    assert done.exit_code == 0
    assert host.asked[0]["messages"][0]["content"] == "Why is\nthe sky blue?"


def test_at_a_terminal_without_a_question_one_is_asked_for(monkeypatch):
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(typer.BadParameter, match="ask something, such as: polyroute chat"):
        question_from(None)


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["  "], None, "the question is empty"),
        ([], "", "the question is empty"),
        (["-"], b"\xff\xfe", "stdin is no UTF-8 text"),
        (["hi", "--json", "--stream"], None, "leave out --stream"),
        (["hi", "--max-tokens", "0"], None, "--max-tokens"),
        (["hi", "--temprature", "1"], None, "--temprature"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_a_usage_error(arguments, stdin, said):
    done = chat(*arguments, stdin=stdin)

    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_the_next_model_stands_in_and_the_line_says_so(host):
    host.statuses = [503]

    done = chat("hi", *at(host, "one", "two"))

    assert done.exit_code == 0
    assert [body["model"] for body in host.asked] == ["one", "two"]
    assert done.stderr.startswith("compatible/two · ")
    assert done.stderr.endswith(" · 2 attempts (compatible/one: OverloadedError)\n")


def test_the_model_may_come_from_the_environment(host, monkeypatch):
    monkeypatch.setenv("POLYROUTE_MODEL", "one, two")
    host.statuses = [503]

    done = chat("hi", "--base-url", host.base_url)

    assert done.exit_code == 0
    assert [body["model"] for body in host.asked] == ["one", "two"]


def test_where_nobody_is_named_the_first_provider_with_a_key_is_asked(host, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", host.base_url)
    monkeypatch.setenv("GROQ_API_KEY", "other")

    done = chat("hi")

    assert done.exit_code == 0
    assert host.asked[0]["model"] == "gpt-5-mini"
    assert host.keys == ["Bearer sk-test"]


def test_json_holds_the_reply_its_usage_and_its_trace(host):
    host.statuses = [503]

    done = chat("hi", *at(host, "one", "two"), "--json")

    reply = json.loads(done.stdout)
    assert reply["text"] == ANSWER
    assert (reply["deployment"], reply["model"], reply["cost"]) == ("compatible/two", "tiny", None)
    assert reply["usage"]["input_tokens"] == 12
    assert [each["kind"] for each in reply["trace"]["attempts"]] == ["first", "fallback"]
    assert reply["trace"]["attempts"][0]["error"]["type"] == "OverloadedError"
    assert reply["trace"]["decision"]["ranking"][0]["deployment"] == "compatible/one"


def test_explain_asks_nobody_and_says_who_is_left_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    done = chat("hi", "--model", "mistral/small", "--model", "openai/gpt-5-mini", "--explain")

    assert done.exit_code == 0
    assert done.stdout == (
        "1. openai/gpt-5-mini: the first in order\n-  mistral/small: no key: set MISTRAL_API_KEY\n"
    )


def test_explain_fails_where_nobody_could_serve():
    done = chat("hi", "--model", "mistral/small", "--explain", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["ranking"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nobody to ask: set a provider's key (OPENAI_API_KEY, "),
        (["--model", "openai/gpt-5-mini"], "no key: set OPENAI_API_KEY"),
        (["--model", "opanai/gpt-5-mini"], "did you mean 'openai'?"),
        (["--base-url", "http://127.0.0.1:1/v1"], "name the host's model with --model"),
        (["--base-url", "ftp://host", "--model", "x"], "base_url is an http(s) address"),
    ],
)
def test_wiring_that_is_wrong_is_one_line_that_says_what_to_do(arguments, said):
    done = chat("hi", *arguments)

    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.startswith("polyroute: ")
    assert done.stderr.count("\n") == 1


def test_what_the_host_refuses_is_one_line_without_a_traceback(host):
    host.statuses = [404]

    done = chat("hi", *at(host))

    assert done.exit_code == 1
    assert not done.stdout
    assert "it is as it is" in done.stderr
    assert done.stderr.endswith("Check the model's name; --explain shows who is asked.\n")
    assert done.stderr.count("\n") == 1


def test_verbose_tells_each_attempt_and_shows_the_traceback(host):
    host.statuses = [404, 404]

    done = chat("hi", *at(host, "one", "two"), "--verbose")

    assert done.exit_code == 1
    assert "compatible/one: NotFoundError 404" in done.stderr
    assert "Traceback" in done.stderr


def test_a_stream_that_breaks_leaves_what_came_and_then_says_so(host):
    host.cuts = True

    done = chat("hi", *at(host), "--stream")

    assert done.exit_code == 1
    assert done.stdout == "Because **air**\n"
    assert "The text above is not whole; ask again." in done.stderr


def test_a_cut_answer_is_said_to_be_cut(host):
    host.finish_reason = "length"

    done = chat("hi", *at(host), "--max-tokens", "3")

    assert done.exit_code == 0
    assert "cut short; a larger --max-tokens helps" in done.stderr


def test_ctrl_c_ends_it_with_130_and_without_a_traceback(host):
    host.hangs = True
    # Tests that run in the background of a shell have the signal ignored, and what they start inherits it.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    programme = f"{heeding}; from polyroute.cli import main; main()"
    command = [sys.executable, "-c", programme, "chat", "hi", *at(host)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert host.came.wait(timeout=20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert (out, err) == ("", "")
