"""Codecs do no I/O and keep nothing, and what one router's providers know, another's do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from random import Random
from threading import get_ident
from types import FunctionType, MemberDescriptorType, ModuleType

import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint

import polyroute.providers
from polyroute import Deployment, FleetError, Router, Tool, UnsupportedParameterError
from tests.goldens.dialects import DIALECTS, Dialect
from tests.providers.wire import OK, Response, Scripted
from tests.wire_server import Answer, WireServer

on_each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=str)

# Who asks, and the requests themselves; all else is pure.
ASKING = {"polyroute.providers.batches", "polyroute.providers.credentials", "polyroute.providers.http"}
MODULES = [
    each.name
    for each in walk_packages(polyroute.providers.__path__, "polyroute.providers.")
    if not each.ispkg
]


# --- alone: without sockets, event loops and clients of HTTP ------------------------------------

WITHOUT_A_NETWORK = """
import json, socket, sys

def refused(*_, **__):
    raise AssertionError("a codec asked for a socket")

for name in ("socket", "create_connection", "socketpair", "getaddrinfo"):
    setattr(socket, name, refused)
given = json.load(sys.stdin)

{work}

loaded = {{name.partition(".")[0] for name in sys.modules}}
told["loaded"] = sorted(loaded & {{"anyio", "asyncio", "httpcore", "httpx", "opentelemetry", "ssl", "trio"}})
print(json.dumps(told))
"""

BOTH_WAYS = """
from base64 import b64decode
from polyroute.deadlines import Deadline
from polyroute.deployments import Call, Deployment, EmbedCall
from polyroute.errors import PolyrouteError
from polyroute.providers.formats import format_of
from polyroute.providers.hosts import HOSTS
from polyroute.settings import Timeout
from polyroute.types import ChatRequest, EmbedRequest, Message, Tool

def going(kind, request, model):
    deployment = Deployment(model, api_key="k-0123456789abcdef", **given["options"])
    return kind(request=request, deployment=deployment, model=deployment.name, timeout=Timeout(), deadline=Deadline())

asked = ChatRequest(messages=(Message("user", "hi"),), tools=(Tool("clock"),), max_tokens=64)
call = going(Call, asked, given["model"])
wire = format_of(HOSTS[call.deployment.prefix])
told = {"asked": [wire.encode(call, stream=stream).decode() for stream in (False, True)]}
reply = wire.decode(b64decode(given["reply"]), call)
told["reply"] = [each.name for each in reply.tool_calls]
decoder = wire.stream_decoder(call)
chunks = [*decoder.feed(b64decode(given["stream"])), *decoder.finish()]
told["stream"] = [each.tool_call_delta.name for each in chunks if each.tool_call_delta and each.tool_call_delta.name]
refusal = wire.decode_error(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, b'{"error": {"message": "no"}}')
told["refusal"] = isinstance(refusal, PolyrouteError)
if given["embedder"]:
    embedding = going(EmbedCall, EmbedRequest(input=("hi", "Hello!")), given["embedder"])
    wire.encode_embed(embedding)
    told["vectors"] = len(wire.decode_embed(b64decode(given["vectors"]), embedding))
