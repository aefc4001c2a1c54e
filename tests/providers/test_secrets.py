"""Keys never leave: whatever a host echoes, and wherever an error goes."""

from __future__ import annotations

import json
import logging
import pickle
import time
import traceback

import pytest
from pydantic import SecretStr

from polyroute import (
    AllAttemptsFailedError,
    ConfigurationError,
    Deployment,
    ExponentialBackoff,
    FleetError,
    PolyrouteError,
    ResponseDecodeError,
    Router,
    ServerError,
)
from polyroute.providers.scrub import Secrets, scrubbed
from tests.providers.wire import OK, Response, Scripted, delta
from tests.wire_server import Answer, WireServer, events

KEY = "8f3a9c-Zq71XyLmNo42"  # of no known form, so that nothing but its being the key gives it away


def told_everywhere(error: BaseException) -> str:
    """All that an error may tell, and all that is told of it."""
    told = [
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
        repr(pickle.loads(pickle.dumps(error))),
    ]
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        told += [str(each), repr(each), repr(each.args), repr(vars(each))]
        told += [repr(attempt) for attempt in getattr(each, "attempts", ())]
        todo += [each.__cause__, each.__context__, *(past.error for past in getattr(each, "attempts", ()))]
    return "\n".join(told)


async def failed(router: Router, *, stream: bool) -> PolyrouteError:
    """What a call fails with; its traceback begins here."""
    try:
        if stream:
            async with router.stream("hi") as streamed:
                await streamed.response()
        else:
            await router.chat("hi")
    except PolyrouteError as error:
        return error
    raise AssertionError("nothing failed")


async def failure(
    response: Response, *, stream: bool = False, key: object = KEY, headers: dict[str, str] | None = None
) -> PolyrouteError:
    deployment = Deployment("openai/gpt-5", api_key=key, headers=headers)
    return await failed(Router([deployment], transport=Scripted(response), retry=None), stream=stream)


ECHOES = [
    pytest.param(lambda key: {"error": {"message": f"Incorrect API key provided: {key}."}}, id="in the message"),
    pytest.param(lambda key: {"error": {"message": "no", "headers": [{"auth": f"Bearer {key}"}]}}, id="deep in the body"),
    pytest.param(lambda key: {"error": {"message": "no", key: 1}}, id="as a name"),
    pytest.param(lambda key: {"error": {"message": "no", "code": key}}, id="as a code"),
    pytest.param(lambda key: f"<html>Authorization: Bearer {key}</html>".encode(), id="in a page"),
    pytest.param(lambda key: b"x" * 190 + key.encode() + b"y" * 100, id="where a page is cut"),
    pytest.param(lambda key: json.dumps({"a": f'"{key}"'}).encode()[:-1], id="in JSON that is cut"),
    pytest.param(lambda key: {"error": {"message": "y" * 1_990 + key}}, id="where a message is cut"),
    pytest.param(lambda key: {"error": {"message": f"the key {key[:4]}...{key[-4:]} is wrong"}}, id="but for its ends"),
    pytest.param(lambda key: {"error": {"message": f"the key …{key[-4:]} is wrong"}}, id="its last characters"),
    pytest.param(lambda key: {"error": {"message": f"the key {key[:5]}•••• is wrong"}}, id="its first characters"),
]  # fmt: skip

HINTS = (KEY, KEY[:5], KEY[-4:])


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("echo", ECHOES)
async def test_a_key_that_the_host_echoes_is_told_nowhere(echo, status, caplog):
    caplog.set_level(logging.DEBUG)
    error = await failure(Response(echo(KEY), status))

    told = told_everywhere(error) + caplog.text
    assert not [hint for hint in HINTS if hint in told]


@pytest.mark.parametrize("echo", ECHOES)
async def test_a_key_that_a_stream_echoes_is_told_nowhere(echo):
    body = echo(KEY)
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    for response in (
        Response(body),
        Response(events(delta("Hel"), done=False) + b"data: " + body + b"\n\n"),
        Response(events(delta("Hel"), done=False) + b"event: error\ndata: " + body + b"\n\n"),
    ):
        told = told_everywhere(await failure(response, stream=True))
        assert not [hint for hint in HINTS if hint in told]


async def test_the_rest_of_what_the_host_said_is_kept():
    error = await failure(Response({"error": {"message": f"Incorrect key {KEY}, see... our page"}}, 401))

    assert isinstance(error, FleetError)
    assert str(error.__cause__) == "401: Incorrect key ***, see... our page"
    assert error.__cause__.body == {"error": {"message": "Incorrect key ***, see... our page"}}


@pytest.mark.parametrize(
    "said",
    [
        "sk-proj-abcdefghijkl", "gsk_abcdefghij", "xai-abcdefghij", "AIzaSyA0123456789abcdefghij",
        "sk-ab***********wxyz", "<not-a-r****key>", "invalid-*****2345", "hf_abcdefghijkl",
    ],
)  # fmt: skip
async def test_what_looks_like_a_key_is_masked_whoevers_it_is(said):
    error = await failure(
        Response({"error": {"message": f"Incorrect API key provided: {said}. Go on."}}, 401)
    )

    assert str(error.__cause__) == "401: Incorrect API key provided: ***. Go on."


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("x", "401: exceeded: key *** of x4 is wrong"),
        ("ollama", "401: exceeded: key *** of x4 is wrong"),
    ],
)
async def test_a_short_key_is_masked_as_a_word_and_not_inside_of_words(key, text):
    error = await failure(
        Response({"error": {"message": f"exceeded: key {key} of x4 is wrong"}}, 401), key=key
    )

    assert str(error.__cause__) == text


