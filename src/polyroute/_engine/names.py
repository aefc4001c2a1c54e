"""What names mean: the ids of equal models, who answers to which name, and names that are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from polyroute.deployments import Deployment, Route
from polyroute.errors import ConfigurationError, did_you_mean

__all__ = ["PREFIXES", "check_names", "index", "number"]

# Every prefix that a model's name can have; a deployment with a provider of its own may add others.
PREFIXES = frozenset(
    [
        "openai",
        "openai-responses",
        "azure",
        "anthropic",
        "gemini",
        "vertex",
        "bedrock",
        "cohere",
        "mistral",
        "groq",
        "deepseek",
        "xai",
        "together",
        "fireworks",
        "openrouter",
        "xroute",
        "perplexity",
        "cerebras",
        "huggingface",
        "nvidia",
        "voyage",
        "ollama",
        "vllm",
        "lmstudio",
        "llamacpp",
        "compatible",
    ]
)


def number(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """The deployments with an id each: its model's name, and from the second on its number too."""
    counts: dict[str, int] = {}
    numbered: list[Deployment] = []
    for each in deployments:
        if each.id is None:
            counts[each.model] = counts.get(each.model, 0) + 1
            count = counts[each.model]
            numbered.append(replace(each, id=each.model if count == 1 else f"{each.model}#{count}"))
        else:
            numbered.append(each)
    return tuple(numbered)


def index(deployments: Sequence[Deployment]) -> dict[str, tuple[Deployment, ...]]:
    """Who answers to which name: a model's name is all of its deployments, an id only itself."""
    models: dict[str, tuple[Deployment, ...]] = {}
    for each in deployments:
        models[each.model] = (*models.get(each.model, ()), each)
    index = dict(models)
    for each in deployments:
        id = cast("str", each.id)
        if id in models:
            if each not in models[id]:
                raise ConfigurationError(f"{id!r} is the id of one deployment and the model of another")
        elif id in index:
            raise ConfigurationError(f"two deployments have the id {id!r}; give each its own")
        else:
            index[id] = (each,)
    given = [each.id for each in deployments]
    if len(set(given)) < len(given):
        twice = next(id for id in given if given.count(id) > 1)
        raise ConfigurationError(f"two deployments have the id {twice!r}; give each its own")
    return index


def check_names(
    deployments: Sequence[Deployment],
    routes: Mapping[str, Route],
    fallbacks: Sequence[str],
    resolve: Callable[[str], Sequence[Deployment]],
) -> None:
    """Refuse names that mean two things, names that mean nothing, and circles of fallbacks. *resolve* gives
    the deployments that a name stands for."""
    ids = {each.id for each in deployments}
    for name in routes:
        if name in ids:
            raise ConfigurationError(f"{name!r} is both a route and a deployment's id; rename one")
    known = [*routes, *(id for id in ids if id)]
    for owner, names, routes_too in _references(routes, fallbacks):
        for name in names:
            if not resolve(name) and not (routes_too and name in routes):
                raise ConfigurationError(
                    f"{owner} names {name!r}, which is not here{did_you_mean(name, known)}"
                )
    for name in routes:
        _check_circle(routes, name, ())


def _references(
    routes: Mapping[str, Route], fallbacks: Sequence[str]
) -> Iterator[tuple[str, Sequence[str], bool]]:
    for name, route in routes.items():
        yield f"route {name!r}", route.deployments, False
        yield f"fallbacks of route {name!r}", route.fallbacks, True
    yield "fallbacks of the router", fallbacks, True


def _check_circle(routes: Mapping[str, Route], name: str, way: tuple[str, ...]) -> None:
    if name in way:
        circle = " -> ".join((*way[way.index(name) :], name))
        raise ConfigurationError(f"the fallbacks go round in a circle: {circle}")
    for fallback in routes[name].fallbacks:
        if fallback in routes:
            _check_circle(routes, fallback, (*way, name))
