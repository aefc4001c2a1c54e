"""The names that a program may ask for, and the list of them."""

from __future__ import annotations

import httpx
import pytest

from polyroute import Deployment, Route, Router
from polyroute.testing import FakeProvider
from tests.doubles import deployment
from tests.interop.programs import BASE, posted, routed


def fake(model, **options):
    return Deployment(model, provider=FakeProvider([model]), **options)


HERE = [
    fake("openai/gpt-5-mini", id="mini"),
    fake("azure/gpt-5"),
    fake("openai/gpt-5"),
    fake("together/meta-llama/llama-3"),
    fake("groq/*"),
]
ROUTES = {"fast": Route(["mini"]), "gpt-4o": Route(["azure/gpt-5"])}


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        ("fast", "mini"),
        ("mini", "mini"),
        ("openai/gpt-5-mini", "mini"),
        ("azure/gpt-5", "azure/gpt-5"),
        ("groq/llama-3", "groq/llama-3"),
        ("gpt-4o", "azure/gpt-5"),
        ("gpt-5-mini", "mini"),
        ("meta-llama/llama-3", "together/meta-llama/llama-3"),
        (["gpt-5-mini", "azure/gpt-5"], "mini"),
    ],
)
async def test_a_name_is_a_routes_an_id_a_model_or_a_models_plain_name(asked, answers):
    async with routed(*HERE, routes=ROUTES) as client:
        response = await posted(client, model=asked)

    assert response.status_code == 200, response.text
    assert response.headers["x-polyroute-deployment"] == answers


async def test_a_plain_name_stands_for_all_deployments_of_the_model():
    here = [fake("openai/m", id="one"), fake("openai/m", id="two")]
    async with routed(*here) as client:
        assert (await posted(client, model="m")).headers["x-polyroute-deployment"] == "one"


async def test_a_name_that_the_router_has_is_never_read_as_another_models():
    here = [fake("openai/fast"), fake("openai/slow", id="m"), fake("groq/m"), fake("groq/n", id="n")]
    async with routed(*here, routes={"fast": Route(["m"])}) as client:
        for asked, answers in (("fast", "m"), ("m", "m"), ("n", "n")):
            assert (await posted(client, model=asked)).headers["x-polyroute-deployment"] == answers


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
async def test_a_plain_name_of_several_providers_is_refused_with_what_to_ask_for(path):
    async with routed(*HERE, routes=ROUTES) as client:
        response = await posted(client, path, model="gpt-5", input="x")

    error = response.json()["error"]
    assert response.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "'azure/gpt-5' or 'openai/gpt-5'" in error["message"]


@pytest.mark.parametrize("asked", ["gpt-5-minn", "nobody", "llama-3", "*"])
async def test_a_name_that_nothing_here_has_is_a_404_with_the_nearest(asked):
    async with routed(*HERE, routes=ROUTES) as client:
        response = await posted(client, model=asked)

    error = response.json()["error"]
    assert response.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert asked in error["message"]
    assert "did you mean" in error["message"] or "known: " in error["message"]


@pytest.mark.parametrize("model", [3, "", [], [1], [""], {}, True])
async def test_what_is_no_name_is_refused(model):
    async with routed(*HERE) as client:
        response = await posted(client, model=model)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "model"


async def test_without_a_name_the_default_answers():
    async with routed(deployment("a"), deployment("b"), routes={"default": Route(["b"])}) as client:
        response = await posted(client)

    assert response.headers["x-polyroute-deployment"] == "b"


async def test_the_list_has_every_name_that_can_be_asked_for_as_it_stands():
    async with routed(*HERE, routes=ROUTES) as client:
        listed = (await client.get("/models")).json()
        names = [model["id"] for model in listed["data"]]
        assert listed["object"] == "list"
        assert names == [
            "fast",
            "gpt-4o",
            "mini",
            "azure/gpt-5",
            "openai/gpt-5",
            "together/meta-llama/llama-3",
        ]
        for name in names:
            assert (await posted(client, model=name)).status_code == 200

    assert listed["data"][2] == {"id": "mini", "object": "model", "created": 0, "owned_by": "openai"}
    assert listed["data"][0]["owned_by"] == "polyroute"


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("mini", "openai"),
        ("openai%2Fgpt-5-mini", "openai"),
        ("together/meta-llama/llama-3", "together"),
        ("gpt-5-mini", "openai"),
        ("groq/llama-3", "groq"),
        ("fast", "polyroute"),
    ],
)
async def test_one_model_is_found_by_each_of_its_names(name, owner):
    async with routed(*HERE, routes=ROUTES) as client:
        model = (await client.get(f"/models/{name}")).json()

    assert model["owned_by"] == owner
    assert model["id"] == name.replace("%2F", "/")


async def test_the_names_are_those_of_the_plan_that_the_router_has_now():
    async with Router([fake("openai/old")]) as router, Router([fake("openai/new")]) as other:
        transport = router.openai_transport()
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            assert (await posted(client, model="new")).status_code == 404
            router._core.plan = other._core.plan
            assert (await posted(client, model="new")).status_code == 200
            assert (await posted(client, model="old")).status_code == 404


@pytest.mark.parametrize("name", ["nobody", "gpt-5", "groq", "openai%2Fgpt-6", "min%2569"])
async def test_a_model_that_is_not_here_is_a_404(name):
    async with routed(*HERE, routes=ROUTES) as client:
        response = await client.get(f"/models/{name}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
