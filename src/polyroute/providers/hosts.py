"""The hosts, what each speaks and how it differs from others that do: data, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from polyroute.providers.error_table import ErrorRow

__all__ = ["HOSTS", "Host", "kinds_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host: where it is, what it speaks, what key it takes, and its own words for things.

    *wire_format* is one that `format_of` knows; *headers* go with every request. A key is taken from
    the first of *key_variables* that is set, and goes into *key_header*, after `Bearer` where that is
    `authorization`.
    *unsupported* names the arguments that it is known not to take; `response_format=json_schema`
    stands for that one shape of it. *reasoning_field* is the field in which a model's earlier
    reasoning goes back, None where it must not. *errors* are asked before the common error table.
    """

    prefix: str
    wire_format: str = "openai-chat"
    base_url: str | None = None
    base_url_variable: str | None = None
    base_url_suffix: str = ""
    key_variables: tuple[str, ...] = ()
    key_optional: bool = False
    key_header: str = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    kinds: frozenset[str] = frozenset({"chat", "embed"})
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    seed_field: str = "seed"
    user_field: str | None = "user"
    dimensions_field: str = "dimensions"
    required_choice: str = "required"
    developer_role: bool = False
    stream_options: bool = True
    effort_object: bool = False
    reasoning_field: str | None = None
    unsupported: frozenset[str] = frozenset()
    errors: tuple[ErrorRow, ...] = ()

    @property
    def key_variable(self) -> str | None:
        """The one that a user is told to set."""
        return self.key_variables[0] if self.key_variables else None

    def key_in(self, environment: Mapping[str, str]) -> str | None:
        """The key in *environment*, without the white space that ends up around keys."""
        return next(filter(None, (environment.get(name, "").strip() for name in self.key_variables)), None)


_OPENAI_ONLY = frozenset({"top_k"})

_TABLE = (
    Host(
        prefix="openai",
        base_url="https://api.openai.com/v1",
        base_url_variable="OPENAI_BASE_URL",
        key_variables=("OPENAI_API_KEY",),
        max_tokens_field="max_completion_tokens",
        developer_role=True,
        unsupported=_OPENAI_ONLY,
    ),
    Host(
        prefix="azure",
        base_url_variable="AZURE_OPENAI_ENDPOINT",
        base_url_suffix="/openai/v1",
        key_variables=("AZURE_OPENAI_API_KEY",),
        key_header="api-key",
        max_tokens_field="max_completion_tokens",
        developer_role=True,
        unsupported=_OPENAI_ONLY,
    ),
    Host(
        prefix="anthropic",
        wire_format="anthropic-messages",
        base_url="https://api.anthropic.com/v1",
        base_url_variable="ANTHROPIC_BASE_URL",
        base_url_suffix="/v1",
        key_variables=("ANTHROPIC_API_KEY",),
        key_header="x-api-key",
        headers=(("anthropic-version", "2023-06-01"),),
        kinds=frozenset({"chat"}),
        unsupported=frozenset({"seed", "n", "logprobs", "frequency_penalty", "presence_penalty"}),
    ),
    Host(
        prefix="gemini",
        wire_format="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_header="x-goog-api-key",
    ),
    Host(
        prefix="mistral",
        base_url="https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        seed_field="random_seed",
        user_field=None,
        dimensions_field="output_dimension",
        required_choice="any",
        stream_options=False,
        unsupported=frozenset({"top_k", "logprobs"}),
    ),
    Host(
        prefix="groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        max_tokens_field="max_completion_tokens",
        unsupported=frozenset({"top_k", "logprobs", "n"}),
    ),
    Host(
        prefix="deepseek",
        base_url="https://api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        user_field=None,
        reasoning_field="reasoning_content",
        unsupported=frozenset({"top_k", "seed", "n", "response_format=json_schema"}),
    ),
    Host(
        prefix="xai",
        base_url="https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        max_tokens_field="max_completion_tokens",
        unsupported=_OPENAI_ONLY,
    ),
    Host(prefix="together", base_url="https://api.together.xyz/v1", key_variables=("TOGETHER_API_KEY",)),
    Host(
        prefix="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY",),
    ),
    Host(
        prefix="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        effort_object=True,
    ),
    Host(
        # An aggregator of which little is known: only what every such host takes.
        prefix="xroute",
        base_url="https://api.xroute.ai/openai/v1",
        key_variables=("XROUTE_API_KEY",),
        stream_options=False,
    ),
    Host(
        prefix="perplexity",
        base_url="https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY",),
        kinds=frozenset({"chat"}),
        user_field=None,
        stream_options=False,
    ),
    Host(
        prefix="cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        kinds=frozenset({"chat"}),
        max_tokens_field="max_completion_tokens",
        unsupported=_OPENAI_ONLY,
    ),
    Host(prefix="huggingface", base_url="https://router.huggingface.co/v1", key_variables=("HF_TOKEN",)),
    Host(prefix="nvidia", base_url="https://integrate.api.nvidia.com/v1", key_variables=("NVIDIA_API_KEY",)),
    Host(
        prefix="voyage",
        base_url="https://api.voyageai.com/v1",
        key_variables=("VOYAGE_API_KEY",),
        kinds=frozenset({"embed"}),
        user_field=None,
        dimensions_field="output_dimension",
    ),
    Host(prefix="vllm", base_url="http://127.0.0.1:8000/v1", key_optional=True),
    Host(prefix="lmstudio", base_url="http://127.0.0.1:1234/v1", key_optional=True),
    Host(prefix="llamacpp", base_url="http://127.0.0.1:8080/v1", key_optional=True),
    Host(prefix="compatible", key_optional=True),
)

HOSTS: Mapping[str, Host] = MappingProxyType({host.prefix: host for host in _TABLE})

_EMBEDDERS = re.compile(r"embed|(^|[/-])(bge|e5|gte)-|^voyage-", re.IGNORECASE)
_CHATTERS = re.compile(
    r"^(.*/)?(chatgpt-|claude|command-|deepseek-|gemini-\d|gemma|glm-|gpt-|grok-|kimi-|llama-|meta-llama"
    r"|ministral|mistral-(large|medium|small|tiny)|mixtral|o\d|phi-|qwen\d?[.\d]*-|sonar)",
    re.IGNORECASE,
)


def kinds_of(host: Host, model: str) -> frozenset[str]:
    """Which kinds of call a model serves, by its family; an unknown one is taken to serve all of its host's."""
    if _EMBEDDERS.search(model):
        return host.kinds & {"embed"}
    if _CHATTERS.match(model):
        return host.kinds & {"chat"}
    return host.kinds
