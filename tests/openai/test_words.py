"""Every row of the tables of servers' words: how a reply ended, and what an error is about."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from judgekit import CallError
from judgekit_openai.replies import read_reply
from judgekit_openai.words import (
    CODES,
    ENDS,
    PHRASES,
    FinishReasons,
    end_of,
    fault_by_code,
    fault_by_name,
    fault_by_words,
    plain,
)
from openai_fake import completion
from tables import each

STATUS = {"stop": "complete", "length": "truncated", "content_filter": "refused", "tool_calls": "truncated"}
ROWS = [(word, end) for end, words in ENDS.items() for word in words.split()]


@pytest.mark.parametrize(("word", "end"), ROWS)
def test_every_end(word, end):
    spellings = (word, word.upper(), f"FinishReason.{word.upper()}", f"<|{word}|>", word.replace("_", "-"))
    assert {end_of(spelling, {}) for spelling in spellings} == {end}
    body = completion("8", finish_reason=word).body
    if end == "error":
        with pytest.raises(CallError, match=word):
            read_reply(body)
    else:
        reply = read_reply(body)
        assert (reply.status, reply.text, reply.notes) == (STATUS[end], "8", ())


def test_no_word_stands_twice_and_each_is_plain():
    words = [word for word, _ in ROWS]
    assert len(words) == len(set(words))
    assert [word for word in words if plain(word) != word] == []
    codes = [code.lower() for codes in CODES.values() for code in codes.split()]
    assert len(codes) == len(set(codes))


@each(None, "", "halted")
def test_whole_content_with_an_unknown_reason_is_a_reply(reason):
    reply = read_reply(completion("8", finish_reason=reason).body, cap=16)
    assert (reply.status, reply.text) == ("complete", "8")
    told = f"finish_reason {reason!r} is not known" if reason else ""
    assert told in reply.detail
    assert bool(reply.detail) is bool(reason) is bool(reply.notes)
    if reason:  # the advice is good
        assert "`finish_reasons: {halted: stop}`" in reply.detail
        assert read_reply(completion("8", finish_reason=reason).body, reasons={"halted": "stop"}).detail == ""
        assert (
            read_reply(completion("8", finish_reason=reason).body, reasons={"Halted": "length"}).status == "truncated"
        )
    cut = read_reply(completion("8", finish_reason=reason, completion_tokens=16).body, cap=16)
    assert (cut.status, "all of its 16 tokens" in cut.detail) == ("truncated", True)


def test_thoughts_alone_are_an_empty_answer_whatever_the_reason():
    for reason in (None, "", "halted", "stop"):
        reply = read_reply(completion("", finish_reason=reason, reasoning="hm").body, cap=16)
        assert (reply.status, reply.detail) == ("complete", "the reply holds no content, only reasoning")
        full = read_reply(completion("", finish_reason=reason, reasoning="hm", completion_tokens=16).body, cap=16)
        assert full.status == ("complete" if reason == "stop" else "truncated")


def test_tool_calls_are_no_answer():
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    for reason in ("tool_calls", "stop", "function_call", None):
        reply = read_reply(completion(None, finish_reason=reason, tool_calls=calls).body)
        assert (reply.status, reply.text, reply.detail) == (
            "complete",
            "",
            "the reply holds no content, only a tool call",
        )
    reply = read_reply(completion("Let me look.", finish_reason="tool_calls", tool_calls=calls).body)
    assert (reply.status, "stopped to call a tool" in reply.detail) == ("truncated", True)


def test_the_option_takes_the_five_words_alone():
    check = TypeAdapter(FinishReasons).validate_python
    assert check({"halted": "stop"}) == {"halted": "stop"}
    for wrong in ({"halted": "done"}, {"": "stop"}, {" ": "stop"}):
        with pytest.raises(ValidationError):
            check(wrong)


@pytest.mark.parametrize(("code", "fault"), [(code, fault) for fault, codes in CODES.items() for code in codes.split()])
def test_every_code(code, fault):
    assert fault_by_code({code, "None", "invalid_request_error"}) == fault_by_code({code.upper()}) == fault
    if not code.isdigit():
        assert fault_by_name(f"litellm.BadRequestError: {code}: sorry") == fault
        assert fault_by_name(f"un{code}ly") is None


SAID = [
    ("json", "Failed to generate JSON. Please adjust your prompt."),
    ("json", "The generated text is not valid JSON"),
    ("json", "The model failed to produce valid JSON"),
    ("output", "Could not finish, as the model output limit was reached."),
    ("output", "Could not finish the message because max_tokens was hit. Please try again with higher max_tokens."),
    ("output", "max output tokens reached"),
    ("context", "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"),
    ("context", "the request exceeds the available context size, try increasing it"),
    ("context", "The prompt is too long"),
    ("context", "input is longer than the model allows: longer than the maximum of it"),
    ("context", "The decoder prompt (length 3000) is longer than the maximum model length of 2048."),
    ("context", "tokens: 3000 > max_model_len"),
    ("context", "InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
    ("context", "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"),
    ("context", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    ("context", "Your messages have 9000 tokens, which exceeds the token limit"),
    ("context", "input tokens of 5000 exceed 4096"),
    ("context", "too many input tokens"),
    ("context", "Number of input tokens is 9000, greater than 4096"),
    ("policy", "Content Exists Risk"),
    ("policy", "Your request was refused by our content management policy."),
    ("policy", "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"),
    ("policy", "Rejected: see our usage policies"),
    ("policy", "Input data may contain inappropriate content."),
    ("policy", "The request may contain unsafe or sensitive content"),
    ("policy", "blocked by a rule on violence"),
    ("policy", "Responsible AI said no"),
    ("policy", "Your input was flagged"),
    ("policy", "系统检测到输入或生成内容可能包含不安全或敏感内容"),
    ("busy", "Provider returned error: overloaded"),
    ("busy", "server busy"),
    ("busy", "Please try again later"),
    ("busy", "Too many requests"),
]


@pytest.mark.parametrize(("fault", "text"), SAID)
def test_every_phrase(fault, text):
    assert fault_by_words(text) == fault_by_words(text.upper()) == fault


def test_every_row_of_the_phrases_is_tried():
    untried = [pattern for _, pattern in PHRASES if not any(re.search(pattern, text, re.I) for _, text in SAID)]
    assert untried == []


@each(
    "You are not allowed to request logprobs from this model",
    "Incorrect API key provided",
    "max_tokens is too large: 99999. This model supports at most 16384 completion tokens",
    "Invalid value for 'temperature': must be at most 2",
    "Unrecognized request argument supplied: seed",
    "Failed to parse the request body as JSON",
    "The model `x` does not exist or you do not have access to it.",
    "Invalid schema for response_format 'reply'",
    "Missing scopes: api.model.read",
)
def test_what_is_about_another_thing(text):
    assert fault_by_words(text) is None
    assert fault_by_name(text) is None
