"""What would happen to a call, worked out as it would be but without asking anybody."""

from __future__ import annotations

from copy import copy

from polyroute._engine.choosing import candidates_of, choice_of, untried
from polyroute._engine.run import Run
from polyroute.replies import Decision, Ranked
from polyroute.types import ChatRequest

__all__ = ["explain"]


async def explain(request: ChatRequest, run: Run) -> Decision:
    """The order in which deployments would be asked if each failed in turn, and who is left out.

    Strategies are asked as copies, and chance is drawn from a copy, so that the next call is decided
    as if this had not been asked.
    """
    run.fleet = run.fleet.preview()
    ranking: list[Ranked] = []
    for leg in run.plan.target(request.model, fallbacks=request.fallbacks).legs:
        strategy = copy(leg.strategy)
        candidates = untried(candidates_of(request, leg, run), run)
        while candidates:
            picked = await strategy.choose(request, candidates, tuple(run.history), run.fleet)
            if (choice := choice_of(picked, candidates, strategy)) is None:
                break
            run.take(leg, choice, candidates, request.kind)
            id = choice.deployment.id or ""
            ranking.append(Ranked(id, choice.reason, (choice.scores or {}).get(id), leg.route))
            candidates = [each for each in candidates if each is not choice.deployment]
    return Decision(tuple(ranking), tuple(run.excluded.values()))
