"""`python -m polyroute` is the `polyroute` command."""

from __future__ import annotations

from polyroute.cli import main

if __name__ == "__main__":
    main()
