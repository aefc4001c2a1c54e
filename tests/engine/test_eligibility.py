"""Who may serve at all: tags, arguments, extra, spaces; each exclusion with its reason."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyroute import (
    AllAttemptsFailedError,
    AuthenticationError,
    BadRequestError,
    ChatResponse,
    ContentFilterError,
    ContextWindowExceededError,
    Deployment,
    ExponentialBackoff,
    NoDeploymentAvailableError,
    PolyrouteError,
    RateLimitError,
    Route,
    Router,
    ServerError,
    UnsupportedParameterError,
    Weighted,
)
from polyroute.testing import FakeProvider
from tests.doubles import asked, deployment, down


class OnlyWords(FakeProvider):
    """A provider of an application's own, which cannot honour everything."""

    format = "words"

    def cannot(self, request):
        return [name for name in ("top_k", "seed") if getattr(request, name, None) is not None]


async def plan_of(router, **arguments):
    plan = await router.explain("hi", **arguments)
    return [ranked.deployment for ranked in plan.ranking], {e.deployment: e.reason for e in plan.excluded}


class TestTags:
    async def test_only_those_that_bear_them_all_are_asked(self):
        deployments = [deployment("a", tags=["eu"]), deployment("b", tags=["eu", "gdpr"]), deployment("c")]
        async with Router(deployments) as router:
            assert await plan_of(router, tags=["eu", "gdpr"]) == (
                ["b"],
                {"a": "it lacks the tag 'gdpr'", "c": "it lacks the tag 'eu'"},
            )

    async def test_a_tag_with_an_exclamation_mark_leaves_out_those_that_bear_it(self):
        async with Router([deployment("a", tags=["beta"]), deployment("b")]) as router:
            assert await plan_of(router, tags=["!beta"]) == (["b"], {"a": "it bears the tag 'beta'"})

    async def test_a_deployment_bears_its_provider_its_model_and_its_region(self):
        async with Router([deployment("a", region="eu-west-1"), deployment("b")]) as router:
            for tag in ("provider:fake", "model:a", "region:eu-west-1"):
                assert "a" in (await plan_of(router, tags=[tag]))[0]
            assert (await plan_of(router, tags=["!region:eu-west-1"]))[0] == ["b"]

    async def test_add_up_from_every_level_and_never_replace(self):
        deployments = [
            deployment("a", tags=["router", "route", "bound", "call"]),
            *(deployment(f"not-{tag}", tags=[t for t in ("router", "route", "bound", "call") if t != tag])
              for tag in ("router", "route", "bound", "call")),
        ]  # fmt: skip
        ids = [each.id for each in deployments]
        async with Router(
            deployments, tags=["router"], routes={"default": Route(ids, tags=["route"])}
        ) as router:
            assert (await plan_of(router.bind(tags=["bound"]), tags=["call"]))[0] == ["a"]

    async def test_of_a_route_bind_its_calls_wherever_they_fall_back_to(self):
        deployments = [deployment("a", down(), tags=["eu"]), deployment("us"), deployment("eu", tags=["eu"])]
        routes = {"private": Route(["a"], tags=["eu"], fallbacks=["any"]), "any": Route(["us", "eu"])}
        async with Router(deployments, routes=routes, fallbacks=["us"], retry=None) as router:
            assert asked(await router.chat("hi", model="private")) == ["a", "eu"]
            assert asked(await router.chat("hi", model="any")) == ["us"]

    async def test_that_nobody_bears_leave_nobody_with_the_reasons(self):
        async with Router([deployment("a"), deployment("b")]) as router:
            with pytest.raises(NoDeploymentAvailableError) as caught:
                await router.chat("hi", tags=["mars"])

        assert caught.value.reasons == {"a": "it lacks the tag 'mars'", "b": "it lacks the tag 'mars'"}

    ERRORS = (
        AuthenticationError("x"),
        BadRequestError("x"),
        ContentFilterError("x"),
        ContextWindowExceededError("x"),
        RateLimitError("x", retry_after=0.01),
        ServerError("x"),
    )

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_no_attempt_ever_leaves_them(self, data):
        """Whatever fails, however it falls back: who was asked bears every tag that bound the call."""
        tags = st.lists(st.sampled_from("xyz"), unique=True, max_size=3)
        demands = st.lists(st.sampled_from(["x", "y", "z", "!x", "!y", "!z"]), unique=True, max_size=2)
        borne, deployments = {}, []
        for number in range(data.draw(st.integers(1, 6))):
            name = f"d{number}"
            borne[name] = set(data.draw(tags))
            script = data.draw(st.lists(st.sampled_from([*self.ERRORS, "ok"]), min_size=1, max_size=3))
            provider = FakeProvider(script=script)
            deployments.append(deployment(name, provider, tags=sorted(borne[name])))
        ids = st.lists(st.sampled_from(sorted(borne)), unique=True, min_size=1)
        later = data.draw(ids)
        routes = {
            "last": Route(data.draw(ids)),
            "next": Route(data.draw(ids), tags=data.draw(demands), fallbacks=["last", *later]),
            "first": Route(
                data.draw(ids),
                tags=data.draw(demands),
                fallbacks=[*data.draw(ids), "next"],
                strategy=data.draw(st.sampled_from([None, Weighted()])),
                after_content_filter=data.draw(st.sampled_from(["raise", "fallback"])),
            ),
        }
        router = Router(
            deployments,
            routes=routes,
            fallbacks=data.draw(ids),
            tags=data.draw(demands),
            retry=ExponentialBackoff(base=0.001, cap=0.001),
        )
        model = data.draw(st.sampled_from(["first", "next", "last", None, later]))
        called = data.draw(demands)
        bound = [*router._core.plan.tags, *called]
        if isinstance(model, str):
            bound += routes[model].tags

        async def call():
            try:
                if data.draw(st.booleans()):
                    await router.chat("hi", model=model, tags=called)
                else:
                    async with router.stream("hi", model=model, tags=called) as stream:
                        await stream.response()
            except PolyrouteError:
                pass

        anyio.run(call)
        for each in deployments:
            if each.provider.calls:
                for tag in bound:
                    assert (tag[1:] not in borne[each.id]) if tag[0] == "!" else (tag in borne[each.id])


