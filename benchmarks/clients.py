"""The clients side by side, each used as its own documentation says.

Each opens with the addresses it may ask, the last of which answers. `chat` gives the reply's text,
`stream` how many pieces of text came; *falls_back* tells that it goes on to the next address by
itself. Libraries are imported where their client is made, so that one can be missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, Protocol

__all__ = ["CLIENTS", "Client", "version_of"]

MODEL = "gpt-5-mini"
KEY = "sk-proj-" + "of-nobody-" * 15  # as long as real ones, which are looked for in what a host says
MESSAGES = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "Why is the sky blue? " * 10},
]
_BODY = {"model": MODEL, "messages": MESSAGES}
_HEADERS = {"authorization": f"Bearer {KEY}"}
_PATH = "/chat/completions"
_DATA, _DONE = "data: ", "data: [DONE]"


class Client(Protocol):
    library: ClassVar[str]
    falls_back: ClassVar[bool]

    def __init__(self, addresses: Sequence[str]) -> None: ...
    async def chat(self) -> str: ...
    async def stream(self) -> int: ...
    async def aclose(self) -> None: ...


def version_of(library: str) -> str | None:
    """The version that is installed here; None where there is none."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


class RawHTTPX:
    """`httpx.AsyncClient` with room for every call, so that none waits for a connection."""

    library = "httpx"
    falls_back = False

    def __init__(self, addresses: Sequence[str]) -> None:
        httpx = import_module(self.library)
        self._url = addresses[-1] + _PATH
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
        self._client = httpx.AsyncClient(headers=_HEADERS, limits=limits, timeout=60)

    async def chat(self) -> str:
        response = await self._client.post(self._url, json=_BODY)
        return response.json()["choices"][0]["message"]["content"]

    async def stream(self) -> int:
        pieces = 0
        async with self._client.stream("POST", self._url, json={**_BODY, "stream": True}) as response:
            async for line in response.aiter_lines():
                if line.startswith(_DATA) and line != _DONE:
                    pieces += _says(json.loads(line[len(_DATA) :]))
        return pieces

    async def aclose(self) -> None:
        await self._client.aclose()


class RawHTTPX2(RawHTTPX):
    """`httpx2.AsyncClient`, used in the same way."""

    library = "httpx2"


class RawAiohttp:
    """`aiohttp.ClientSession` with room for every call."""

    library = "aiohttp"
    falls_back = False

    def __init__(self, addresses: Sequence[str]) -> None:
        import aiohttp

        self._url = addresses[-1] + _PATH
        self._session = aiohttp.ClientSession(headers=_HEADERS, connector=aiohttp.TCPConnector(limit=0))

    async def chat(self) -> str:
        async with self._session.post(self._url, json=_BODY) as response:
            return (await response.json())["choices"][0]["message"]["content"]

    async def stream(self) -> int:
        pieces = 0
        async with self._session.post(self._url, json={**_BODY, "stream": True}) as response:
            async for data in response.content:
                line = data.decode().rstrip("\n")
                if line.startswith(_DATA) and line != _DONE:
                    pieces += _says(json.loads(line[len(_DATA) :]))
        return pieces

    async def aclose(self) -> None:
        await self._session.close()


class OpenAISDK:
    """`openai.AsyncOpenAI`, its own retries off."""

    library = "openai"
    falls_back = False

    def __init__(self, addresses: Sequence[str]) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(base_url=addresses[-1], api_key=KEY, max_retries=0)

    async def chat(self) -> str:
        completion = await self._client.chat.completions.create(model=MODEL, messages=MESSAGES)
        return completion.choices[0].message.content

    async def stream(self) -> int:
        chunks = await self._client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return sum([bool(chunk.choices[0].delta.content) async for chunk in chunks])

    async def aclose(self) -> None:
        await self._client.close()


class OpenAISDKRouted(OpenAISDK):
    """The same SDK with a router where its network was."""

    falls_back = True

    def __init__(self, addresses: Sequence[str]) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        self._router = router_of(addresses)
        # Its own kind of client is of httpx2 since version 3, and was of httpx before.
        library = import_module(DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])
        http = DefaultAsyncHttpxClient(transport=self._router.openai_transport(library))
        self._client = AsyncOpenAI(
            http_client=http, base_url="http://polyroute.invalid/v1", api_key=KEY, max_retries=0
        )

    async def aclose(self) -> None:
        await super().aclose()
        await self._router.aclose()


