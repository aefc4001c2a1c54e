"""What is asked of each host, word for word, as it was when somebody last read it."""

from __future__ import annotations

import json

import pytest

from tests.goldens.dialects import DIALECTS
from tests.goldens.golden import REQUESTS, UPDATING, laid_out

on_each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=str)


def in_words(golden):
    """Each part of a golden as its text, in which 1 is not 1.0."""
    return {name: {key: laid_out(value) for key, value in part.items()} for name, part in golden.items()}


@on_each_dialect
def test_each_host_is_asked_what_its_golden_says(dialect, made):
    path = REQUESTS / f"{dialect}.json"
    if UPDATING:
        path.write_text(laid_out(made[dialect.prefix]) + "\n")

    assert in_words(made[dialect.prefix]) == in_words(json.loads(path.read_text()))


def test_every_golden_has_its_dialect():
    assert {path.stem for path in REQUESTS.iterdir()} == {dialect.prefix for dialect in DIALECTS}
