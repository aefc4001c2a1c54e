"""A reply of your own type, and a plain function as a tool.

Run it: OPENAI_API_KEY=… python examples/structured_output.py
"""

import asyncio

from pydantic import BaseModel

from polyroute import Router


class City(BaseModel):
    name: str
    population: int


def weather(city: str) -> str:
    """The weather now."""
    return f"Sunny in {city}."


async def main() -> None:
    async with Router(["openai/gpt-5-mini"]) as router:
        reply = await router.chat("The largest city of Italy?", response_format=City)
        print(reply.parsed.name, reply.parsed.population)

        history = [{"role": "user", "content": "What is the weather in Rome?"}]
        answer = await router.chat(history, tools=[weather])
        for call in answer.tool_calls:
            history += [answer.message, call.result(weather(**(call.arguments or {})))]
            answer = await router.chat(history, tools=[weather])
        print(answer.text)


asyncio.run(main())
