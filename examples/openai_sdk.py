"""A program written for OpenAI's SDK, routed in its own process.

Run it: OPENAI_API_KEY=… python examples/openai_sdk.py (it needs `pip install openai`)
"""

import asyncio

import httpx
from openai import AsyncOpenAI

from polyroute import Router


async def main() -> None:
    async with Router(["openai/gpt-5-mini", "groq/llama-3.3-70b-versatile"]) as router:
        client = AsyncOpenAI(
            http_client=httpx.AsyncClient(transport=router.openai_transport()),
            base_url="http://polyroute.invalid/v1",
            api_key="-",
        )
        # From here on it is the program that it was.
        messages = [{"role": "user", "content": "Why is the sky blue?"}]
        reply = await client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=messages)
        print(reply.headers["x-polyroute-deployment"], "says", reply.parse().choices[0].message.content)

        async for chunk in await client.chat.completions.create(
            model="gpt-5-mini", messages=messages, stream=True
        ):
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()
        await client.close()


asyncio.run(main())
