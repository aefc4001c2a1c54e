"""What a call becomes for Bedrock: the path, the configuration, tools, shapes, and how hard to think."""

from __future__ import annotations

import json

import pytest
from inline_snapshot import snapshot

from polyroute import Deployment, Message, Router, Tool, ToolCall, UnsupportedParameterError
from polyroute.types import Opaque
from tests.providers.bedrock.wire import CLAUDE, NOVA, asked, reply, stream, text
from tests.providers.wire import KEY, Response, Scripted

TOOL = Tool("now", "Tells the time.", {"type": "object", "properties": {"zone": {"type": "string"}}})
HI = {"role": "user", "content": "hi"}
CALLED = [HI, Message("assistant", [ToolCall("t1", "now", {})]), ToolCall("t1", "now").result("noon")]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("anthropic.claude-v2", "/model/anthropic.claude-v2/converse"),
        ("us.amazon.nova-2-lite-v1:0", "/model/us.amazon.nova-2-lite-v1%3A0/converse"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x-v1%3A0/converse",
        ),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_models_name_is_one_part_of_the_path(model, path, streamed):
    body = (
        stream(("messageStop", {"stopReason": "end_turn"}), ("metadata", {}))
        if streamed
        else reply(text("ok"))
    )
    transport = Scripted(Response(body))
    router = Router([Deployment(f"bedrock/{model}", api_key=KEY, region="eu-west-1")], transport=transport)
    if streamed:
        async with router.stream("hi") as chunks:
            await chunks.response()
    else:
        await router.chat("hi")

    ending = "-stream" if streamed else ""
    assert transport.sent[0].url == f"https://bedrock-runtime.eu-west-1.amazonaws.com{path}{ending}"
    assert dict(transport.sent[0].headers)[b"authorization"] == b"Bearer " + KEY.encode()
    assert json.loads(transport.sent[0].body) == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


async def test_each_argument_has_its_place():
    body = await asked(
        [{"role": "system", "content": "Be brief."}, HI],
        max_tokens=5, temperature=0.5, top_p=0.9, top_k=7, stop=["END"], tools=[TOOL], tool_choice="required",
        extra={"guardrailConfig": {"guardrailIdentifier": "g"}, "inferenceConfig": {"maxTokens": 6}},
    )  # fmt: skip

    assert body == snapshot(
        {
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "system": [{"text": "Be brief."}],
            "inferenceConfig": {"maxTokens": 6, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
            "toolConfig": {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "now",
                            "inputSchema": {
                                "json": {"type": "object", "properties": {"zone": {"type": "string"}}}
                            },
                            "description": "Tells the time.",
                        }
                    }
                ],
                "toolChoice": {"any": {}},
            },
            "additionalModelRequestFields": {"top_k": 7},
            "guardrailConfig": {"guardrailIdentifier": "g"},
        }
    )


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, None),
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "now"}}, {"tool": {"name": "now"}}),
    ],
)
async def test_a_choice_of_tools_is_told_in_the_hosts_words(choice, written):
    body = await asked(tools=[TOOL], tool_choice=choice)

    assert body["toolConfig"].get("toolChoice") == written


async def test_where_no_tool_may_be_called_none_is_offered():
    assert "toolConfig" not in await asked(tools=[TOOL], tool_choice="none")
    assert "toolConfig" not in await asked(tools=[])


async def test_tools_that_were_called_are_told_of_as_the_host_demands_and_no_others():
    other = Tool("later")
    body = await asked(CALLED, tools=[other, TOOL], tool_choice="none")
    assert [each["toolSpec"]["name"] for each in body["toolConfig"]["tools"]] == ["now"]
    assert body["toolConfig"]["tools"][0]["toolSpec"]["description"] == "Tells the time."
    assert "toolChoice" not in body["toolConfig"]

    body = await asked(CALLED)
    assert body["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
        ]
    }

    body = await asked(CALLED, tools=[other])
    assert [each["toolSpec"]["name"] for each in body["toolConfig"]["tools"]] == ["later"]


