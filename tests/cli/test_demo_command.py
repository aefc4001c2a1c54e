"""`polyroute demo` as it is typed."""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from polyroute import Deployment
from polyroute.cli.app import app
from polyroute.cli.demo.command import Show, demo_status
from polyroute.cli.demo.prompts import bundled_prompts, cycled, prompts_in
from polyroute.cli.demo.real import announced, real_deployments, share_of
from polyroute.cli.models import SMALL_MODELS
from polyroute.providers.hosts import HOSTS, kinds_of


def test_it_ends_in_seconds_with_the_summary_last():
    command = [sys.executable, "-m", "polyroute", "demo", "--plain", "--calls", "40", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    last = done.stdout.rstrip("\n").rsplit("\n", 1)[-1]
    assert last.startswith("All 40 calls got an answer, ")
    assert last.endswith("% cheaper than zenith/grand.")


def test_without_a_terminal_lines_are_printed_and_the_status_is_0():
    done = CliRunner().invoke(app, ["demo", "--calls", "1", "--seconds", "1"])

    assert done.exit_code == 0
    last = done.stdout.rstrip("\n").rsplit("\n", 1)[-1]
    assert re.fullmatch(
        r"The call got an answer(, 1 past a failure)?, \d+% cheaper than zenith/grand\.", last
    )


class Failing(StringIO):
    """A file that fails once the run is under way."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self._failure = failure

    def write(self, text: str) -> int:
        if "in flight" in text:
            raise self._failure
        return super().write(text)


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_is_status_130(terminal):
    file = Failing(KeyboardInterrupt())
    console = Console(file=file, force_terminal=terminal, _environ={"TERM": "xterm"})

    assert demo_status(Show(["Why?"], calls=1, seconds=1), console) == 130


def test_a_reader_that_left_comes_out_as_itself():
    with pytest.raises(BrokenPipeError):
        demo_status(Show(["Why?"], calls=1, seconds=1), Console(file=Failing(BrokenPipeError())))


def test_a_file_of_prompts_is_asked_line_by_line(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("Why?\n\n  How?  \n", "utf-8")

    assert prompts_in(file) == ["Why?", "How?"]
    assert cycled(["Why?", "How?"], 3) == ["Why?", "How?", "Why?"]


@pytest.mark.parametrize(
    ("held", "said"), [(b" \n", "holds no prompt"), (b"\xff", "cannot be read as UTF-8")]
)
def test_a_file_without_prompts_is_a_usage_error(tmp_path, held, said):
    file = tmp_path / "p"
    file.write_bytes(held)

    done = CliRunner().invoke(app, ["demo", "--prompts", str(file)])

    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("arguments", [["--calls", "0"], ["--seconds", "60"], ["--prompts", "/no/such/file"]])
def test_what_cannot_be_shown_is_a_usage_error(arguments):
    assert CliRunner().invoke(app, ["demo", *arguments]).exit_code == 2


def test_the_bundled_prompts_are_many_and_each_another_one():
    prompts = bundled_prompts()

    assert 60 <= len(prompts) <= 100
    assert len(set(prompts)) == len(prompts)


def test_real_providers_are_those_whose_keys_are_set_and_it_is_said_before():
    real = real_deployments({"OPENAI_API_KEY": "sk-test", "GROQ_API_KEY": " ", "MISTRAL_API_KEY": "x"})

    assert [each.model for each in real] == ["openai/gpt-5-mini", "mistral/mistral-small-latest"]
    assert announced(real, 300) == (
        "--real: 20 calls of 300 go out to openai/gpt-5-mini and mistral/mistral-small-latest, "
        "at most 200 tokens each, on your account."
    )


def test_real_calls_are_few():
    assert [share_of(calls) for calls in (1, 15, 40, 300, 20_000)] == [1, 1, 3, 20, 20]


def test_each_small_model_is_one_that_its_host_can_chat_with():
    for prefix, model in SMALL_MODELS.items():
        assert HOSTS[prefix].key_variable
        assert "chat" in kinds_of(HOSTS[prefix], model)
        Deployment(f"{prefix}/{model}")
