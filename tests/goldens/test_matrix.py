"""The page about formats says what the goldens and the codecs prove, no more and no less."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.goldens import readings
from tests.goldens.dialects import DIALECTS
from tests.goldens.golden import UPDATING
from tests.goldens.matrix import tables
from tests.goldens.replies import Replies

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
BEGIN, END = "<!-- the matrix, made by tests/goldens -->\n\n", "\n\n<!-- its end -->\n"
BETWEEN = re.compile(rf"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)


def test_each_mark_on_the_page_is_proven_and_each_proof_has_its_mark(made):
    proven = tables(made)
    if UPDATING:
        PAGE.write_text(BETWEEN.sub(lambda _: proven, PAGE.read_text()))

    assert BETWEEN.findall(PAGE.read_text()) == [proven]


OF_REPLIES = (
    readings.calls,
    readings.calls_in_pieces,
    readings.thought,
    readings.thought_in_pieces,
    readings.odds,
    readings.both_choices,
    readings.read_from_a_cache,
)


@pytest.mark.parametrize("reading", OF_REPLIES, ids=lambda reading: reading.__name__)
@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_nothing_is_proven_by_a_reply_that_does_not_have_it(dialect, reading):
    plain = dialect.format.answer("hi")
    replies = Replies(calls=plain, cached=plain, thought=plain, logprobs=plain, choices=plain)

    assert not reading(replace(dialect, replies=replies))


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each.comment is not None], ids=str)
def test_what_says_something_is_no_comment(dialect):
    assert not readings.comments_in_between(replace(dialect, comment=b"data: [1]\n\n"))
