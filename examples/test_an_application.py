"""How an application's own tests look: no network, no key, an hour of waiting in a millisecond.

Run it: pytest examples/test_an_application.py
"""

import trio
from trio.testing import MockClock

from polyroute import Deployment, RateLimitError, Router
from polyroute.testing import FakeProvider


async def summarise(router: Router, text: str) -> str:
    """What the application does."""
    return (await router.chat(f"Summarise in a word: {text}")).text.strip()


def test_a_busy_host_is_waited_out() -> None:
    busy = FakeProvider(script=[RateLimitError("slow down", retry_after=15), " sky "])

    async def main() -> float:
        async with Router([Deployment("fake/a", provider=busy)]) as router:
            started = trio.current_time()
            assert await summarise(router, "The sky is blue.") == "sky"
            return trio.current_time() - started

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == 15
    assert len(busy.calls) == 2
