"""What distinguishes each of the other hosts that speak OpenAI's chat completions.

Where nothing was recorded of what a test shows, it says that it is synthetic.
"""

from __future__ import annotations

import json

import pytest

from polyroute import (
    Audio,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    Deployment,
    FleetError,
    Image,
    Message,
    OverloadedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    Reasoning,
    Router,
    ServerError,
    StreamInterruptedError,
    Text,
    UnsupportedParameterError,
    Usage,
)
from polyroute.providers import HOSTS
from tests.providers.wire import KEY, Response, Scripted, choice, completion, delta, read, refused, sent, told
from tests.wire_server import events

USER = Message("user", "hi")
THOUGHTFUL = [USER, Message("assistant", [Reasoning("Hm."), Text("Yes.")]), USER]


def counted(prompt, output, total, **details):
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": total, **details}


async def parameter_refused(model, messages="hi", **arguments):
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(messages, model=model, **arguments)
    return caught.value.parameter


# --- what is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "arguments", "parameter"),
    [
        ("groq/any", {"top_k": 5}, "top_k"),
        ("xai/any", {"top_k": 5}, "top_k"),
        ("cerebras/any", {"frequency_penalty": 0.5}, "frequency_penalty"),
        ("cerebras/any", {"presence_penalty": 0.5}, "presence_penalty"),
        ("cerebras/any", {"top_k": 5}, "top_k"),
        ("perplexity/any", {"tools": [{"type": "function", "function": {"name": "now"}}]}, "tools"),
        ("perplexity/any", {"tool_choice": "none"}, "tool_choice"),
        ("perplexity/any", {"parallel_tool_calls": False}, "parallel_tool_calls"),
        ("perplexity/any", {"seed": 1}, "seed"),
        ("perplexity/any", {"logprobs": True}, "logprobs"),
        ("perplexity/any", {"n": 2}, "n"),
        ("deepseek/any", {"n": 2}, "n"),
    ],
)
async def test_an_argument_that_a_host_does_not_take_is_refused_by_name(model, arguments, parameter):
    assert await parameter_refused(model, **arguments) == parameter


@pytest.mark.parametrize(
    "message",
    [Message("user", "hi", name="ann"), Message("user", [Audio(b"x", "wav")])],
    ids=["name", "sound"],
)
async def test_groq_takes_neither_a_speaker_s_name_nor_sound(message):
    assert await parameter_refused("groq/any", [message]) == "messages"


async def test_groq_takes_pictures():
    body = await sent([Message("user", [Image("https://a.example/a.png")])], model="groq/any")

    assert body["messages"][0]["content"][0]["type"] == "image_url"


@pytest.mark.parametrize("prefix", ["groq", "deepseek", "perplexity", "cerebras"])
def test_who_has_no_embeddings_is_not_asked_for_them(prefix):
    assert HOSTS[prefix].kinds == {"chat"}


async def test_deepseek_is_sent_its_reasoning_back_and_others_are_not():
    assert (await sent(THOUGHTFUL, model="deepseek/any"))["messages"][1]["reasoning_content"] == "Hm."
    mute = Message("assistant", "Yes.")
    assert (await sent([mute, Message("user", "?")], model="deepseek/any"))["messages"][0][
        "reasoning_content"
    ] == ""
    for model in ("groq/any", "together/any", "xroute/any", "vllm/any"):
        assert (await sent(THOUGHTFUL, model=model))["messages"][1] == {
            "role": "assistant",
            "content": "Yes.",
        }


async def test_openrouter_is_told_where_to_go_by_extra():
    extra = {"provider": {"order": ["Groq"]}, "models": ["a/b", "c/d"], "transforms": []}
    body = await sent(model="openrouter/a/b", reasoning_effort="high", extra=extra)

    assert body == {
        "model": "a/b",
        "messages": [{"role": "user", "content": "hi"}],
        "reasoning": {"effort": "high"},
        **extra,
    }


async def test_xroute_is_sent_only_what_every_such_host_takes():
    """Synthetic: nothing of it was recorded."""
    body = await sent(model="xroute/gpt-5", stream=True, max_tokens=9)

    assert body == {
        "model": "gpt-5",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "stream": True,
    }


