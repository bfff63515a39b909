"""Every shape of a chat completion → its Reply, or a CallError."""

import pytest

from judgekit import CallError, Usage
from judgekit_openai.replies import read_reply, read_tokens
from openai_fake import completion
from tables import each


def read(*args, **kwargs):
    return read_reply(completion(*args, **kwargs).body)


def test_content_and_alternatives_are_read():
    reply = read("85", prompt_tokens=20, completion_tokens=1)
    assert (reply.status, reply.text, reply.detail) == ("complete", "85", "")
    assert reply.usage == Usage(prompt_tokens=20, completion_tokens=1)
    assert read(None, refusal="I can't help with that.").text == "I can't help with that."
    body = completion("x").body
    del body["choices"][0]["message"]["content"]
    assert read_reply(body).detail == "the reply holds no content"
    parts = [{"type": "thinking", "thinking": "so"}, {"type": "text", "text": "8"}, {"type": "text", "text": "5"}]
    assert read(parts).text == "85"
    assert read("a\ud800b").text == "a\ud800b"
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}, {"type": "text", "text": "85"}]
    assert (read(parts).text, read(parts).reasoning) == ("85", "so")
    body = completion(None, finish_reason="length").body
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 16}
    words = "cut at the token limit; the reply holds no content; 16 tokens went into reasoning: raise max_new_tokens"
    assert read_reply(body).detail == words
    listed = [token("8", -0.5, ("8", -0.5), ("9", -1.5)), token("5", 0, ("5", 0), ("0", -9999.0))]
    first, second = read_tokens(completion("85", logprobs=listed).body)
    assert (first.text, first.logprob, first.top) == ("8", -0.5, (("8", -0.5), ("9", -1.5)))
    assert second.top[1] == ("0", -9999.0), "the API's word for very unlikely"
    listed = [token("8", -0.5, ("8", -0.5), ("9", None))]
    assert read_tokens(completion("8", logprobs=listed).body)[0].top == (("8", -0.5),)


@each(
    ("8", {"finish_reason": "length"}, "truncated", "cut at the token limit"),
    (None, {"finish_reason": "length"}, "truncated", "cut at the token limit; the reply holds no content"),
    ("8", {"finish_reason": "content_filter"}, "refused", "cut by the server's content filter"),
    (None, {"refusal": "I can't help with that."}, "refused", "the model refused to answer"),
    (None, {}, "complete", "the reply holds no content"),
    ("", {}, "complete", "the reply holds no content"),
    (None, {"reasoning": "hm"}, "complete", "the reply holds no content, only reasoning"),
    (" \n", {}, "complete", "the reply holds no content"),
    (None, {"tool_calls": [{"id": "1"}]}, "complete", "the reply holds no content, only a tool call"),
    ("", {"finish_reason": "tool_calls"}, "complete", "the reply holds no content, only a tool call"),
    (None, {"finish_reason": "function_call"}, "complete", "the reply holds no content, only a tool call"),
    ("8", {"tool_calls": [{"id": "1"}]}, "complete", ""),
)
def test_the_status_follows_the_finish_reason(text, fields, status, detail):
    reply = read(text, **fields)
    assert (reply.status, reply.detail) == (status, detail)


@each("reasoning", "reasoning_content", "thinking")
def test_reasoning_is_kept_apart(field):
    reply = read("85", **{field: "The answer names the capital."})
    assert (reply.text, reply.reasoning) == ("85", "The answer names the capital.")


NO_USAGE = [None, {}, {"prompt_tokens": -1, "completion_tokens": 1}, "many", {"prompt_tokens": 3},
            {"prompt_tokens": None}, {"prompt_tokens": True, "completion_tokens": 1},
            {"prompt_tokens": 3, "completion_tokens": None}, {"prompt_tokens": 10**30, "completion_tokens": 1},
            {"prompt_tokens": 12.5, "completion_tokens": 1}]  # fmt: skip


@pytest.mark.parametrize("usage", NO_USAGE)
def test_usage_is_never_invented(usage):
    body = completion("85").body
    body["usage"] = usage
    assert read_reply(body).usage is None
    del body["usage"]
    assert read_reply(body).usage is None


@each(
    ([], "list where a chat completion was due"),
    ({}, "without choices"),
    ({"choices": []}, "without choices"),
    ({"choices": ["x"]}, "without choices"),
    ({"choices": [{"finish_reason": "stop"}]}, "without a message"),
    ({"error": {"message": "overloaded"}}, "an error under status 200: overloaded"),
    ({"error": "overloaded"}, "an error under status 200: overloaded"),
    (completion("", finish_reason=None).body, "finish_reason None"),
    (completion(None, finish_reason="halted").body, "finish_reason 'halted'"),
    (completion("85", finish_reason="abort").body, "finish_reason 'abort'"),
    (completion(85).body, "int as a message's content"),
    (completion([{"type": "text", "text": 85}]).body, "list as a message's content"),
)
def test_an_unknown_shape_is_an_error_and_no_answer(body, words):
    with pytest.raises(CallError, match=words):
        read_reply(body)


# --- log-probabilities ---


def token(text, logprob, *top):
    listed = [{"token": other, "logprob": value, "bytes": None} for other, value in top]
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": listed}


@each(None, {}, {"content": None, "refusal": []}, {"content": []})
def test_no_tokens_are_no_tokens(found):
    body = completion("85").body
    body["choices"][0]["logprobs"] = found
    assert read_tokens(body) == ()
    del body["choices"][0]["logprobs"]
    assert read_tokens(body) == ()


@each(
    {"content": [{"token": "8"}]},
    {"content": [{"token": "8", "logprob": None}]},
    {"content": [{"token": "8", "logprob": True}]},
    {"content": [{"token": 8, "logprob": -1.0}]},
    {"content": [{"token": "8", "logprob": "-1"}]},
    {"content": [{"token": "8", "logprob": -1.0, "top_logprobs": {"8": -1.0}}]},
    {"content": [{"token": "8", "logprob": -1.0, "top_logprobs": [{"token": "8"}]}]},
    {"content": 8},
    {"content": ["8"]},
    ["8"],
)
def test_log_probabilities_of_an_unknown_shape_are_never_guessed(found):
    body = completion("85").body
    body["choices"][0]["logprobs"] = found
    with pytest.raises(CallError, match="log-probabilities of an unknown shape"):
        read_tokens(body)