async def test_a_strict_tool_and_a_shape_are_closed_and_what_only_bounds_them_is_told():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}
    body = await asked(
        tools=[Tool("now", parameters=schema, strict=True)],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "shape", "schema": schema, "description": "A number."},
        },
    )

    closed = {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": '{"minimum": 3}'}},
        "additionalProperties": False,
    }
    assert body["toolConfig"]["tools"][0]["toolSpec"] == {
        "name": "now", "inputSchema": {"json": closed}, "strict": True
    }  # fmt: skip
    given = body["outputConfig"]["textFormat"]
    assert given["type"] == "json_schema"
    shape = given["structure"]["jsonSchema"]
    assert (shape["name"], shape["description"]) == ("shape", "A number.")
    assert json.loads(shape["schema"]) == closed


BUDGETED = {"thinking": {"type": "enabled", "budget_tokens": 16_000}}


@pytest.mark.parametrize(
    ("model", "effort", "fields", "max_tokens"),
    [
        (CLAUDE, "medium", BUDGETED, 32_000),
        (CLAUDE, "none", {"thinking": {"type": "disabled"}}, None),
        (
            "bedrock/us.anthropic.claude-sonnet-4-6",
            "minimal",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            None,
        ),
        (NOVA, "xhigh", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, None),
        (NOVA, "none", {"reasoningConfig": {"type": "disabled"}}, None),
        ("bedrock/qwen.qwen3-32b-v1:0", "high", {"reasoning_config": "high"}, None),
        ("bedrock/openai.gpt-oss-120b-1:0", "minimal", {"reasoning_effort": "low"}, None),
        ("bedrock/openai.gpt-oss-120b-1:0", "none", {"reasoning_effort": "none"}, None),
    ],
)
async def test_each_family_is_told_in_its_own_words_how_hard_to_think(model, effort, fields, max_tokens):
    body = await asked(model=model, reasoning_effort=effort)

    assert body["additionalModelRequestFields"] == fields
    assert body.get("inferenceConfig", {}).get("maxTokens") == max_tokens


async def test_a_budget_is_a_share_of_what_the_caller_allows():
    body = await asked(max_tokens=4_000, reasoning_effort="high")

    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 3_200
    assert body["inferenceConfig"] == {"maxTokens": 4_000}


async def test_a_name_that_tells_nothing_may_be_like_another():
    arn = "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/1arbu5hu2sjr"
    like = {"like": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"}

    assert (await asked(model=arn, options=like, reasoning_effort="medium"))[
        "additionalModelRequestFields"
    ] == BUDGETED
    assert (await asked(model=arn, reasoning_effort="medium"))["additionalModelRequestFields"] == {
        "reasoning_effort": "medium"
    }


SIGNED = Opaque("bedrock", {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "E=="}}})


async def test_a_tool_loop_that_was_begun_without_thought_is_ended_without():
    for messages in (CALLED, CALLED[1:]):
        assert "additionalModelRequestFields" not in await asked(messages, reasoning_effort="high")
    thought = [HI, Message("assistant", [SIGNED, ToolCall("t1", "now", {})]), CALLED[2]]
    over = [*CALLED, {"role": "assistant", "content": "It is noon."}, HI]
    for messages in (thought, over):
        assert "thinking" in (await asked(messages, reasoning_effort="high"))["additionalModelRequestFields"]
    for effort, model in (("none", CLAUDE), ("high", "bedrock/anthropic.claude-sonnet-4-6")):
        body = await asked(CALLED, model=model, reasoning_effort=effort)
        assert "thinking" in body["additionalModelRequestFields"]


async def test_how_many_tokens_to_choose_from_is_told_to_nova_in_its_own_words():
    assert (await asked(model=NOVA, top_k=7))["additionalModelRequestFields"] == {
        "inferenceConfig": {"topK": 7}
    }


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"reasoning_effort": "as you like"}, "reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
async def test_what_the_host_has_no_words_for_is_refused_by_name(arguments, parameter):
    with pytest.raises(UnsupportedParameterError) as caught:
        await asked(**arguments)

    assert caught.value.parameter == parameter


async def test_what_comes_anyway_is_no_reason_to_refuse():
    body = await asked(n=1, logprobs=False, frequency_penalty=0, tools=[TOOL], parallel_tool_calls=True)

    assert sorted(body) == ["messages", "toolConfig"]
