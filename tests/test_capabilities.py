"""What models have and have not: as their families are known, as it was said, and as hosts teach it."""

from __future__ import annotations

import pytest

from polyroute import (
    BadRequestError,
    ConfigurationError,
    Deployment,
    File,
    Image,
    Message,
    Router,
    Text,
    ToolResult,
    UnsupportedParameterError,
)
from polyroute.capabilities import CAPABILITIES, lacking_of_family, wanted
from polyroute.providers.lacking import lacking
from polyroute.testing import FakeProvider
from polyroute.types import ChatRequest, EmbedRequest, ResponseFormat
from tests.doubles import asked, deployment
from tests.wire_server import Answer, Asked, WireServer

PICTURE = Image(url="https://example.com/a.png")
SEEN = [Message("user", (Text("What is this?"), PICTURE))]


def refusing(name: str) -> FakeProvider:
    """It says once that its model has no *name*, and then answers."""
    return FakeProvider(script=[BadRequestError("400: no", status=400, lacks=name), "now"])


class TestAFamily:
    @pytest.mark.parametrize(
        ("model", "missing"),
        [
            ("gpt-3.5-turbo", {"images", "json_schema", "reasoning_effort"}),
            ("gpt-4-turbo-2024-04-09", {"json_schema", "reasoning_effort"}),
            ("gpt-4", {"json_schema", "reasoning_effort"}),
            ("gpt-4o-mini", {"reasoning_effort"}),
            ("openai/gpt-4.1", {"reasoning_effort"}),
            ("o3-mini", {"images"}),
            ("claude-3-5-haiku-latest", {"reasoning_effort"}),
            ("us.anthropic.claude-3-haiku-20240307-v1:0", {"reasoning_effort"}),
            ("gemini-2.0-flash", {"reasoning_effort"}),
            ("deepseek-chat", {"images", "audio", "files"}),
            ("llama-3.3-70b-versatile", {"images", "audio", "files", "reasoning_effort"}),
            ("mixtral-8x7b-32768", {"images", "audio", "files"}),
            ("command-r-plus", {"images", "audio", "files"}),
        ],
    )
    def test_is_known_not_to_have(self, model, missing):
        assert lacking_of_family(model) == missing

    @pytest.mark.parametrize(
        "model",
        ["gpt-5-mini", "gpt-5", "o3", "o4-mini", "claude-haiku-4-5", "claude-3-7-sonnet-latest", "gemini-2.5-flash",
         "mistral-small-latest", "deepseek-vl2", "gpt-oss-120b", "my-model", "my-gpt-4o"],
    )  # fmt: skip
    def test_of_which_nothing_is_known_to_be_missing_is_taken_to_have_all(self, model):
        assert lacking_of_family(model) == frozenset()

    def test_whose_name_says_that_it_sees_does(self):
        assert lacking_of_family("llama-3.2-11b-vision-preview") == frozenset()
        assert "images" not in lacking_of_family("meta-llama-3.1-vision")


class TestADeployment:
    def test_says_what_its_family_does_not(self):
        said = Deployment("openai/gpt-4o", capabilities={"reasoning_effort": True, "audio": False})
        assert said.lacks == {"audio"}
        assert repr(said) == (
            "Deployment('openai/gpt-4o', capabilities={'reasoning_effort': True, 'audio': False})"
        )

    def test_with_an_opaque_name_is_like_another(self):
        opaque = Deployment("azure/prod-1", like="openai/gpt-3.5-turbo")
        assert opaque.known_as == "gpt-3.5-turbo"
        assert opaque.lacks == Deployment("openai/gpt-3.5-turbo").lacks
        assert opaque.name == "prod-1"

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"capabilities": {"imagse": True}}, "images"),
            ({"capabilities": {"zzz": True}}, "there are: audio"),
            ({"capabilities": {"images": "no"}}, "True or False"),
            ({"capabilities": ["images"]}, "says what is there"),
            ({"like": "gpt-5"}, "provider/model"),
        ],
    )
    def test_that_says_it_wrongly_is_refused(self, options, text):
        with pytest.raises(ConfigurationError, match=text):
            Deployment("openai/m", **options)


class TestWanted:
    @pytest.mark.parametrize(
        ("request_", "capabilities"),
        [
            (ChatRequest(messages=tuple(SEEN)), {"images"}),
            (ChatRequest(messages=(Message("tool", (ToolResult("1", (PICTURE,)),)),)), {"images"}),
            (ChatRequest(messages=(Message("user", (File(data=b"%PDF"),)),), temperature=0.0),
             {"files", "temperature"}),
            (ChatRequest(response_format=ResponseFormat("json_schema", schema={})),
             {"json_schema", "response_format"}),
            (ChatRequest(response_format=ResponseFormat("json_object")), {"json_object", "response_format"}),
            (ChatRequest(n=1, logprobs=False, frequency_penalty=0), set()),
            (ChatRequest(n=2, logprobs=0), {"n", "logprobs"}),
            (EmbedRequest(input=("x",), dimensions=3), {"dimensions"}),
        ],
    )  # fmt: skip
    def test_is_what_a_request_cannot_do_without(self, request_, capabilities):
        assert set(wanted(request_, CAPABILITIES)) == capabilities


