"""The public surface: every name is there, from one place, and nothing is loaded before its time."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import polyroute
import polyroute.testing


def test_every_public_name_is_listed_once_and_found():
    assert sorted(polyroute.__all__) == sorted(set(polyroute.__all__))
    assert set(polyroute.__all__) == set(polyroute._MODULES)
    for name in polyroute.__all__:
        value = getattr(polyroute, name)
        assert value is getattr(importlib.import_module(polyroute._MODULES[name]), name)
    assert set(polyroute.__all__) <= set(dir(polyroute))


def test_checkers_see_the_same_names():
    source = inspect.getsource(polyroute)
    block = source.split("if TYPE_CHECKING:")[1].split("__all__")[0]
    seen = {
        word.strip()
        for part in block.split("import (")[1:]
        for word in part.split(")")[0].split(",")
        if word.strip()
    }
    seen |= {
        line.rsplit(" import ")[1].strip()
        for line in block.splitlines()
        if " import " in line and "(" not in line
    }
    assert seen == set(polyroute.__all__)


def test_every_error_and_every_protocol_is_public():
    from polyroute import errors, protocols

    assert set(errors.__all__) <= set(polyroute.__all__)
    assert set(protocols.__all__) - {"Verdict"} <= set(polyroute.__all__)


@pytest.mark.parametrize(
    "name", [name for name in polyroute.__all__ if name[0].isupper() and name != "HOSTS"]
)
def test_every_public_name_has_a_docstring(name):
    assert inspect.getdoc(getattr(polyroute, name))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Routr"):
        _ = polyroute.Routr


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_itself_loads_next_to_nothing():
    assert {name for name in loaded_by("import polyroute") if name.startswith("polyroute")} == {"polyroute"}


def test_the_router_loads_no_heavy_part_before_it_is_needed():
    loaded = loaded_by("from polyroute import Router")
    heavy = {
        "httpx",
        "httpcore",
        "h11",
        "pydantic",
        "pydantic_core",
        "tiktoken",
        "opentelemetry",
        "rich",
        "typer",
    }
    assert not loaded & heavy
    made = loaded_by(
        "from polyroute import Router, Deployment; from polyroute.testing import FakeProvider;"
        "Router([Deployment('fake/a', provider=FakeProvider())])"
    )
    assert not made & heavy


def test_nothing_runs_at_import_and_nothing_is_global():
    assert not loaded_by("import polyroute.router") & {"asyncio", "ssl"} - loaded_by("import anyio")


def test_the_package_says_that_it_is_typed():
    from importlib.resources import files

    assert files("polyroute").joinpath("py.typed").is_file()
    assert {"FakeProvider", "Refused", "check_provider", "simulate"} <= set(polyroute.testing.__all__)
