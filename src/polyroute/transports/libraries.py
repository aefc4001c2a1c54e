"""httpx and its successor httpx2, either of which the pooled transport stands on: they name alike."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from polyroute.errors import ConfigurationError

__all__ = ["Library", "needed"]


@dataclass(frozen=True, slots=True)
class Library:
    """A client library and the one below it, which makes its connections."""

    client: ModuleType
    core: ModuleType

    @classmethod
    def named(cls, name: str) -> Library:
        """The library that is called *name*, `httpx` or `httpx2`.

        Raises:
            ConfigurationError: It is not installed.
        """
        return cls(needed(name), needed(name.replace("httpx", "httpcore"), of=name))


def needed(module: str, *, of: str | None = None) -> ModuleType:
    """The module of a library that may not be there. *of*: whose transport asks for it."""
    name = of or module
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            f'transport "{name}" needs {exc.name}, which is not installed: pip install "polyroute[{name}]"'
        ) from None
