"""What holds for any reply of any format: it is read or refused by name, and what was read can be sent back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polyroute import ChatRequest, ChatResponse, Deployment, FleetError, Message, PolyrouteError, Router
from polyroute.providers.scrub import Secrets, scrubbed
from polyroute.wire import WireFormat
from tests.conformance.driving import call, sent
from tests.conformance.formats import on_each_format
from tests.providers.strategies import MANY
from tests.providers.wire import Response, Scripted

KEY = "k-0123456789abcdef"


def ours(work: Callable[[], object]) -> None:
    """Whatever is done: it succeeds, or fails with an error of ours that can be scrubbed and read."""
    try:
        work()
    except PolyrouteError as error:
        failure = error
        assert str(scrubbed(failure, Secrets([KEY])))


def played_on(reply: ChatResponse[Any]) -> ChatRequest:
    """The request with which a conversation goes on after *reply*."""
    answers = [tool_call.result("12") for tool_call in reply.tool_calls]
    return ChatRequest(messages=(Message("user", "hi"), reply.message, *answers, Message("user", "go on")))


def reread(wire: WireFormat, body: bytes, deployment: Deployment) -> object:
    return wire.decode(body, call(deployment)).message


@on_each_format
@MANY
@given(st.data())
def test_any_bytes_are_a_reply_or_an_error_of_ours(format, data):
    bodies = st.one_of(
        st.binary(max_size=100), format.shaped.map(lambda v: json.dumps(v).encode()), format.streams
    )
    body = data.draw(bodies)
    for deployment, wire in format.wires():
        ours(partial(reread, wire, body, deployment))


HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "retry-after-ms", "date", "x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens",
         "anthropic-ratelimit-tokens-reset", "x-should-retry", "x-request-id", "request-id"]
    ),
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(["Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 0000 00:00:00 GMT", "-1", "1e400", "nan", "6m0s",
                         "99999999999999", "9999-12-31T23:59:59Z", "0001-01-01", "1, 2", "Thu, 1 Jan 99999 0:0:0 +9999"]),
    ), max_size=4,
)  # fmt: skip


@on_each_format
@MANY
@given(st.data(), st.integers(300, 999), HEADERS)
def test_any_refusal_is_an_error_of_ours(format, data, status, headers):
    body = data.draw(st.one_of(st.binary(max_size=100), format.shaped.map(lambda v: json.dumps(v).encode())))
    for _, wire in format.wires():
        error = wire.decode_error(status, headers, body)

        assert isinstance(error, PolyrouteError)
        assert str(scrubbed(error, Secrets([KEY])))
        hint = getattr(error, "retry_after", None)
        assert hint is None or 0 <= hint <= 7 * 24 * 3600


@on_each_format
def test_each_failure_is_known_by_what_the_host_says(format):
    for failure in format.failures:
        for _, wire in format.wires():
            body = json.dumps(failure.body).encode()

            assert type(wire.decode_error(failure.status, dict(failure.headers), body)) is failure.error


@on_each_format
@MANY
@given(st.data())
def test_what_was_read_is_sent_back_and_read_again_as_the_same(format, data):
    body = data.draw(format.replies)
    for deployment, wire in format.wires():
        reply = wire.decode(json.dumps(body).encode(), call(deployment))
        assert not wire.cannot(played_on(reply))

        once = sent(deployment, wire, played_on(reply))
        again = wire.decode(json.dumps(format.played_back(once)).encode(), call(deployment))
        twice = sent(deployment, wire, played_on(again))
        more = wire.decode(json.dumps(format.played_back(twice)).encode(), call(deployment))

        assert sent(deployment, wire, played_on(more)) == twice
        assert again.message.text.strip() == more.message.text.strip() == reply.message.text.strip()
        assert [each.name for each in again.tool_calls] == [each.name for each in reply.tool_calls]


@on_each_format
async def test_a_key_that_the_host_echoes_is_never_shown(format):
    for failure in format.failures:
        for deployment, _ in format.wires():
            said = json.dumps(failure.body)
            echoed = json.loads(re.sub('"(message|error)": "', rf"\g<0>{KEY} ", said))
            transport = Scripted(Response(echoed, failure.status))
            error: BaseException | None = None
            try:
                await Router([deployment], transport=transport, retry=None).chat("hi")
            except FleetError as exc:
                error = exc.__cause__
            except PolyrouteError as exc:
                error = exc

            assert KEY in json.dumps(echoed)
            assert KEY not in f"{error} {error!r} {error.__dict__}"
            assert KEY not in transport.sent[0].url
            assert KEY.encode() not in transport.sent[0].body
