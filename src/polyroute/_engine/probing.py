"""Deployments asked now and then how they are, whether or not anybody calls them."""

from __future__ import annotations

from functools import partial
from typing import Protocol, cast

import anyio

from polyroute._engine.plan import Plan
from polyroute.deadlines import Deadline
from polyroute.deployments import Call, Deployment
from polyroute.errors import AttemptError, AttemptTimeoutError, PolyrouteError
from polyroute.events import PartFailed, ProbeEnded
from polyroute.fleet import Fleet
from polyroute.protocols import Provider
from polyroute.settings import Probes, Timeout
from polyroute.together import together
from polyroute.types import ChatRequest, Message

__all__ = ["probe_for_ever", "probe_once"]


class Probed(Protocol):
    """Whose deployments are probed; its plan may be replaced meanwhile."""

    @property
    def plan(self) -> Plan: ...
    @property
    def fleet(self) -> Fleet: ...


_JITTER = 0.2  # of the interval, either way
_AT_ONCE = 8
_WORDS = 16  # tokens; some hosts refuse fewer
_QUESTION = (Message("user", "Reply with OK."),)


async def probe_for_ever(core: Probed, probes: Probes) -> None:
    """Probe every so often, by chance a little earlier or later, so that many processes do not do it at once."""
    while True:
        await anyio.sleep(probes.every * (1 + _JITTER * (2 * core.fleet.rng.random() - 1)))
        await probe_once(core.plan, core.fleet, probes)


async def probe_once(plan: Plan, fleet: Fleet, probes: Probes) -> None:
    """Ask every deployment that can be asked, and keep what each has shown.

    A verdict that finds all of them unwell is void: it is most likely the network here.
    """
    asked = [each for each in plan.deployments if _can_be_asked(each, probes)]
    jobs = [partial(_probed, each, fleet, probes) for each in asked]
    errors = await together(jobs, at_once=_AT_ONCE)
    now = anyio.current_time()
    void = all(error is not None for error in errors)
    for deployment, error in zip(asked, errors, strict=True):
        unwell = error is not None and not void
        fleet.found(deployment.id or "", unwell_until=now + 2 * probes.every if unwell else None)


def _can_be_asked(deployment: Deployment, probes: Probes) -> bool:
    provider = cast("Provider", deployment.provider)
    needs = getattr(provider, "needs", None)
    if deployment.is_pattern or (needs is not None and needs(deployment) is not None):
        return False
    if probes.by == "models":
        return hasattr(provider, "models")
    serves = getattr(provider, "kinds", None)
    return serves is None or "chat" in serves(deployment.known_as)


async def _probed(deployment: Deployment, fleet: Fleet, probes: Probes) -> PolyrouteError | None:
    """What is wrong with the deployment; None where nothing is."""
    error: PolyrouteError | None = None
    now = anyio.current_time()
    deadline = Deadline(now + probes.timeout)
    provider = cast("Provider", deployment.provider)
    listeners = fleet.listeners
    try:
        with anyio.CancelScope(deadline=deadline.at) as scope:
            if probes.by == "models":
                await getattr(provider, "models")(deployment, deadline)  # noqa: B009 - optional
            else:
                request = ChatRequest(messages=_QUESTION, max_tokens=_WORDS)
                call = Call(
                    request=request, deployment=deployment, model=deployment.name,
                    timeout=Timeout(total=probes.timeout), deadline=deadline,
                )  # fmt: skip
                await provider.chat(call)
        if scope.cancelled_caught:
            error = AttemptTimeoutError("silent to its probe", deployment=deployment.id, phase="attempt")
    except AttemptError as failure:
        error = failure
    except Exception as failure:  # noqa: BLE001 - a bug of a provider's ends no probing, and is told
        if listeners.any:
            listeners.tell(
                PartFailed(at=anyio.current_time(), part=f"probe of {deployment.id}", error=failure)
            )
    if listeners.any:
        listeners.tell(ProbeEnded(at=anyio.current_time(), deployment=deployment.id or "", error=error))
    return error
