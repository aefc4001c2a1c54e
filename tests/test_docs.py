"""Every example in the README and the documentation is run, as it stands, against a host on loopback."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import anyio
import pytest

from polyroute import HOSTS
from tests.simulated_host import answer
from tests.wire_server import WireServer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_EXAMPLES = [page for page in PAGES if "```python" in page.read_text()]


def blocks(page: Path) -> list[str]:
    """The python blocks of a page, each at the line where it stands, so that a failure points there."""
    text = page.read_text()
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text[: match.start(1)].count("\n") + match.group(1) for match in found]


async def run(block: str, page: Path, names: dict[str, object]) -> None:
    code = compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if re.search(r"asyncio\.run\(|trio\.run\(|\.sync\(\)", block):
        await anyio.to_thread.run_sync(eval, code, names)  # it brings an event loop of its own
        return
    result = eval(code, names)
    if inspect.isawaitable(result):
        await result


@pytest.fixture
def host(monkeypatch):
    for each in HOSTS.values():
        if each.key_variable:
            monkeypatch.delenv(each.key_variable, raising=False)
    with WireServer(answer) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-for-documentation")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        yield server


def test_there_are_examples_to_run():
    assert len(WITH_EXAMPLES) >= 8
    assert sum(len(blocks(page)) for page in WITH_EXAMPLES) >= 30


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_in_order(page, host):
    """A page is one programme: what is imported or made above is there below."""
    for library in re.findall(r"\w+", "".join(re.findall(r"<!-- needs: (.*?) -->", page.read_text()))):
        pytest.importorskip(library, reason=f"{library} is not installed here; `nox -s interop` installs it")
    names: dict[str, object] = {"__name__": "__documentation__"}

    async def programme() -> None:
        for block in blocks(page):
            await run(block, page, names)

    anyio.run(programme)


def test_every_link_between_pages_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_readmes_two_commands_are_there():
    text = (ROOT / "README.md").read_text()
    for mark in ("demo", "tests"):
        assert re.search(rf"<!-- {mark} -->\n```sh\n[^`]+```", text)
