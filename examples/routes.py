"""Names that an application asks for, what they cost, and a border that no fallback crosses.

Run it: python examples/routes.py (it needs no key: its hosts are simulated)
"""

import asyncio

from polyroute import (
    AllAttemptsFailedError,
    Deployment,
    Price,
    Route,
    Router,
    ServerError,
    Usage,
    Weighted,
)
from polyroute.testing import FakeProvider

TOKENS = Usage(input_tokens=1_000, output_tokens=200)


def host(*script: str | Exception) -> FakeProvider:
    return FakeProvider(script=list(script), usage=TOKENS)


async def main() -> None:
    router = Router(
        [
            Deployment(
                "cheap/small", id="small", provider=host("small"), price=Price("0.10", "0.40"), weight=3
            ),
            Deployment("dear/large", id="large", provider=host("large"), price=Price("2.00", "8.00")),
            Deployment("own/eu", id="eu", provider=host(ServerError("down"), "eu"), region="eu-west-1"),
        ],
        routes={
            "default": Route(["small", "large"], strategy=Weighted()),
            "private": Route(["eu"], tags=["region:eu-west-1"], fallbacks=["default"], retry=None),
        },
    )
    async with router:
        for reply in await router.chat_many(["hi"] * 8):
            print(reply.deployment, reply.cost, "USD")
        try:
            await router.chat("a secret", model="private")
        except AllAttemptsFailedError as error:
            print(error)  # its only host is down, and nobody else may see it
        print(await router.explain("a secret", model="private"))


asyncio.run(main())
