"""The kit that tries providers of one's own: it passes what keeps the promises, and names what does not."""

from __future__ import annotations

import json
from random import Random

import pytest

from polyroute import (
    AuthenticationError,
    ChatChunk,
    ChatResponse,
    EmbedResponse,
    RateLimitError,
    ServerError,
)
from polyroute.providers import HOSTS
from polyroute.providers.formats import format_of
from polyroute.providers.openai_chat import OpenAIChat
from polyroute.providers.openai_chat_streams import ChatDecoder
from polyroute.testing import FakeProvider, Refused, check_provider
from tests.conformance.format import Format
from tests.conformance.formats import on_each_format

REPLY = json.dumps({"choices": [{"message": {"content": "One two"}, "finish_reason": "stop"}]}).encode()
STREAM = b"".join(
    b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": reason}]}).encode() + b"\n\n"
    for delta, reason in (({"content": "One"}, None), ({"content": " two"}, None), ({}, "stop"))
)
NO_KEY = Refused(AuthenticationError, 401, b'{"error": {"message": "no"}}')


@on_each_format
async def test_our_own_formats_pass(format: Format):
    answer = format.answer("One two three")
    stream = format.as_stream(answer, Random(1))
    for _, wire in format.wires():
        await check_provider(wire, reply=json.dumps(answer).encode(), stream=stream)


async def test_our_own_providers_pass():
    await check_provider(FakeProvider(["One two"]))


class Broken(OpenAIChat):
    """A format with one thing wrong with it, by its name."""

    wrong = ""

    def __init__(self):
        super().__init__(HOSTS["openai"])

    def path(self, call, /, *, stream):
        return "chat" if self.wrong == "path" else super().path(call, stream=stream)

    def cannot(self, request):
        return [] if self.wrong == "cannot" else super().cannot(request)

    def encode(self, call, /, *, stream):
        if self.wrong == "cannot" and call.request.top_k:
            raise KeyError("top_k")
        if self.wrong == "changes":
            object.__setattr__(call.request, "seed", 7)
        body = super().encode(call, stream=stream)
        return body.decode() if self.wrong == "encode" else body

    def decode(self, body, call, /):
        if self.wrong == "decode":
            return json.loads(body)["choices"][0]["message"]["content"]
        if self.wrong == "noise" and body == b"[1]":
            raise IndexError
        reply = super().decode(body, call)
        return ChatResponse() if self.wrong == "silent" else reply

    def stream_decoder(self, call, /):
        return Decoder(self.wrong)

    def decode_error(self, status, headers, body, /):
        return ValueError("no") if self.wrong == "error" else super().decode_error(status, headers, body)


class Decoder(ChatDecoder):
    def __init__(self, wrong: str):
        super().__init__(HOSTS["openai"])
        self.wrong = wrong

    def feed(self, data, /):
        if self.wrong == "feed" and data == b"\xff\xfe":
            data.decode()
        if self.wrong == "cut" and len(data) == 1:
            data = b""
        chunks = super().feed(data)
        if self.wrong == "sum":
            chunks = [
                ChatChunk(text=chunk.text.upper(), finish_reason=chunk.finish_reason) for chunk in chunks
            ]
        return chunks

    def finish(self):
        chunks = super().finish()
        if self.wrong == "truncated":
            self.error = None
        return chunks


@pytest.mark.parametrize(
    ("wrong", "promise"),
    [
        ("path", "path gives a path"),
        ("encode", "encode gives bytes"),
        ("changes", "changes nothing of the request"),
        ("decode", "decode gives a ChatResponse"),
        ("silent", "finds the text"),
        ("noise", "gives a reply or a PolyrouteError"),
        ("feed", "does not raise"),
        ("cut", "may be cut anywhere"),
        ("sum", "adds up to the whole reply; of text"),
        ("truncated", "of which the rest never comes"),
        ("error", "decode_error gives a PolyrouteError"),
    ],
)
async def test_what_a_format_does_not_keep_is_named(wrong, promise):
    broken = Broken()
    await check_provider(broken, reply=REPLY, stream=STREAM, errors=[NO_KEY])
    broken.wrong = wrong
    with pytest.raises(AssertionError, match=promise):
        await check_provider(broken, reply=REPLY, stream=STREAM)


async def test_what_it_neither_says_nor_names_comes_out_as_it_is():
    broken = Broken()
    broken.wrong = "cannot"
    with pytest.raises(KeyError, match="top_k"):
        await check_provider(broken, reply=REPLY, stream=STREAM)


async def test_a_refusal_that_is_another_error_is_named():
    with pytest.raises(AssertionError, match="a 503 is a RateLimitError, and not a OverloadedError"):
        await check_provider(
            format_of(HOSTS["openai"]), reply=REPLY, stream=STREAM, errors=[Refused(RateLimitError, 503, b"")]
        )


async def test_a_format_without_samples_is_asked_for_them():
    with pytest.raises(TypeError, match="reply= and stream="):
        await check_provider(format_of(HOSTS["openai"]), reply=REPLY)


class Own:
    """A provider that keeps all of it."""

    name = "own"

    async def chat(self, call):
        return ChatResponse("One")

    async def stream(self, call):
        yield ChatChunk(text="One")

    async def embed(self, call):
        return EmbedResponse(tuple([0.0] for _ in call.request.input))


class Nameless(Own):
    name = ""


class SaysStr(Own):
    async def chat(self, call):
        return "One"


class ReturnsStream(Own):
    def stream(self, call):
        return iter(())


class YieldsStr(Own):
    async def stream(self, call):
        yield "One"


class SaysNothing(Own):
    async def stream(self, call):
        yield ChatChunk()


class Changes(Own):
    async def chat(self, call):
        object.__setattr__(call.request, "seed", 7)
        return ChatResponse("One")


class OneVector(Own):
    async def embed(self, call):
        return EmbedResponse(([0.0],))


@pytest.mark.parametrize(
    ("provider", "promise"),
    [
        (Nameless, "name is a str"),
        (SaysStr, "chat gives a ChatResponse, not str"),
        (ReturnsStream, "async generator"),
        (YieldsStr, "yields ChatChunks, not str"),
        (SaysNothing, "says something"),
        (Changes, "changes nothing"),
        (OneVector, "a vector for each text, and not 1"),
    ],
)
async def test_what_a_provider_does_not_keep_is_named(provider, promise):
    await check_provider(Own())
    with pytest.raises(AssertionError, match=promise):
        await check_provider(provider())


async def test_its_own_errors_come_out_as_they_are():
    with pytest.raises(ServerError):
        await check_provider(FakeProvider(script=[ServerError("down")]))
