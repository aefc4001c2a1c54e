"""The hosts, what each speaks and how it differs from others that do: data, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from polyroute.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from polyroute.providers.error_table import ErrorRow

__all__ = ["HOSTS", "APIVersion", "Host", "ModelList", "kinds_of"]


@dataclass(frozen=True, slots=True)
class APIVersion:
    """The version of a host's API that goes with addresses before an operation's own path in which
    *path* is found, a regular expression: what *variable* says, or the *usual* one."""

    path: str
    usual: str
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class ModelList:
    """Where a host lists the models that a key reaches: at *path*, after the base URL, in the list called
    *items*, each by its *name*, which *prefix* stands before."""

    path: str = "/models"
    items: str = "data"
    name: str = "id"
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host: where it is, what it speaks, what key it takes, and its own words for things.

    *wire_format* is one that `format_of` knows; *headers* go with every request. A key is taken from
    the first of *key_variables* that is set, and goes into *key_header*, after `Bearer` where that is
    `authorization`; *without_key* says who asks where there is none.

    In *base_url*, `{region}` and `{project}` stand for what the deployment, or the first of their
    variables that is set, says; *base_urls_by_region* are for regions that live elsewhere. Where the
    host wants the API's version in an address, *api_versions* say which. *bare_port*: what
    *base_url_variable* holds may be a host alone, and this is its port then.

    *unsupported* names the arguments that it is known not to take; `response_format=json_schema`
    stands for that one shape of it. *reasoning_field* is the field in which a model's earlier
    reasoning goes back, None where it must not; *prefill_field* the one by which an assistant's turn
    that stands last is marked as the beginning of the answer. *call_id_length*: how many letters and
    digits an id of a tool call must have, None where any will do. *user_after_tool*: a user may speak
    before the assistant has, when a tool gave something back. *speakers*: a message may name who says it. *cache_control*: texts and tools may be marked, in Anthropic's words, to be cached up to
    there. *media* is what a user may show: `images`, `audio`, `files`. *elsewhere* is found in the names
    of models that the host has at another address, in another format. *errors* are asked before the
    common error table.
    """

    prefix: str
    wire_format: str = "openai-chat"
    base_url: str | None = None
    base_url_variable: str | None = None
    base_url_suffix: str = ""
    bare_port: int | None = None
    base_urls_by_region: tuple[tuple[str, str], ...] = ()
    region_variables: tuple[str, ...] = ()
    project_variables: tuple[str, ...] = ()
    api_versions: tuple[APIVersion, ...] = ()
    key_variables: tuple[str, ...] = ()
    key_optional: bool = False
    without_key: Literal["aws-signature", "google-token"] | None = None
    key_header: str = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    kinds: frozenset[str] = frozenset({"chat", "embed"})
    models: ModelList | None = ModelList()
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    seed_field: str = "seed"
    user_field: str | None = "user"
    dimensions_field: str = "dimensions"
    required_choice: str = "required"
    developer_role: bool = False
    stream_options: bool = True
    effort_object: bool = False
    reasoning_field: str | None = None
    prefill_field: str | None = None
    call_id_length: int | None = None
    user_after_tool: bool = True
    speakers: bool = True
    cache_control: bool = False
    media: frozenset[str] = frozenset({"images", "audio", "files"})
    elsewhere: str | None = None
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
_VERTEX = "v1/projects/{project}/locations/{region}/publishers/google"

