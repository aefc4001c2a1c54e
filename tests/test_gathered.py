"""Chunks put together: every run where it stood, however the pieces came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polyroute import ChatChunk, Opaque, Reasoning, Text, ToolCallDelta
from polyroute.gathered import Gathered

SIGNED = Opaque("anthropic", {"signature": "s"})
CALLED = ToolCallDelta(0, "c", "now", "{}")

pieces = st.one_of(
    st.builds(lambda text: ChatChunk(text=text), st.text(max_size=3)),
    st.builds(lambda text: ChatChunk(reasoning=text), st.text(max_size=3)),
    st.builds(lambda text, thought: ChatChunk(text=text, reasoning=thought), st.text(), st.text()),
    st.just(ChatChunk(opaque=SIGNED)),
    st.just(ChatChunk(tool_call_delta=CALLED)),
)


def test_text_after_something_else_is_a_run_of_its_own():
    between = [ChatChunk(reasoning="hm"), ChatChunk(opaque=SIGNED), ChatChunk(tool_call_delta=CALLED)]
    for chunk in between:
        whole = Gathered([ChatChunk(text="a"), ChatChunk(text="b"), chunk, ChatChunk(text="c")])
        parts = whole.response().parts
        assert [part for part in parts if isinstance(part, Text)] == [Text("ab"), Text("c")], chunk
        assert not isinstance(parts[1], Text)
        assert whole.text == "abc"


@given(st.lists(pieces, max_size=12))
def test_the_runs_are_those_of_a_plain_scan(chunks):
    told = []
    for chunk in chunks:
        for kind, words in ((Text, chunk.text), (Reasoning, chunk.reasoning)):
            if words and told and type(told[-1]) is kind:
                told[-1] = kind(told[-1].text + words)
            elif words:
                told.append(kind(words))
        if chunk.tool_call_delta is not None and CALLED not in told:
            told.append(CALLED)
        if chunk.opaque is not None:
            told.append(chunk.opaque)
    whole = Gathered(chunks)

    assert whole.text == "".join(part.text for part in told if type(part) is Text)
    if parts := whole.response().parts:
        plain = [part for part in told if part is not CALLED]
        assert [part for part in parts if isinstance(part, Text | Reasoning | Opaque)] == plain


@given(st.lists(pieces, max_size=6), st.lists(pieces, max_size=6))
def test_a_copy_goes_on_by_itself(before, after):
    whole = Gathered(before)
    other = whole.copy()
    for chunk in after:
        other.add(chunk)

    assert whole.response() == Gathered(before).response()
    assert other.response() == Gathered([*before, *after]).response()
