"""What the page on the command line shows is what the command prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from polyroute.cli.app import app
from tests.cli.loopback import Host

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "command-line.md"
HOST = "http://127.0.0.1:8080/v1"


def commands() -> list[tuple[str, str]]:
    """Each command of the page's console blocks, with what it is said to print."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [
        (command, shown)
        for block in blocks
        for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
    ]


def told(text: str) -> str:
    """*text* without what differs from run to run or is cut on the page."""
    return re.sub(r"\d+\.\d\d s", "0.00 s", re.sub(r"\(built: .*\)", "(built: …)", text))


def test_each_command_of_the_page_prints_what_the_page_shows(host: Host):
    assert len(commands()) == 4
    for command, shown in commands():
        program, *arguments = shlex.split(command.replace(HOST, host.base_url))
        done = CliRunner().invoke(app, arguments)

        assert program == "polyroute"
        assert told(done.output) == told(shown)