class TestACall:
    async def test_goes_to_who_has_what_it_wants(self):
        deployments = [deployment("a", capabilities={"images": False}), deployment("b")]
        async with Router(deployments) as router:
            assert (await router.chat(SEEN)).deployment == "b"
            assert (await router.chat("hi")).deployment == "a"
            assert "it cannot honour images" in str(await router.explain(SEEN))

    async def test_that_nobody_can_serve_is_told_by_name(self):
        async with Router([deployment("a", capabilities={"images": False})]) as router:
            with pytest.raises(UnsupportedParameterError) as caught:
                await router.chat(SEEN)
        assert caught.value.parameter == "images"

    async def test_drops_what_may_be_dropped(self):
        fake = FakeProvider(["x"])
        one = deployment("a", fake, capabilities={"seed": False}, may_drop=["seed"])
        async with Router([one]) as router:
            reply = await router.chat("hi", seed=3)
        assert fake.calls[0].request.seed is None
        assert reply.trace.attempts[0].dropped == ("seed",)


class TestAHostThatSaysWhatIsMissing:
    async def test_is_left_for_another_and_not_asked_for_it_again(self):
        first = refusing("seed")
        async with Router([deployment("a", first), deployment("b")]) as router:
            assert asked(await router.chat("hi", seed=1)) == ["a", "b"]
            assert asked(await router.chat("hi", seed=1)) == ["b"]
            assert asked(await router.chat("hi")) == ["a"]
            assert router._core.fleet["a"].error_rate == 0.0

    async def test_that_is_the_only_one_is_told_of_by_the_arguments_name(self):
        async with Router([deployment("a", refusing("images"))]) as router:
            for _ in range(2):
                with pytest.raises(UnsupportedParameterError) as caught:
                    await router.chat(SEEN)
                assert caught.value.parameter == "images"
            assert (await router.chat("hi")).text == "now"

    async def test_is_asked_again_at_once_without_what_may_be_dropped(self):
        fake = refusing("seed")
        async with Router([deployment("a", fake, may_drop=["seed"]), deployment("b")]) as router:
            reply = await router.chat("hi", seed=1)
            await router.chat("hi", seed=1)
        assert asked(reply) == ["a", "a"]
        assert reply.trace.attempts[1].dropped == ("seed",)
        assert [call.request.seed for call in fake.calls] == [1, None, None]

    async def test_and_goes_on_saying_so_is_left(self):
        stubborn = FakeProvider(script=[BadRequestError("no", status=400, lacks="seed")])
        async with Router([deployment("a", stubborn, may_drop=["seed"]), deployment("b")]) as router:
            assert asked(await router.chat("hi", seed=1)) == ["a", "a", "b"]

    async def test_is_passed_over_in_a_stream_too(self):
        async with Router([deployment("a", refusing("seed")), deployment("b")]) as router:
            async with router.stream("hi", seed=1) as stream:
                assert asked(await stream.response()) == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "capability"),
    [
        ("unsupported_parameter Unsupported parameter: 'temperature' is not supported with this model.", "temperature"),
        ("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
         "temperature"),
        ("Unrecognized request argument supplied: reasoning_effort", "reasoning_effort"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("registry.ollama.ai/library/gemma3:270m does not support tools", "tools"),
        ("Tool calling is not supported by this model", "tools"),
        ("Invalid content type. image_url is only supported by certain models.", "images"),
        ("This model does not support image input", "images"),
        ("This model does not support thinking", "reasoning_effort"),
        ("'logprobs' is not supported with this model", "logprobs"),
        ("`top_logprobs` is not supported", "logprobs"),
        ("parameter 'stop_sequences' is not supported", "stop"),
        ("this model doesn't support structured outputs", "json_schema"),
        ("The model does not support PDF input", "files"),
        # What is about a value, a combination or a name is the caller's to mend.
        ("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model.", None),
        ("Tools are not supported together with response_format", None),
        ("temperature is not supported when thinking is enabled", None),
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
         None),
        ("Invalid schema for response_format 'x': 'additionalProperties' is not allowed", None),
        ("Unsupported parameter: 'messages[0].foo'", None),
        ("you are not allowed to do this", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_hosts_words_are_read_for_what_the_model_has_not(words, capability):
    assert lacking(words) == capability


async def test_a_refusal_on_the_wire_teaches_the_fleet():
    def answer(asked_: Asked) -> Answer:
        if "temperature" in asked_.json:
            error = {
                "message": "Unsupported value: 'temperature' does not support 0.2 with this model. Only the "
                "default (1) value is supported.",
                "type": "invalid_request_error",
                "param": "temperature",
                "code": "unsupported_value",
            }
            return Answer.of({"error": error}, status=400)
        return Answer.of({"choices": [{"message": {"content": "warm"}, "finish_reason": "stop"}]})

    with WireServer(answer) as host:
        only = Deployment(
            "openai/gpt-5-mini", base_url=host.url, api_key="k-0123456789", may_drop=["temperature"]
        )
        async with Router([only]) as router:
            first = await router.chat("hi", temperature=0.2)
            await router.chat("hi", temperature=0.2)

    assert (first.text, len(first.trace.attempts)) == ("warm", 2)
    assert len(host.asked) == 3