class LiteLLMRouter:
    """`litellm.Router` over a model group for each address, the next one the fallback of the one before.

    Cooldowns are off, or a deployment that answered 503 once would not be asked again.
    """

    library = "litellm"
    falls_back = True

    def __init__(self, addresses: Sequence[str]) -> None:
        import os

        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # Without it the import asks the internet.
        import litellm

        litellm.suppress_debug_info = True
        groups = [f"group-{place}" for place in range(len(addresses))]
        self._group = groups[0]
        self._router = litellm.Router(
            model_list=[
                {
                    "model_name": group,
                    "litellm_params": {"model": f"openai/{MODEL}", "api_base": address, "api_key": KEY},
                }
                for group, address in zip(groups, addresses, strict=True)
            ],
            fallbacks=[{groups[0]: groups[1:]}],
            num_retries=0,
            disable_cooldowns=True,
        )

    async def chat(self) -> str:
        reply = await self._router.acompletion(model=self._group, messages=MESSAGES)
        return reply.choices[0].message.content

    async def stream(self) -> int:
        chunks = await self._router.acompletion(model=self._group, messages=MESSAGES, stream=True)
        return sum([bool(chunk.choices[0].delta.content) async for chunk in chunks])

    async def aclose(self) -> None:
        """Nothing: it has no way of its own to be closed."""


class Polyroute:
    """The whole router over its default transport, with a deployment for each address."""

    library = "polyroute"
    transport = "httpx"
    falls_back = True

    def __init__(self, addresses: Sequence[str]) -> None:
        self._router = router_of(addresses, transport=self.transport)

    async def chat(self) -> str:
        return (await self._router.chat(MESSAGES)).text

    async def stream(self) -> int:
        async with self._router.stream(MESSAGES) as stream:
            return sum([bool(chunk.text) async for chunk in stream])

    async def aclose(self) -> None:
        await self._router.aclose()


class PolyrouteOverHTTPX2(Polyroute):
    transport = "httpx2"


class PolyrouteOverAiohttp(Polyroute):
    transport = "aiohttp"


class RouterAlone(Polyroute):
    """The router over two `FakeProvider`s: its own work and nothing else, no bytes and no network."""

    def __init__(self, addresses: Sequence[str]) -> None:
        from server import TEXT

        from polyroute import Deployment, Router
        from polyroute.testing import FakeProvider

        self._fakes = [FakeProvider([TEXT]), FakeProvider([TEXT])]
        self._router = Router([
            Deployment(f"fake/{MODEL}", id=f"fake-{place}", provider=fake)
            for place, fake in enumerate(self._fakes)
        ])  # fmt: skip

    async def chat(self) -> str:
        self._fakes[0].calls.clear()  # What the double remembers is no work of the router's.
        return await super().chat()


def router_of(addresses: Sequence[str], *, transport: str = "httpx"):
    """A router over them. Where one answers 503 each time its breaker is off, or it would soon not be
    asked again."""
    from polyroute import CircuitBreaker, Deployment, Router

    deployments = [
        Deployment(f"openai/{MODEL}", id=f"deployment-{place}", base_url=address, api_key=KEY)
        for place, address in enumerate(addresses)
    ]
    fails = any("/bad/" in address for address in addresses)
    return Router(deployments, transport=transport, breaker=None if fails else CircuitBreaker())


def _says(event: dict) -> bool:
    return bool(event["choices"][0]["delta"].get("content"))


CLIENTS: dict[str, type[Client]] = {
    "httpx": RawHTTPX,
    "polyroute": Polyroute,
    "aiohttp": RawAiohttp,
    "httpx2": RawHTTPX2,
    "polyroute over httpx2": PolyrouteOverHTTPX2,
    "polyroute over aiohttp": PolyrouteOverAiohttp,
    "openai": OpenAISDK,
    "polyroute behind openai": OpenAISDKRouted,
    "litellm": LiteLLMRouter,
    "router alone": RouterAlone,
}
