"""What applications test with: a provider that answers from a script, in any clock's time; and what
providers of one's own are tried with."""

from polyroute.testing.checks import Refused, check_provider
from polyroute.testing.fake import FakeProvider

__all__ = ["FakeProvider", "Refused", "check_provider"]
