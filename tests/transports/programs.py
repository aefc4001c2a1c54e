"""Programs that run in a process of their own, and nothing may be said of them but that they ended well."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

__all__ = ["FORKED_BETWEEN_TWO_LOOPS", "run_alone"]

_ROOT = Path(__file__).parents[2]

# A process that is forked while no event loop runs: parent, child and parent ask in turn.
FORKED_BETWEEN_TWO_LOOPS = """
    import asyncio, os, sys
    from polyroute import Deployment, Router

    router = Router([Deployment("openai/m", base_url=sys.argv[1], api_key="k")], transport=sys.argv[2])
    loop = asyncio.new_event_loop()

    def ask():
        assert loop.run_until_complete(router.chat("hi")).text

    async def in_child():
        assert (await router.chat("hi")).text
        await router.aclose()

    ask()
    child = os.fork()
    if not child:
        asyncio.run(in_child())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ask()
    loop.run_until_complete(router.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
"""


def run_alone(program: str, *arguments: str) -> None:
    """Run *program*, to which a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=_ROOT)
    assert (done.returncode, done.stderr) == (0, "")
