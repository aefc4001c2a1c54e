"""What applications test with: a provider that answers from a script, in any clock's time."""

from polyroute.testing.fake import FakeProvider

__all__ = ["FakeProvider"]
