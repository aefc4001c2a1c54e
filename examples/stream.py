"""A reply as it is being written, and the whole of it at the end.

Run it: OPENAI_API_KEY=… python examples/stream.py
"""

import asyncio

from polyroute import Router, StreamInterruptedError


async def main() -> None:
    async with Router(["openai/gpt-5-mini"]) as router:
        try:
            async with router.stream("Tell me a short story.") as stream:
                async for chunk in stream:
                    print(chunk.text, end="", flush=True)
                reply = await stream.response()
            print(f"\n{reply.usage.output_tokens} tokens from {reply.deployment}")
        except StreamInterruptedError as error:
            print(f"\nIt broke after {len(error.partial)} characters: {error.__cause__}")


asyncio.run(main())
