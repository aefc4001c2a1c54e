"""Whom TLS trusts: the authorities of `SSL_CERT_FILE` or `SSL_CERT_DIR`, or else the world's, as httpx has it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

from polyroute.errors import ConfigurationError

__all__ = ["as_httpx", "trusted"]


def trusted(create: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What *create* makes.

    Raises:
        ConfigurationError: The certificates that the environment names cannot be read.
    """
    try:
        return create()
    except OSError as exc:
        why = f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {exc}"
    raise ConfigurationError(why)


def as_httpx() -> ssl.SSLContext:
    """The context that httpx would make, for who does without it."""
    import certifi

    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not directory:
        file = certifi.where()
    context = ssl.create_default_context(cafile=file or None, capath=None if file else directory)
    context.set_alpn_protocols(["http/1.1"])
    return context
