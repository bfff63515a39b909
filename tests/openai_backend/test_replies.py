"""Every shape of a chat completion → its Reply, or a CallError."""

from __future__ import annotations

import pytest

from judgekit import CallError, Usage
from judgekit_openai.replies import read_reply
from openai_fake import completion


def read(*args, **kwargs):
    return read_reply(completion(*args, **kwargs).body)


def test_a_plain_reply():
    reply = read("85", prompt_tokens=20, completion_tokens=1)
    assert (reply.status, reply.text, reply.detail) == ("complete", "85", "")
    assert reply.usage == Usage(prompt_tokens=20, completion_tokens=1)


@pytest.mark.parametrize(
    ("text", "fields", "status", "detail"),
    [
        ("8", {"finish_reason": "length"}, "truncated", "cut at the token limit"),
        (None, {"finish_reason": "length"}, "truncated", "cut at the token limit; the reply holds no content"),
        ("8", {"finish_reason": "content_filter"}, "refused", "cut by the server's content filter"),
        (None, {"refusal": "I can't help with that."}, "refused", "the model refused to answer"),
        (None, {}, "complete", "the reply holds no content"),
        ("", {}, "complete", "the reply holds no content"),
        (None, {"reasoning": "hm"}, "complete", "the reply holds no content, only reasoning"),
    ],
)
def test_the_status_follows_the_finish_reason(text, fields, status, detail):
    reply = read(text, **fields)
    assert (reply.status, reply.detail) == (status, detail)


def test_a_refusal_keeps_its_words():
    assert read(None, refusal="I can't help with that.").text == "I can't help with that."


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "thinking"])
def test_reasoning_is_kept_apart(field):
    reply = read("85", **{field: "The answer names the capital."})
    assert (reply.text, reply.reasoning) == ("85", "The answer names the capital.")


def test_a_message_without_the_content_field():
    body = completion("x").body
    del body["choices"][0]["message"]["content"]
    assert read_reply(body).detail == "the reply holds no content"


def test_content_in_parts():
    parts = [{"type": "thinking", "thinking": "so"}, {"type": "text", "text": "8"}, {"type": "text", "text": "5"}]
    assert read(parts).text == "85"


def test_a_lone_surrogate_is_kept():
    assert read("a\ud800b").text == "a\ud800b"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": -1, "completion_tokens": 1}, "many"])
def test_usage_is_never_invented(usage):
    body = completion("85").body
    body["usage"] = usage
    assert read_reply(body).usage is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "list where a chat completion was due"),
        ({}, "without choices"),
        ({"choices": []}, "without choices"),
        ({"choices": ["x"]}, "without choices"),
        ({"choices": [{"finish_reason": "stop"}]}, "without a message"),
        ({"error": {"message": "overloaded"}}, "an error under status 200: overloaded"),
        ({"error": "overloaded"}, "an error under status 200: overloaded"),
        (completion("85", finish_reason=None).body, "finish_reason None"),
        (completion("85", finish_reason="tool_calls").body, "finish_reason 'tool_calls'"),
        (completion(85).body, "int as a message's content"),
        (completion([{"type": "text", "text": 85}]).body, "list as a message's content"),
    ],
)
def test_an_unknown_shape_is_an_error_and_no_answer(body, words):
    with pytest.raises(CallError, match=words):
        read_reply(body)
