"""Which model is asked where none is named: a small one of each provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from polyroute.providers.hosts import HOSTS, Host

__all__ = ["SMALL_MODELS", "key_variables", "keyed_models"]

SMALL_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "gpt-5-mini",
        "mistral": "mistral-small-latest",
        "groq": "openai/gpt-oss-20b",
        "deepseek": "deepseek-chat",
        "xai": "grok-3-mini",
        "together": "openai/gpt-oss-20b",
        "fireworks": "accounts/fireworks/models/gpt-oss-20b",
        "openrouter": "openai/gpt-5-mini",
        "perplexity": "sonar",
        "cerebras": "gpt-oss-120b",
        "huggingface": "openai/gpt-oss-20b",
        "nvidia": "openai/gpt-oss-20b",
    }
)
"""By prefix, in the order in which providers are tried. Names change; `--model` beats them."""


def keyed_models(environment: Mapping[str, str]) -> list[str]:
    """The small model of each provider whose key is in the *environment*, as `provider/model`."""
    return [f"{host.prefix}/{SMALL_MODELS[host.prefix]}" for host in _hosts() if host.key_in(environment)]


def key_variables() -> list[str]:
    """The environment variables of which one has to hold a key."""
    return [host.key_variable for host in _hosts() if host.key_variable]


def _hosts() -> Iterator[Host]:
    return (HOSTS[prefix] for prefix in SMALL_MODELS if prefix in HOSTS)
