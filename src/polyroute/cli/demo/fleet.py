"""The simulated fleet: what its deployments cost, how fast they are, and when they fail.

Prices, speeds and outages are invented, and the names with them. Chance is drawn for each call and
deployment apart, from the seed, so that it does not matter in which order calls come by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, log
from random import Random
from typing import Any, Literal

import anyio

from polyroute import (
    Call,
    ChatResponse,
    ConnectError,
    Deployment,
    Price,
    RateLimitError,
    ReadError,
    ServerError,
    Usage,
)
from polyroute.testing import FakeProvider
from polyroute.tokens import estimate_prompt, estimate_text

__all__ = ["FLEET", "INCIDENTS", "Fleet", "Incident", "Model"]


@dataclass(frozen=True, slots=True)
class Model:
    """One simulated deployment. *first* is the median of seconds until it begins to answer, *speed*
    the tokens a second from then on."""

    name: str
    price: Price
    first: float
    speed: float

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Incident:
    """A provider is down, or limits its callers, from one moment to another; both are shares of the run."""

    provider: str
    kind: Literal["down", "limited"]
    begins: float
    ends: float


FLEET = (
    Model("cirrus/mini", Price("0.10", "0.40"), first=0.55, speed=260),
    Model("aurora/small", Price("0.15", "0.60"), first=0.40, speed=320),
    Model("borealis/small", Price("0.30", "1.20"), first=0.50, speed=240),
    Model("aurora/large", Price("1.25", "10.00"), first=0.70, speed=200),
    Model("zenith/grand", Price("3.00", "15.00"), first=0.80, speed=180),
)

INCIDENTS = (Incident("aurora", "down", 0.28, 0.55), Incident("cirrus", "limited", 0.48, 0.70))


@dataclass
class Fleet:
    """The simulated providers of one run, which takes *seconds* once it has begun."""

    models: Sequence[Model] = FLEET
    incidents: Sequence[Incident] = INCIDENTS
    seed: int = 7
    seconds: float = 10.0
    began: float = field(default=inf, init=False)

    @cached_property
    def deployments(self) -> list[Deployment]:
        return [
            Deployment(
                model.name,
                price=model.price,
                provider=FakeProvider(script=[_Host(model, self).answer], name=model.provider),
            )
            for model in self.models
        ]

    def ahead(self, provider: str) -> list[tuple[float, float, Incident]]:
        """The incidents of *provider* that are not over, each with the moments of its begin and end."""
        began, now = self.began, anyio.current_time()
        moments = [
            (began + self.seconds * incident.begins, began + self.seconds * incident.ends, incident)
            for incident in self.incidents
            if incident.provider == provider
        ]
        return sorted((each for each in moments if each[1] > now), key=lambda each: each[0])


class _Host:
    """The far end of one simulated deployment."""

    def __init__(self, model: Model, fleet: Fleet) -> None:
        self._model = model
        self._fleet = fleet
        self._tries: Counter[str] = Counter()

    async def answer(self, call: Call) -> ChatResponse[Any]:
        """Take the time that an answer takes, and give it; or fail as hosts do."""
        model, number = self._model, call.request.metadata.get("call", "")
        self._tries[number] += 1
        seed = f"{self._fleet.seed}/{number}"
        chance = Random(f"{seed}/{model.name}/{self._tries[number]}")  # noqa: S311 - the same each time
        first = chance.lognormvariate(log(model.first), 0.35)
        stumbles = chance.random() < _STUMBLES
        text = _prose(Random(seed))  # noqa: S311 - whoever answers, as long
        usage = Usage(estimate_prompt(call.request), estimate_text(text))
        await self._get_in(chance)
        if stumbles:
            await anyio.sleep(first / 2)
            raise ServerError(f"{model.name}: internal error", status=500)
        await self._work(first + usage.output_tokens / model.speed)
        return ChatResponse(text, usage=usage, model=model.name)

    async def _get_in(self, chance: Random) -> None:
        """Fail at the door while an incident holds."""
        now = anyio.current_time()
        for begins, _, incident in self._fleet.ahead(self._model.provider):
            if begins > now:
                return
            await anyio.sleep(chance.uniform(0.02, 0.08))
            if incident.kind == "down":
                raise ConnectError(f"{self._model.name}: connection refused")
            raise RateLimitError(
                f"{self._model.name}: too many requests", status=429, retry_after=self._fleet.seconds / 10
            )

    async def _work(self, length: float) -> None:
        """Take *length* seconds, unless the provider goes down before."""
        now = anyio.current_time()
        for begins, _, incident in self._fleet.ahead(self._model.provider):
            if incident.kind == "down" and begins < now + length:
                await anyio.sleep(begins - now)
                raise ReadError(f"{self._model.name}: connection reset")
        await anyio.sleep(length)


_STUMBLES = 0.015  # of all calls meet an error that means nothing
_SAID = (
    "the answer to this is simpler than it looks because most of what matters happens before anybody "
    "asks and what is left can be told in a few words that a careful reader will want to check"
)


def _prose(chance: Random) -> str:
    """A text of no meaning, as long as answers are."""
    words = round(min(max(chance.lognormvariate(log(120), 0.55), 15), 450))
    return " ".join(chance.choices(_SAID.split(), k=words))
