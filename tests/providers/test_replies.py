"""What OpenAI's whole replies, and those of its imitators, are read as."""

from __future__ import annotations

import pytest

from polyroute import (
    Message,
    Opaque,
    OutputValidationError,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from tests.providers.wire import OK, choice, completion, read


async def test_a_reply_is_read_with_its_id_its_model_and_its_own_body():
    reply = await read(OK)

    assert (reply.text, reply.id, reply.model, reply.finish_reason) == (
        "ok",
        "c-1",
        "gpt-5-mini-2025",
        "stop",
    )
    assert (reply.provider, reply.deployment, reply.usage) == ("openai", "openai/gpt-5-mini", Usage(9, 3))
    assert reply.raw == OK
    assert (reply.reasoning, reply.refusal, reply.logprobs, reply.choices, reply.parts) == (
        None,
        None,
        None,
        (),
        (),
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("insufficient_system_resource", "other"),
        ("never heard of", "other"),
        (7, "other"),
        ("", "other"),
        (None, "other"),
    ],
)
async def test_finish_reasons_are_told_in_five_words(raw, reason):
    reply = await read(completion(choice({"content": "x"}, raw)))

    assert reply.finish_reason == reason


CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "CET"}'}}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "tool_calls"), ("tool_calls", "tool_calls"), (None, "tool_calls"), ("", "tool_calls"),
        ("length", "length"), ("content_filter", "content_filter"), ("error", "other"),
    ],
)  # fmt: skip
async def test_a_reply_that_asks_for_tools_says_so_unless_it_was_cut(raw, reason):
    reply = await read(completion(choice({"content": None, "tool_calls": [CALL]}, raw)))

    assert reply.finish_reason == reason
    assert reply.tool_calls == [ToolCall("call_1", "now", {"zone": "CET"}, '{"zone": "CET"}')]
    assert reply.text == ""


@pytest.mark.parametrize(
    ("arguments", "read_as", "raw"),
    [
        ('{"a": 1}', {"a": 1}, '{"a": 1}'),
        ("", {}, ""),
        (None, {}, ""),
        ({"a": 1}, {"a": 1}, '{"a": 1}'),
        ({}, {}, "{}"),
        ('{"a": ', None, '{"a": '),
        ("[1]", None, "[1]"),
        ([1], None, "[1]"),
    ],
)
async def test_arguments_of_a_call_are_an_object_and_its_text(arguments, read_as, raw):
    function = {"name": "now", "arguments": arguments}
    reply = await read(completion(choice({"tool_calls": [{"id": "call_1", "function": function}]})))

    assert (reply.tool_calls[0].arguments, reply.tool_calls[0].raw_arguments) == (read_as, raw)


async def test_calls_are_read_without_a_type_or_an_id_and_one_without_a_name_is_none():
    calls = [
        {"function": {"name": "now"}, "index": 0},
        {"id": "call_2", "function": {"name": "", "arguments": ""}, "custom": {}, "function_call": {}},
        {"id": "call_3", "function": None},
        {"id": "call_4", "function": {"name": "then", "arguments": "{}"}},
    ]
    reply = await read(completion(choice({"content": "", "tool_calls": calls})))

    assert [(call.id, call.name) for call in reply.tool_calls] == [("", "now"), ("call_4", "then")]


async def test_the_old_form_of_a_call_is_a_call():
    message = {"content": None, "function_call": {"name": "now", "arguments": '{"zone": "CET"}'}}
    reply = await read(completion(choice(message, "function_call")))

    assert reply.tool_calls == [ToolCall("", "now", {"zone": "CET"}, '{"zone": "CET"}')]
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"reasoning_content": "Hm.", "reasoning": "Hm."},
        {"reasoning_content": None, "reasoning": "Hm."},
        {"reasoning_content": "", "reasoning": "Hm."},
    ],
)
async def test_reasoning_is_read_under_each_of_its_names_and_never_put_to_the_text(thought):
    reply = await read(completion(choice({"content": "Yes", **thought})))

    assert (reply.text, reply.reasoning) == ("Yes", "Hm.")
    assert reply.message == Message("assistant", [Reasoning("Hm."), Text("Yes")])


async def test_reasoning_that_only_the_host_understands_is_kept_for_it():
    details = [{"type": "reasoning.text", "text": "Hm.", "signature": "=="}]
    message = {"content": "Yes", "reasoning": "Hm.", "reasoning_details": details, "tool_calls": [CALL]}
    reply = await read(completion(choice(message)), model="openrouter/any")

    kept = Opaque("openrouter", {"reasoning_details": details})
    assert reply.parts == (Reasoning("Hm."), kept, Text("Yes"), *reply.tool_calls)
    assert reply.message.content == reply.parts


@pytest.mark.parametrize(
    "details",
    [
        [{"type": "reasoning.text", "text": "Hm."}, {"type": "reasoning.encrypted", "data": "=="}],
        [{"type": "reasoning.summary", "summary": "Hm."}],
    ],
)
async def test_reasoning_that_is_told_only_in_details_is_read_from_them(details):
    reply = await read(completion(choice({"content": "Yes", "reasoning_details": details})))

    assert reply.reasoning == "Hm."


