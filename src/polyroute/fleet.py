"""What is known of each deployment now: live state, keyed by deployment id."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import anyio

from polyroute.deployments import Deployment
from polyroute.errors import AttemptError
from polyroute.health import failure_sample, peak_ewma, share
from polyroute.pricing import dollars, nanodollars
from polyroute.protocols import Vitals
from polyroute.replies import Attempt
from polyroute.tokens import estimate_prompt
from polyroute.types import ChatRequest, Request, Usage

__all__ = ["Fleet", "State", "learn"]

_REPLY = 256  # tokens that a reply is taken to have while nothing is known of a deployment's
_WEIGHT = 0.1  # of the newest reply's length in the mean
_MOST = 4_096  # states; callers may name what they like of a pattern


@dataclass(slots=True)
class State(Vitals):
    """One deployment's vitals with what they are computed from."""

    sampled: float = 0.0
    reply_tokens: float | None = None


class Fleet:
    """The state of all deployments, and the `FleetView` that strategies get.

    *lacks* holds the capabilities that hosts have said their models have not, by deployment.
    """

    def __init__(
        self,
        rng: Random,
        states: dict[str, State] | None = None,
        lacks: dict[str, frozenset[str]] | None = None,
    ) -> None:
        self._states: dict[str, State] = {} if states is None else states
        self.lacks: dict[str, frozenset[str]] = {} if lacks is None else lacks
        self._rng = rng

    def __getitem__(self, deployment: Deployment | str, /) -> Vitals:
        id = deployment if isinstance(deployment, str) else deployment.id
        return self._states.get(id or "") or Vitals()

    def state(self, id: str) -> State:
        """The live state of the deployment called *id*, made where there is none yet."""
        state = self._states.get(id)
        if state is None:
            if len(self._states) >= _MOST:
                self._forget_one()
            state = self._states[id] = State()
        return state

    def preview(self) -> Fleet:
        """The same fleet with a chance of its own, for asking what would happen."""
        return Fleet(copy(self._rng), self._states, self.lacks)

    def learn_lack(self, id: str, name: str) -> None:
        """Remember that the model of the deployment called *id* has no *name*."""
        if id in self.lacks or len(self.lacks) < _MOST:
            self.lacks[id] = self.lacks.get(id, frozenset()) | {name}

    def _forget_one(self) -> None:
        idle = next((id for id, state in self._states.items() if not state.in_flight), None)
        if idle is not None:
            del self._states[idle]

    @property
    def busy(self) -> bool:
        """Whether any attempt is in flight."""
        return any(state.in_flight for state in self._states.values())

    @property
    def now(self) -> float:
        return anyio.current_time()

    @property
    def rng(self) -> Random:
        return self._rng

    def estimate(self, request: Request, deployment: Deployment, /) -> Decimal | None:
        if deployment.price is None:
            return None
        reply = 0.0
        if isinstance(request, ChatRequest):
            state = self._states.get(deployment.id or "")
            known = state.reply_tokens if state else None
            reply = _REPLY if known is None else known
            if request.max_tokens is not None:
                reply = min(reply, request.max_tokens)
            reply *= request.n or 1
        usage = Usage(estimate_prompt(request, deployment.like or deployment.model), round(reply))
        return dollars(nanodollars(deployment.price, usage))


def learn(state: State, attempt: Attempt) -> None:
    """Take a finished attempt into its deployment's state."""
    error = attempt.error
    if error is not None and not isinstance(error, AttemptError):
        return  # The caller's own mistake says nothing of the deployment.
    sample = attempt.latency if error is None else failure_sample(attempt.latency, error)
    elapsed = max(attempt.ended - state.sampled, 0.0)
    state.latency = peak_ewma(state.latency, sample, elapsed)
    if attempt.ttft is not None:
        state.ttft = peak_ewma(state.ttft, attempt.ttft, elapsed)
    state.error_rate = share(state.error_rate, error is not None)
    state.sampled = attempt.ended
    if attempt.usage is not None and error is None:
        seen, known = attempt.usage.output_tokens, state.reply_tokens
        state.reply_tokens = seen if known is None else known + _WEIGHT * (seen - known)
