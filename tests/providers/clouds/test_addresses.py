"""Where a cloud's deployment lives, by its region, its project, its surface and its version."""

from __future__ import annotations

import pytest

from polyroute import ConfigurationError, Deployment, NoDeploymentAvailableError, Router
from tests.providers.gemini.wire import candidate
from tests.providers.gemini.wire import reply as gemini_reply
from tests.providers.wire import OK, Response, Scripted

KEY = "k-0123456789"
V1 = "/v1/projects/shop/locations"
GEMINI = "publishers/google/models/gemini-2.5-flash:generateContent"


async def url(model="vertex/gemini-2.5-flash", **options):
    transport = Scripted(Response(gemini_reply(candidate("ok")) if model.startswith("vertex") else OK))
    await Router([Deployment(model, api_key=KEY, **options)], transport=transport).chat("hi")
    return transport.sent[0].url


async def reason(model="vertex/gemini-2.5-flash", **options):
    with pytest.raises(NoDeploymentAvailableError) as caught:
        await url(model, **options)
    return caught.value.reasons[model]


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("europe-west4", f"https://europe-west4-aiplatform.googleapis.com{V1}/europe-west4/{GEMINI}"),
        ("global", f"https://aiplatform.googleapis.com{V1}/global/{GEMINI}"),
        ("eu", f"https://aiplatform.eu.rep.googleapis.com{V1}/eu/{GEMINI}"),
        ("us", f"https://aiplatform.us.rep.googleapis.com{V1}/us/{GEMINI}"),
    ],
)
async def test_vertex_is_where_its_location_is(region, address, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", " shop\n")
    assert await url(region=region) == address

    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", region)
    assert await url() == address


async def test_the_deployments_own_region_beats_the_environments(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "shop")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "global")

    assert (await url(region="us-east5")).startswith("https://us-east5-aiplatform.googleapis.com/")


async def test_what_an_address_lacks_is_said_with_how_to_give_it(monkeypatch):
    assert await reason() == "no region: give region= or set GOOGLE_CLOUD_LOCATION"
    assert await reason(region="global") == "no project: set GOOGLE_CLOUD_PROJECT, or give base_url="
    assert await reason("bedrock/any") == "no region: give region= or set AWS_REGION"
    assert await reason("azure/any") == "no address: give base_url=, or set AZURE_OPENAI_ENDPOINT"


async def test_an_address_that_is_given_needs_nothing_else():
    assert await url(base_url="https://proxy.example/v1beta1/p/") == (
        "https://proxy.example/v1beta1/p/models/gemini-2.5-flash:generateContent"
    )


@pytest.mark.parametrize("name", ["evil.example/", "a b", "US-EAST-1", "x@y", "a#", "-a", "a.", ""])
async def test_what_is_no_name_of_a_region_or_a_project_cannot_lead_elsewhere(name, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "shop")
    for model in ("vertex/gemini-2.5-flash", "bedrock/any"):
        with pytest.raises(
            (ConfigurationError, NoDeploymentAvailableError), match="no name of a region|no region"
        ):
            await url(model, region=name)
    if name:
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", name)
        with pytest.raises(ConfigurationError, match="no name of a project"):
            await url(region="global")


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-5@20250929", "meta/llama-4-maverick-17b-128e-instruct-maas"]
)
async def test_what_vertex_has_in_other_formats_is_not_served_and_says_so(model):
    assert await reason(f"vertex/{model}", region="global") == (
        "vertex/ does not serve it: there it speaks a format of its own"
    )


RESOURCE = "https://mine.openai.azure.com"
FOUNDRY = "https://mine.services.ai.azure.com"


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        (f"{RESOURCE}/openai/v1", f"{RESOURCE}/openai/v1/chat/completions"),
        (f"{FOUNDRY}/openai/v1/", f"{FOUNDRY}/openai/v1/chat/completions"),
        (
            f"{RESOURCE}/openai/deployments/mini",
            f"{RESOURCE}/openai/deployments/mini/chat/completions?api-version=2024-10-21",
        ),
        (
            f"{RESOURCE}//openai/deployments/mini/",
            f"{RESOURCE}//openai/deployments/mini/chat/completions?api-version=2024-10-21",
        ),
        (
            f"{RESOURCE}/openai/deployments/mini?api-version=2025-01-01-preview",
            f"{RESOURCE}/openai/deployments/mini/chat/completions?api-version=2025-01-01-preview",
        ),
        (f"{FOUNDRY}/models", f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview"),
        (f"{RESOURCE}/openai/v1?api-version=preview", f"{RESOURCE}/openai/v1/chat/completions?api-version=preview"),
        ("https://proxy.example/models", "https://proxy.example/models/chat/completions"),
    ],
)  # fmt: skip
async def test_azure_is_asked_for_the_surface_that_the_address_names(base_url, address):
    assert await url("azure/gpt-5-mini", base_url=base_url) == address


async def test_the_version_of_a_classic_deployment_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_VERSION", "2025-04-01-preview")
    classic = f"{RESOURCE}/openai/deployments/mini"

    assert (await url("azure/mini", base_url=classic)).endswith("?api-version=2025-04-01-preview")
    assert (await url("azure/mini", base_url=f"{classic}?api-version=2024-10-21")).endswith("=2024-10-21")
    assert "?" not in await url("azure/mini", base_url=f"{RESOURCE}/openai/v1")
    assert (await url("azure/mini", base_url=f"{FOUNDRY}/models")).endswith("=2024-05-01-preview")


async def test_the_endpoint_in_the_environment_is_the_v1_surface(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_VERSION", "2025-04-01-preview")
    for endpoint in (RESOURCE, f"{RESOURCE}/", f"{RESOURCE}/openai/v1/"):
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", endpoint)
        assert await url("azure/mini") == f"{RESOURCE}/openai/v1/chat/completions"


@pytest.mark.parametrize(
    "query", ["?", "?key=1", "?api-version=1&key=2", "?api-version=", "?api-version=a%20b", "#x"]
)
def test_no_other_query_stands_in_an_address(query):
    with pytest.raises(ConfigurationError, match="api-version"):
        Deployment("azure/mini", base_url=f"{RESOURCE}/openai/v1{query}")