class TestAnArgumentThatCannotBeHonoured:
    async def test_leaves_the_deployment_out(self):
        async with Router([deployment("a", OnlyWords()), deployment("b")]) as router:
            assert await plan_of(router, top_k=3) == (["b"], {"a": "it cannot honour top_k"})

    async def test_is_named_where_nobody_is_left(self):
        async with Router([deployment("a", OnlyWords())]) as router:
            with pytest.raises(UnsupportedParameterError, match="no deployment can honour top_k") as caught:
                await router.chat("hi", top_k=3)

        assert caught.value.parameter == "top_k"
        assert caught.value.reasons == {"a": "it cannot honour top_k"}

    async def test_is_dropped_where_the_deployment_says_so_and_told_in_the_trace(self):
        provider = OnlyWords()
        async with Router([deployment("a", provider, may_drop=["top_k"])]) as router:
            reply = await router.chat("hi", top_k=3, temperature=0.5)

        assert provider.calls[0].request.top_k is None
        assert provider.calls[0].request.temperature == 0.5
        assert reply.trace.attempts[0].dropped == ("top_k",)

    async def test_is_noticed_in_the_params_of_any_level(self):
        for options in ({"params": {"top_k": 3}}, {"routes": {"default": Route(["a"], params={"top_k": 3})}}):
            async with Router([deployment("a", OnlyWords())], **options) as router:
                with pytest.raises(UnsupportedParameterError, match="top_k of its params"):
                    await router.chat("hi")

    async def test_with_another_reason_beside_it_nobody_is_available(self):
        deployments = [deployment("a", OnlyWords()), deployment("b", tags=["x"])]
        async with Router(deployments) as router:
            with pytest.raises(NoDeploymentAvailableError):
                await router.chat("hi", top_k=3, tags=["!x"])

    async def test_a_fake_provider_takes_everything(self):
        async with Router([deployment("a")]) as router:
            reply = await router.chat("hi", top_k=3, seed=1, n=2, logprobs=True, extra={"x": 1})

        assert reply.text == "a"


