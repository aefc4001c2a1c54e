"""How much may be asked of a host, and when: by the limits that were set and those it teaches."""

from polyroute.limits.limiter import LocalLimiter

__all__ = ["LocalLimiter"]
