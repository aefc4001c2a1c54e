"""When an attempt must show its next sign of life."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyio import CancelScope

__all__ = ["Deadline", "Floor"]

_GRACE = 30.0  # seconds; half as long again as the usual limit between tokens


class Deadline:
    """The moment by which an attempt must show its next sign of life.

    It holds the whole way for a plain reply; for a stream it moves on with each token. Times are
    moments on the event loop's clock; *end* is that of the whole call, *scope* what cancels the
    attempt, where the engine does so itself, and *floor* the least that a stream must give.
    """

    __slots__ = ("_between_tokens", "_moves", "_whole", "at", "end", "floor", "phase", "scope")

    def __init__(
        self,
        end: float = inf,
        *,
        attempt: float = inf,
        first_token: float = inf,
        between_tokens: float | None = None,
        min_rate: float | None = None,
    ) -> None:
        self.end: float = end
        self._whole = min(end, attempt)
        self._between_tokens = inf if between_tokens is None else between_tokens
        self._moves = False
        self.at: float = min(self._whole, first_token)
        self.phase: str = "first_token" if first_token < self._whole else "attempt"
        self.floor: Floor | None = None
        self.scope: CancelScope | None = None
        if min_rate:
            self.floor = Floor(min_rate, _GRACE if between_tokens is None else 1.5 * between_tokens)

    def by(self, now: float) -> float:
        """When a wait that begins *now* must end.

        The time between tokens runs from the first wait after a token, so that a slow consumer is
        not taken for a slow host, and a host's comments do not win it time.
        """
        if self._moves:
            self._moves = False
            self.phase = "between_tokens"
            patience = self._between_tokens
            if self.floor is not None:
                patience = min(patience, self.floor.patience(now))
            self.at = min(self.end, now + patience)
        return self.at

    def token_passed(self) -> None:
        """Count the next wait anew: a stream's token was handed on."""
        self._moves = True

    def head_came(self) -> None:
        """Lift the wait for the first token: a plain reply has begun."""
        self.phase = "attempt"
        self.at = self._whole
        if self.scope is not None:
            self.scope.deadline = self._whole


class Floor:
    """The least that a stream must give: *rate* tokens a second, of the time that was spent in waiting
    for them, after a *grace* in seconds."""

    __slots__ = ("_asked", "_grace", "_pace", "_tokens", "_waited")

    def __init__(self, rate: float, grace: float) -> None:
        self._pace = 1 / rate
        self._grace = grace
        self._tokens = 0
        self._waited = 0.0
        self._asked: float | None = None  # since when somebody waits

    def patience(self, now: float) -> float:
        """How much longer a wait that begins *now* may take."""
        self._asked = now
        return self._grace + self._tokens * self._pace - self._waited

    def passed(self, tokens: int, now: float) -> None:
        """Note that about *tokens* tokens came *now*."""
        self._tokens += tokens
        if self._asked is not None:
            self._waited += now - self._asked
            self._asked = None
