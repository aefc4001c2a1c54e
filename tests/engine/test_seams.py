"""Two parts of one answer are joined without a lost or a repeated character, wherever it was cut."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from polyroute._engine.continuing import Seam

TEXT = (
    "Once upon a time there was a king, and the king had a daughter. She was fond of a golden ball; "
    "“Größe” and 東京 and 👩‍👩‍👧 and é were words that she knew.\n\nShe was fond of a golden ball, and lost it.\n"
)


def joined(before: str, pieces: list[str], trimmed: str = "") -> str:
    """What the consumer has in the end, where a second model says *pieces* after *before*."""
    seam = Seam(before, trimmed)
    return before + "".join(map(seam.feed, pieces)) + seam.end()


@st.composite
def cut(draw, text):
    """*text* in pieces."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def repeats(before: str, after: str) -> bool:
    """Whether *after* opens with eight or more of the last characters of *before*: by the definition, letter
    by letter, with no regard for what is telling."""
    return any(before.endswith(after[:length]) for length in range(8, len(after) + 1))


@given(data=st.data(), text=st.text(min_size=1))
@example(data=None, text="\U0001f469‍\U0001f467\U0001f1e9\U0001f1ea")
@example(data=None, text="a\u0301\x00\ud7ff\U0010ffff")
def test_an_exact_continuation_is_joined_exactly_whatever_it_is_made_of(data, text):
    for place in range(len(text) + 1) if data is None else [data.draw(st.integers(0, len(text)))]:
        before, after = text[:place], text[place:]
        assume(not repeats(before, after))
        assert joined(before, list(after) if data is None else data.draw(cut(after))) == text


@given(data=st.data(), place=st.integers(1, len(TEXT)))
def test_a_model_that_goes_on_exactly_is_joined_exactly_at_every_place_of_a_text_that_repeats_itself(
    data, place
):
    assert joined(TEXT[:place], data.draw(cut(TEXT[place:]))) == TEXT


@given(data=st.data(), place=st.integers(12, len(TEXT)))
def test_what_is_told_again_from_the_beginning_of_a_word_is_left_out(data, place):
    before, after = TEXT[:place], TEXT[place:]
    starts = [
        start
        for start in range(place - 7)
        if (start == 0 or not (before[start - 1].isalnum() and before[start].isalnum()))
        and len(set(before[start:])) >= 5
    ]
    assume(starts)
    start = data.draw(st.sampled_from(starts))
    assert joined(before, data.draw(cut(before[start:] + after))) == TEXT


@given(data=st.data(), place=st.integers(8, len(TEXT)))
def test_a_model_that_begins_all_over_is_joined_where_the_first_one_broke(data, place):
    assert joined(TEXT[:place], data.draw(cut(TEXT))) == TEXT


@given(data=st.data(), before=st.text(min_size=1), said=st.text())
def test_how_the_second_part_is_cut_into_chunks_changes_nothing(data, before, said):
    said = data.draw(st.sampled_from([said, before + said, before[len(before) // 2 :] + said]))
    space = before[len(before.rstrip()) :]
    for trimmed in ("", space):
        assert joined(before, data.draw(cut(said)), trimmed) == joined(before, [said], trimmed)


@given(data=st.data(), before=st.text(), said=st.text())
def test_no_character_is_made_up_and_none_of_the_first_part_is_touched(data, before, said):
    whole = joined(before, data.draw(cut(said)))
    assert whole.startswith(before)
    assert said.endswith(whole[len(before) :])


@given(data=st.data(), said=st.text("abc ", max_size=400))
def test_what_is_held_back_is_never_more_than_the_first_part_has(data, said):
    before = data.draw(st.text("abc ", min_size=1, max_size=60))
    seam, fed, given_out = Seam(before), 0, 0
    for piece in data.draw(cut(said)):
        fed += len(piece)
        given_out += len(seam.feed(piece))
        assert fed - given_out <= len(before)


def test_once_the_seam_is_closed_nothing_is_held_back():
    seam = Seam("Once upon a time")
    assert seam.feed(" there") == " there"
    assert seam.feed(" time") == " time"
    assert seam.end() == ""


def test_what_may_still_be_told_again_is_held_back_and_given_where_the_stream_ends():
    seam = Seam("Once upon a time")
    assert seam.feed("upon") == ""
    assert seam.end() == "upon"
    assert seam.end() == ""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("Ten: 0000000000", "0000000000"),
        ("| --- | --- |", " --- | --- |"),
        ("It was a king, a king", " a king"),
        ("misunderstandings", "standings"),
    ],
    ids=["of one letter", "of few letters", "of fewer than eight", "within a word"],
)
def test_what_may_be_chance_is_no_repetition(before, said):
    assert joined(before, [said, "."]) == f"{before}{said}."


@pytest.mark.parametrize("space", [" ", "\n", "\n\n", "\n    ", "\t "])
@pytest.mark.parametrize("says", ["all of it", "none of it", "its first character"])
def test_space_at_the_end_that_the_model_was_not_shown_is_there_once(space, says):
    before = f"First, the eggs.{space}"
    again = {"all of it": space, "none of it": "", "its first character": space[:1]}[says]
    for pieces in ([f"{again}Then the milk."], [*again, "Then", " the milk."]):
        assert joined(before, pieces, space) == f"First, the eggs.{space}Then the milk."


def test_deeper_space_than_was_cut_off_stays():
    assert joined("if a:\n    b\n    ", ["\n        c"], "\n    ") == "if a:\n    b\n        c"


@pytest.mark.parametrize("space", ["\n", "\n\n", "\n\n\n"])
def test_a_model_that_tells_the_last_sentence_again_may_space_it_in_its_own_way(space):
    before = "Eggs. The milk is warm.\n\n"
    assert joined(before, [f"The milk is warm.{space}And so on."], "\n\n") == (
        f"Eggs. The milk is warm.\n\n{space[2:]}And so on."
    )


def test_a_long_part_told_again_is_left_out_whole():
    before = " ".join(f"word{n}" for n in range(4_000))
    for start in (0, before.index("word1500"), before.index("word3990")):
        assert joined(before, [before[start:], " and so on"]) == f"{before} and so on"
