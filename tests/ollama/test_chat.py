"""The body of /api/chat, every shape of its answer, and the log-probabilities in it."""

import json
import math

import pytest

from judgekit import CallError, Message, Request, Sampling, Token, Usage
from judgekit_ollama.chat import OPTION_NAMES, chat_body, check_option_names, read_reply
from judgekit_ollama.tokens import NoLogprobs, read_tokens
from tables import each

ASK = Request(messages=(Message(role="user", content="Grade this answer from 0 to 100."),))


def said(content="85", **fields):
    body = {"model": "llama3", "message": {"role": "assistant", "content": content}, "done": True}
    return {**body, "done_reason": "stop", "prompt_eval_count": 20, "eval_count": 2, **fields}


def read(*args, **fields):
    return read_reply(said(*args, **fields), ASK)


def body(request=ASK, **settings):
    usual = {"model": "llama3", "num_ctx": 2048, "keep_alive": "10m", "think": False, "options": {}}
    return chat_body(request, **(usual | settings))


def test_the_body_leaves_nothing_to_the_servers_defaults():
    sampling = Sampling(temperature=0.0, seed=123, max_new_tokens=8, top_p=0.9, top_k=5, stop=("\n",))
    schema = {"type": "object"}
    request = Request(messages=(Message(role="user", content="hi"),), sampling=sampling, json_schema=schema)
    assert body(request, options={"num_thread": 2}) == {
        "model": "llama3",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "think": False,
        "truncate": False,
        "shift": False,
        "keep_alive": "10m",
        "format": {"type": "object"},
        "options": {
            "num_thread": 2,
            "num_ctx": 2048,
            "seed": 123,
            "temperature": 0.0,
            "top_p": 0.9,
            "top_k": 5,
            "num_predict": 8,
            "stop": ["\n"],
        },
    }


def test_the_request_has_what_is_wanted():
    sent = body()
    assert sent["options"] == {"num_ctx": 2048}
    assert not {"format", "logprobs", "top_logprobs"} & sent.keys()
    sent = body(ASK.model_copy(update={"top_logprobs": 20}))
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    check_option_names(OPTION_NAMES)


@each((0, 0), (2**32 - 2, 2**32 - 2), (2**32 - 1, 0), (2**32, 1), (2**63 - 1, 2**31 - 1), (None, None))
def test_no_seed_is_one_that_llama_cpp_takes_for_none(seed, sent):
    options = body(ASK.model_copy(update={"sampling": Sampling(seed=seed)}))["options"]
    assert options.get("seed") == sent


def test_replies_and_tokens_are_read():
    reply = read()
    assert (reply.text, reply.status, reply.detail, reply.notes) == ("85", "complete", "", ())
    assert reply.usage == Usage(prompt_tokens=20, completion_tokens=2)
    assert read_reply(said() | {"message": {"content": "85", "thinking": "so"}}, ASK).reasoning == "so"
    reply = read(done_reason="length")
    assert (reply.status, reply.detail) == ("truncated", "cut at the token limit")
    reply = read("")
    assert (reply.status, reply.text, reply.detail) == ("complete", "", "the reply holds no content")
    called = {"message": {"content": "", "tool_calls": [{"function": {"name": "f"}}]}}
    assert read_reply(said() | called, ASK).detail == "the reply holds no content, only a tool call"
    reply = read_reply(said(done_reason="length") | {"message": {"content": "", "thinking": "let me"}}, ASK)
    assert (reply.status, reply.reasoning) == ("truncated", "let me")
    assert reply.detail == "cut at the token limit; the reply holds no content, only thoughts"
    assert tokens_of([entry("8"), entry("5", -1)]) == (
        Token(text="8", logprob=-0.5, top=(("8", -0.5), ("other", -3.0))),
        Token(text="5", logprob=-1.0, top=(("5", -1.0), ("other", -3.0))),
    )
    assert tokens_of([entry("8")], request=WEIGHED.model_copy(update={"top_logprobs": 0})) == ()
    top = [{"token": str(i), "logprob": -float(i)} for i in range(5)]
    assert [len(token.top) for token in tokens_of([entry("8", top=top)])] == [2]
    assert tokens_of(None, content="") == ()
    tokens = tokens_of([entry("85"), entry("", top=[])])
    assert [(token.text, len(token.top)) for token in tokens] == [("85", 2), ("", 0)]
    entries = [entry(text) for text in ("85", "?", " no", "\n", " 8", "5")]
    assert [token.text for token in tokens_of(entries, "85", "85? no")] == [" 8", "5"]
    assert tokens_of([entry("so"), entry("8")], "85", "so") == ()
    assert tokens_of([entry("so")], "", "so") == ()
    [token] = tokens_of([entry("85", 1e-7)])
    assert (token.logprob, token.top[0]) == (0.0, ("85", 0.0))