# What OpenAI's Responses say of pictures and files that the caller sent.
_BAD_PICTURES = frozenset(
    {"invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "invalid_image_mode",
     "image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "image_file_not_found",
     "unsupported_image_media_type", "empty_image_file", "failed_to_download_image"}
)  # fmt: skip

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
        prefix="openai-responses",
        wire_format="openai-responses",
        base_url="https://api.openai.com/v1",
        base_url_variable="OPENAI_BASE_URL",
        key_variables=("OPENAI_API_KEY",),
        kinds=frozenset({"chat"}),
        unsupported=frozenset({"top_k", "stop", "n", "seed", "frequency_penalty", "presence_penalty"}),
        errors=(
            # What another organisation's key has kept, or encrypted; its own may be a candidate too.
            ErrorRow(NotFoundError, codes=frozenset({"previous_response_not_found"})),
            ErrorRow(PermissionDeniedError, codes=frozenset({"invalid_encrypted_content"})),
            ErrorRow(
                ContentFilterError,
                codes=frozenset({"invalid_prompt", "bio_policy", "image_content_policy_violation"}),
            ),
            ErrorRow(BadRequestError, codes=_BAD_PICTURES),
        ),
    ),
    Host(
        prefix="azure",
        base_url_variable="AZURE_OPENAI_ENDPOINT",
        base_url_suffix="/openai/v1",
        api_versions=(
            APIVersion(r"/openai/deployments/[^/]+$", "2024-10-21", "AZURE_OPENAI_API_VERSION"),
            APIVersion(r"\.services\.ai\.azure\.com/models$", "2024-05-01-preview"),
        ),
        key_variables=("AZURE_OPENAI_API_KEY",),
        key_header="api-key",
        max_tokens_field="max_completion_tokens",
        developer_role=True,
        unsupported=_OPENAI_ONLY,
    ),
    Host(
        prefix="anthropic",
        models=ModelList("/models?limit=1000"),
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
        models=ModelList("/models?pageSize=1000", "models", "name", "models/"),
        wire_format="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_header="x-goog-api-key",
    ),
    Host(
        prefix="vertex",
        models=None,
        wire_format="vertex",
        base_url=f"https://{{region}}-aiplatform.googleapis.com/{_VERTEX}",
        base_urls_by_region=(
            ("global", f"https://aiplatform.googleapis.com/{_VERTEX}"),
            ("us", f"https://aiplatform.us.rep.googleapis.com/{_VERTEX}"),
            ("eu", f"https://aiplatform.eu.rep.googleapis.com/{_VERTEX}"),
        ),
        region_variables=("GOOGLE_CLOUD_LOCATION",),
        project_variables=("GOOGLE_CLOUD_PROJECT",),
        elsewhere=r"claude|-maas$",
        without_key="google-token",
    ),
    Host(
        prefix="bedrock",
        models=None,
        wire_format="bedrock-converse",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        region_variables=("AWS_REGION", "AWS_DEFAULT_REGION"),
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        without_key="aws-signature",
        unsupported=frozenset({"seed", "n", "logprobs", "frequency_penalty", "presence_penalty"}),
        errors=(
            ErrorRow(
                AuthenticationError,
                codes=frozenset(
                    {
                        "ExpiredTokenException",
                        "IncompleteSignatureException",
                        "InvalidClientTokenIdException",
                        "InvalidSignatureException",
                        "MissingAuthenticationTokenException",
                        "UnrecognizedClientException",
                    }
                ),
            ),
            ErrorRow(OverloadedError, codes=frozenset({"ModelNotReadyException"})),
            ErrorRow(RateLimitError, codes=frozenset({"ServiceQuotaExceededException"})),
            ErrorRow(QuotaExhaustedError, codes=frozenset({"ThrottlingException"}), pattern=r"per day"),
            # What the model, or the way to it, broke off by itself.
            ErrorRow(
                ServerError,
                codes=frozenset(
                    {"ModelErrorException", "ModelStreamErrorException", "ModelTimeoutException"}
                ),
            ),
        ),
    ),
    Host(
        prefix="cohere",
        models=None,
        wire_format="cohere-chat",
        base_url="https://api.cohere.com/v2",
        key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        user_field=None,
        unsupported=frozenset({"n"}),
        errors=(
            ErrorRow(AuthenticationError, frozenset({498})),
            ErrorRow(ServerError, frozenset({499})),  # It has broken the call off by itself.
            ErrorRow(QuotaExhaustedError, frozenset({429}), pattern=r"calls */ *month"),
        ),
    ),
    Host(
        prefix="ollama",
        models=ModelList("/api/tags", "models", "model"),
        wire_format="ollama-chat",
        base_url="http://127.0.0.1:11434",
        base_url_variable="OLLAMA_HOST",
        bare_port=11_434,
        key_variables=("OLLAMA_API_KEY",),
        key_optional=True,
        user_field=None,
        unsupported=frozenset({"n"}),
        errors=(
            ErrorRow(
                QuotaExhaustedError, frozenset({429}), pattern=r"(session|hourly|weekly|monthly) usage limit"
            ),
        ),
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
        prefill_field="prefix",
        call_id_length=9,
        user_after_tool=False,
        speakers=False,
        media=frozenset({"images"}),
        unsupported=frozenset({"top_k", "logprobs"}),
        errors=(ErrorRow(OverloadedError, frozenset({429}), pattern=r"service.?tier.?capacity"),),
    ),
    Host(
        prefix="groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        kinds=frozenset({"chat"}),
        max_tokens_field="max_completion_tokens",
        speakers=False,
        media=frozenset({"images"}),
        unsupported=frozenset({"top_k", "logprobs", "n"}),
    ),
    Host(
        prefix="deepseek",
        base_url="https://api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        kinds=frozenset({"chat"}),
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
        errors=(
            ErrorRow(
                QuotaExhaustedError,
                frozenset({403, 429}),
                pattern=r"used all available credits|(run out of|doesn't have any) credits",
            ),
            ErrorRow(ContentFilterError, frozenset({403}), pattern=r"violates usage guidelines"),
        ),
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
        cache_control=True,
        errors=(ErrorRow(QuotaExhaustedError, frozenset({429}), pattern=r"free-models-per-day"),),
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
        models=None,
        base_url="https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY",),
        kinds=frozenset({"chat"}),
        user_field=None,
        stream_options=False,
        unsupported=frozenset({"tools", "tool_choice", "parallel_tool_calls", "seed", "n", "logprobs"}),
    ),
    Host(
        prefix="cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        kinds=frozenset({"chat"}),
        max_tokens_field="max_completion_tokens",
        unsupported=frozenset({"top_k", "frequency_penalty", "presence_penalty"}),
    ),
    Host(prefix="huggingface", base_url="https://router.huggingface.co/v1", key_variables=("HF_TOKEN",)),
    Host(prefix="nvidia", base_url="https://integrate.api.nvidia.com/v1", key_variables=("NVIDIA_API_KEY",)),
    Host(
        prefix="voyage",
        models=None,
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
    r"^(.*[./])?(chatgpt-|claude|command-|deepseek-|gemini-\d|gemma|glm-|gpt-|grok-|kimi-|llama-|meta-llama"
    r"|ministral|mistral-(large|medium|small|tiny)|mixtral|nova-(2-)?(lite|micro|premier|pro)|o\d|phi-|qwen\d?[.\d]*-|sonar)",
    re.IGNORECASE,
)


def kinds_of(host: Host, model: str) -> frozenset[str]:
    """Which kinds of call a model serves, by its family; an unknown one is taken to serve all of its host's."""
    if _EMBEDDERS.search(model):
        return host.kinds & {"embed"}
    if _CHATTERS.match(model):
        return host.kinds & {"chat"}
    return host.kinds
