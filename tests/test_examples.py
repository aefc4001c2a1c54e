"""Every example runs as a user would run it, against a host on loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulated_host import answer
from tests.wire_server import WireServer

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example):
    for library in re.findall(r"it needs `pip install (\w+)`", example.read_text()):
        pytest.importorskip(library, reason=f"{library} is not installed here; `nox -s interop` installs it")
    with WireServer(answer) as server:
        environment = os.environ | {
            "OPENAI_API_KEY": "sk-for-examples",
            "OPENAI_BASE_URL": f"{server.url}/v1",
        }
        environment.pop("GROQ_API_KEY", None)
        tested = example.name.startswith("test_")
        command = [sys.executable, *(["-m", "pytest", "-q"] if tested else ["-W", "error"]), str(example)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
