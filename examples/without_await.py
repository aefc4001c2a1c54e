"""The same calls without `await`: in a script, a notebook, a thread.

Run it: OPENAI_API_KEY=… python examples/without_await.py
"""

from polyroute import Router

with Router(["openai/gpt-5-mini"]).sync() as client:
    print(client.chat("Why is the sky blue?").text)
    with client.stream("And at dusk?") as stream:
        for chunk in stream:
            print(chunk.text, end="", flush=True)
    print()