async def test_voyage_is_asked_in_its_own_words():
    """Synthetic: nothing of it was recorded."""
    transport = Scripted(Response({"data": [{"embedding": [1.0], "index": 0}], "usage": {"total_tokens": 7}}))
    router = Router([Deployment("voyage/voyage-3.5", api_key=KEY)], transport=transport, send_user=True)
    reply = await router.embed(["a"], dimensions=256, user="ann", extra={"input_type": "query"})

    assert json.loads(transport.sent[0].body) == {
        "model": "voyage-3.5", "input": ["a"], "output_dimension": 256, "input_type": "query"
    }  # fmt: skip
    assert reply.usage == Usage(7)


# --- what comes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("deepseek/any", {"reasoning_content": "Hm."}),
        ("groq/any", {"reasoning": "Hm."}),
        ("cerebras/any", {"reasoning": "Hm."}),
        ("huggingface/any", {"reasoning": "Hm.", "reasoning_content": "Hm."}),
        (
            "openrouter/any",
            {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        ),
        ("vllm/any", {"reasoning": None, "reasoning_content": "Hm."}),
    ],
)
async def test_reasoning_is_read_under_each_host_s_name_for_it(model, message):
    whole = await read(completion(choice({"content": "Yes.", **message})), model=model)
    stream = await told(events(delta(**message), delta("Yes.", finish_reason="stop")), model=model)

    for reply in (whole, stream.reply):
        assert (reply.reasoning, reply.text) == ("Hm.", "Yes.")


async def test_openrouter_s_own_reasoning_goes_back_to_it_and_to_nobody_else():
    details = [{"type": "reasoning.encrypted", "data": "=="}]
    reply = await read(
        completion(choice({"content": "Yes.", "reasoning_details": details})), model="openrouter/any"
    )
    history = [USER, reply.message, USER]

    assert (await sent(history, model="openrouter/any"))["messages"][1]["reasoning_details"] == details
    assert "reasoning_details" not in (await sent(history, model="groq/any"))["messages"][1]


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        # Synthetic: xAI counts what was thought beside the completion, and in the total alone.
        ("xai/any", counted(9, 3, 112, completion_tokens_details={"reasoning_tokens": 100}), Usage(9, 103, reasoning_tokens=100)),
        ("xai/any", counted(9, 103, 112, completion_tokens_details={"reasoning_tokens": 100}), Usage(9, 103, reasoning_tokens=100)),
        ("deepseek/any", counted(9, 3, 12, prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=5), Usage(9, 3, 4)),
        ("together/any", counted(9, 3, 12, cached_tokens=4), Usage(9, 3, 4)),
        ("groq/any", counted(9, 3, 12, queue_time=0.1), Usage(9, 3)),
        ("openrouter/any", counted(9, 3, 12, cost=0.1, prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 2}), Usage(9, 3, 4, 2)),
    ],
)  # fmt: skip
async def test_usage_is_read_in_each_host_s_way_of_counting(model, usage, expected):
    whole = await read(completion(choice({"content": "a"}), usage=usage), model=model)
    stream = await told(
        events(delta("a", finish_reason="stop"), {"choices": [], "usage": usage}), model=model
    )

    assert whole.usage == stream.reply.usage == expected


@pytest.mark.parametrize("beside", [None, counted(9, 3, 12)])
async def test_groq_tells_usage_in_a_field_of_its_own_and_perhaps_twice(beside):
    last = {**delta(finish_reason="stop"), "x_groq": {"id": "r", "usage": counted(9, 3, 12)}, "usage": beside}
    stream = await told(events(delta("a"), last), model="groq/any")

    assert stream.reply.usage == Usage(9, 3)


@pytest.mark.parametrize(
    ("model", "raw", "finish"),
    [
        ("together/any", "eos", "stop"),
        ("deepseek/any", "insufficient_system_resource", "other"),
        ("openrouter/any", "error", "other"),
    ],
)
async def test_finish_reasons_of_their_own_are_in_our_words(model, raw, finish):
    assert (await read(completion(choice({"content": "a"}, raw)), model=model)).finish_reason == finish


