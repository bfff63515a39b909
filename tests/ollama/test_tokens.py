"""The log-probabilities of a reply: read whole, or not at all."""

import json
import math

import pytest

from judgekit import CallError, Message, Request, Token
from judgekit_ollama.tokens import NoLogprobs, read_tokens
from tables import each

ASK = Request(messages=(Message(role="user", content="Grade this."),), top_logprobs=2)


def entry(token, logprob=-0.5, top=None):
    others = top if top is not None else [{"token": token, "logprob": logprob}, {"token": "other", "logprob": -3.0}]
    return {"token": token, "logprob": logprob, "bytes": [*token.encode()], "top_logprobs": others}


def read(entries, content="85", thinking="", request=ASK):
    return read_tokens(entries, request, content, thinking)


def test_tokens_have_their_alternatives():
    assert read([entry("8"), entry("5", -1)]) == (
        Token(text="8", logprob=-0.5, top=(("8", -0.5), ("other", -3.0))),
        Token(text="5", logprob=-1.0, top=(("5", -1.0), ("other", -3.0))),
    )


def test_a_request_without_them_reads_none():
    assert read([entry("8")], request=ASK.model_copy(update={"top_logprobs": 0})) == ()


def test_no_more_alternatives_than_were_asked_for():
    top = [{"token": str(i), "logprob": -float(i)} for i in range(5)]
    assert [len(token.top) for token in read([entry("8", top=top)])] == [2]


@each(None, [])
def test_a_server_that_ignores_the_wish_is_found_out(entries):
    with pytest.raises(NoLogprobs, match="without the log-probabilities"):
        read(entries)


def test_a_reply_that_ended_at_once_has_no_tokens():
    assert read(None, content="") == ()


@each([], None)
def test_a_server_without_the_alternatives_is_found_out(top):
    with pytest.raises(NoLogprobs, match="without the alternatives"):
        read([{**entry("8"), "top_logprobs": top}])


def test_a_last_token_without_alternatives_passes():
    tokens = read([entry("85"), entry("", top=[])])
    assert [(token.text, len(token.top)) for token in tokens] == [("85", 2), ("", 0)]


def test_the_tokens_of_thoughts_are_left_out():
    entries = [entry(text) for text in ("85", "?", " no", "\n", " 8", "5")]
    assert [token.text for token in read(entries, "85", "85? no")] == [" 8", "5"]


def test_an_answer_that_cannot_be_told_from_the_thoughts_has_no_tokens():
    assert read([entry("so"), entry("8")], "85", "so") == ()
    assert read([entry("so")], "", "so") == ()


def test_a_rounding_error_above_zero_is_zero():
    [token] = read([entry("85", 1e-7)])
    assert (token.logprob, token.top[0]) == (0.0, ("85", 0.0))


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
        read(entries)
