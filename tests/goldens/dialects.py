"""Who is asked: each host with a wire format of its own, and those that speak another's with words of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polyroute import Deployment
from polyroute.providers import HOSTS
from polyroute.providers.formats import format_of
from polyroute.wire import WireFormat
from tests.conformance.format import JSON, Format
from tests.conformance.formats import ALL
from tests.goldens import replies
from tests.goldens.replies import Replies

__all__ = ["DIALECTS", "KEY", "Dialect"]

KEY = "k-0123456789abcdef"
_FORMATS = {each.name: each for each in ALL}


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One host, with what it is asked and what it answers.

    *models* are those that it is asked for, the usual one first and after it those of other
    generations or makers; *embedder* is the one that embeds. *tier* is how `extra` asks for another
    service tier, None where the host has none. *comment* is what a host keeps a stream open with.
    """

    models: tuple[str, ...]
    replies: Replies
    embedder: str | None = None
    tier: JSON | None = None
    comment: bytes | None = b": keep-alive\n\n"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        return self.prefix

    @property
    def prefix(self) -> str:
        return self.models[0].partition("/")[0]

    @property
    def format(self) -> Format:
        """What the suite of all formats knows of its format, Vertex AI's being Gemini's in all but embeddings."""
        spoken = HOSTS[self.prefix].wire_format
        return _FORMATS["gemini" if spoken == "vertex" else spoken]

    def deployment(self, model: str) -> Deployment:
        return Deployment(model, api_key=KEY, **self.options)

    def wire(self) -> tuple[Deployment, WireFormat]:
        """The usual deployment, and the codec that speaks with its host."""
        return self.deployment(self.models[0]), format_of(HOSTS[self.prefix])


DIALECTS = (
    Dialect(
        models=("openai/gpt-5-mini",),
        replies=replies.OPENAI,
        embedder="openai/text-embedding-3-small",
        tier={"service_tier": "flex"},
    ),
    Dialect(
        models=("azure/gpt-5-mini",),
        replies=replies.OPENAI,
        embedder="azure/text-embedding-3-small",
        tier={"service_tier": "priority"},
        options={"base_url": "https://shop.openai.azure.com/openai/v1"},
    ),
    Dialect(
        models=("mistral/mistral-medium-latest",),
        replies=replies.MISTRAL,
        embedder="mistral/mistral-embed",
    ),
    Dialect(
        models=("openrouter/openai/gpt-5-mini",),
        replies=replies.OPENROUTER,
        embedder="openrouter/openai/text-embedding-3-small",
        tier={"service_tier": "flex"},
        comment=b": OPENROUTER PROCESSING\n\n",
    ),
    Dialect(
        models=("openai-responses/gpt-5-mini", "openai-responses/gpt-4.1"),
        replies=replies.RESPONSES,
        tier={"service_tier": "flex"},
    ),
    Dialect(
        models=("anthropic/claude-haiku-4-5", "anthropic/claude-opus-5"),
        replies=replies.ANTHROPIC,
        tier={"service_tier": "standard_only"},
    ),
    Dialect(
        models=("gemini/gemini-3-flash", "gemini/gemini-2.5-flash"),
        replies=replies.GEMINI,
        embedder="gemini/gemini-embedding-001",
        tier={"serviceTier": "flex"},
    ),
    Dialect(
        models=("vertex/gemini-3-flash", "vertex/gemini-2.5-flash"),
        replies=replies.VERTEX,
        embedder="vertex/text-embedding-005",
        options={
            "base_url": "https://aiplatform.googleapis.com/v1/projects/shop/locations/global/publishers/google"
        },
    ),
    Dialect(models=("cohere/command-a-03-2025",), replies=replies.COHERE, embedder="cohere/embed-v4.0"),
    Dialect(
        models=("ollama/qwen3",),
        replies=replies.OLLAMA,
        embedder="ollama/nomic-embed-text",
        comment=None,
    ),
    Dialect(
        models=(
            "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "bedrock/us.amazon.nova-2-lite-v1:0",
            "bedrock/openai.gpt-oss-120b-1:0",
            "bedrock/qwen.qwen3-32b-v1:0",
        ),
        replies=replies.BEDROCK,
        embedder="bedrock/cohere.embed-v4:0",
        tier={"serviceTier": {"type": "flex"}},
        comment=None,
        options={"region": "us-east-1"},
    ),
)