"""


def alone(work: str, given: object) -> dict[str, object]:
    """What *work* tells from a process of its own, which has no network, and what that one has loaded."""
    path = os.pathsep.join([str(Path(polyroute.__file__).parents[1]), *filter(None, sys.path)])
    # -S: some who are installed load themselves at every start.
    ran = subprocess.run(
        [sys.executable, "-S", "-c", WITHOUT_A_NETWORK.format(work=work)],
        input=json.dumps(given), env={"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_no_codec_loads_an_event_loop_or_a_client_of_http():
    work = "import importlib\ntold = {}\nfor name in given: importlib.import_module(name)"

    assert alone(work, sorted({*MODULES} - ASKING)) == {"loaded": []}


@on_each_dialect
def test_a_codec_encodes_and_decodes_without_a_network(dialect):
    replies, format = dialect.replies, dialect.format
    given = {
        "model": dialect.models[0],
        "options": dialect.options,
        "reply": encoded(replies.calls),
        "stream": b64encode(format.as_stream(replies.calls, Random(1))).decode(),
        "embedder": dialect.embedder,
        "vectors": encoded(replies.vectors),
    }

    told = alone(BOTH_WAYS, given)

    assert all("clock" in body for body in told.pop("asked"))
    vectors = {} if dialect.embedder is None else {"vectors": 2}
    calls = ["clock", "weather"]
    assert told == {"reply": calls, "stream": calls, "refusal": True, "loaded": [], **vectors}


def encoded(value: object) -> str:
    return b64encode(json.dumps(value).encode()).decode()


# --- apart: two routers in one process ----------------------------------------------------------

KEYS = {"one": "k-one-0123456789abcdef", "two": "k-two-fedcba9876543210"}
ROUNDS = 3


class Side:
    """One of two routers over the same models, with a key, a host and a header of its own."""

    def __init__(self, dialect: Dialect, name: str, key: object) -> None:
        self.marks = (KEYS[name], f"https://{name}.example/v1", f"tenant-{name}")
        self.transport = Scripted(*(each for _ in range(ROUNDS) for each in answers(dialect)))
        models = [dialect.models[0], *filter(None, [dialect.embedder])]
        given = {
            **dialect.options,
            "api_key": key,
            "base_url": self.marks[1],
            "headers": {"x-tenant": self.marks[2]},
        }
        self.embedder = dialect.embedder
        self.router = Router(
            [Deployment(model, **given) for model in models], transport=self.transport, retry=None
        )

    async def asks(self) -> None:
        for _ in range(ROUNDS):
            await self.router.chat("hi", tools=[Tool("clock")])
            async with self.router.stream("hi") as stream:
                await checkpoint()
                await stream.response()
            with pytest.raises(FleetError):
                await self.router.chat("hi")
            if self.embedder is not None:
                await self.router.embed(["hi", "Hello!"], model=self.embedder)

    def sent(self) -> list[str]:
        """Each request, whole."""
        return [f"{each.url} {each.headers} {each.body!r}" for each in self.transport.sent]


def answers(dialect: Dialect) -> Iterator[Response]:
    """What a host answers in one round: a reply, a stream, a refusal, and vectors."""
    said = dialect.format.answer("hi")
    yield Response(said)
    yield Response(dialect.format.as_stream(said, Random(1)))
    yield Response({"error": {"message": "no"}}, 500)
    if dialect.embedder is not None:
        yield Response(dialect.replies.vectors)


async def at_once(*sides: Side) -> None:
    async with create_task_group() as group:
        for side in sides:
            group.start_soon(side.asks)


@on_each_dialect
@pytest.mark.parametrize("asked_for", [False, True], ids=["a key", "a key that is asked for"])
async def test_what_one_router_sends_bears_nothing_of_the_other(dialect, asked_for):
    sides = [Side(dialect, name, (lambda key=key: key) if asked_for else key) for name, key in KEYS.items()]

    await at_once(*sides)

    for side, other in (sides, sides[::-1]):
        assert len(side.sent()) == ROUNDS * len(list(answers(dialect)))
        for request in side.sent():
            assert all(mark in request for mark in side.marks)
            assert not any(mark in request for mark in other.marks)


async def test_what_one_router_signs_is_signed_for_its_own_region(monkeypatch):
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-0123456789")
    (bedrock,) = (each for each in DIALECTS if each.prefix == "bedrock")
    regions = ("us-east-1", "eu-west-1")
    sides = [
        Side(replace(bedrock, options={"region": region}), name, None)
        for region, name in zip(regions, KEYS, strict=True)
    ]

    await at_once(*sides)

    for side, own, others in zip(sides, regions, regions[::-1], strict=True):
        for request in side.sent():
            assert f"/{own}/bedrock/aws4_request" in request
            assert others not in request


async def test_what_one_router_has_learnt_of_a_model_the_other_has_not():
    words = "Unsupported parameter: 'seed' is not supported with this model."
    refusal = {"error": {"message": words, "code": "unsupported_parameter", "param": "seed"}}
    one, two = Scripted(Response(refusal, 400)), Scripted(Response(OK))
    first, second = (
        Router([Deployment("openai/gpt-5-mini", api_key=KEYS["one"])], transport=transport)
        for transport in (one, two)
    )

    for _ in range(2):
        with pytest.raises(UnsupportedParameterError):
            await first.chat("hi", seed=7)
    await second.chat("hi", seed=7)

    assert len(one.sent) == 1
    assert json.loads(two.sent[0].body)["seed"] == 7


async def test_each_router_has_connections_of_its_own_and_closes_no_others():
    served: dict[str, set[int]] = {}

    def answer(asked):
        # A connection has a thread of its own, as long as it is open.
        served.setdefault(asked.headers["authorization"], set()).add(get_ident())
        return Answer.of(OK)

    with WireServer(answer) as server:
        first, second = (
            Router([Deployment("openai/gpt-5-mini", api_key=key, base_url=server.url)])
            for key in KEYS.values()
        )
        for router in (first, second, first, second):
            await router.chat("hi")
        await first.aclose()
        await second.chat("hi")
        await second.aclose()

    assert [len(each) for each in served.values()] == [1, 1]
    assert len(set.union(*served.values())) == 2


# What cannot change; functions of others, such as `urlsplit`, may remember what they like.
FIXED = (str, bytes, int, float, frozenset, type, staticmethod, property)
FIXED += (ModuleType, FunctionType, MemberDescriptorType)


def kept() -> dict[str, str]:
    """All that modules and classes of the providers hold and could change, as it is now."""
    told: dict[str, str] = {}
    for module in map(import_module, MODULES):
        classes = {each.__qualname__: each for each in vars(module).values() if isinstance(each, type)}
        for owner, scope in {"": module, **classes}.items():
            for name, value in vars(scope).items():
                if name.startswith("__") or isinstance(value, FIXED):
                    continue
                if not hasattr(value, "cache_info"):
                    told[f"{module.__name__} {owner} {name}"] = repr(value)
                elif value.__module__.startswith("polyroute"):
                    told[f"{module.__name__} {owner} {name}"] = repr(value.cache_info())
    return told


@on_each_dialect
async def test_no_module_keeps_anything_of_a_call(dialect):
    before = kept()

    await at_once(*(Side(dialect, name, key) for name, key in KEYS.items()))

    assert any("_EFFORTS" in name for name in before)
    assert kept() == before
