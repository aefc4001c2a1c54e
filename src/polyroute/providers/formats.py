"""The wire formats, each loaded where the first host that speaks it is asked for."""

from __future__ import annotations

from polyroute.errors import ConfigurationError
from polyroute.providers.hosts import Host
from polyroute.wire import WireFormat

__all__ = ["format_of"]


def format_of(host: Host) -> WireFormat:
    """The format that *host* speaks, as it speaks it."""
    match host.wire_format:
        case "openai-chat":
            from polyroute.providers.openai_chat import OpenAIChat

            return OpenAIChat(host)
        case "openai-responses":
            from polyroute.providers.openai_responses import OpenAIResponses

            return OpenAIResponses(host)
        case "anthropic-messages":
            from polyroute.providers.anthropic_messages import AnthropicMessages

            return AnthropicMessages(host)
        case "cohere-chat":
            from polyroute.providers.cohere_chat import Cohere

            return Cohere(host)
        case "ollama-chat":
            from polyroute.providers.ollama_chat import Ollama

            return Ollama(host)
        case "gemini":
            from polyroute.providers.gemini_generate import Gemini

            return Gemini(host)
        case "vertex":
            from polyroute.providers.vertex_generate import Vertex

            return Vertex(host)
        case "bedrock-converse":
            from polyroute.providers.bedrock_converse import BedrockConverse

            return BedrockConverse(host)
        case other:
            raise ConfigurationError(f"host {host.prefix!r}: there is no wire format {other!r}")
