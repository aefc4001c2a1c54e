"""A deployment fails again and again: it is left alone, and what there is to say is said at last.

Run it: python examples/when_it_fails.py (no key is needed: the model is a double)
"""

import asyncio

from polyroute import CircuitBreaker, Deployment, Limits, OverloadedError, Router
from polyroute.testing import FakeProvider


async def main() -> None:
    down = FakeProvider(script=[OverloadedError("no capacity", status=503)])
    router = Router(
        [Deployment("fake/a", id="a", provider=down, limits=Limits(rpm=100))],
        breaker=CircuitBreaker(failures=3),
        retry=None,
        degrade=["Please try again later."],
    )
    async with router:
        for _ in range(5):
            reply = await router.chat("hi")
            vitals = router.fleet["a"]
            print(reply.text, f"(breaker {vitals.breaker}, {vitals.headroom:.0%} of its limits left)")
        print(await router.explain("hi"))


asyncio.run(main())