async def test_deepseek_keeps_a_connection_alive_with_white_space_and_comments():
    body = b"\n\n  \n" + json.dumps(completion(choice({"content": "ok"}))).encode()
    stream = b": keep-alive\n\n" * 3 + events(delta("ok", finish_reason="stop"))

    assert (await read(body, model="deepseek/any")).text == "ok"
    assert (await told(stream, model="deepseek/any")).reply.text == "ok"


@pytest.mark.parametrize("model", ["perplexity/sonar", "xroute/gpt-5"])
async def test_a_stream_needs_no_terminal_event_after_its_reason(model):
    stream = await told(events(delta("ok"), delta(finish_reason="stop"), done=False), model=model)

    assert stream.reply.text == "ok"


async def test_perplexity_s_empty_delta_beside_the_message_and_its_sources_do_no_harm():
    body = completion(
        choice({"content": "ok"}, delta={"role": "assistant", "content": ""}), citations=["https://a.example"]
    )
    reply = await read(body, model="perplexity/sonar")

    assert reply.text == "ok"
    assert reply.raw["citations"] == ["https://a.example"]


# --- what goes wrong ----------------------------------------------------------------------------


def error(message, **fields):
    return {"error": {"message": message, **fields}}


SPENT = "Your team x has either used all available credits or reached its monthly spending limit."
TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."


@pytest.mark.parametrize(
    ("model", "status", "body", "kind"),
    [
        ("groq/any", 400, error("Failed to call a function.", code="tool_use_failed", failed_generation="{"), ServerError),
        ("perplexity/any", 400, error("Too long.", type="too_many_prompt_tokens", code=400), ContextWindowExceededError),
        ("openrouter/any", 401, error("Missing Authentication header", code=401), AuthenticationError),
        # Synthetic from here on, after what each host's documents and users say.
        ("groq/any", 413, error("Request too large for model", type="tokens", code="rate_limit_exceeded"), RateLimitError),
        ("groq/any", 498, error("Flex tier capacity exceeded", code="capacity_exceeded"), OverloadedError),
        ("deepseek/any", 402, error("Insufficient Balance", code="invalid_request_error"), QuotaExhaustedError),
        ("deepseek/any", 422, error("Failed to deserialize the JSON body"), BadRequestError),
        ("xai/any", 400, {"code": "invalid-argument", "error": f"Incorrect API key provided: {KEY}."}, AuthenticationError),
        ("xai/any", 403, {"code": "permission-denied", "error": SPENT}, QuotaExhaustedError),
        ("xai/any", 429, {"code": "resource-exhausted", "error": SPENT}, QuotaExhaustedError),
        ("xai/any", 403, {"code": "permission-denied", "error": "You have run out of credits."}, QuotaExhaustedError),
        ("xai/any", 403, {"code": "x", "error": "Content violates usage guidelines. Failed check: X"}, ContentFilterError),
        ("openrouter/any", 402, error("This request requires more credits", code=402), QuotaExhaustedError),
        ("openrouter/any", 403, error("Your input was flagged", code=403, metadata={"reasons": ["x"]}), ContentFilterError),
        ("openrouter/any", 403, error("Not allowed", code=403, metadata={"flagged_input": "x", "reasons": ["y"]}), ContentFilterError),
        ("openrouter/any", 403, error("Not allowed", code=403, metadata={"provider_name": "x"}), PermissionDeniedError),
        ("openrouter/any", 429, error("Rate limit exceeded: free-models-per-day", code=429), QuotaExhaustedError),
        ("openrouter/any", 429, error("Rate limit exceeded: free-models-per-min", code=429), RateLimitError),
        ("openrouter/any", 400, error("Provider returned error", code=400, metadata={"raw": "maximum context length is 9 tokens"}), ContextWindowExceededError),
        ("openrouter/any", 502, error("Provider returned error", code=502), ServerError),
        ("openrouter/any", 503, error("No instances available", code=503), OverloadedError),
        ("vllm/any", 400, error(TOO_LONG, type="BadRequestError", param=None, code=400), ContextWindowExceededError),
        ("vllm/any", 400, {"object": "error", "message": TOO_LONG, "type": "BadRequestError", "code": 400}, ContextWindowExceededError),
        ("llamacpp/any", 500, error("try increasing the context", type="exceed_context_size_error", n_ctx=256), ContextWindowExceededError),
        ("llamacpp/any", 400, error("the request exceeds the available context size"), ContextWindowExceededError),
        ("llamacpp/any", 503, error("Loading model", type="unavailable_error", code=503), OverloadedError),
        ("lmstudio/any", 400, {"error": "the model is loaded with context length of only 4096 tokens"}, ContextWindowExceededError),
        ("cerebras/any", 402, {"message": "Payment required", "type": "payment_required_error"}, QuotaExhaustedError),
        ("xroute/any", 500, {"error": "upstream"}, ServerError),
    ],
)  # fmt: skip
async def test_errors_are_told_apart_in_each_host_s_shape(model, status, body, kind):
    refusal = await refused(body, status, model=model)

    assert type(refusal) is kind
    assert KEY not in f"{refusal}{refusal.body}"