@each(None, 0, "many")
def test_a_server_that_does_not_count_is_noted(count):
    reply = read(prompt_eval_count=count)
    assert reply.usage is None
    assert reply.notes == ("the server gave no prompt_eval_count: a cut prompt would go unseen",)


@each(
    ([], "list where a chat reply was due"),
    ({"error": "llama runner process has terminated"}, "an error under status 200: llama runner"),
    (said(done_reason="load"), "done_reason 'load'"),
    (said(done_reason="unload"), "done_reason 'unload'"),
    (said("", done_reason=None), "done_reason None"),
    (said("", done_reason="halted"), "done_reason 'halted'"),
    (said(done=False), "half of a chat reply"),
    ({"message": {"content": "85"}, "done_reason": "stop"}, "half of a chat reply"),
    ({"done": True, "done_reason": "stop"}, "half of a chat reply"),
    (said(None), "without content"),
    (said(85), "without content"),
)
def test_an_unknown_shape_is_an_error_and_no_answer(answer, words):
    with pytest.raises(CallError, match=words):
        read_reply(answer, ASK)


# --- option names ---


@each(
    ("num_thred", "no option 'num_thred'; did you mean 'num_thread'"),
    ("temprature", "did you mean 'temperature'"),
    ("zzzz", "no option 'zzzz'$"),
    ("num_ctx", "has a key of its own, beside `options`: num_ctx"),
    ("num_predict", "beside `options`: max_new_tokens"),
)
def test_an_unknown_option_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        check_option_names([name])


WEIGHED = Request(messages=(Message(role="user", content="Grade this."),), top_logprobs=2)


def entry(token, logprob=-0.5, top=None):
    others = top if top is not None else [{"token": token, "logprob": logprob}, {"token": "other", "logprob": -3.0}]
    return {"token": token, "logprob": logprob, "bytes": [*token.encode()], "top_logprobs": others}


def tokens_of(entries, content="85", thinking="", request=WEIGHED):
    return read_tokens(entries, request, content, thinking)


@each(None, [])
def test_a_server_that_ignores_the_wish_is_found_out(entries):
    with pytest.raises(NoLogprobs, match="without the log-probabilities"):
        tokens_of(entries)


@each([], None)
def test_a_server_without_the_alternatives_is_found_out(top):
    with pytest.raises(NoLogprobs, match="without the alternatives"):
        tokens_of([{**entry("8"), "top_logprobs": top}])


@each(
    {"content": [entry("8")]},  # OpenAI's shape
    "85",
    [None],
    [{"token": "8"}],
    [{"logprob": -1.0}],
    [{**entry("8"), "token": 8}],
    [{**entry("8"), "logprob": "-1"}],
    [{**entry("8"), "logprob": True}],
    [{**entry("8"), "logprob": 0.97}],  # a probability
    [{**entry("8"), "logprob": 10**400}],
    [{**entry("8"), "logprob": -(10**400)}],
    json.loads('[{"token": "8", "logprob": -1e999, "top_logprobs": []}]'),
    [{**entry("8"), "logprob": math.nan}],
    [{**entry("8"), "top_logprobs": {"8": -1.0}}],
    [{**entry("8"), "top_logprobs": [{"token": "8"}]}],
)
def test_an_unknown_shape_is_an_error_and_no_number(entries):
    with pytest.raises(CallError, match="the server sent"):
        tokens_of(entries)


# --- ends in other words ---


@each(
    ("stop", "complete"),
    ("eos", "complete"),
    ("STOP", "complete"),
    (None, "complete"),
    ("", "complete"),
    ("max_tokens", "truncated"),
    ("refusal", "refused"),
    ("tool_calls", "truncated"),
    ("halted", "complete"),
)
def test_a_reply_ends_in_other_words(reason, status):
    reply = read_reply(said(done_reason=reason), ASK)
    assert reply.status == status
    assert ("`finish_reasons: {halted: stop}`" in reply.detail) is (reason == "halted")


def test_the_config_may_say_what_a_word_means():
    assert read_reply(said(done_reason="halted"), ASK, {"halted": "length"}).status == "truncated"