@pytest.mark.parametrize("details", [None, []])
async def test_details_that_hold_nothing_are_none(details):
    reply = await read(completion(choice({"content": "Yes", "reasoning_details": details})))

    assert (reply.reasoning, reply.parts) == (None, ())


async def test_content_in_parts_is_read_part_by_part():
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "text", "text": "."}]},
        {"type": "text", "text": "Yes"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "."},
    ]
    reply = await read(completion(choice({"content": content})), model="mistral/any")

    assert (reply.text, reply.reasoning) == ("Yes.", "Hm.")
    assert reply.parts == (Reasoning("Hm."), Text("Yes"), Text("."))


async def test_a_refusal_is_told_apart_from_text():
    reply = await read(completion(choice({"content": None, "refusal": "I will not."})))

    assert (reply.text, reply.refusal, reply.finish_reason) == ("", "I will not.", "stop")
    assert reply.message == Message("assistant", "I will not.")


async def test_log_probabilities_are_read_with_those_that_were_nearly_chosen():
    spelled = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    content = [{**spelled, "top_logprobs": [spelled, {"token": "e", "logprob": -1, "bytes": None}]}]
    reply = await read(completion(choice({"content": "é"}, logprobs={"content": content})))

    chosen = TokenLogprob("é", -0.5, (195, 169))
    assert reply.logprobs == (TokenLogprob("é", -0.5, (195, 169), (chosen, TokenLogprob("e", -1.0))),)


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}, {"tokens": ["a"]}])
async def test_log_probabilities_in_no_form_of_ours_are_none(logprobs):
    assert (await read(completion(choice({"content": "x"}, logprobs=logprobs)))).logprobs is None


async def test_all_choices_are_there_where_more_than_one_was_asked_for():
    two = completion(choice({"content": "a"}), choice({"content": "b"}, "length", index=1))
    reply = await read(two, n=2)

    assert [(each.text, each.finish_reason) for each in reply.choices] == [("a", "stop"), ("b", "length")]
    assert (reply.text, reply.finish_reason) == ("a", "stop")
    assert [each.text for each in (await read(OK)).choices] == []


@pytest.mark.parametrize(
    "filtered", [choice(None, "content_filter"), choice({"content": None}, "content_filter")]
)
async def test_a_filtered_choice_may_have_nothing_in_it(filtered):
    reply = await read(completion(filtered))

    assert (reply.text, reply.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize("content", ["", None, []])
async def test_an_empty_text_with_a_finish_reason_is_an_answer(content):
    reply = await read(completion(choice({"content": content}, "length")))

    assert (reply.text, reply.finish_reason) == ("", "length")


async def test_keys_that_nobody_has_heard_of_are_passed_over():
    message = {"content": "ok", "annotations": [], "audio": None, "channel": "final", "prefix": False}
    reply = await read(completion(choice(message, token_id=7, stop_reason=None), obfuscation="x", error=None))

    assert reply.text == "ok"


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, 2)),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
             "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
             "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(9, 5, 4, 1, 3),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5,
             "prompt_tokens_details": {"cached_tokens": 0},
             "completion_tokens_details": {"reasoning_tokens": 0}},
            Usage(9, 5, 0, None, 0),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": None}, Usage(9, 5)),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_token_details": {"cached_tokens": 2},
             "completion_token_details": {"reasoning_tokens": 1}},
            Usage(9, 5, 2, None, 1),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, Usage(9, 5, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "num_cached_tokens": 4}, Usage(9, 5, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 4}, Usage(9, 5, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 20}, Usage(9, 11)),  # reasoning, hidden
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 3}, Usage(9, 5)),
        ({"prompt_tokens": 9, "completion_tokens": None}, Usage(9, 0)),
        ({"prompt_tokens": 9}, Usage(9, 0)),
        ({"completion_tokens": 5}, Usage(0, 5)),
        ({"prompt_tokens": 9.0, "completion_tokens": 5.0, "total_tokens": 14.0}, Usage(9, 5)),
        # Beside the prompt and not inside, as Azure tells it of Grok.
        (
            {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26,
             "prompt_tokens_details": {"cached_tokens": 161}},
            Usage(185, 2, 161),
        ),
    ],
)  # fmt: skip
async def test_usage_is_read_in_every_dialect(wire, usage):
    assert (await read({**OK, "usage": wire})).usage == usage


@pytest.mark.parametrize("silent", [None, {}, {"total_tokens": 7}, {"cost": 0.1}])
async def test_usage_is_estimated_where_the_host_is_silent(silent):
    usage = (await read({**OK, "usage": silent})).usage

    assert usage.estimated
    assert usage.input_tokens > 0


async def test_the_parsed_form_is_there_for_a_schema_that_was_asked_for():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    reply = await read(completion(choice({"content": '{"a": 1}'})), response_format=schema)

    assert reply.parsed == {"a": 1}
    with pytest.raises(OutputValidationError):
        await read(OK, response_format=schema)


async def test_numbers_that_json_allows_and_few_write_are_read():
    body = b'{"choices": [{"index": 0.0, "message": {"content": "x"}, "finish_reason": "stop"}], "created": 1e400}'

    assert (await read(body)).text == "x"
