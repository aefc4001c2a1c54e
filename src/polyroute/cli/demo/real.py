"""Real providers that join a run: who they are, how many calls they get, and what is said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyroute import Deployment
from polyroute.cli.demo.traffic import REAL_TOKENS
from polyroute.cli.models import key_variables, keyed_models
from polyroute.cli.words import count, listed

__all__ = ["announced", "real_deployments", "share_of"]

MOST = 20


def real_deployments(environment: Mapping[str, str]) -> list[Deployment]:
    """One small model of each provider whose key is in the *environment*."""
    return [Deployment(model) for model in keyed_models(environment)]


def share_of(calls: int) -> int:
    """How many of *calls* real providers get: one in fifteen, and never more than 20."""
    return min(-(-calls // 15), MOST)


def announced(real: Sequence[Deployment], calls: int) -> str:
    """What a run with real providers will do, said before it does."""
    if not real:
        return f"--real: no key is set ({', '.join(key_variables())}), so all stays simulated and free."
    return (
        f"--real: {count(share_of(calls), 'call')} of {calls:,} go out to "
        f"{listed([each.model for each in real])}, at most {REAL_TOKENS} tokens each, on your account."
    )
