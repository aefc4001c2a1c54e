"""What a name comes to: routes, ids, models, patterns, lists; and what it says when it comes to nothing."""

from __future__ import annotations

import pytest

from polyroute import (
    ConfigurationError,
    Deployment,
    NoDeploymentAvailableError,
    RoundRobin,
    Route,
    Router,
    UnknownModelError,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, dead, deployment


def fake(model: str, text: str | None = None, **options: object) -> Deployment:
    return Deployment(model, provider=FakeProvider([text or model]), **options)


async def test_without_a_model_the_route_called_default_serves():
    async with Router([deployment("a"), deployment("b")], routes={"default": Route(["b"])}) as router:
        reply = await router.chat("hi")

    assert (reply.deployment, reply.route) == ("b", "default")


async def test_without_a_model_and_a_default_every_deployment_serves_in_order():
    async with Router([deployment("a", dead()), deployment("b")]) as router:
        reply = await router.chat("hi")

    assert asked(reply) == ["a", "b"]
    assert reply.route is None


async def test_a_model_is_a_routes_name_an_id_or_every_deployment_of_a_model():
    deployments = [fake("p/m", "one", id="x"), fake("p/m", "two", id="y"), fake("p/n", "three")]
    async with Router(deployments, routes={"fast": Route(["y", "p/n"])}) as router:
        assert (await router.chat("hi", model="y")).text == "two"
        assert (await router.chat("hi", model="fast")).text == "two"
        assert (await router.chat("hi", model="p/n")).text == "three"
        assert (await router.chat("hi", model="p/m")).text == "one"
        assert [r.deployment for r in (await router.explain("hi", model="p/m")).ranking] == ["x", "y"]


async def test_an_id_that_the_router_made_up_names_only_itself_with_its_number():
    async with Router([fake("p/m", "one"), fake("p/m", "two"), fake("p/m", "three")]) as router:
        assert (await router.chat("hi", model="p/m#2")).text == "two"
        assert (await router.chat("hi", model="p/m#3")).deployment == "p/m#3"
        assert len((await router.explain("hi", model="p/m")).ranking) == 3


async def test_a_list_is_a_route_for_this_call_with_the_routers_fallbacks():
    deployments = [deployment("a", dead()), deployment("b", dead()), deployment("c"), deployment("d")]
    async with Router(deployments, routes={"default": Route(["d"])}, fallbacks=["c"]) as router:
        assert asked(await router.chat("hi", model=["b", "a"])) == ["b", "a", "c"]


async def test_a_list_may_name_routes_and_their_tags_bind_it():
    deployments = [deployment("eu", tags=["eu"]), deployment("us")]
    async with Router(deployments, routes={"private": Route(["eu"], tags=["eu"])}) as router:
        plan = await router.explain("hi", model=["us", "private"])

    assert [ranked.deployment for ranked in plan.ranking] == ["eu"]
    assert [str(excluded) for excluded in plan.excluded] == ["it lacks the tag 'eu'"]


class TestAPattern:
    async def test_serves_any_model_of_its_prefix_that_a_call_names(self):
        provider = FakeProvider()
        async with Router([Deployment("p/*", provider=provider)]) as router:
            reply = await router.chat("hi", model="p/new-model")

        assert reply.deployment == "p/new-model"
        assert provider.calls[0].model == "new-model"
        assert provider.calls[0].deployment.model == "p/new-model"

    async def test_is_left_out_where_no_model_is_named_and_says_so(self):
        async with Router([Deployment("p/*", provider=FakeProvider()), deployment("a")]) as router:
            assert asked(await router.chat("hi")) == ["a"]
        async with Router([Deployment("p/*", provider=FakeProvider())]) as router:
            with pytest.raises(NoDeploymentAvailableError, match="name one in model="):
                await router.chat("hi")

    async def test_an_exact_name_beats_it(self):
        async with Router(
            [Deployment("p/*", provider=FakeProvider(["any"])), fake("p/m", "exact")]
        ) as router:
            assert (await router.chat("hi", model="p/m")).text == "exact"
            assert (await router.chat("hi", model="p/other")).text == "any"

    async def test_what_is_learnt_is_kept_for_each_model_apart(self):
        provider = FakeProvider(latency=0.0)
        async with Router([Deployment("p/*", provider=provider, id="any")]) as router:
            for model in ("p/a", "p/b"):
                reply = await router.chat("hi", model=model)
                assert reply.trace.attempts[0].deployment == model

    async def test_two_keys_of_one_prefix_both_serve_and_are_told_apart(self):
        deployments = [Deployment("p/*", provider=dead()), Deployment("p/*", provider=FakeProvider())]
        async with Router(deployments) as router:
            assert asked(await router.chat("hi", model="p/m")) == ["p/m", "p/m#2"]

    async def test_may_stand_behind_the_name_of_one_of_its_models_in_a_route(self):
        routes = {"fast": Route(["p/small"]), "default": Route(["fake-a"], fallbacks=["p/large"])}
        deployments = [Deployment("p/*", provider=FakeProvider()), fake("q/a", id="fake-a", text="a")]
        async with Router(deployments, routes=routes) as router:
            assert (await router.chat("hi", model="fast")).deployment == "p/small"

    async def test_keeps_its_other_settings(self):
        async with Router([Deployment("p/*", provider=FakeProvider(), tags=["eu"])]) as router:
            reply = await router.chat("hi", model="p/m", tags=["eu", "model:m", "provider:p"])

        assert reply.deployment == "p/m"

    async def test_ten_thousand_names_do_not_fill_the_memory(self):
        async with Router([Deployment("p/*", provider=FakeProvider())]) as router:
            for number in range(10_000):
                await router.chat("hi", model=f"p/m{number}")
            assert len(router._core.plan._targets) <= 1_024
            assert len(router._core.fleet.states) <= 4_096


class TestWhatIsNotHere:
    async def test_is_an_unknown_model_that_lists_the_nearest_names(self):
        async with Router([deployment("mini"), fake("openrouter/gpt-5-mini")]) as router:
            with pytest.raises(UnknownModelError) as caught:
                await router.chat("hi", model="mino")
            assert caught.value.model == "mino"
            assert caught.value.nearest == ("mini",)
            assert str(caught.value) == (
                "no route, deployment or model is called 'mino'; did you mean 'mini'?"
            )
            with pytest.raises(UnknownModelError, match="known: mini, openrouter/gpt-5-mini"):
                await router.chat("hi", model="zzz")
            with pytest.raises(UnknownModelError):
                await router.chat("hi", model=["mini", "nobody"])

    def test_in_the_wiring_is_a_configuration_error_when_built(self):
        with pytest.raises(ConfigurationError, match="route 'x' names 'b', which is not here"):
            Router([deployment("a")], routes={"x": Route(["b"])})
        with pytest.raises(ConfigurationError, match="fallbacks of route 'x' names"):
            Router([deployment("a")], routes={"x": Route(["a"], fallbacks=["y"])})
        with pytest.raises(ConfigurationError, match="fallbacks of the router names 'aa'.*did you mean 'a'"):
            Router([deployment("a")], fallbacks=["aa"])


class TestNamesThatMeanTwoThings:
    @pytest.mark.parametrize(
        ("deployments", "routes", "words"),
        [
            ([deployment("a"), deployment("a")], {}, "two deployments have the id 'a'"),
            ([deployment("a")], {"a": Route(["a"])}, "both a route and"),
            ([fake("p/m")], {"p/m": Route(["p/m"])}, "both a route and"),
            ([fake("p/m"), fake("p/n", id="p/m")], {}, "the id of one deployment and the model of another"),
            ([fake("p/m"), fake("p/m"), fake("p/n", id="p/m#2")], {}, "two deployments have the id"),
        ],
    )
    def test_are_refused_when_built(self, deployments, routes, words):
        with pytest.raises(ConfigurationError, match=words):
            Router(deployments, routes=routes)

    def test_a_circle_of_fallbacks_is_refused_and_shown(self):
        routes = {"x": Route(["a"], fallbacks=["y"]), "y": Route(["a"], fallbacks=["x"])}
        with pytest.raises(ConfigurationError, match="x -> y -> x"):
            Router([deployment("a")], routes=routes)
        with pytest.raises(ConfigurationError, match="z -> z"):
            Router([deployment("a")], routes={"z": Route(["a"], fallbacks=["z"])})

    async def test_a_route_that_is_also_the_routers_fallback_is_no_circle(self):
        routes = {"x": Route(["a"]), "y": Route(["b"])}
        async with Router(
            [deployment("a", dead()), deployment("b")], routes=routes, fallbacks=["x", "y"]
        ) as router:
            assert asked(await router.chat("hi", model="x")) == ["a", "b"]


class TestAKeyThatIsMissing:
    async def test_leaves_the_deployment_out_and_says_which_variable_to_set(self, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        async with Router(["openai/gpt-5-mini", deployment("a")]) as router:
            assert asked(await router.chat("hi")) == ["a"]
            plan = await router.explain("hi")
            assert str(plan) == "1. a: the first in order\n-  openai/gpt-5-mini: no key: set OPENAI_API_KEY"
        async with Router(["openai/gpt-5-mini"]) as router:
            with pytest.raises(NoDeploymentAvailableError) as caught:
                await router.chat("hi")
            assert caught.value.reasons == {"openai/gpt-5-mini": "no key: set OPENAI_API_KEY"}

    async def test_is_no_reason_where_the_host_needs_none(self):
        async with Router(["vllm/qwen3"]) as router:
            assert (await router.explain("hi")).deployment == "vllm/qwen3"


class TestFromTheEnvironment:
    def clean(self, monkeypatch, **variables):
        from polyroute import HOSTS

        for host in HOSTS.values():
            if host.key_variable:
                monkeypatch.delenv(host.key_variable, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    async def test_each_provider_whose_key_is_there_serves_any_of_its_models(self, monkeypatch):
        self.clean(monkeypatch, OPENAI_API_KEY="k", GROQ_API_KEY="k")
        async with Router.from_env(default="openai/gpt-5-mini") as router:
            assert (await router.explain("hi")).deployment == "openai/gpt-5-mini"
            assert (await router.explain("hi", model="groq/llama-3.3-70b")).deployment == "groq/llama-3.3-70b"
            with pytest.raises(UnknownModelError):
                await router.explain("hi", model="mistral/small")

    async def test_without_a_default_a_call_must_name_a_model(self, monkeypatch):
        self.clean(monkeypatch, MISTRAL_API_KEY="k")
        async with Router.from_env() as router:
            with pytest.raises(NoDeploymentAvailableError, match="name one"):
                await router.chat("hi")

    def test_without_any_key_it_says_which_to_set(self, monkeypatch):
        self.clean(monkeypatch)
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            Router.from_env()

    async def test_takes_the_routers_options(self, monkeypatch):
        self.clean(monkeypatch, OPENAI_API_KEY="k")
        async with Router.from_env(default=["openai/a", "openai/b"], strategy=RoundRobin()) as router:
            assert [r.deployment for r in (await router.explain("hi")).ranking] == ["openai/a", "openai/b"]


async def test_without_a_model_only_those_that_serve_the_kind_of_call_are_asked():
    deployments = [
        Deployment("openai/gpt-5-mini", api_key="k"),
        Deployment("openai/text-embedding-3-small", api_key="k"),
        Deployment("compatible/unknown", base_url="http://127.0.0.1:9/v1"),
    ]
    async with Router(deployments) as router:
        plan = await router.explain("hi")

    assert [ranked.deployment for ranked in plan.ranking] == ["openai/gpt-5-mini", "compatible/unknown"]
    assert [str(excluded) for excluded in plan.excluded] == ["it does not serve chat calls"]
