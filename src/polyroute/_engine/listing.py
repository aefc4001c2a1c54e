"""What each key reaches, and which configured models are not among it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import cast

import anyio

from polyroute._engine.choosing import key_of
from polyroute._engine.plan import Plan
from polyroute.deadlines import Deadline
from polyroute.deployments import Deployment
from polyroute.errors import ConfigurationError, PolyrouteError
from polyroute.protocols import Provider
from polyroute.replies import Listing
from polyroute.together import together

__all__ = ["listings"]


async def listings(plan: Plan) -> tuple[Listing, ...]:
    """A listing for each key at each host, in the order of the deployments; all are asked at once."""
    groups: dict[tuple[object, ...], list[Deployment]] = {}
    for each in plan.deployments:
        groups.setdefault((id(each.provider), each.base_url, each.region, key_of(each)), []).append(each)
    jobs = [partial(_listing, plan, deployments) for deployments in groups.values()]
    return tuple(await together(jobs, at_once=len(jobs)))


async def _listing(plan: Plan, deployments: list[Deployment]) -> Listing:
    first = deployments[0]
    ids = tuple(each.id or "" for each in deployments)
    try:
        names = await _names(plan, first)
    except PolyrouteError as error:
        return Listing(first.prefix, ids, error=error)
    gone = tuple(
        each.id or "" for each in deployments if not each.is_pattern and not _is_among(each.name, names)
    )
    return Listing(first.prefix, ids, tuple(f"{first.prefix}/{name}" for name in names), gone)


async def _names(plan: Plan, deployment: Deployment) -> Collection[str]:
    """The names of the models that the deployment's key reaches.

    Raises:
        PolyrouteError: They cannot be listed.
    """
    provider = cast("Provider", deployment.provider)
    needs, models = getattr(provider, "needs", None), getattr(provider, "models", None)
    if models is None:
        raise ConfigurationError(f"{deployment.prefix}/ has no list of its models")
    if needs is not None and (reason := needs(deployment)) is not None:
        raise ConfigurationError(reason)
    seconds = plan.timeout.attempt
    deadline = Deadline() if seconds is None else Deadline(anyio.current_time() + seconds)
    return cast("Collection[str]", await models(deployment, deadline))


def _is_among(name: str, names: Iterable[str]) -> bool:
    """Whether a model is listed, by its name or, where that leaves its date open, with one."""
    stem = name.removesuffix("-latest")
    return any(each == name or each.startswith(f"{stem}-") for each in names)
