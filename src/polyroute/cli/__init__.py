"""The `polyroute` command. It needs the `cli` extra; without it one line says what to install."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = ("rich", "typer")


def main() -> None:
    """Run the command that the program's arguments name, and exit with its status."""
    try:
        from polyroute.cli.app import app
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in _EXTRA:
            raise
        print(
            f"polyroute: the command line needs {exc.name}: pip install 'polyroute[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    app(prog_name="polyroute")
