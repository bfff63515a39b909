"""A prompt that the server cut silently: seen where it was cut, never where it was not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit import Message
from judgekit_gpt2.tokens import Tokenizer
from judgekit_ollama.cut import falls_short, fills, half_cuts
from tables import each

CONTEXT = 4096


def user(text):
    return [Message(role="user", content=text)]


@each((1, False), (4094, False), (4095, True), (4096, True), (5000, True))
def test_a_prompt_that_fills_the_context_was_cut(read, cut):
    assert bool(fills(read, CONTEXT)) is cut


@each((7, False), (6, True), (1, True), (400, False))
def test_a_prompt_has_at_least_as_many_tokens_as_words(read, cut):
    assert bool(falls_short(read, user("Grade this answer from 0 to 100."), CONTEXT)) is cut


def test_words_are_counted_where_they_are_expected():
    turns = [Message(role="system", content="one two"), Message(role="assistant", content="three"), *user("four\nfive")]
    assert (
        falls_short(4, turns, CONTEXT)
        == "the server read 4 tokens of a prompt of 5 words, so it was cut: raise num_ctx"
    )
    assert falls_short(5, turns, CONTEXT) == ""
    turns = [*user("hi"), Message(role="assistant", content=f"<think>{'so ' * 50}\n</think>hello"), *user("bye")]
    assert falls_short(3, turns, CONTEXT) == ""
    assert falls_short(3, user(turns[1].content), CONTEXT) != ""  # in a question they stand
    assert falls_short(2050, user("\ud800" * 3), CONTEXT) == ""
    assert half_cuts(4096, 100) == {4096 - 1998, 4096 - 1997}
    assert half_cuts(4096, 10**9) == {4095}
    assert half_cuts(4096, -1) == half_cuts(4096, 0)


@each((4096, {2050, 2051}), (32768, {16386, 16387}), (65536, {32770}), (16, {10, 11}))
def test_the_lengths_to_which_newer_servers_cut_are_those_that_were_measured(context, lengths):
    """2050, 16386, 16387 and 32770 are in the reports of ollama#17889, #17427 and #3839."""
    assert lengths <= half_cuts(context)


@each(
    ("return(x)" * 1700, 2050, True),  # 15,300 bytes without a space, of which 2050 tokens were read
    ("return(x)" * 1700, 2049, False),  # not where Ollama cuts
    ("return(x)" * 1000, 2050, False),  # 4.4 bytes a token: a whole prompt may be so
    ("請評分這個答案的品質" * 500, 2050, True),
    ("請評分這個答案的品質" * 300, 2050, False),
    ("=" * 60_000, 2050, False),  # long runs are few tokens
    ("a" + " " * 60_000 + "b", 2050, False),
)
def test_a_prompt_cut_to_the_half_is_seen_where_words_say_nothing(text, read, cut):
    assert bool(falls_short(read, user(text), CONTEXT)) is cut


@given(st.text(min_size=1), st.integers(16, 10**6))
def test_a_token_for_every_character_is_never_too_few(text, context):
    """Byte-level tokenizers with no merges at all, which llama.cpp's tokenizers at worst are."""
    assert falls_short(len(text.encode("utf-8", "surrogatepass")), user(text), context) == ""


@pytest.mark.shared
def test_no_whole_prompt_of_the_real_data_is_taken_for_a_cut_one(shared_data):
    """GPT-2's tokens, and for each text the context at which its very length is one that Ollama cuts to."""
    tokenizer = Tokenizer.gpt2()
    rows = [json.loads(line) for line in (shared_data / "llmbar" / "natural.jsonl").read_text("utf-8").splitlines()]
    texts = [row[key] for row in rows for key in ("instruction", "output_1", "output_2")]
    lengths = [len(tokenizer.encode(text)) for text in texts]
    tried = [(text, read) for text, read in zip(texts, lengths, strict=True) if read >= 16]
    assert len(tried) > 200
    for text, read in tried:
        assert read in half_cuts(2 * read - 4)
        assert falls_short(read, user(text), 2 * read - 4) == ""
