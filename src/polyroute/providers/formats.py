"""The wire formats by name, which is what a host's `wire_format` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from polyroute.protocols import WireFormat
from polyroute.providers.hosts import Host
from polyroute.providers.openai_chat import OpenAIChat

__all__ = ["FORMATS"]

FORMATS: Mapping[str, Callable[[Host], WireFormat]] = MappingProxyType({"openai-chat": OpenAIChat})
