"""Who goes on from a reply that its host keeps is answered by its maker, or told by name that it is out."""

from __future__ import annotations

import pytest

from polyroute import AllAttemptsFailedError, Deployment, NoDeploymentAvailableError, Router
from tests.conformance.openai_responses import message, reply
from tests.providers.responses.wire import GPT
from tests.providers.wire import KEY, Response, Scripted

KEPT = {"store": True}
GOING_ON = {"previous_response_id": "resp_1"}
SAID = Response(reply(message("hi")))
MADE = "extra= goes on from resp_1, which eu made and it does not know"


def router(*responses):
    us = Deployment(GPT, id="us", api_key="k-another", tags=("us",))
    eu = Deployment(GPT, id="eu", api_key=KEY, tags=("eu",))
    return Router([us, eu], transport=Scripted(*responses), retry=None)


async def test_it_is_asked_of_its_maker_alone_whoever_comes_first():
    using = router(SAID)
    first = await using.chat("hi", extra=KEPT, tags=("eu",))
    plan = await using.explain("hi", extra={"previous_response_id": first.id})
    second = await using.chat("hi", extra={"previous_response_id": first.id})

    assert second.deployment == "eu"
    assert {each.deployment: each.reason for each in plan.excluded} == {"us": MADE}


async def test_where_its_maker_is_left_out_the_error_says_why_and_who():
    using = router(SAID)
    await using.chat("hi", extra=KEPT, tags=("eu",))

    with pytest.raises(NoDeploymentAvailableError) as caught:
        await using.chat("hi", extra=GOING_ON, tags=("us",))

    assert caught.value.reasons == {"us": MADE, "eu": "it lacks the tag 'us'"}


async def test_where_its_maker_fails_nobody_else_is_asked():
    using = router(SAID, Response({"error": {"message": "Busy"}}, 503))
    await using.chat("hi", extra=KEPT, tags=("eu",))

    with pytest.raises(AllAttemptsFailedError) as caught:
        await using.chat("hi", extra=GOING_ON)

    assert [each.deployment for each in caught.value.attempts] == ["eu"]
