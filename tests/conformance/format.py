"""What the suite that every wire format must pass needs to know of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from hypothesis.strategies import SearchStrategy

from polyroute import Deployment, PolyrouteError
from polyroute.providers import HOSTS, Host
from polyroute.providers.formats import format_of
from polyroute.wire import WireFormat

__all__ = ["JSON", "Failure", "Format", "in_pieces"]

JSON: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One way in which a host refuses, and the error that it is."""

    error: type[PolyrouteError]
    status: int
    body: Mapping[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Format:
    """One wire format, with what hosts may send in it.

    *models* are of the hosts whose dialects are tried, the usual one first. *answer* is the least
    whole reply of some text. *replies* are good whole replies with all that the format can say, and
    *as_stream* tells one piece by piece, cut by chance, as the host would. *streams* are any that
    hosts may send, odd ones too, and *shaped* is JSON in which the format's own words stand in any
    arrangement. *failures* are refusals, and *broken_off* is an error as it comes inside of a stream.
    *played_back* is the whole reply that the assistant's turn in a request's body would have been.

    *api* is what the recorded exchanges call the format, and *embeddings* what they call its
    embeddings, where it has some. For them, *arguments* makes the arguments
    of a call, `messages` among them, that says what a recorded body says; *plain* says each of the
    ways to say the same thing in one way; and *unsayable* names what a body has that ours has no
    words for, and must refuse.
    """

    name: str
    models: tuple[str, ...]
    answer: Callable[[str], JSON]
    replies: SearchStrategy[JSON]
    as_stream: Callable[[Mapping[str, Any], Random], bytes]
    streams: SearchStrategy[bytes]
    shaped: SearchStrategy[object]
    failures: tuple[Failure, ...]
    broken_off: tuple[bytes, type[PolyrouteError]]
    played_back: Callable[[Mapping[str, Any]], JSON]
    api: str
    arguments: Callable[[Mapping[str, Any], Host], dict[str, Any]]
    plain: Callable[[Mapping[str, Any], Host], JSON]
    unsayable: Callable[[Mapping[str, Any]], str | None]
    embeddings: str | None = None

    def __repr__(self) -> str:
        return self.name

    def wires(self) -> list[tuple[Deployment, WireFormat]]:
        """A deployment of each dialect, and the codec that speaks it."""
        deployments = [
            Deployment(model, id="d", api_key="k-0123456789abcdef", region="us-east-1")
            for model in self.models
        ]
        hosts = [HOSTS[deployment.prefix] for deployment in deployments]
        return [(each, format_of(host)) for each, host in zip(deployments, hosts, strict=True)]


def in_pieces(text: str | None, rng: Random) -> list[str]:
    """*text* cut by chance, as a host streams it; none of it is no piece."""
    pieces: list[str] = []
    while text:
        size = rng.randint(1, 9)
        pieces.append(text[:size])
        text = text[size:]
    return pieces
