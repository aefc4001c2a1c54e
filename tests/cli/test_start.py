"""The command starts, and says what is missing where it cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from polyroute import __version__
from polyroute.cli import main
from polyroute.cli.app import app

BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
from polyroute.cli import main
main()
"""


def run(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)


def test_the_package_of_the_command_loads_neither_typer_nor_rich():
    done = run("import sys, polyroute.cli; print({'typer', 'rich', 'httpx'} & set(sys.modules))")

    assert done.stdout == "set()\n"


def test_without_the_extra_one_line_says_what_to_install():
    for module in ("typer", "rich"):
        done = run(BLOCKED.format(module=module))

        assert done.returncode == 1
        assert done.stderr == f"polyroute: the command line needs {module}: pip install 'polyroute[cli]'\n"
        assert not done.stdout


def test_another_missing_module_is_not_taken_for_the_extra():
    done = run(BLOCKED.format(module="anyio"))

    assert "polyroute[cli]" not in done.stderr
    assert "No module named 'anyio'" in done.stderr


def test_the_program_ends_with_the_status_of_its_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["polyroute", "demo", "--calls", "0"])

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 2


@pytest.mark.parametrize(("module", "status"), [("typer", SystemExit), ("anyio", ModuleNotFoundError)])
def test_what_is_missing_is_told_apart(monkeypatch, capsys, module, status):
    for name in list(sys.modules):
        if name.startswith("polyroute.cli."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(status):
        main()

    assert ("pip install 'polyroute[cli]'" in capsys.readouterr().err) is (module == "typer")


def test_the_version_is_printed():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"{__version__}\n"


def test_the_help_names_both_commands():
    shown = CliRunner().invoke(app, ["-h"]).stdout

    assert "chat" in shown
    assert "demo" in shown
