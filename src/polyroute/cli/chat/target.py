"""Who is asked: from the command line, the environment or the table of small models, to a router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyroute import ConfigurationError, Deployment, Router
from polyroute.cli.models import key_variables, keyed_models
from polyroute.providers.hosts import HOSTS

__all__ = ["models_to_ask", "router_for"]


def models_to_ask(named: Sequence[str], base_url: str | None, environment: Mapping[str, str]) -> list[str]:
    """The models of a call, the first one first, each once. At a *base_url* a name that begins
    with no provider's is one of the host's own.

    Raises:
        ConfigurationError: None is named, and no provider's key is set.
    """
    models = list(named) or environment.get("POLYROUTE_MODEL", "").split(",")
    models = [model.strip() for model in models if model.strip()]
    if base_url is not None and models:
        models = [_at_a_host(model) for model in models]
    elif base_url is not None:
        raise ConfigurationError("--base-url has nobody to ask for: name the host's model with --model")
    models = models or keyed_models(environment)[:1]
    if not models:
        such = ", ".join(key_variables()[:3])
        raise ConfigurationError(
            f"nobody to ask: set a provider's key ({such}, …), or name a model with --model; "
            "`polyroute demo` needs neither"
        )
    return list(dict.fromkeys(models))


def router_for(models: Sequence[str], base_url: str | None) -> Router:
    """A router over *models*, and over any model of the providers whose keys are set."""
    if base_url is None:
        return Router.from_env(default=models)
    return Router([Deployment(model, base_url=base_url) for model in models])


def _at_a_host(model: str) -> str:
    return model if model.partition("/")[0] in HOSTS else f"compatible/{model}"
