"""What the page on applications says of gunicorn, with a real one: two workers, each with its own router."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.simulated_host import answer
from tests.wire_server import WireServer

PAGE = Path(__file__).parent.parent / "docs/howto/web-applications.md"


def block(mark: str) -> str:
    """The python block of the page that holds *mark*."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (one,) = [each for each in found if mark in each]
    return one


def asked(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        for _ in range(100):
            try:
                return client.post(url, params={"question": "Why is the sky blue?"})
            except httpx.ConnectError:
                time.sleep(0.1)  # A real process takes its real time to start.
    pytest.fail("gunicorn did not start")


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork")
def test_gunicorn_serves_the_application_of_the_page(tmp_path):
    (tmp_path / "application.py").write_text(block("lifespan=lifespan"))
    (tmp_path / "gunicorn.conf.py").write_text(block("preload_app"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with WireServer(answer) as host:
        environment = os.environ | {"OPENAI_API_KEY": "sk-nobody", "OPENAI_BASE_URL": f"{host.url}/v1"}
        command = [sys.executable, "-m", "gunicorn", "--bind", address, "application:app"]
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
            try:
                told = asked(f"http://{address}/tell")
                said = asked(f"http://{address}/ask")
            finally:
                process.terminate()
                _, log = process.communicate(timeout=20)

    assert said.json() == {"answer": "Because of Rayleigh scattering.", "answered_by": "openai/gpt-5-mini"}
    assert told.text.strip() == "Because of Rayleigh scattering."
    assert log.count(b"Booting worker") == 2
    assert b"Traceback" not in log