@pytest.mark.parametrize("model", ["xroute/any", "openrouter/any", "llamacpp/any"])
async def test_an_error_is_one_although_its_status_is_200(model):
    """Synthetic, but for OpenRouter."""
    body = error(TOO_LONG, code=400)

    assert type(await refused(body, 200, model=model)) is ContextWindowExceededError


async def test_openrouter_tells_in_a_chunk_that_who_stands_behind_it_has_failed():
    """Synthetic."""
    failed = {**delta("", finish_reason="error"), **error("Provider disconnected", code=502)}
    stream = await told(
        b": OPENROUTER PROCESSING\n\n" + events(delta("Once"), failed), model="openrouter/any"
    )

    assert isinstance(stream.error, StreamInterruptedError)
    assert type(stream.cause) is ServerError
    assert stream.error.partial == "Once"


@pytest.mark.parametrize(
    ("model", "headers", "body", "seconds"),
    [
        ("groq/any", {"retry-after": "7"}, {}, 7),
        ("groq/any", {"x-ratelimit-reset-requests": "2m59.56s", "x-ratelimit-reset-tokens": "26ms", "x-ratelimit-remaining-requests": "0"}, {}, 179.56),
        ("together/any", {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, {}, 2),
        ("openai/any", {"x-ratelimit-reset-input-images": "1m30s", "x-ratelimit-remaining-input-images": "0"}, {}, 90),
        ("xai/any", {"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "0"}, {}, None),
        ("openrouter/any", {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767225605000", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 5),
        ("openrouter/any", {}, {"Retry-After": 7}, 7),
        ("openrouter/any", {"retry-after": "3"}, {"Retry-After": "7"}, 3),
        ("openrouter/any", {}, {"X-RateLimit-Limit": "20"}, None),
    ],
)  # fmt: skip
async def test_how_long_to_wait_is_read_in_each_host_s_form(model, headers, body, seconds):
    """Synthetic: what OpenRouter would send as headers stands in its error's metadata."""
    refusal = await refused(
        error("Slow down", code=429, metadata={"headers": body}), 429, headers, model=model
    )

    assert type(refusal) is RateLimitError
    assert refusal.retry_after == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("metadata", [None, "x", {"headers": None}, {"headers": [1]}, {"headers": {}}])
async def test_metadata_in_any_shape_is_read_or_passed_over(metadata):
    refusal = await refused(error("Slow down", metadata=metadata), 429, model="openrouter/any")

    assert refusal.retry_after is None


async def test_voyage_s_errors_are_details():
    """Synthetic: nothing of it was recorded."""
    transport = Scripted(Response({"detail": "Provided API key is invalid."}, 401))
    router = Router([Deployment("voyage/voyage-3.5", api_key=KEY)], transport=transport, retry=None)
    with pytest.raises(FleetError) as caught:
        await router.embed("a")

    assert type(caught.value.__cause__) is AuthenticationError
    assert "Provided API key is invalid." in str(caught.value.__cause__)
