"""A second model stands in for the first, and the reply tells how it came about.

Run it: OPENAI_API_KEY=… GROQ_API_KEY=… python examples/stand_in.py
"""

import asyncio

from polyroute import Router


async def main() -> None:
    async with Router(["openai/gpt-5-mini", "groq/llama-3.3-70b-versatile"]) as router:
        print(await router.explain("Why is the sky blue?"))
        reply = await router.chat("Why is the sky blue?", max_tokens=200)
        print(reply.text)
        print(reply.trace)


asyncio.run(main())
