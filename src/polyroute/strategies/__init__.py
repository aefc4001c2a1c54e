"""Who gets the next attempt: one file a family."""

from polyroute.strategies.balanced import RoundRobin, Weighted
from polyroute.strategies.ordered import Ordered

__all__ = ["Ordered", "RoundRobin", "Weighted"]