class TestExtra:
    def router(self):
        self.openai = Deployment("openai/gpt-5", api_key="k", id="openai")
        self.words = deployment("words", OnlyWords())
        return Router([self.openai, self.words, deployment("fake")])

    async def test_speaks_the_format_of_the_first_candidate_and_leaves_out_the_others(self):
        async with self.router() as router:
            ids, reasons = await plan_of(router, extra={"service_tier": "flex"})
            assert ids == ["openai", "fake"]
            assert reasons == {"words": "extra= speaks openai-chat, and it speaks words"}
            assert (await plan_of(router, model=["words", "openai"], extra={"a": 1}))[0] == ["words"]

    async def test_keyed_by_a_prefix_goes_to_that_provider_alone_and_leaves_nobody_out(self):
        provider = OnlyWords()
        async with Router([deployment("words", provider), deployment("b")]) as router:
            ids, _ = await plan_of(router, extra={"openai": {"a": 1}, "fake": {"b": 2}})
            await router.chat("hi", extra={"openai": {"a": 1}, "fake": {"b": 2}})

            async with self.router() as mixed:
                assert (await plan_of(mixed, extra={"openai": {"a": 1}}))[0] == ["openai", "words", "fake"]
                assert (await plan_of(mixed, extra={"openai": {"a": 1}, "b": 1}))[0] == ["openai", "fake"]

        assert ids == ["words", "b"]
        assert provider.calls[0].request.extra == {"b": 2}

    async def test_of_a_deployment_is_merged_with_the_calls(self):
        provider = FakeProvider()
        async with Router([deployment("a", provider, params={"extra": {"x": 1, "y": 1}})]) as router:
            await router.chat("hi", extra={"y": 2})

        assert provider.calls[0].request.extra == {"x": 1, "y": 2}


class TestVectorSpaces:
    class Vectors:
        """A provider whose models each have a space of their own, like the hosts'."""

        name = "vectors"

        def __init__(self, *, fails=False):
            self.fake = down() if fails else FakeProvider()

        async def chat(self, call):
            return ChatResponse("words")

        async def stream(self, call):
            raise NotImplementedError
            yield

        async def embed(self, call):
            return await self.fake.embed(call)

    async def test_another_model_never_stands_in_for_embeddings(self):
        deployments = [
            Deployment("v/small", provider=self.Vectors(fails=True)),
            Deployment("v/large", provider=self.Vectors()),
        ]
        async with Router(deployments, retry=None) as router:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await router.embed("a")
            assert asked(caught.value) == ["v/small"]
            assert (await router.chat("hi")).text == "words"

    async def test_the_same_model_elsewhere_does_and_so_does_a_declared_space(self):
        for options in ({}, {"space": "s"}):
            model = "other" if options else "small"
            deployments = [
                Deployment("v/small", provider=self.Vectors(fails=True), **options),
                Deployment(f"w/{model}", provider=self.Vectors(), **options),
            ]
            async with Router(deployments, retry=None) as router:
                reply = await router.embed(["a", "b"])
                assert asked(reply) == ["v/small", f"w/{model}"]
                assert len(reply) == 2

    async def test_a_provider_that_cannot_embed_is_no_candidate(self):
        class Chats:
            name = "chats"

            async def chat(self, call):
                return ChatResponse("hi")

            async def stream(self, call):
                raise NotImplementedError
                yield

        async with Router([Deployment("c/m", provider=Chats()), deployment("a")]) as router:
            assert asked(await router.embed("x")) == ["a"]
