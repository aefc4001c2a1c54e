"""A stream breaks in the middle, and another model carries on where it stopped.

Run it: python examples/resumed_stream.py (no key is needed: both models are doubles)
"""

import asyncio

from polyroute import Deployment, ReadError, Router
from polyroute.testing import FakeProvider

CUT = FakeProvider(script=[("Once upon a time", ReadError("the line went dead"))])
REST = FakeProvider([" there was a router."])


async def main() -> None:
    async with Router([Deployment("fake/a", provider=CUT), Deployment("fake/b", provider=REST)]) as router:
        async with router.stream("Tell me a story.", on_break="resume") as stream:
            async for chunk in stream:
                print(chunk.text, end="")
            reply = await stream.response()
        print()
        print(reply.trace)


asyncio.run(main())