@pytest.mark.parametrize("key", ['quo"te-0123456789', r"back\slash-0123456789", "apos'trophe-0123456789"])
async def test_a_key_is_known_as_json_and_repr_write_it(key):
    for body in (f"<p>{key}</p>".encode(), json.dumps({"key": key}).encode()[:-1]):
        error = await failure(Response(body), key=key)

        assert isinstance(error.__cause__, ResponseDecodeError)
        assert "0123456789" not in told_everywhere(error)


def plain() -> str:
    return KEY


async def awaited() -> str:
    return KEY


def secret() -> SecretStr:
    return SecretStr(KEY)


@pytest.mark.parametrize("key", [SecretStr(KEY), plain, awaited, secret])
async def test_a_key_from_anywhere_is_sent_and_scrubbed(key):
    transport = Scripted(Response({"error": {"message": f"no {KEY}"}}, 401))
    with pytest.raises(AllAttemptsFailedError) as caught:
        await Router([Deployment("openai/gpt-5", api_key=key)], transport=transport).chat("hi")

    assert dict(transport.sent[0].headers)[b"authorization"] == b"Bearer " + KEY.encode()
    assert str(caught.value.__cause__) == "401: no ***"


async def test_a_callable_key_is_asked_anew_for_each_attempt():
    keys = iter(["first-key-0123", "second-key-0123"])
    transport = Scripted(Response({}, 503), Response(OK))
    reply = await Router([Deployment("openai/gpt-5", api_key=lambda: next(keys))], transport=transport).chat(
        "hi", retry=ExponentialBackoff(base=0)
    )

    sent = [dict(request.headers)[b"authorization"] for request in transport.sent]
    assert (reply.text, sent) == ("ok", [b"Bearer first-key-0123", b"Bearer second-key-0123"])


@pytest.mark.parametrize("given", ["", None, 7, "line\nbreak", "nul\0", "ключ"])
async def test_what_cannot_be_a_key_is_refused_without_being_shown(given):
    router = Router([Deployment("openai/gpt-5", api_key=lambda: given)], transport=Scripted(Response(OK)))

    with pytest.raises(ConfigurationError, match="what the api_key callable gave") as caught:
        await router.chat("hi")
    assert repr(given) not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["X-Api-Token", "Proxy-Authorization", "cookie", "x-client-secret", "api-key"]
)
async def test_secrets_in_headers_are_scrubbed_too(name):
    response = Response({"error": {"message": f"bad header: Basic {KEY} or {KEY}"}}, 400)
    error = await failure(response, key="another-key-0123", headers={name: f"Basic {KEY}"})

    assert not [hint for hint in HINTS if hint in told_everywhere(error)]


async def test_other_headers_are_no_secrets():
    response = Response({"error": {"message": "no such tenant: blue-0123456789"}}, 400)

    assert str(await failure(response, headers={"x-tenant": "blue-0123456789"})) == (
        "400: no such tenant: blue-0123456789"
    )


async def test_no_repr_shows_a_key():
    transport = Scripted(Response(OK))
    deployment = Deployment("openai/gpt-5", api_key=KEY, headers={"x-token": KEY})
    router = Router([deployment], transport=transport)
    reply = await router.chat("hi")

    shown = repr([deployment, router, reply, reply.trace, transport.sent, str(reply.trace.decision)])
    assert KEY not in shown


def test_masking_takes_no_longer_for_one_long_word():
    began = time.process_time()
    for body in ("a" * 2_000_000, "sk-" * 300_000, "*a" * 300_000, "...a" * 200_000, "<" * 1_000_000):
        scrubbed(ServerError("x", body=body), Secrets([KEY]))

    assert time.process_time() - began < 5


def test_what_hangs_deep_in_a_body_is_found():
    error = scrubbed(ServerError("x", body=[{"a": [{"b": KEY}, 7, None, 1.5, True]}]), Secrets(["", KEY]))

    assert error.body == [{"a": [{"b": "***"}, 7, None, 1.5, True]}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="nobody there"),
        pytest.param(Answer(b"", cut=True), id="reset"),
        pytest.param(Answer(b'{"choices": [', cut=True), id="cut in the body"),
        pytest.param(Answer(f"<html>{KEY}</html>".encode(), status=502), id="a page"),
        pytest.param(Answer.of({"error": f"bad {KEY}"}, 401), id="refused"),
        pytest.param(Answer(events(delta("Hel"), f"bad {KEY}"), framing="chunked"), id="a broken stream"),
    ],
)
async def test_nothing_on_the_way_holds_a_key(answer, stream):
    with WireServer(answer or Answer()) as server:
        address = server.url if answer else "http://127.0.0.1:1"
        async with Router([Deployment("openai/gpt-5", api_key=KEY, base_url=address)], retry=None) as router:
            error = await failed(router, stream=stream)

    assert not [hint for hint in HINTS if hint in told_everywhere(error)]
